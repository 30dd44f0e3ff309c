"""Helicone: rows of its request export, with the raw bodies of any provider.

In: `{request_body, response_body, response_status, …}` rows (JSON, JSONL, CSV), or API pages
`{data: […]}`; bodies as objects or as JSON text. Kept: everything that the provider's own bodies
hold (messages, tools, schema, choices, argument text, finish reason, usage), the session property
as family, feedback and scores as outcome; a failed request as a step with its error. Rows without
bodies (an export without `--include-body`) hold no messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.exchange import error_text
from misstep.ingest.format import Format, Peek, Record, Tally, share
from misstep.ingest.formats import anthropic_messages, openai_chat
from misstep.ingest.messages import int_or_none, place, text_or_none
from misstep.ingest.stream import events
from misstep.ingest.traces.feedback import outcome_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.traced import Run, Runs, utc_time
from misstep.ingest.traces.traced_join import conversations
from misstep.types import Message, Session, Usage

NAME = "helicone"
Row = Mapping[str, Any]


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    named = "request_id" in row or "response_id" in row
    marks = ("request_body", "request_properties", "response_status", "helicone_user")
    return named and "request_created_at" in row and sum(key in row for key in marks) >= 2


def _units(value: Any) -> Iterator[tuple[Any, str]]:
    """The rows of a record, each with its JSON pointer."""
    if isinstance(value, dict) and isinstance(value.get("data"), list) and not _is_row(value):
        for index, row in enumerate(value["data"]):
            yield row, f"/data/{index}"
        return
    yield value, ""


class _Reader:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._runs = Runs(tally)

    def read(self, record: Record) -> None:
        """Take one record."""
        units = list(_units(record.value))
        if not units:
            self._tally.ignore("empty-page")
            return
        self._tally.unfold(len(units))
        for row, pointer in units:
            self._unit(row, pointer, record)

    def _unit(self, row: Any, pointer: str, record: Record) -> None:
        at = record.at(place(record, pointer))
        if not _is_row(row):
            self._tally.aside(at, "unknown-record", "no row of a request")
            return
        if not opened(row.get("request_body")):
            said = "a row without the request's body; export with --include-body"
            self._tally.aside(at, "not-stored", said)
            return
        run = _run(row, pointer, record)
        self._runs.families.setdefault(run.trace, run.trace)
        rated = opened(row.get("feedback_rating"))
        scores = opened(row.get("scores"))
        told = list(scores.items()) if isinstance(scores, dict) else []
        outcome = outcome_of([*told, ("feedback", rated)])
        if outcome is not None:
            self._runs.outcomes[run.trace] = outcome
        self._runs.add(run)

    def close_file(self) -> None:
        """A session may be spread over files."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        return conversations(NAME, self._runs, self._tally)


def _run(row: Row, pointer: str, record: Record) -> Run:
    response = _response(row.get("response_body"))
    status = int_or_none(opened(row.get("response_status")))
    failed = isinstance(response, dict) and response.get("error")
    failed = failed or (status is not None and (status >= 400 or status < 0))
    usage = Usage(
        input_tokens=int_or_none(opened(row.get("prompt_tokens"))),
        output_tokens=int_or_none(opened(row.get("completion_tokens"))),
    )
    named = (row.get("response_model"), row.get("model"), row.get("request_model"))
    return Run(
        id=str(row.get("request_id") or row.get("response_id") or ""),
        kind="model",
        record=record,
        trace=_family(row),
        pointer=pointer,
        start=utc_time(row.get("request_created_at")),
        order=f"{record.origin.line or 0:012d}{pointer}",
        what="request",
        asked_at="/request_body",
        told_at="/response_body",
        input=opened(row.get("request_body")),
        output=None if failed else response,
        error=error_text(response or "no response", status) if failed else None,
        said=Message(
            role="assistant",
            model=next((name for name in map(text_or_none, named) if name), None),
            usage=None if usage == Usage() else usage,
        ),
    )


def _response(body: Any) -> Any:
    """The response; the events of a stream are joined."""
    if isinstance(body, str) and body.lstrip().startswith(("data:", "event:")):
        told = list(events(body))
        anthropic = any(str(event.get("type")).startswith("message") for event in told)
        return (anthropic_messages if anthropic else openai_chat).PROVIDER.join(told)
    return opened(body)


def _family(row: Row) -> str:
    for held in (opened(row.get("request_properties")), opened(row.get("properties"))):
        named = held.get("Helicone-Session-Id") if isinstance(held, dict) else None
        if isinstance(named, str) and named:
            return named
    return str(row.get("request_id") or row.get("response_id") or "")


def _weigh(value: dict[str, Any]) -> float:
    rows = [row for row, _ in _units(value)][:24]
    return 1.0 * sum(map(_is_row, rows)) / len(rows) if rows else 0.0


def sniff(peek: Peek) -> float:
    """Rows with a request's id, time and properties."""
    return share(peek, _weigh)


def joins(value: Any, name: str) -> Iterator[str]:
    """Sessions."""
    for row, _ in _units(value):
        if _is_row(row):
            yield f"session:{_family(row)}"


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="Helicone request rows with the provider's bodies; no error flag on tool results",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=True,
    evidence="documentation",
    joins=joins,
)
