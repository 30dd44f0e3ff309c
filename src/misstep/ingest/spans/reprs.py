"""Objects as Python prints them (`Response(id='…', output=[…])`), read without running anything.

In: text of a `repr`. Out: plain values; an object becomes a dict of its keyword arguments, with its
class name as `__class__`. None for anything that is no such text, or is too long.
"""

from __future__ import annotations

import ast
from typing import Any

_LONGEST = 2_000_000
_DEEPEST = 60
_CLASS = "__class__"


def from_repr(text: Any) -> Any:
    """The value, or None."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, 0)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _value(node: ast.expr, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(node, ast.Constant):
        kept = isinstance(node.value, (str, int, float, bool)) or node.value is None
        return node.value if kept else str(node.value)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(inner, depth + 1) for inner in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(k, depth + 1)): _value(v, depth + 1) for k, v in pairs if k is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        fields = {k.arg: _value(k.value, depth + 1) for k in node.keywords if k.arg is not None}
        return {_CLASS: name, **fields}
    return ast.literal_eval(node)
