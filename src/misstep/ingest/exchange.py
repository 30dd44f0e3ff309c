"""Request/response pairs of one provider, grown to conversations.

In: records that hold a request and its response together, on two lines that follow each other, or
in two batch files under one id. Out: conversations (`threads.Threads`). A provider says how its
requests and answers read (`halves.Provider`); everything else is the same for all of them. Where a
request goes on from a response that the provider keeps, it waits until that response was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.echo import History
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.halves import (
    Body,
    Exchange,
    Provider,
    joined_by,
    named_by,
    split,
    url_of,
    weigh,
)
from misstep.ingest.identity import message_key
from misstep.ingest.messages import kind_of, unix_time
from misstep.ingest.prefill import beginning, joined
from misstep.ingest.stored import Memory
from misstep.ingest.threads import Mark, Threads, Turn
from misstep.types import Context, Message, Session


def has_roles(request: Body | None) -> bool:
    """Whether all messages of a request, if there is one, have a role."""
    messages = [] if request is None else request.get("messages")
    if type(messages) is History:
        return messages.roles
    return isinstance(messages, list) and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages
    )


class ExchangeReader:
    """Reads the exchanges of all files of one provider."""

    def __init__(self, provider: Provider, tally: Tally) -> None:
        self._provider = provider
        self._tally = tally
        self._threads = Threads(provider.name)
        self._contexts = Contexts()
        self._turns: dict[bytes, tuple[tuple[Message, bytes], ...]] = {}
        """Rows that were read before: every request repeats those of the one before it."""
        self._waiting: tuple[Record, Exchange] | None = None
        self._batch: dict[str, tuple[list[_Half], list[_Half]]] = {}
        """Requests and responses of batch files by their id."""
        self._memory = Memory(provider.stored) if provider.stored else None
        self._said: set[bytes] = set()
        """The key of each answer, where callers may begin one: these began with their own."""
        self._late: list[tuple[Record, Exchange, list[Message]]] = []
        """Exchanges that go on from a response that was not read yet."""

    def read(self, record: Record) -> None:
        """Take one record; a request alone waits for the answer on the next line."""
        try:
            self._take(record)
        except Misfit as misfit:
            self._aside(record, misfit)

    def _aside(self, record: Record, misfit: Misfit) -> None:
        origin = record.at(f"{record.origin.pointer or ''}{misfit.pointer}")
        self._tally.aside(origin, misfit.reason, misfit.said)

    def _take(self, record: Record) -> None:
        halves = split(record.value, self._provider)
        if halves is None or _elsewhere(halves, record, self._provider):
            if _named_other(record.value):
                self._tally.ignore("other-traffic")
                return
            raise Misfit("", f"neither a request nor a response: {_seen(record)}", "unknown-record")
        if halves.key is not None:
            pair = self._batch.setdefault(halves.key, ([], []))
            pair[halves.request is None].append((record, halves))
        elif halves.request is None:
            self._join(halves, record)
        else:
            self._give_up()
            if halves.waits:
                self._history(halves.request, halves.request_at)
                self._waiting = (record, halves)
            else:
                self._exchange(record, halves, self._answers(halves, record))

    def _answers(self, halves: Exchange, record: Record) -> list[Message]:
        if halves.response is None:
            return []
        answers = self._provider.answers(halves, record)
        if all(answer.time is not None for answer in answers):
            return answers
        when = unix_time(record.value.get("time", record.value.get("timestamp")))
        return [a if a.time is not None else replace(a, time=when) for a in answers]

    def _exchange(self, record: Record, halves: Exchange, answers: list[Message]) -> None:
        """Grow the conversation by one exchange; `record` is that of the request."""
        request = halves.request or {}
        if self._memory is not None and self._memory.lacks(request):
            self._late.append((record, halves, answers))
            return
        context = self._context(halves)
        messages = request.get("messages")
        since = self._since(messages)
        if since is not None and type(messages) is History:
            history = self._behind(messages, f"{halves.request_at}/messages", since)
        else:
            history = self._history(request, halves.request_at)
        if self._memory is not None:
            history = self._memory.joined(request, history)
        head = self._head(request, history, answers)
        if head:
            history = history[:-1]
            echoed = request.get("echo") is True
            answers = [joined(answer, head, echoed=echoed) for answer in answers]
        known = since is not None and since.answered
        if not (answers or known or any(turn.message.role == "assistant" for turn in history)):
            origin = record.at(record.origin.pointer or "")
            self._tally.aside(origin, "no-answer", "a request without an answer")
            return
        self._tally.use()
        node = self._threads.add(record, history, answers=answers, context=context, since=since)
        if self._provider.begins is not None and self._threads.mark is not None:
            self._said.update(self._threads.mark.keys)
        if type(messages) is History and not head:  # the mark would stand before the last message
            messages.mark = mark = self._threads.mark
            if mark is not None and self._provider.repeated is not None:
                mark.said = self._provider.repeated(halves)
        if self._memory is not None and node is not None:
            self._memory.keep(halves, node)

    def _head(self, request: Body, history: list[Turn], answers: list[Message]) -> str:
        """What the caller began the answers with; empty where nobody did."""
        begins = self._provider.begins
        if begins is None or not answers or not begins(request):
            return ""
        return beginning(history, self._said)

    def _context(self, halves: Exchange) -> Context:
        try:
            offered = self._provider.offered(halves.request or {})
            if self._memory is not None:
                offered = self._memory.with_loaded(halves, offered)
            return self._contexts.of(offered)
        except Misfit as misfit:
            at = halves.request_at + misfit.pointer
            raise Misfit(at, misfit.said, misfit.reason) from None

    def _since(self, messages: Any) -> Mark | None:
        """Where the reader stood behind the earlier messages that these go on from."""
        if type(messages) is not History or not self._provider.listed or messages.base is None:
            return None
        mark = messages.base.mark
        known = isinstance(mark, Mark) and mark.owner is self._threads and mark.spoken
        return mark if known else None

    def _behind(self, messages: History, at: str, since: Mark) -> list[Turn]:
        """The messages behind those that were read before; they are new, most often."""
        history: list[Turn] = []
        for index in range(0 if messages.base is None else len(messages.base), len(messages)):
            row, where = messages[index], f"{at}/{index}"
            if row in since.said and not history:
                key = since.keys[since.said.index(row)]
                node = self._threads.below(since, key)
                if node is not None:
                    history.append(Turn(node.message, key, where, placed=True))
                    continue
            read = self._provider.turns(row, where)
            history.extend([Turn(message, message_key(message), where) for message in read])
        return history

    def _history(self, request: Body, at: str) -> list[Turn]:
        """The messages of a request."""
        history: list[Turn] = []
        for row, pointer in self._provider.rows(request):
            where = at + pointer
            known = None if self._memory is None else self._memory.meant(row)
            if known is not None:
                history.append(known)
                continue
            digest = hashlib.blake2b(orjson.dumps(row), digest_size=16).digest()
            if digest not in self._turns:
                messages = self._provider.turns(row, where)
                self._turns[digest] = tuple((m, message_key(m)) for m in messages)
            history.extend([Turn(message, key, where) for message, key in self._turns[digest]])
        if not history:
            raise Misfit(f"{at}/messages", "the list of messages is empty")
        return history

    def _join(self, halves: Exchange, record: Record) -> None:
        if self._waiting is None:
            raise Misfit("", "a response without the request before it", "no-request")
        self._pair(self._waiting, (record, halves))
        self._waiting = None

    def _pair(self, asked: _Half, told: _Half) -> None:
        """A request and its response from two records."""
        both = Exchange(
            request=asked[1].request,
            response=told[1].response,
            request_at=asked[1].request_at,
            response_at=told[1].response_at,
            status=told[1].status,
        )
        answers = self._answers(both, told[0])
        try:
            self._exchange(asked[0], both, answers)
        except Misfit as misfit:
            self._aside(asked[0], misfit)
            raise Misfit("", "the request before it cannot be read", "no-request") from None
        self._tally.use()

    def _give_up(self) -> None:
        if self._waiting is not None:
            record, halves = self._waiting
            self._waiting = None
            self._try(record, lambda: self._exchange(record, halves, []))

    def _try(self, record: Record, work: Callable[[], None]) -> None:
        try:
            work()
        except Misfit as misfit:
            self._aside(record, misfit)

    def close_file(self) -> None:
        """A request at the end of a file stays without an answer."""
        self._give_up()

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        for asked, told in self._batch.values():
            self._close_batch(asked, told)
        self._batch.clear()
        while self._late and self._memory is not None:
            late, self._late = self._late, []
            for entry in late:
                self._try(entry[0], partial(self._exchange, *entry))
            self._memory.gave_up = len(self._late) == len(late)
        return self._threads.sessions()

    def _close_batch(self, asked: list[_Half], told: list[_Half]) -> None:
        if len(asked) == len(told) == 1:
            self._try(told[0][0], lambda: self._pair(asked[0], told[0]))
            return
        for side, reason in ((asked, "no-answer"), (told, "no-request")):
            for record, halves in side:
                said = f"{len(asked)} requests and {len(told)} responses with custom_id"
                origin = record.at(record.origin.pointer or "")
                self._tally.aside(origin, reason, f"{said} {halves.key!r}")


_Half = tuple[Record, Exchange]


def _elsewhere(halves: Exchange, record: Record, provider: Provider) -> bool:
    """Whether a record with a readable request answers something else than a model would."""
    body = halves.response
    answered = body is None or not isinstance(body, dict) or provider.is_answer(body)
    return not answered and _named_other(record.value)


def _named_other(value: Any) -> bool:
    """Whether a record names a URL, but none of a model."""
    return isinstance(value, dict) and url_of(value) is not None and named_by(value) is None


def _seen(record: Record) -> str:
    if isinstance(record.value, dict):
        return "an object with " + ", ".join(list(record.value)[:6]) if record.value else "{}"
    return kind_of(record.value)


def error_text(body: Any, status: int | None) -> str:
    """An error body as one text, with the HTTP status before it where logged."""
    text = body if isinstance(body, str) else orjson.dumps(body).decode()
    return f"HTTP {status}: {text}" if status is not None else text


def traffic(provider: Provider, about: str, guess: Callable[[Exchange], float]) -> Format:
    """The format of one provider's pairs.

    `guess` says how sure the provider is of a pair that no URL names, in [0, 1]; a request alone
    counts less.
    """

    def weighed(value: dict[str, Any]) -> float:
        return weigh(value, provider, guess)

    def sniff(peek: Peek) -> float:
        return share(peek, weighed)

    def joins(value: Any, name: str) -> Iterator[str]:
        return joined_by(value, provider)

    def reader(tally: Tally) -> ExchangeReader:
        return ExchangeReader(provider, tally)

    return Format(
        name=provider.name,
        about=about,
        unit="line",
        sniff=sniff,
        reader=reader,
        keeps_tools=True,
        joins=joins,
        kin="traffic",
    )
