"""Python functions asked for in prose, drawn from `extraction_code.yaml`.

In: the name of a task and a number. Out: a `Wanted`: what is asked, and a program that does it.
Only these programs are ever run (a test holds them against their cases); what a model wrote never
is. `same_program` says instead whether it is the wanted program up to names of its own, annotations
and docstrings: a lower bound of what is right.
"""

from __future__ import annotations

import ast
import random
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import yaml

from misstep.validate.code_fences import fences

LONGEST = 4_000
"""Characters of an answer that is read at all; the longest program has 250."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One function."""

    asked: str
    called: str
    program: str


@cache
def source() -> dict[str, Any]:
    """The file of functions."""
    path = Path(__file__).with_name("extraction_code.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def names() -> tuple[str, ...]:
    """Of all tasks."""
    return tuple(source()["functions"])


def wanted(name: str, number: int) -> Wanted:
    """A function of a task."""
    task, dice = source()["functions"][name], random.Random(f"extraction code/{name}/{number}")
    drawn = {key: dice.choice(words.split("|")) for key, words in source()["names"].items()}
    drawn["f"] = dice.choice(task["called"].split("|"))
    drawn["call"] = f"{drawn['f']}({', '.join(drawn[each] for each in task['takes'])})"
    drawn["does"] = Template(dice.choice(task["does"].split("|"))).substitute(drawn)
    return Wanted(
        asked=Template(dice.choice(source()["asks"])).substitute(drawn),
        called=drawn["f"],
        program=Template(task["code"]).substitute(drawn),
    )


def program_in(answer: str) -> str:
    """The code of an answer: its first block, or all of it where it has none."""
    return next((fence.body for fence in fences(answer)), answer)


def same_program(answer: str, right: str, *, called: str) -> bool:
    """Whether the function of an answer is the right one, whatever it calls what is its own."""
    given = program_in(answer)
    if len(given) > LONGEST:
        return False
    try:
        return _shape(given, called) == _shape(right, called)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _shape(program: str, called: str) -> str | None:
    with warnings.catch_warnings(action="ignore"):
        body = ast.parse(program).body
    found = (each for each in body if isinstance(each, ast.FunctionDef) and each.name == called)
    function = next(found, None)
    return None if function is None else ast.dump(_Plain(function).visit(function))


class _Plain(ast.NodeTransformer):
    """Names that a function binds by their order, no docstrings, no annotations."""

    def __init__(self, function: ast.FunctionDef) -> None:
        """Find out first what is bound: a comprehension uses a name before it binds it."""
        self.known: dict[str, str] = {}
        for each in ast.walk(function):
            if isinstance(each, ast.arg):
                self.known.setdefault(each.arg, f"name{len(self.known)}")
            elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                self.known.setdefault(each.id, f"name{len(self.known)}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Without what changes nothing."""
        node.returns = None
        if ast.get_docstring(node) is not None and len(node.body) > 1:
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Under its new name."""
        return ast.arg(arg=self.known[node.arg])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Under its new name, if it has one."""
        return ast.Name(id=self.known.get(node.id, node.id), ctx=node.ctx)
