"""Is this text a program of its language? The answer of one parser, or why there is none.

In: the name of a language and a text. Out: an `Outcome`: a `Snag` with line and column where the
parser stops, no snag where it does not, or the reason why nobody judged. Python is judged by `ast`,
JSON by jiter, YAML by libyaml's events, TOML by tomllib, SQL by sqlglot, the rest by tree-sitter
grammars; the last two come with the extra `code` and are loaded when first needed. Nothing is run,
nothing raises, and what is too long or too deep for a bounded answer is not judged.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import yaml

from misstep.validate.code_grammar import GRAMMARS, LIMIT, lacking, stumble
from misstep.validate.code_grammar import LIMITS as GRAMMAR_LIMITS
from misstep.validate.code_sql import DIALECTS, sql_snag
from misstep.validate.strict_json import parse

EXACT = frozenset({"python", "json", "toml"})
"""Languages whose parser here is the reference; only in them a snag can be a defect."""
LOOSE = frozenset({"c", "cpp"})
"""Judged only where declared: without their macros, 35 % of real C and 70 % of C++ files fail."""
ALIASES = {
    **dict.fromkeys(("py", "python3", "py3", "ipython"), "python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx", "node"), "javascript"),
    **dict.fromkeys(("ts", "mts", "cts"), "typescript"),
    **dict.fromkeys(("sh", "shell"), "bash"),
    **dict.fromkeys(("c++", "cc", "cxx", "hpp"), "cpp"),
    **dict.fromkeys(("c#", "cs"), "csharp"),
    **dict.fromkeys(("postgresql", "psql"), "postgres"),
    **{"yml": "yaml", "golang": "go", "rs": "rust", "rb": "ruby", "htm": "html", "h": "c"},
}
LIMITS = GRAMMAR_LIMITS | {
    "python": 100_000,
    "json": 10_000_000,
    "yaml": 100_000,
    "toml": 40_000,
    "sql": 6_000,
}
"""Characters above which a text is not judged, so that any text takes well under a second."""
_DEEP = 500
"""Open brackets at once above which YAML is not judged: libyaml looks at all of them per token."""
_MAGIC = re.compile(r"^([ \t]*)(?:[%!]{1,2}|\?)[ \t]*[A-Za-z./\"'{$(].*$", re.M)
_NEWER = re.compile(
    r"^\s*type\s+\w+\s*(?:\[.*\])?\s*=|^\s*(?:async\s+)?(?:def|class)\s+\w+\[|\bt[\"']"
    r"|^\s*except\s+[\w.]+\s*,|\bf[\"']|\bf\"\"\"",
    re.M,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snag:
    """Where and why a parser stopped."""

    line: int
    """1-based."""
    column: int
    """1-based, in characters."""
    said: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the parser of a language makes of a text."""

    snag: Snag | None = None
    unjudged: str = ""
    """Why nobody judged; empty where somebody did."""


def language(tag: str) -> str:
    """The usual name of a language, from a fence's tag, a file's ending or a user's word."""
    word = tag.strip().lower()
    return ALIASES.get(word, word)


def known(name: str) -> bool:
    """True for a language that can be judged (its grammar may still have to be installed)."""
    return name in _PARSERS or name in GRAMMARS or name in DIALECTS


def limit_of(name: str) -> int:
    """Characters up to which a text of this language is judged."""
    return LIMITS.get("sql" if name in DIALECTS else name, LIMIT)


def barred(name: str, text: str) -> str:
    """Why a text is not judged at all; empty where it is. Reads nothing of it."""
    if not known(name):
        return f"no grammar for {name}"
    if len(text) > limit_of(name):
        limit = f"{limit_of(name):,}"
        return f"longer than the {limit} characters that {name} is judged to"
    return "" if name in _PARSERS else lacking(name)


@lru_cache(maxsize=256)
def check(name: str, text: str) -> Outcome:
    """What the parser of `name` says about `text`."""
    why = barred(name, text)
    if why:
        return Outcome(unjudged=why)
    text = text.removeprefix("\ufeff")
    try:
        return _PARSERS[name](text) if name in _PARSERS else _other(text, name)
    except (RecursionError, MemoryError):
        return Outcome(unjudged="nested too deeply to be judged")


def _other(text: str, name: str) -> Outcome:
    found = sql_snag(text, name) if name in DIALECTS else stumble(text, name)
    if found is None:
        return Outcome()
    line, column, said = found
    return Outcome(snag=Snag(line=line, column=column, said=said))


def _python(text: str) -> Outcome:
    if text.lstrip().startswith("%%"):
        return Outcome(unjudged="a cell magic: another language")
    plain = _MAGIC.sub(r"\1pass", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(plain)
    except SyntaxError as error:
        return _python_error(plain, error)
    except ValueError as error:  # a null character, a lone surrogate
        return Outcome(snag=Snag(line=1, column=1, said=str(error)))
    return Outcome()


def _python_error(text: str, error: SyntaxError) -> Outcome:
    lines = text.splitlines() or [""]
    line = min(max(error.lineno or 1, 1), len(lines))
    column = max(error.offset or 1, 1)
    if "nested" in error.msg or "too many" in error.msg:
        return Outcome(unjudged="nested too deeply to be judged")
    if sys.version_info < (3, 14) and _NEWER.search(lines[line - 1]):
        return Outcome(unjudged="syntax that a newer Python may know")
    tags = ("python2",) if "Missing parentheses in call to 'print'" in error.msg else ()
    return Outcome(snag=Snag(line=line, column=column, said=error.msg, tags=tags))


def _json(text: str) -> Outcome:
    parsed = parse(text)
    if parsed.ok or parsed.fault is None:
        return Outcome()
    if "too_deep" in parsed.fault.tags:
        return Outcome(unjudged="nested too deeply to be judged")
    at = parsed.fault.span[0] if parsed.fault.span else 0
    line, column = place(text, at)
    said = parsed.fault.told(text).split(" at line ")[0]
    return Outcome(snag=Snag(line=line, column=column, said=said, tags=(parsed.fault.code,)))


def place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of a character offset."""
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def _deep(text: str) -> bool:
    """True where more brackets stand open than anyone writes, those in strings counted too."""
    if text.count("[") + text.count("{") <= _DEEP:
        return False
    depth = deepest = 0
    for found in re.finditer(r"[\[{\]}]", text):
        depth += 1 if found[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest > _DEEP


def _yaml(text: str) -> Outcome:
    if _deep(text):
        return Outcome(unjudged="nested too deeply to be judged")
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        for _ in yaml.parse(text, Loader=loader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Outcome(snag=Snag(line=line, column=column, said=str(error.problem)))
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        return Outcome(snag=Snag(line=1, column=1, said=str(error).split("\n")[0]))
    return Outcome()


_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _toml(text: str) -> Outcome:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _TOML_PLACE.search(said)
        line, column = place(text, len(text))
        if found is not None and found[1]:
            line, column = int(found[1]), int(found[2])
        return Outcome(snag=Snag(line=line, column=column, said=_TOML_PLACE.sub("", said)))
    return Outcome()


_PARSERS: dict[str, Callable[[str], Outcome]] = {
    "python": _python,
    "json": _json,
    "yaml": _yaml,
    "toml": _toml,
}
