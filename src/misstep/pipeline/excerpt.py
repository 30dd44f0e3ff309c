"""One finding as an example: the text that it is about, around the offending span, without secrets.

In: a finding and its session. Out: a plain row for the report: blocks of text runs (plain, marked,
left out) and the place in the logs. Secrets and e-mail addresses are taken out here, with a margin
around what is shown, so that a cut never hides one from its pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from misstep.pipeline.locate import locate
from misstep.redact import MARGIN, clean, clean_pointer, clip, redact_at
from misstep.types import Finding, Message, Origin, Session, ToolCall
from misstep.validate.transcript import Transcript

AROUND = 260
"""Characters shown before and after the marked stretch."""
HEAD = 420
TAIL = 160
"""Characters shown of the beginning and of the end of a long marked stretch."""
LINES = 12
"""Lines shown on each side, or at each end of a long marked stretch."""
_END = 30
"""Characters marked at the end of an answer that was cut."""
MAX_TITLE = 120

Runs = list[list[str]]
"""[text, look] where look is empty, `mark`, or `gap` for what is left out."""
Block = dict[str, Any]


def example_row(finding: Finding, session: Session) -> dict[str, Any]:
    """What the report shows of one finding; JSON, redacted."""
    message = session.messages[finding.step]
    origin = message.origins[0] if message.origins else Origin(file="", format=session.format)
    return {
        "code": finding.code,
        "level": finding.level,
        "evidence": clean(finding.evidence),
        "tags": [clean(tag) for tag in finding.tags],
        "channel": finding.channel,
        "where": clean_pointer(finding.where),
        "session": session.id,
        "step": finding.step,
        "model": None if message.model is None else clean(message.model),
        "place": place_row(origin),
        "blocks": list(_blocks(finding, session, message)),
    }


def place_row(origin: Origin) -> dict[str, Any]:
    """Where something was read: file, line, format, and what leads on inside the file."""
    return {
        "file": clean(origin.file),
        "line": origin.line,
        "format": origin.format,
        "inside": " ".join(
            [clean(s) for s in (origin.member, origin.row) if s]
            + [clean_pointer(s) for s in (origin.pointer,) if s]
        ),
    }


def named(counts: dict[str, list[int]]) -> dict[str, list[int]]:
    """Counts by names as a log has them, by those names without secrets and people."""
    made: dict[str, list[int]] = {}
    for name, own in counts.items():
        known = made.setdefault(shown := clip(name, len(name)), own)
        if known is not own:
            made[shown] = [a + b for a, b in zip(known, own, strict=True)]
    return made


def _blocks(finding: Finding, session: Session, message: Message) -> Iterator[Block]:
    if finding.channel == "transcript":
        yield from _from_transcript(finding, session, message)
    elif finding.channel == "arguments" and message.calls:
        yield _from_call(finding, message.calls[_index(finding, message)])
    elif finding.channel == "reasoning":
        yield _block("reasoning", "", runs(message.reasoning, span_of(finding, message.reasoning)))
    else:
        yield from _from_content(finding, message)


def _index(finding: Finding, message: Message) -> int:
    return max(0, min(finding.call or 0, len(message.calls) - 1))


def _from_call(finding: Finding, call: ToolCall) -> Block:
    span = span_of(finding, call.arguments)
    named = finding.code == "TOOL_UNKNOWN"
    if finding.code == "TOKEN_LEAK" and span is not None:
        named = call.arguments[slice(*span)] not in finding.evidence  # the token is in the name
    made = runs(call.arguments, None if named else span)
    return _block("call", call.name, made) | {"named": named}


def _from_content(finding: Finding, message: Message) -> Iterator[Block]:
    text = message.text
    if text or not message.calls:
        yield _block("text", "", runs(text, span_of(finding, text)))
    if not text and message.reasoning:
        end = len(message.reasoning)
        yield _block("reasoning", "", runs(message.reasoning, (end, end)))
    if message.calls and (not text or finding.code == "TRUNCATED"):
        last = message.calls[-1]
        yield _block("call", last.name, runs(last.arguments, span_of(finding, last.arguments)))
    said = message.error or message.fault
    if said:
        yield _block("error", "", runs(said, None))


def _from_transcript(finding: Finding, session: Session, message: Message) -> Iterator[Block]:
    """The call that it is about, and what came back, which is the offending part."""
    if finding.call is None or not 0 <= finding.call < len(message.calls):
        said = message.error or message.fault
        if said:
            yield _block("error", "", runs(said, (0, len(said))))
        else:
            end = len(message.text)
            yield _block("text", "", runs(message.text, (max(0, end - _END), end)))
        return
    call = message.calls[finding.call]
    looped = finding.code.startswith("LOOP_")
    whole = (0, len(call.arguments)) if looped else None
    yield _block("call", call.name, runs(call.arguments, whole))
    for exchange in Transcript(session).exchanges.get(finding.step, ()):
        if exchange.index == finding.call and exchange.result is not None:
            text = exchange.result.text
            yield _block("result", "", runs(text, None if looped else (0, len(text))))


def _block(kind: str, title: str, shown: Runs) -> Block:
    return {"kind": kind, "title": clean(title[: MAX_TITLE + MARGIN])[:MAX_TITLE], "runs": shown}


def span_of(finding: Finding, text: str) -> tuple[int, int] | None:
    """The offending stretch of the finding's own channel, as exactly as it can be told."""
    if finding.span is not None:
        start, end = (max(0, min(at, len(text))) for at in finding.span)
        return (start, end) if start < end else None
    if finding.code == "TRUNCATED":
        return (max(0, len(text) - _END), len(text))
    if not finding.where:
        return None
    place = locate(text, finding.where)
    if place is None:  # what is missing has no place; its parent has
        place = locate(text, finding.where.rpartition("/")[0])
        return None if place is None else (place.start, place.end)
    return (place.key if finding.code == "UNEXPECTED_ARG" else place.start, place.end)


