"""Request/response pairs in any of the ways that logs lay them out, for one provider's format.

In: records that hold a request and its response as two fields, merged in one object, or on two
lines that follow each other. Out: conversations (`threads.Threads`). A provider says how its
requests and answers read; everything else is the same for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from misstep.ingest.context import Contexts
from misstep.ingest.format import Misfit, Record, Tally
from misstep.ingest.identity import message_key
from misstep.ingest.messages import int_or_none, kind_of
from misstep.ingest.stream import events
from misstep.ingest.threads import Threads, Turn
from misstep.types import Context, Message, Session

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The two halves of one record, each with its JSON pointer; None for a half that is absent."""

    request: Body | None
    response: Any = None
    request_at: str = ""
    response_at: str = ""
    status: int | None = None
    """HTTP status, where logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How one provider's requests and answers read. All functions may raise `Misfit`."""

    name: str
    is_answer: Callable[[Body], bool]
    """Whether an object is a response body, an error body included."""
    rows: Callable[[Body], Iterator[tuple[Any, str]]]
    """What stands for messages in a request, each with its pointer."""
    turns: Callable[[Any, str], Sequence[Message]]
    """The messages of one such row, without origins."""
    answers: Callable[[Exchange, Record], list[Message]]
    """The assistant messages of a response; an error body gives one with `error`."""
    join: Callable[[Sequence[Body]], dict[str, Any]]
    """The response that a stream's events add up to."""


def split(value: Any, provider: Provider) -> Exchange | None:
    """The halves of one record; None where it is neither request nor response."""
    if not isinstance(value, Mapping):
        return None
    code = int_or_none(value.get("status", value.get("status_code")))
    if "request" in value:
        request = body_of(value["request"], provider)
        if not isinstance(request, Mapping) or not isinstance(request.get("messages"), list):
            return None
        response = body_of(value.get("response"), provider)
        return Exchange(
            request=request,
            response=response,
            request_at="/request",
            response_at="/response",
            status=code,
        )
    if isinstance(value.get("messages"), list):
        if "response" in value:
            response = body_of(value["response"], provider)
            return Exchange(request=value, response=response, response_at="/response", status=code)
        whole = value if provider.is_answer(value) else None
        return Exchange(request=value, response=whole, status=code)
    answer = body_of(value.get("response", value), provider)
    if isinstance(answer, Mapping) and provider.is_answer(answer):
        at = "/response" if "response" in value else ""
        return Exchange(request=None, response=answer, response_at=at, status=code)
    return None


def has_roles(request: Body | None) -> bool:
    """Whether all messages of a request, if there is one, have a role."""
    messages = [] if request is None else request.get("messages")
    return isinstance(messages, list) and all(
        isinstance(message, Mapping) and isinstance(message.get("role"), str)
        for message in messages
    )


def body_of(half: Any, provider: Provider) -> Any:
    """A half without the wrapping that proxies and recorders put around it."""
    if isinstance(half, Mapping) and "body" in half and "messages" not in half:
        half = half["body"]
    if isinstance(half, str):
        text = half.lstrip()
        if text.startswith(("data:", "event:", ":")):
            return provider.join(list(events(text)))
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return half
    if isinstance(half, list) and half and all(isinstance(piece, Mapping) for piece in half):
        return provider.join(half)
    return half


class ExchangeReader:
    """Reads the exchanges of all files of one provider."""

    def __init__(self, provider: Provider, tally: Tally) -> None:
        self._provider = provider
        self._tally = tally
        self._threads = Threads(provider.name)
        self._contexts = Contexts()
        self._turns: dict[bytes, tuple[tuple[Message, bytes], ...]] = {}
        """Rows that were read before: every request repeats those of the one before it."""
        self._waiting: tuple[Record, list[Turn], Context, Body] | None = None

    def read(self, record: Record) -> None:
        """Take one record; a request alone waits for the answer on the next line."""
        try:
            self._take(record)
        except Misfit as misfit:
            origin = record.at(f"{record.origin.pointer or ''}{misfit.pointer}")
            self._tally.aside(origin, misfit.reason, misfit.said)

    def _take(self, record: Record) -> None:
        halves = split(record.value, self._provider)
        if halves is None:
            raise Misfit("", f"neither a request nor a response: {_seen(record)}", "unknown-record")
        if halves.request is None:
            self._join(halves, record)
            return
        self._give_up()
        context = self._in(halves.request_at, lambda: self._contexts.of(halves.request or {}))
        history = self._history(halves.request, halves.request_at)
        if halves.response is None and "response" not in record.value:
            self._waiting = (record, history, context, halves.request)
            return
        answers = self._provider.answers(halves, record) if halves.response is not None else []
        self._add(record, history, answers, context)

    def _history(self, request: Body, at: str) -> list[Turn]:
        history: list[Turn] = []
        for row, pointer in self._provider.rows(request):
            where = at + pointer
            digest = hashlib.blake2b(orjson.dumps(row), digest_size=16).digest()
            if digest not in self._turns:
                messages = self._provider.turns(row, where)
                self._turns[digest] = tuple((m, message_key(m)) for m in messages)
            history.extend(Turn(message, key, where) for message, key in self._turns[digest])
        if not history:
            raise Misfit(f"{at}/messages", "the list of messages is empty")
        return history

    def _join(self, halves: Exchange, record: Record) -> None:
        if self._waiting is None:
            said = "a response without the request before it"
            raise Misfit("", said, "no-request")
        asked, history, context, request = self._waiting
        both = Exchange(
            request=request,
            response=halves.response,
            response_at=halves.response_at,
            status=halves.status,
        )
        answers = self._provider.answers(both, record)
        self._waiting = None
        self._tally.use()
        self._add(asked, history, answers, context)

    def _in(self, at: str, build: Callable[[], Context]) -> Context:
        try:
            return build()
        except Misfit as misfit:
            raise Misfit(at + misfit.pointer, misfit.said, misfit.reason) from None

    def _add(
        self,
        record: Record,
        history: Sequence[Turn],
        answers: Sequence[Message],
        context: Context,
    ) -> None:
        if not answers and not any(turn.message.role == "assistant" for turn in history):
            origin = record.at(record.origin.pointer or "")
            self._tally.aside(origin, "no-answer", "a request without an answer")
            return
        self._tally.use()
        self._threads.add(record, history, answers=answers, context=context)

    def _give_up(self) -> None:
        if self._waiting is not None:
            record, history, context, _ = self._waiting
            self._waiting = None
            self._add(record, history, (), context)

    def close_file(self) -> None:
        """A request at the end of a file stays without an answer."""
        self._give_up()

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        return self._threads.sessions()


def _seen(record: Record) -> str:
    if isinstance(record.value, Mapping):
        return "an object with " + ", ".join(list(record.value)[:6]) if record.value else "{}"
    return kind_of(record.value)


def error_text(body: Any, status: int | None) -> str:
    """An error body as one text, with the HTTP status before it where logged."""
    text = body if isinstance(body, str) else orjson.dumps(body).decode()
    return f"HTTP {status}: {text}" if status is not None else text
