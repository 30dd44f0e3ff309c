"""Inspect AI logs: `.json` logs with their samples, and the members of `.eval` archives.

A unit is a sample (one epoch of it). Its model events, each with the whole history or references
into the sample's message pool, join to conversations; the sample's own message list closes them.
Calls of graders (scorer spans) are left out. What a tool's span asked is a sub-agent's; the session
of one that starts afresh names the session that called it as `parent`. Kept: tools, choice, limits
and schema of each request, argument text where the provider's answer or a parse error holds it,
parse errors as the call's fault, error types of tools as cause, errors of requests, scores as
outcome. All samples with one input are one family. Headers and summaries are ignored by kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.harness import items, mapping, object_at
from misstep.ingest.harnesses.inspect_sample import Chat, indices, outcome_of
from misstep.ingest.harnesses.inspect_spans import Spans, walk
from misstep.ingest.identity import message_key
from misstep.ingest.messages import (
    place,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.ingest.oneby import OneByOne, set_aside
from misstep.ingest.threads import Threads, Turn
from misstep.ingest.tree import Node
from misstep.types import Context, Message, Outcome, Session, content_id

NAME = "inspect-ai"
_ARCHIVE = ".eval!"


class _Logs:
    """Takes the records of logs apart into samples."""

    def __init__(self) -> None:
        self._contexts = Contexts()

    def take(self, record: Record, tally: Tally) -> Sequence[Session]:
        """The sessions of one record: a log, a sample, or bookkeeping."""
        value = object_at(record.value, "")
        if _is_sample(value):
            made = self._sample(value, record, "")
            tally.use()
            return made
        samples = value.get("samples") if isinstance(value.get("eval"), dict) else None
        if not isinstance(samples, list) or not samples:
            tally.ignore(_kind(value, record))
            return ()
        tally.unfold(len(samples))
        sessions: list[Session] = []
        for index, sample in enumerate(samples):
            try:
                sessions.extend(self._sample(sample, record, f"/samples/{index}"))
            except Misfit as misfit:
                set_aside(tally, record, misfit)
            else:
                tally.use()
        return sessions

    def _sample(self, sample: Any, record: Record, pointer: str) -> Sequence[Session]:
        return _Sample(object_at(sample, pointer), record, pointer, self._contexts).sessions()


class _Sample:
    """Grows the conversations of one sample."""

    def __init__(
        self, sample: Mapping[str, Any], record: Record, pointer: str, contexts: Contexts
    ) -> None:
        older = mapping(sample.get("transcript"))
        self._sample = sample
        self._events = sample.get("events") or older.get("events")
        self._record = record
        self._pointer = pointer
        self._contexts = contexts
        self._chat = Chat(sample.get("attachments") or older.get("content"))
        self._threads = Threads(NAME)
        self._row = text_or_none(sample.get("uuid"))
        self._family = _family(sample, self._chat)
        self._pool: dict[int, Turn] = {}
        self._last: dict[str | None, Node] = {}
        self._seen: set[bytes] = set()

    def sessions(self) -> Sequence[Session]:
        """All conversations of the sample.

        Raises:
            Misfit: a message has no known shape, or there is none at all.
        """
        for index, tried in enumerate(items(self._sample.get("error_retries"))):
            self._grow(mapping(tried).get("events"), f"/error_retries/{index}/events")
        here = "/events" if self._sample.get("events") else "/transcript/events"
        self._grow(self._events, here)
        kept = items(self._sample.get("messages"))
        if not kept and not self._last:
            raise Misfit(f"{self._pointer}/messages", "a sample without messages")
        scores = self._sample.get("scores") or {"score": self._sample.get("score")}
        outcome = outcome_of(scores, self._sample.get("limit"))
        turns = [self._turn(m, f"/messages/{i}") for i, m in enumerate(kept)]
        if self._last:
            turns = self._told(turns)
            last = self._last.get(None)
            if last is not None:
                last.outcome = outcome
        self._add(turns, (), Context(), outcome)
        return self._threads.sessions()

    def _told(self, turns: Sequence[Turn]) -> list[Turn]:
        """The final messages up to the first answer that no request saw.

        An agent may replace its last answer, for one by what it submitted; no model wrote that.
        """
        told: list[Turn] = []
        for turn in turns:
            if turn.message.role == "assistant" and turn.key not in self._seen:
                break
            told.append(turn)
        return told

    def _add(
        self,
        history: Sequence[Turn],
        answers: Sequence[Message],
        context: Context,
        outcome: Outcome | None = None,
    ) -> Node | None:
        return self._threads.add(
            self._record,
            history,
            answers=answers,
            context=context,
            family=self._family,
            outcome=outcome,
        )

    def _turn(self, row: Any, pointer: str) -> Turn:
        at = f"{self._pointer}{pointer}"
        message = self._chat.message(row, at)
        if message.role == "assistant":
            message = replace(message, model=text_or_none(mapping(row).get("model")))
        return Turn(message, message_key(message), at, self._row)

    def _grow(self, events: Any, pointer: str) -> None:
        found = [(e, at, scope) for e, at, scope in walk(events, pointer) if _asked(e)]
        for event, _, _ in found:
            response = mapping(event.get("call")).get("response")
            for choice in items(mapping(event.get("output")).get("choices")):
                self._chat.learn(mapping(choice).get("message"), response)
        spans = Spans(events, pointer)
        for event, at, inner in found:
            scope = inner or spans.tool(event.get("span_id"))
            if not spans.grades(event, at):
                self._event(event, at, scope, spans)

    def _event(self, event: Mapping[str, Any], at: str, scope: str | None, spans: Spans) -> None:
        history = self._input(event, at)
        answers = self._answers(event, at, scope)
        if history is None or not answers:
            return
        self._seen.update(turn.key for turn in history)
        self._seen.update(message_key(answer) for answer in answers)
        node = self._add(history, answers, self._offer(event))
        if node is None:
            return
        starter = self._last.get(spans.above(scope)) if scope is not None else None
        if starter is not None:
            root = _root(node)
            if root.start is None and root is not _root(starter):
                root.start = starter
        self._last[scope] = node

    def _input(self, event: Mapping[str, Any], at: str) -> list[Turn] | None:
        """The messages of a request; None where they are references to a pool that is not there."""
        given = items(event.get("input"))
        refs = items(event.get("input_refs"))
        if given or not refs:
            return [self._turn(row, f"{at}/input/{i}") for i, row in enumerate(given)]
        data = mapping(self._sample.get("events_data"))
        where = "/events_data/messages" if data else "/message_pool"
        pool = items(data.get("messages") if data else self._sample.get("message_pool"))
        turns = []
        for index in indices(refs, len(pool)):
            if index not in self._pool:
                self._pool[index] = self._turn(pool[index], f"{where}/{index}")
            turns.append(self._pool[index])
        return turns or None

    def _answers(self, event: Mapping[str, Any], at: str, scope: str | None) -> list[Message]:
        output = mapping(event.get("output"))
        error = text_or_none(event.get("error")) or text_or_none(output.get("error"))
        common = Message(
            role="assistant",
            actor="agent" if scope is None else "sub-agent",
            error=None if error is None else self._chat.text(error),
            model=text_or_none(output.get("model")) or text_or_none(event.get("model")),
            usage=usage_of(output.get("usage")),
            time=unix_time(event.get("timestamp")),
            origins=(self._record.at(place(self._record, f"{self._pointer}{at}"), self._row),),
        )
        answers = []
        for index, choice in enumerate(items(output.get("choices"))):
            where = f"{self._pointer}{at}/output/choices/{index}"
            body = object_at(choice, where)
            said = self._chat.message(body.get("message"), f"{where}/message")
            parts = () if error is not None else said.parts
            reason = text_or_none(body.get("stop_reason"))
            answers.append(replace(common, parts=parts, finish_reason=reason))
        return answers or ([common] if error is not None else [])

    def _offer(self, event: Mapping[str, Any]) -> Context:
        config = mapping(event.get("config"))
        wanted = mapping(config.get("response_schema"))
        tools = self._chat.whole(event.get("tools"))
        return self._contexts.of(
            {
                "tools": tools,
                "tool_choice": event.get("tool_choice") if tools else None,
                "max_tokens": config.get("max_tokens"),
                "temperature": config.get("temperature"),
                "top_p": config.get("top_p"),
                "response_schema": self._chat.whole(wanted.get("json_schema")),
            }
        )


def _asked(event: Mapping[str, Any]) -> bool:
    return event.get("event") == "model" and event.get("pending") is not True


def _root(node: Node) -> Node:
    while node.up is not None:
        node = node.up
    return node


def _family(sample: Mapping[str, Any], chat: Chat) -> str:
    """The same for every epoch and every model that got this input."""
    given = chat.whole(sample.get("input"))
    rows = given if isinstance(given, list) else [{"content": given}]
    return content_id(*(content_text(mapping(row).get("content")) for row in rows))


def _kind(value: Mapping[str, Any], record: Record) -> str:
    """The kind of a record that holds no sample.

    Raises:
        Misfit: it is nothing that Inspect writes.
    """
    if isinstance(value.get("eval"), dict):
        return "header"
    if "epoch" in value and "id" in value:
        return "summary"
    if "scorer" in value and "samples" in value:
        return "reduction"
    if record.origin.member is not None:
        return "bookkeeping"
    raise Misfit("", "neither a log nor a sample", "unknown-record")


def _is_sample(value: Mapping[str, Any]) -> bool:
    return "epoch" in value and isinstance(value.get("messages", value.get("events")), list)


def _weigh(value: dict[str, Any]) -> float:
    if isinstance(value.get("eval"), dict):
        return 1.0 if "version" in value and "task" in value["eval"] else 0.0
    return 1.0 if _is_sample(value) and "target" in value and "input" in value else 0.0


def sniff(peek: Peek) -> float:
    """Logs with an `eval`, samples with epoch and target, and all in an `.eval` archive."""
    if peek.kind == "json" and _ARCHIVE in peek.name:
        return 1.0
    return share(peek, _weigh)


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _Logs().take, counts=False)


FORMAT = Format(
    name=NAME,
    about="Inspect AI logs (.json, .eval): samples with their model events, errors and scores",
    unit="sample",
    sniff=sniff,
    reader=_reader,
    keeps_tools=True,
)
