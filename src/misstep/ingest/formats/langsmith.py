"""LangSmith runs: exported rows, API pages, and the batches that its SDK sends.

In: run objects (JSON, JSONL, Parquet, CSV; inputs and outputs as objects or JSON text; alone or
with `child_runs` in them), pages `{"runs": […]}`, or `{"post": […], "patch": […]}` bodies, whose
pieces of one run are merged by its id. Kept: messages in any traced framework's form, tools
(`extra.invocation_params`), finish reasons, model, usage, times, the thread as family, errors of
tools, sub-agents (model runs below a tool's run), feedback on the root run as outcome. LangChain's
own tracer keeps parsed arguments only; those of a call that did not parse are verbatim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.format import Format, Peek, Record, Tally, share
from misstep.ingest.messages import int_or_none, place, text_or_none
from misstep.ingest.traces.feedback import outcome_of
from misstep.ingest.traces.framework_asked import offer_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.traced import Kind, Run, Runs, utc_time
from misstep.ingest.traces.traced_join import conversations
from misstep.types import Message, Session, Usage

NAME = "langsmith"
Row = Mapping[str, Any]

_KINDS: dict[str, Kind] = {"llm": "model", "tool": "tool", "agent": "agent"}
_THREADS = ("session_id", "thread_id", "conversation_id")
_TRACEBACK = "Traceback (most recent call last)"


def _is_run(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return False
    placed = ("dotted_order", "trace_id", "parent_run_id", "parent_run_ids", "session_name")
    named = isinstance(row.get("run_type"), str)
    return any(key in row for key in placed) and (named or "outputs" in row)


def _units(value: Any) -> Iterator[tuple[Any, str]]:
    """The runs of a record, each with its JSON pointer."""
    if not isinstance(value, dict) or "id" in value:
        yield from _tree(value)
        return
    lists = [key for key in ("post", "patch", "runs") if isinstance(value.get(key), list)]
    if not lists:
        yield value, ""
    for key in lists:
        for index, row in enumerate(value[key]):
            yield row, f"/{key}/{index}"


def _tree(value: Any) -> Iterator[tuple[Any, str]]:
    """A run and those that it holds as `child_runs`, which belong to its trace."""
    stack: list[tuple[Any, str]] = [(value, "")]
    while stack:
        row, pointer = stack.pop()
        children = opened(row.get("child_runs")) if isinstance(row, dict) else None
        yield row, pointer
        for index, child in enumerate(children if isinstance(children, list) else ()):
            if isinstance(child, dict):
                above = {
                    "trace_id": row.get("trace_id") or row.get("id"),
                    "parent_run_id": row.get("id"),
                }
                stack.append(({**above, **child}, f"{pointer}/child_runs/{index}"))


class _Reader:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._runs = Runs(tally)
        self._begun: dict[str, tuple[dict[str, Any], str, Record]] = {}
        """Runs that have not ended yet, by id, with the place of their last piece."""
        self._ended: set[str] = set()

    def read(self, record: Record) -> None:
        """Take one record."""
        units = list(_units(record.value))
        if not units:
            self._tally.ignore("empty-batch")
            return
        self._tally.unfold(len(units))
        for row, pointer in units:
            if not _is_run(row):
                at = record.at(place(record, pointer))
                self._tally.aside(at, "unknown-record", "no run: it has no id, type or trace")
            elif row["id"] in self._ended:
                self._tally.ignore("repeated")
                self._feedback(row)
            else:
                self._piece(row, pointer, record)

    def _piece(self, row: Row, pointer: str, record: Record) -> None:
        """A run, or what came later of one that is known."""
        merged: dict[str, Any] = {}
        if row["id"] in self._begun:
            self._tally.ignore("merged")
            merged, _, _ = self._begun.pop(row["id"])
        for key, value in row.items():
            if merged.get(key) is None or value not in (None, {}, [], ""):
                merged[key] = value
        if merged.get("end_time") is None and merged.get("error") is None:
            self._begun[row["id"]] = (merged, pointer, record)
        else:
            self._end(merged, pointer, record)

    def _end(self, row: Row, pointer: str, record: Record) -> None:
        self._ended.add(row["id"])
        run = _run(row, pointer, record)
        thread = _thread(row)
        if thread is not None:
            self._runs.families.setdefault(run.trace, thread)
        self._feedback(row)
        self._runs.add(run)

    def _feedback(self, row: Row) -> None:
        """Feedback on the root run; that on a step says nothing of the whole."""
        stats = opened(row.get("feedback_stats"))
        if not isinstance(stats, dict) or _parent(row) is not None:
            return
        told = [(name, s.get("avg")) for name, s in stats.items() if isinstance(s, dict)]
        outcome = outcome_of(told)
        if outcome is not None:
            self._runs.outcomes[_trace(row)] = outcome

    def close_file(self) -> None:
        """A run may go on in another file."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        for row, pointer, record in list(self._begun.values()):
            self._end(row, pointer, record)
        self._begun.clear()
        return conversations(NAME, self._runs, self._tally)


