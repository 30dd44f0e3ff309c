"""What an agent had seen before a step, and whether a value was among it.

In: a session and the values of its calls. Out: where a value was supplied: by `seen` (system and
user messages, results, what the request offered, and what the agent said to a human who then
answered), by a `failed` result alone, or by nothing. A value counts as seen in any spelling: other
case, other separators, a number with its prefix left off, a date by its month, a name that was put
together from seen words. Each distinct value is looked for once in each text; a session that asks
for more than `MAX_VALUES` gets no answer for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from misstep.types import Context, ToolResult
from misstep.validate.spelling import Probe, Text, probe_of
from misstep.validate.transcript import Exchange, Transcript, is_human
from misstep.validate.values import Kind, date_of

MAX_VALUES = 500
"""Distinct values that are looked for in one session."""
MAX_TEXT = 1_000_000
"""Characters of a text beyond which only the very spelling is looked for."""
MAX_WORK = 20_000_000
"""Characters in which other spellings are looked for, for all values of one session; about two
seconds at worst. A value whose search was stopped is unknown, never missing."""

Supplied = Literal["seen", "failed", "nothing", "unknown"]

_HINTS = re.compile(
    r"did you mean|must be one of|one of|available|valid (?:values?|options?|ids?)|allowed|"
    r"instead|suggest|closest|similar|existing|please use|try (?:using|with)|candidates",
    re.I,
)


@dataclass(slots=True)
class _Looked:
    """How far one value was looked for."""

    value: str
    probe: Probe
    exact: int = 0
    """Texts in which the very spelling was looked for."""
    next: int = 0
    """Texts in which any spelling was."""
    seen: bool = False
    word_for_word: bool = False
    stopped: bool = False
    failed: list[Text] = field(default_factory=list)
    parts: set[str] = field(default_factory=set)
    """Words of a composed value that were seen so far."""


class Supply:
    """Answers where values came from; one for each session, built when first asked for."""

    def __init__(self, transcript: Transcript) -> None:
        self._texts = _texts(transcript)
        self._looked: dict[tuple[str, str], _Looked] = {}
        self._contexts: dict[int, Text] = {}
        self._first_talk = next(
            (t.at for t in self._texts if t.ok and transcript.session.messages[t.at].role in _TALK),
            None,
        )
        self._gap = _gap(transcript)
        self._left = MAX_WORK

    def complete(self, step: int) -> bool:
        """Whether the log holds all that the agent can have seen before `step`."""
        started = self._first_talk is not None and self._first_talk < step
        return started and (self._gap is None or step <= self._gap)

    def failures(self, value: Any, kind: Kind | None) -> Sequence[Text]:
        """The failed results that hold a value which `of` was asked for."""
        known = self._looked.get((str(value).strip(), kind or ""))
        return () if known is None else known.failed

    def echoed(self, value: Any, kind: Kind | None) -> bool:
        """Whether every failed result that holds the value had got it from the agent."""
        known = self._looked.get((str(value).strip(), kind or ""))
        return known is not None and all(
            known.probe(Text(raw=text.said, at=-1), set()) for text in known.failed
        )

    def of(self, value: Any, kind: Kind | None, *, step: int, context: Context) -> Supplied:
        """Where `value` came from before `step`; kind None asks for a whole value of any shape."""
        key = (str(value).strip(), kind or "")
        looked = self._looked.get(key)
        if looked is None:
            if len(self._looked) >= MAX_VALUES:
                return "unknown"
            looked = self._looked[key] = _Looked(key[0], probe_of(key[0], kind))
        if self._seen(looked, step) or looked.probe(self._offered(context), set()):
            day = date_of(key[0]) if kind == "date" and not looked.word_for_word else None
            return "seen" if day is None or self._year_known(day[0], step) else "nothing"
        if looked.stopped:
            return "unknown"
        return "failed" if looked.failed else "nothing"

    def _seen(self, looked: _Looked, step: int) -> bool:
        if not looked.seen:
            self._look_exactly(looked, step)
        if not looked.seen:
            self._look(looked, step)
        return looked.seen

    def _look_exactly(self, looked: _Looked, step: int) -> None:
        """A quick look, by which most values are found."""
        whole = looked.value.isdigit()
        while looked.exact < len(self._texts) and self._texts[looked.exact].at < step:
            text = self._texts[looked.exact]
            looked.exact += 1
            held = text.ok and looked.value in text.raw
            if held and (not whole or looked.probe(text, set())):
                looked.seen = looked.word_for_word = True
                return

    def _look(self, looked: _Looked, step: int) -> None:
        while looked.next < len(self._texts) and self._texts[looked.next].at < step:
            text = self._texts[looked.next]
            looked.next += 1
            self._left -= len(text.raw)
            if len(text.raw) > MAX_TEXT or self._left < 0:
                looked.stopped = True
            elif not text.ok:
                if looked.probe(text, set()):
                    looked.failed.append(text)
            elif looked.probe(text, looked.parts):
                looked.seen = True
                return

    def _year_known(self, year: int, step: int) -> bool:
        """Whether a year is one that was named, its neighbour, or none was named at all."""
        named: set[int] = set()
        for text in self._texts:
            if text.at >= step:
                break
            if text.ok:
                named.update(text.years)
            if text.by_human and re.search(rf"[/.'-]{year % 100:02}\b", text.raw):
                return True
        return not named or any(abs(year - other) < 2 for other in named)

    def _offered(self, context: Context) -> Text:
        known = self._contexts.get(id(context))
        if known is None:
            told = [
                part
                for tool in context.tools
                for part in (tool.name, tool.description, tool.parameters)
            ]
            raw = "\n".join(t for t in (*told, context.response_schema) if t)
            known = self._contexts[id(context)] = Text(raw=raw, at=-1)
        return known


_TALK = ("system", "user")


def _texts(transcript: Transcript) -> list[Text]:
    """Every text in the order in which it became something that was seen."""
    found: list[Text] = []
    told: list[str] = []
    results = _results(transcript)
    for at, message in enumerate(transcript.session.messages):
        said = transcript.said[at]
        if message.role == "assistant":
            told.append(said.text)  # a human who goes on from here has let it stand
        else:
            by_human = is_human(message, said)
            if by_human:
                found.extend(Text(raw=text, at=at) for text in told if text)
                told.clear()
            if said.text:
                found.append(Text(raw=said.text, at=at, by_human=by_human))
        found.extend(_result(transcript, r, results.get(id(r)), at) for r in said.results)
    return found


def _results(transcript: Transcript) -> dict[int, Exchange]:
    return {
        id(exchange.result): exchange
        for exchange in transcript.every
        if exchange.result is not None
    }


def _result(transcript: Transcript, result: ToolResult, of: Exchange | None, at: int) -> Text:
    if of is None:
        return Text(raw=result.text, at=at)
    fault = transcript.fault(of)
    helps = fault is not None and _HINTS.search(result.text[:4000]) is not None
    said, tool = of.call.arguments, of.call.name
    return Text(raw=result.text, at=at, ok=fault is None or helps, said=said, tool=tool)


def _gap(transcript: Transcript) -> int | None:
    """The first message after which the agent knew something that the log does not hold."""
    session = transcript.session
    bare = not any(e.result is not None and e.result.text for e in transcript.every)
    for at in range(len(session.messages)):
        said = transcript.said[at]
        if said.shown or any(call.kind == "hosted" for call in said.calls):
            return at
        if at == len(session.messages) - 1:
            return None
        if any(e.result is None or bare for e in transcript.exchanges.get(at, ())):
            return at
    return None
