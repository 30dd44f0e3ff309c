"""Preference rows: one prompt with a better and a worse answer.

In: `{"input": {"messages", "tools"}, "preferred_output": […], "non_preferred_output": […]}` (that
of OpenAI, Together, Fireworks), or `{"prompt", "chosen", "rejected", "tools"}` in TRL's forms: text
or lists of messages; with an implicit prompt, both sides hold all of the conversation. Out: two
sessions of one family that share the prompt, one with thumbs up, one with thumbs down.
Not told: who preferred and why, models, times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.identity import message_key
from misstep.ingest.messages import chat_message, kind_of, place
from misstep.ingest.oneby import set_aside
from misstep.ingest.threads import Threads, turns
from misstep.types import Context, Message, Outcome, Session, content_id

NAME = "preference"
_UP = Outcome(thumbs="up")
_SIDES = ("/chosen", "/rejected", "/preferred_output", "/non_preferred_output")
_DOWN = Outcome(thumbs="down")


class _Pairs:
    """Reads rows; each gives two answers to one prompt."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._contexts = Contexts()
        self._threads = Threads(NAME)

    def read(self, record: Record) -> None:
        """Take one row."""
        try:
            self._take(record)
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
        else:
            self._tally.use()

    def _take(self, record: Record) -> None:
        row = record.value
        if not isinstance(row, dict):
            raise Misfit("", f"expected a row object, got {kind_of(row)}", "unknown-record")
        prompt, sides, offer = _openai(row) if "input" in row else _trl(row)
        context = self._contexts.of(offer)
        family = content_id(*(message.text for message in prompt))
        for messages, outcome in zip(sides, (_UP, _DOWN), strict=True):
            self._side(record, [*prompt, *messages], context, (family, outcome))

    def _side(
        self,
        record: Record,
        messages: Sequence[Message],
        context: Context,
        told: tuple[str, Outcome],
    ) -> None:
        """Each answer in the side is one exchange; the last says how it ended."""
        family, outcome = told
        for at, message in enumerate(messages):
            if message.role == "assistant":
                last = at == len(messages) - 1
                origin = (record.at(place(record, "")),)
                self._threads.add(
                    record,
                    turns(messages[:at], ""),
                    answers=[replace(message, origins=origin)],
                    context=context,
                    family=family,
                    outcome=outcome if last else None,
                )

    def close_file(self) -> None:
        """Rows do not depend on their file."""

    def finish(self) -> tuple[Session, ...]:
        """Two sessions a row."""
        return self._threads.sessions()


_Row = tuple[list[Message], tuple[list[Message], list[Message]], Mapping[str, Any]]


def _openai(row: Mapping[str, Any]) -> _Row:
    given = row.get("input")
    if not isinstance(given, dict):
        raise Misfit("/input", f"expected an object, got {kind_of(given)}")
    sides = (
        _messages(row.get("preferred_output"), "/preferred_output"),
        _messages(row.get("non_preferred_output"), "/non_preferred_output"),
    )
    return _messages(given.get("messages"), "/input/messages"), sides, given


def _trl(row: Mapping[str, Any]) -> _Row:
    chosen = _messages(row.get("chosen"), "/chosen")
    rejected = _messages(row.get("rejected"), "/rejected")
    if row.get("prompt") is not None:
        prompt = _messages(row.get("prompt"), "/prompt", role="user")
    else:
        prompt, chosen, rejected = _shared(chosen, rejected)
    return prompt, (chosen, rejected), row


def _shared(one: list[Message], other: list[Message]) -> tuple[list[Message], ...]:
    """The common beginning, and what is left of both sides; the last message is always a side."""
    same = 0
    while same < min(len(one), len(other)) - 1 and one[same] == other[same]:
        same += 1
    return one[:same], one[same:], other[same:]


def _messages(value: Any, pointer: str, *, role: str = "assistant") -> list[Message]:
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise Misfit(pointer, f"expected messages or text, got {kind_of(value)}")
    messages = [chat_message(row, f"{pointer}/{index}") for index, row in enumerate(value)]
    if pointer in _SIDES and messages[-1].role != "assistant":
        raise Misfit(pointer, "the last message of a side is no answer")
    return messages


def _weigh(value: dict[str, Any]) -> float:
    if "preferred_output" in value and "non_preferred_output" in value:
        return 1.0
    sides = [value.get("chosen"), value.get("rejected")]
    return 0.9 if all(isinstance(side, (str, list)) and side for side in sides) else 0.0


def sniff(peek: Peek) -> float:
    """Objects with a preferred and a rejected side."""
    return share(peek, _weigh)


def _joins(value: Any, name: str) -> Iterator[str]:
    """How the conversation begins: rows with one prompt are answers to the same."""
    if not isinstance(value, dict):
        return
    try:
        prompt, sides, _ = _openai(value) if "input" in value else _trl(value)
    except Misfit:
        return
    for side in sides:
        first = next((m for m in (*prompt, *side) if m.role != "system"), None)
        if first is not None:
            yield f"first:{message_key(first).hex()}"


FORMAT = Format(
    name=NAME,
    about="preference rows of OpenAI, Together and TRL; two sessions a row, thumbs up and down",
    unit="row",
    sniff=sniff,
    reader=_Pairs,
    keeps_tools=False,
    joins=_joins,
    evidence="writer",
)
