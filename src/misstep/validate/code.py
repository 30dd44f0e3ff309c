"""Code that does not parse, and code fences that are not closed.

In: a step. Out: CODE_SYNTAX with language, line and column, FENCE_UNCLOSED. A defect only where the
code was declared (an option, the schema, an interpreter's call) and its parser is the reference of
its language; else suspect. A fenced block that does not parse is looked at again as a piece of a
program, which is no failure; a language without a grammar is not judged (`unread` says so).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from misstep.redact import clip, cut
from misstep.types import Finding
from misstep.validate.code_excerpt import excerpt
from misstep.validate.code_fences import Fence, fences
from misstep.validate.code_places import Piece, carries, declares, pieces
from misstep.validate.code_syntax import EXACT, LOOSE, Snag, barred, check, language, limit_of
from misstep.validate.text_loop import CUT
from misstep.validate.validator import Step, Validator

_PLAIN = frozenset(
    {"", "text", "txt", "plaintext", "plain", "console", "output", "diff", "markdown", "md", "log"}
)
"""Tags of fences that name no programming language."""
MAX_WORK = 2.0
"""Code of one step that is judged, as a multiple of what one piece may hold: about a second."""


def _check(step: Step) -> Iterable[Finding]:
    return _found(step) if carries(step) else ()


def _found(step: Step) -> Iterator[Finding]:
    left = MAX_WORK
    for piece in pieces(step):
        if piece.fence is not None and not piece.fence.closed:
            yield _unclosed(step, piece.fence)
            continue  # it stops somewhere: its syntax says nothing more
        if not piece.language or (piece.language in LOOSE and not piece.declared):
            continue
        left -= len(piece.text) / limit_of(piece.language)
        if left < 0:
            return
        snag = check(piece.language, piece.text).snag
        if snag is not None and not _pardoned(piece):
            yield _broken(step, piece, snag)


def _pardoned(piece: Piece) -> bool:
    """True for a fenced block that is no whole program."""
    return piece.kind == "fence" and excerpt(piece.language, piece.text) is not None


def _broken(step: Step, piece: Piece, snag: Snag) -> Finding:
    lines = piece.text.split("\n")
    shown = _shown(piece.text, snag, lines)
    flat = ("flattened",) if piece.language == "python" and _flattened(lines) else ()
    return step.find(
        "CODE_SYNTAX",
        piece.channel,
        call=piece.call,
        where=piece.where,
        level="defect" if _certain(piece) else "suspect",
        span=_span(piece, snag, lines),
        tags=(piece.language, piece.kind, *snag.tags, *flat),
        evidence=f"{piece.language}, line {snag.line}, column {snag.column}: "
        f"{clip(snag.said, 120)}; got {shown!r}",
    )


def _shown(text: str, snag: Snag, lines: list[str]) -> str:
    """The line around the place that a parser stumbled over."""
    if snag.line > len(lines):
        return ""
    start = sum(len(line) + 1 for line in lines[: snag.line - 1])
    low = start + max(snag.column - 40, 0)
    high = min(start + snag.column + 60, start + len(lines[snag.line - 1]))
    return cut(text, low, max(high, low)).strip()[:100]


def _certain(piece: Piece) -> bool:
    return piece.declared and piece.language in EXACT


def _flattened(lines: list[str]) -> bool:
    """True where no line is indented by more than one blank: the log lost the rest."""
    indents = {len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()}
    return indents == {0, 1}


def _span(piece: Piece, snag: Snag, lines: list[str]) -> tuple[int, int] | None:
    """The place in the channel; a fence that is indented makes it the start of the line."""
    if piece.at is None:
        return None
    at = sum(len(line) + 1 for line in lines[: snag.line - 1]) + snag.column - 1
    start = piece.at + min(at, len(piece.text))
    return (start, start + 1)


def _unclosed(step: Step, fence: Fence) -> Finding:
    broken_off = step.finish in CUT or step.message.end == "cut"
    return step.find(
        "FENCE_UNCLOSED",
        "content",
        span=(fence.start, len(step.text)),
        tags=("cut",) if broken_off else (),
        evidence=f"a code fence is opened and never closed: "
        f"{cut(step.text, fence.start, fence.start + 80)!r}",
    )


def unread(text: str) -> Iterator[str]:
    """Why blocks of `text` that name a language were not judged, one reason for each."""
    for fence in fences(text):
        if fence.tag not in _PLAIN and fence.closed:
            reason = barred(language(fence.tag), fence.body)
            if reason:
                yield reason


def _judges(step: Step) -> bool:
    """True where declared code was read by a parser that could have failed it."""
    return declares(step) and any(
        _certain(p) and not check(p.language, p.text).unjudged for p in pieces(step)
    )


VALIDATOR = Validator(
    name="code", codes=("CODE_SYNTAX", "FENCE_UNCLOSED"), check=_check, judges=_judges
)