def runs(text: str, span: tuple[int, int] | None) -> Runs:
    """The text around the span, cut into runs; its beginning where there is no span."""
    if span is None:
        return _stretch(text, (0, _ahead(text, 0, 2 * AROUND)), (0, 0))
    start, end = span
    low, high = _behind(text, start, AROUND), _ahead(text, end, AROUND)
    head, tail = _ahead(text, start, HEAD), _behind(text, end, TAIL)
    if end - start <= AROUND or head + AROUND >= tail:
        return _stretch(text, (low, high), span)
    first = _stretch(text, (low, head), (start, head), last=False)
    rest = _stretch(text, (tail, high), (tail, end), first=False)
    return [*first, [_left(tail - head), "gap"], *rest]


def _ahead(text: str, at: int, most: int) -> int:
    """Where to stop after `at`: so many characters on, or LINES lines."""
    stop = min(len(text), at + most)
    for _ in range(LINES):
        end = text.find("\n", at, stop)
        if end < 0:
            return stop
        at = end + 1
    return at


def _behind(text: str, at: int, most: int) -> int:
    """Where to begin before `at`."""
    start = max(0, at - most)
    for _ in range(LINES):
        end = text.rfind("\n", start, at)
        if end < 0:
            return start
        at = end
    return at


def _stretch(
    text: str,
    shown: tuple[int, int],
    mark: tuple[int, int],
    *,
    first: bool = True,
    last: bool = True,
) -> Runs:
    """Runs of `text[shown]`; at its edges it is said how much is left out there."""
    low, high = max(0, shown[0]), min(len(text), shown[1])
    base = max(0, low - MARGIN)
    piece, places = redact_at(
        text[base : high + MARGIN],
        [(low - base, high - base), (mark[0] - base, mark[1] - base)],
        personal=True,
    )
    (left, right), (start, end) = places
    start, end = max(left, start), max(left, min(right, end))
    made: Runs = [
        [piece[left:start], ""],
        [piece[start:end], "mark"],
        [piece[max(start, end) : right], ""],
    ]
    if first and low:
        made.insert(0, [_left(low), "gap"])
    if last and high < len(text):
        made.append([_left(len(text) - high), "gap"])
    return [run for run in made if run[0]]


def _left(count: int) -> str:
    return f" … {count:,} characters … "
