"""Google ADK: sessions as JSON (snake or camel case), the SQLite session database, and eval sets.

Kept: events with their calls and results (arguments are parsed objects), thoughts, finish reason,
usage, model, times, branches. An answer that Gemini could not read as a call
(`MALFORMED_FUNCTION_CALL`, `UNEXPECTED_TOOL_CALL`) is the model's fault; another `error_code` that
is no finish reason is a request that failed. Each agent has a session of its own in which the words
of others stand as it saw them; the first agent leads, the others are its sub-agents. An eval case
is a session of the conversation that it holds; an eval result tells how it went. What the format
cannot tell: instructions and tool schemas (only old sessions with `event_logs` hold them), raw
argument text, whether a result was an error beyond the kit's own refusals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses import adk_events as adk
from misstep.ingest.harnesses import cast
from misstep.ingest.harnesses.adk_events import pick
from misstep.ingest.jsontext import parsed
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.oneby import set_aside
from misstep.types import Outcome, Session

NAME = "google-adk"
_TABLES = ("events", "sessions")


class _Reader:
    """Reads sessions and eval cases one by one; the rows of a database when the file ends."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sessions: list[Session] = []
        self._rows: dict[str, list[tuple[Record, Mapping[str, Any]]]] = {}

    def read(self, record: Record) -> None:
        """Take one document or one row."""
        value = record.value
        try:
            if not isinstance(value, dict):
                raise Misfit("", f"expected an object, got {kind_of(value)}", "unknown-record")
            if "table" in value and isinstance(value.get("row"), dict):
                self._row(record, value)
            elif (results := pick(value, "eval_case_results")) is not None:
                self._cases(record, results, "eval_case_results")
            elif (cases := pick(value, "eval_cases")) is not None:
                self._cases(record, cases, "eval_cases")
            elif isinstance(value.get("events"), list):
                self._session(record, value)
            else:
                raise Misfit("", "neither a session nor an eval set", "unknown-record")
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)

    def _session(self, record: Record, value: Mapping[str, Any]) -> None:
        if not value["events"]:
            self._tally.ignore("empty-session")
            return
        asked = adk.requests(value)
        lines = [
            line
            for index, event in enumerate(value["events"])
            for line in adk.lines(event, record, f"/events/{index}", asked)
        ]
        if asked and (system := adk.system(asked, record)) is not None:
            lines.insert(0, system)
        if self._add(lines, _family(value)):
            self._tally.use()
        else:
            self._tally.ignore("unanswered-session")

    def _cases(self, record: Record, cases: Any, key: str) -> None:
        if not isinstance(cases, list):
            raise Misfit(f"/{key}", f"expected a list of eval cases, got {kind_of(cases)}")
        self._tally.unfold(max(1, len(cases)))
        if not cases:
            self._tally.ignore("empty-session")
        for index, case in enumerate(cases):
            try:
                self._case(record, case, f"/{key}/{index}")
            except Misfit as misfit:
                set_aside(self._tally, record, misfit)
            else:
                self._tally.use()

    def _case(self, record: Record, case: Any, at: str) -> None:
        if not isinstance(case, dict):
            raise Misfit(at, f"expected an eval case, got {kind_of(case)}")
        lines = [
            line
            for index, (said, pointer) in enumerate(_invocations(case))
            for line in adk.invocation(said, record, f"{at}/{pointer}/{index}")
        ]
        if not any(line.agent for line in lines):
            raise Misfit(at, "an eval case without an answer", "no-answer")
        ended = pick(case, "final_eval_status")
        passed = {1: True, 2: False}.get(ended) if isinstance(ended, int) else None
        self._add(lines, _family(case), None if passed is None else Outcome(resolved=passed))

    def _add(self, lines: Sequence[cast.Line], family: str, outcome: Outcome | None = None) -> bool:
        """Whether an agent spoke."""
        made = cast.sessions(NAME, lines, family=family, outcome=outcome, lead=True)
        self._sessions.extend(made)
        return bool(made)

    def _row(self, record: Record, value: Mapping[str, Any]) -> None:
        row = value["row"]
        if value.get("table") != "events":
            self._tally.ignore(str(value.get("table"))[:80])
            return
        event: Any = dict(row)
        for column in ("event_data", "content", "usage_metadata"):
            if isinstance(text := row.get(column), str):
                event[column] = parsed(text)
                if event[column] is None and text != "null":
                    raise Misfit(f"/row/{column}", "text that is no JSON")
        whole = event.get("event_data")
        event = whole if isinstance(whole, dict) else event
        key = "/".join(str(row.get(k)) for k in ("app_name", "user_id", "session_id"))
        self._rows.setdefault(key, []).append((record, event))
        self._tally.use()

    def close_file(self) -> None:
        """The rows of a database make sessions; rows come in the order they were written."""
        for key, rows in self._rows.items():
            lines = [
                line
                for record, event in rows
                for line in adk.lines(event, record, "/row", {}, lenient=True)
            ]
            self._add(lines, f"session-{key}")
        self._rows.clear()

    def finish(self) -> tuple[Session, ...]:
        """All sessions."""
        return tuple(self._sessions)


def _family(value: Mapping[str, Any]) -> str:
    """The session or the eval case by its own id."""
    case = pick(value, "eval_id")
    if isinstance(case, str):
        return f"eval-{case}"
    parts = (pick(value, "app_name"), pick(value, "user_id"), value.get("id"))
    return "session-" + "/".join(str(part) for part in parts)


def _invocations(case: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """The turns of an eval case; of an eval result, what the agent really did."""
    said = case.get("conversation")
    for turn in said if isinstance(said, list) else ():
        yield turn, "conversation"
    measured = pick(case, "eval_metric_result_per_invocation")
    for turn in measured if isinstance(measured, list) else ():
        actual = pick(turn, "actual_invocation") if isinstance(turn, dict) else None
        yield actual, "eval_metric_result_per_invocation"


def _weigh(value: dict[str, Any]) -> float:
    if isinstance(pick(value, "eval_cases"), list):
        return 1.0 if pick(value, "eval_set_id") is not None else 0.6
    if isinstance(pick(value, "eval_case_results"), list):
        return 1.0
    events = value.get("events")
    if not isinstance(events, list) or not text_or_none(value.get("id")):
        return 0.0
    named = pick(value, "app_name") is not None and pick(value, "user_id") is not None
    told = [e for e in events[:8] if isinstance(e, dict) and "author" in e]
    marked = [e for e in told if pick(e, "invocation_id") is not None]
    return 1.0 if marked or (named and not events) else 0.0


def sniff(peek: Peek) -> float:
    """Sessions with authored events, eval sets, or a database with their tables."""
    if peek.kind == "sqlite":
        columns = set(peek.tables.get("events", ()))
        told = {"session_id", "app_name"} <= columns and columns & {"author", "event_data"}
        return 1.0 if told and all(table in peek.tables for table in _TABLES) else 0.0
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="Google ADK sessions (JSON, SQLite) and eval sets, with sub-agents; no tool schemas",
    unit="record",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