def _run(row: Row, pointer: str, record: Record) -> Run:
    extra = opened(row.get("extra"))
    extra = extra if isinstance(extra, dict) else {}
    kind = _KINDS.get(str(row.get("run_type")), "other")
    run = Run(
        id=row["id"],
        kind=kind,
        record=record,
        trace=_trace(row),
        parent=_parent(row),
        name=str(row.get("name") or ""),
        pointer=pointer,
        start=utc_time(row.get("start_time")),
        order=str(row.get("dotted_order") or ""),
        what=str(row.get("run_type") or "run"),
        asked_at="/inputs",
        told_at="/outputs",
        input=opened(row.get("inputs")),
        output=opened(row.get("outputs")),
        error=_error(row),
    )
    if kind == "model":
        parameters = opened(extra.get("invocation_params"))
        run.offer = offer_of(parameters) if isinstance(parameters, dict) else {}
        run.said = _said(row, _metadata(extra))
    return run


def _metadata(extra: Row) -> Row:
    meta = opened(extra.get("metadata"))
    return meta if isinstance(meta, dict) else {}


def _said(row: Row, meta: Row) -> Message:
    usage = Usage(
        input_tokens=int_or_none(row.get("prompt_tokens")),
        output_tokens=int_or_none(row.get("completion_tokens")),
    )
    model = text_or_none(meta.get("ls_model_name"))
    return Message(role="assistant", model=model, usage=None if usage == Usage() else usage)


def _error(row: Row) -> str | None:
    """The error without the traceback that the SDK adds to it."""
    text = text_or_none(row.get("error"))
    if text is None:
        return "status error" if row.get("status") == "error" else None
    return text.split(_TRACEBACK, 1)[0].strip() or text


def _path(row: Row) -> list[str]:
    """The ids from the root to the run, as its dotted order tells them."""
    order = text_or_none(row.get("dotted_order"))
    return [step.split("Z", 1)[-1] for step in order.split(".")] if order else []


def _trace(row: Row) -> str:
    path = _path(row)
    return text_or_none(row.get("trace_id")) or (path[0] if path else row["id"])


def _parent(row: Row) -> str | None:
    above = opened(row.get("parent_run_ids"))
    path = _path(row)
    named = text_or_none(row.get("parent_run_id"))
    if named is None and isinstance(above, list) and above:
        named = text_or_none(above[-1])
    return named or (path[-2] if len(path) > 1 else None)


def _thread(row: Row) -> str | None:
    extra = opened(row.get("extra"))
    meta = _metadata(extra) if isinstance(extra, dict) else {}
    named = next((meta[key] for key in _THREADS if meta.get(key)), row.get("thread_id"))
    return str(named) if isinstance(named, (str, int)) and named != "" else None


def _weigh(value: dict[str, Any]) -> float:
    rows = [row for row, _ in _units(value)][:24]
    return sum(map(_is_run, rows)) / len(rows) if rows else 0.0


def sniff(peek: Peek) -> float:
    """Run objects, alone or in batches."""
    return share(peek, _weigh)


def joins(value: Any, name: str) -> Iterator[str]:
    """Traces and threads."""
    for row, _ in _units(value):
        if _is_run(row):
            yield f"trace:{_trace(row)}"
            thread = _thread(row)
            if thread is not None:
                yield f"thread:{thread}"


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="LangSmith runs, exported or as the SDK sends them; arguments parsed where LangChain"
    " traced them",
    unit="run",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
