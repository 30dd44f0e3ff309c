"""Pieces of programs: why a fenced block that does not parse is no failure.

In: a language and the text of a block that its parser refused. Out: the reason that makes it an
excerpt (an elision, a placeholder, a diff, a shell or interpreter session, members without what
they stand in), or None where it was meant as a whole. Tuned on 9,000 fenced blocks that people
wrote into the manuals of packages: 7.1 % do not parse, 1.1 % are still suspect after this.
"""

from __future__ import annotations

import re
from textwrap import dedent

from misstep.validate.code_syntax import check, limit_of

_ELIDED = re.compile(r"\.\.\.|…|\[\s*(?:snip|omitted|truncated)|^\s*(?:#|//|--)?\s*etc\.?\s*$", re.M | re.I)  # fmt: skip  # noqa: E501
_PLACEHOLDER = re.compile(
    r"<[A-Za-z][\w .:|/-]*>|\{\{.*?\}\}|\$\{\w+\}|<%.*?%>|\[(?:YOUR|INSERT|your|insert)\b|_{4,}"
    r"|\b(?:YOUR|MY)_[A-Z_]+\b|\{%.*?%\}|\[\s*,",
)
_ANGLED = frozenset({"python", "json", "yaml", "toml", "sql", "bash", "css", "go", "ruby", "c"})
"""Languages in which `<word>` is no syntax."""
_DIFF = re.compile(r"^(?:@@ |diff --git |--- \S|\+\+\+ \S|[-+](?![-+=])\s*\S)", re.M)
_SESSION = re.compile(
    r"^\s*(?:>>> |In \[\d+\]:|irb\(|mysql> |sqlite> |\w+=[#>] |\$ |% |# \w+ -|PS [A-Z]:"
    r"|[\w@~-]+[$#] |> )",
    re.M,
)
_COMMENTED = re.compile(r"^\s*(?://|#|/\*)|[,{\[]\s*(?://|#|/\*)", re.M)
_AROUND: dict[str, tuple[str, ...]] = {
    "python": (
        *("{%s\n}", "f(%s\n)", "[%s\n]", "if x:\n    pass\n%s", "try:\n    pass\n%s"),
        *("%s\n    pass", "%s:\n    pass"),
    ),
    "json": ("{%s\n}", "[%s\n]"),
    "javascript": ("({%s\n})", "class X {%s\n}", "f(%s\n)", "<>%s\n</>", "switch (x) {%s\n}"),
    "typescript": (
        *("({%s\n})", "class X {%s\n}", "f(%s\n)", "interface X {%s\n}"),
        "declare class X {%s\n}",
    ),
    "tsx": ("({%s\n})", "class X {%s\n}", "<>%s\n</>"),
    "css": ("x {%s\n}",),
    "java": ("class X {%s\n}", "class X { void f() {%s\n} }"),
    "csharp": ("class X {%s\n}", "class X { void F() {%s\n} }"),
    "cpp": ("class X {%s\n};", "void f() {%s\n}", "x = {%s\n};", "%s;"),
    "c": ("%s;", "void f() {%s\n}", "struct x {%s\n};", "x = {%s\n};"),
    "go": tuple(
        f"package x\n{inside}"
        for inside in ("%s", "func f() {\n%s\n}", "var x = T{%s\n}", "type T struct {%s\n}")
    ),
    "rust": ("fn f() {%s\n}", "impl X {%s\n}", "struct X {%s\n}", "f(%s\n)"),
    "php": ("class X {%s\n}", "[%s\n];"),
    "ruby": ("{%s\n}", "f(%s\n)"),
    "sql": ("SELECT * FROM t %s", "CREATE TABLE t (%s\n)", "SELECT %s", "SELECT 1 WHERE %s"),
    "bash": ("case x in\n%s\nesac",),
}
"""What a piece of a program may stand in."""


_IMPORTS = re.compile(r"^(?:import|from|const .*require)\b.*$", re.M)
_STUB = re.compile(r":[ \t]*(?:#.*)?\n(?:[ \t]*#.*\n?|[ \t]*\n)+(?=\S|\Z)")


def excerpt(name: str, body: str) -> str | None:
    """Why a block that does not parse is no whole program of `name`; None where it is one."""
    if _ELIDED.search(body):
        return "elided"
    if _PLACEHOLDER.search(body) and (name in _ANGLED or "{" in body or "[" in body):
        return "placeholder"
    if _SESSION.search(body):
        return "session"
    lines = [line for line in body.split("\n") if line.strip()]
    if len(_DIFF.findall(body)) * 4 > len(lines):
        return "diff"
    if name == "json" and (_COMMENTED.search(body) or _all_json(lines)):
        return "json with comments or of several lines"
    return _piece(name, body)


def _piece(name: str, body: str) -> str | None:
    """Why a block is a part of a program, cut out whole; None where it fits into nothing."""
    plain = dedent(body)
    if plain != body and not check(name, plain).snag:
        return "indented"
    inside = _IMPORTS.sub("", plain)
    around = _AROUND.get(name, ())
    if len(inside) * len(around) <= limit_of(name) and any(
        not check(name, one.replace("%s", inside)).snag for one in around
    ):
        return "members"
    if name == "python" and _STUB.search(plain):
        return "stub"
    return "front matter" if name == "yaml" and body.count("\n---") else None


def _all_json(lines: list[str]) -> bool:
    return 1 < len(lines) <= 200 and not any(check("json", line).snag for line in lines)
