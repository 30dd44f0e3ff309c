"""W&B Weave: exported calls, one an object or a row of a table.

In: call objects (JSON, JSONL, CSV; a table's columns such as `inputs.messages` are put together
again). A call is the model's where its op is a provider's client (`openai.chat.completions.create`
and its like) or its inputs and output have that shape; a tool's where the model called its name.
Kept: messages, tools, schema, choices, argument text where the provider has text, finish reason,
model, usage, times, the thread as family, exceptions, sub-agents (model calls below a tool's),
reactions as outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.format import Format, Peek, Record, Tally, share
from misstep.ingest.messages import text_or_none
from misstep.ingest.traces.feedback import outcome_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.traced import Run, Runs, utc_time
from misstep.ingest.traces.traced_join import conversations
from misstep.types import Message, Outcome, Session

NAME = "weave"
Row = Mapping[str, Any]

_CLIENTS = (
    *("chat.completions", "responses.create", "responses.parse", "messages.create"),
    *("messages.stream", "litellm.completion", "litellm.acompletion", "generate_content"),
    *("chat.complete", "chat.stream", "converse", "chatcompletion"),
)
_THUMBS = {"👍": "up", "👎": "down"}


def _is_call(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("op_name"), str):
        return False
    return isinstance(row.get("id"), str) and ("trace_id" in row or "started_at" in row)


class _Reader:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._runs = Runs(tally)
        self._others: list[Run] = []
        self._called: dict[str, set[str]] = {}
        """Names of the tools that the model called, by trace."""

    def read(self, record: Record) -> None:
        """Take one call."""
        row = _unflat(record.value)
        if not _is_call(row):
            at = record.at(record.origin.pointer or "")
            self._tally.aside(at, "unknown-record", "no call: it has no op, id or trace")
            return
        run = _run(row, record)
        self._runs.families.setdefault(run.trace, text_or_none(row.get("thread_id")) or run.trace)
        outcome = _reactions(row) if run.parent is None else None
        if outcome is not None:
            self._runs.outcomes[run.trace] = outcome
        if _is_model(row, run):
            run.kind = "model"
            self._runs.add(run)
            names = {call.name for answer in run.answers for call in answer.calls}
            self._called.setdefault(run.trace, set()).update(names)
        else:
            self._others.append(run)

    def close_file(self) -> None:
        """A trace may be spread over files."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        for run in self._others:
            if run.name in self._called.get(run.trace, ()):
                run.kind = "tool"
            self._runs.add(run)
        self._others.clear()
        return conversations(NAME, self._runs, self._tally)


def _run(row: Row, record: Record) -> Run:
    named = opened(row.get("display_name"))
    op = _op(row)
    return Run(
        id=row["id"],
        kind="other",
        record=record,
        trace=text_or_none(row.get("trace_id")) or row["id"],
        parent=text_or_none(row.get("parent_id")),
        name=op if not isinstance(named, str) or "." in op else op.split(".")[-1],
        start=utc_time(row.get("started_at")),
        what="op",
        said=Message(role="assistant", model=_asked_model(row)),
        asked_at="/inputs",
        input=opened(row.get("inputs")),
        output=opened(row.get("output")),
        error=_error(row),
    )


def _asked_model(row: Row) -> str | None:
    inputs = opened(row.get("inputs"))
    return text_or_none(inputs.get("model")) if isinstance(inputs, dict) else None


def _op(row: Row) -> str:
    """The op's name, out of `weave:///entity/project/op/NAME:hash`."""
    name: str = row["op_name"]
    return name.rsplit("/", 1)[-1].split(":", 1)[0] if name.startswith("weave:///") else name


def _is_model(row: Row, run: Run) -> bool:
    attributes = opened(row.get("attributes"))
    inner = opened(attributes.get("weave")) if isinstance(attributes, dict) else None
    if isinstance(inner, dict) and inner.get("kind") in ("llm", "tool", "agent"):
        return bool(inner["kind"] == "llm")
    name = _op(row).lower()
    if any(client in name for client in _CLIENTS):
        return True
    asks = isinstance(run.input, dict) and ("messages" in run.input or "contents" in run.input)
    tells = isinstance(run.output, dict) and any(
        key in run.output for key in ("choices", "candidates", "stop_reason")
    )
    return asks and tells


def _error(row: Row) -> str | None:
    told = opened(row.get("exception"))
    if isinstance(told, dict):
        kind, said = text_or_none(told.get("type")), text_or_none(told.get("message"))
        return ": ".join(part for part in (kind, said) if part) or "exception"
    return text_or_none(told)


def _reactions(row: Row) -> Outcome | None:
    summary = opened(row.get("summary"))
    inner = summary.get("weave") if isinstance(summary, dict) else None
    listed = inner.get("feedback") if isinstance(inner, dict) else row.get("feedback")
    told = []
    for entry in listed if isinstance(listed, list) else ():
        payload = entry.get("payload") if isinstance(entry, dict) else None
        emoji = payload.get("emoji") if isinstance(payload, dict) else None
        if isinstance(emoji, str) and emoji[:1] in _THUMBS:
            told.append(("thumbs", _THUMBS[emoji[:1]]))
    return outcome_of(told)


def _unflat(row: Any) -> Any:
    """A table's row with the columns of `inputs` and `output` put together again."""
    if not isinstance(row, dict) or not any(str(key).startswith("inputs.") for key in row):
        return row
    made: dict[str, Any] = {}
    for key, value in row.items():
        head, _, rest = str(key).partition(".")
        if head not in ("inputs", "output") or not rest:
            made.setdefault(key, value)
        elif value not in (None, ""):
            held = made.get(head)
            if not isinstance(held, dict):
                held = made[head] = {}
            held[rest] = opened(value)
    return made


def _weigh(value: dict[str, Any]) -> float:
    row = _unflat(value)
    return 1.0 if _is_call(row) and ("inputs" in row or "started_at" in row) else 0.0


def sniff(peek: Peek) -> float:
    """Calls with an op's name."""
    return share(peek, _weigh)


def joins(value: Any, name: str) -> Iterator[str]:
    """Traces and threads."""
    if _is_call(value):
        yield f"trace:{value.get('trace_id') or value['id']}"
        if isinstance(value.get("thread_id"), str) and value["thread_id"]:
            yield f"thread:{value['thread_id']}"


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="W&B Weave calls; which ops are tools is known from what the model called",
    unit="call",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
