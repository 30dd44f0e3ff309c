"""tree-sitter grammars, loaded when first needed, with bounded work.

In: a text and the name of a language in `GRAMMARS`. Out: None where a grammar reads all of it, else
line, column and what stands there. A grammar goes on behind an error, which can take time that
grows with the square of the length: `LIMITS` keeps every text under half a second.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any

GRAMMARS: dict[str, tuple[tuple[str, str], ...]] = {
    "javascript": (
        ("tree_sitter_javascript", "language"),
        ("tree_sitter_typescript", "language_tsx"),
    ),
    "typescript": (
        ("tree_sitter_typescript", "language_typescript"),
        ("tree_sitter_typescript", "language_tsx"),
    ),
    "tsx": (("tree_sitter_typescript", "language_tsx"),),
    "bash": (("tree_sitter_bash", "language"),),
    "html": (("tree_sitter_html", "language"),),
    "css": (("tree_sitter_css", "language"),),
    "go": (("tree_sitter_go", "language"),),
    "rust": (("tree_sitter_rust", "language"),),
    "java": (("tree_sitter_java", "language"),),
    "c": (("tree_sitter_c", "language"), ("tree_sitter_cpp", "language")),
    "cpp": (("tree_sitter_cpp", "language"),),
    "csharp": (("tree_sitter_c_sharp", "language"),),
    "php": (("tree_sitter_php", "language_php"), ("tree_sitter_php", "language_php_only")),
    "ruby": (("tree_sitter_ruby", "language"),),
}  # fmt: skip
"""By language: the grammars, one of which must read the text."""
LIMITS = {
    "bash": 8_000,
    "html": 20_000,
    "php": 20_000,
    "csharp": 10_000,
    "java": 14_000,
    "css": 15_000,
    "ruby": 20_000,
}
"""Bytes of a text that is judged; measured with nested tags, redirections and brackets as text."""
LIMIT = 30_000
"""The same for the other languages."""


@cache
def lacking(name: str) -> str:
    """What to install before a language can be judged; empty where it can be."""
    needed = {module for module, _ in GRAMMARS.get(name, ())} or {"sqlglot"}
    needed |= {"tree_sitter"} if name in GRAMMARS else set()
    try:
        there = all(importlib.util.find_spec(module) for module in needed)
    except ValueError:  # a module that was blocked
        there = False
    return "" if there else f"{name} is judged with the extra: pip install 'misstep[code]'"


@cache
def _parser(module: str, function: str) -> Any:
    import tree_sitter

    grammar = vars(importlib.import_module(module))[function]
    return tree_sitter.Parser(tree_sitter.Language(grammar()))


def stumble(text: str, name: str) -> tuple[int, int, str] | None:
    """The first place that no grammar of the language reads; the furthest of their firsts."""
    data = text.encode("utf-8", "replace")
    grammars = GRAMMARS[name]
    if name == "php":  # without its opening tag the page grammar takes anything
        grammars = grammars[:1] if b"<?" in data else grammars[1:]
    found: list[tuple[int, int, str]] = []
    for grammar in grammars:
        place = _first_error(_parser(*grammar), data)
        if place is None:
            return None
        found.append(place)
    return max(found)


def _first_error(parser: Any, data: bytes) -> tuple[int, int, str] | None:
    root = parser.parse(data).root_node
    if not root.has_error:
        return None
    node = _broken(root)
    at = node.start_byte
    shown = repr(data[at : at + 40].decode("utf-8", "replace").split("\n")[0])
    if node.is_missing:
        said = f"expected {node.type!r}"
    elif node.end_byte >= len(data.rstrip()):
        said = f"what begins with {shown} is not complete"
    else:
        said = f"unexpected {shown}"
    before = data[:at]
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return before.count(b"\n") + 1, column, said


def _broken(root: Any) -> Any:
    """The first innermost error or missing node; the root where there is none."""
    node, best = root, root
    while node is not None:
        if node.is_error or node.is_missing:
            best = node
        node = next((c for c in node.children if c.has_error or c.is_missing), None)
    return best
