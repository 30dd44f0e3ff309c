"""A second opinion on OpenInference spans: what `tracelint`'s adapter sees in the same traces.

Calls (name and arguments), answers (text) and failed results of each trace of the sample, over all
its sessions. What only one side sees is named here, for the reasons that `design/second-opinion.md`
gives. Skipped where `tracelint` is not installed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from misstep.ingest import ingest
from misstep.types import Session
from samples import LOGS
from spans import DROPPED, rows_of

tracelint = pytest.importorskip("tracelint.trace")
adapters = pytest.importorskip("tracelint.adapters")

FOLDER = LOGS / "openinference"
ONLY_HERE = {
    "agents.jsonl": Counter({("timetable", '{"task": "first ferry to Moss?"}'): 1}),
    "rows.jsonl": Counter(
        {
            ("find_ferries", '{"port": "Skagen"}'): 1,
            ("find_ferries", '{"limit": 1, "port": "Moss"}'): 1,
        }
    ),
}
"""Calls without a tool's run: one starts an agent; two stand in a history alone, since the spans
that made them are in `spans.parquet`."""

Seen = tuple[Counter[tuple[str, str]], Counter[str], int]


def spans_of(row: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if "resourceSpans" not in row:
        return [row]
    scopes = (scope for held in row["resourceSpans"] for scope in held["scopeSpans"])
    return [span for scope in scopes for span in scope["spans"]]


def traces(path: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(path):
        for span in spans_of(row):
            found.setdefault(span.get("traceId") or span["context"]["trace_id"], []).append(span)
    return found


def readable(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments


def here(sessions: Iterable[Session]) -> Seen:
    calls: Counter[tuple[str, str]] = Counter()
    texts: Counter[str] = Counter()
    failed = 0
    for session in sessions:
        for step in session.steps:
            message = session.messages[step]
            texts.update([message.text] if message.text else [])
            calls.update((call.name, readable(call.arguments)) for call in message.calls)
        own = session.messages[session.prefix :]
        failed += sum(result.is_error is True for m in own for result in m.results)
    return calls, texts, failed


def there(trace: Any) -> Seen:
    calls: Counter[tuple[str, str]] = Counter()
    texts: Counter[str] = Counter()
    failed = 0
    for step in trace.steps:
        if isinstance(step, tracelint.ToolCall):
            given = json.dumps(step.args, sort_keys=True)
            calls[step.name, step.raw_text if step.raw_text is not None else given] += 1
        elif isinstance(step, tracelint.ToolResult):
            failed += step.status is tracelint.ResultStatus.ERROR
        elif step.role is tracelint.Role.ASSISTANT:
            texts[step.content] += 1
    return calls, texts, failed


@pytest.mark.parametrize("name", ["openai.jsonl", "rows.jsonl", "agents.jsonl"])
def test_the_sample_holds_the_same_calls_answers_and_errors(name, tmp_path):
    for number, spans in enumerate(traces(FOLDER / name).values()):
        path = tmp_path / f"{number}.jsonl"
        whole = [{"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}]
        rows = whole if name != "rows.jsonl" else spans
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        mine, other = here(ingest([path]).sessions), there(adapters.from_otel_spans(spans))
        assert mine[0] - other[0] <= ONLY_HERE.get(name, Counter())
        assert other[0] - mine[0] == Counter()
        assert mine[1] - other[1] <= Counter(["I won't write threats."])
        assert other[1] - mine[1] == Counter()
        assert mine[2] == other[2]


def test_both_keep_the_broken_arguments_as_they_were_written():
    for spans in traces(FOLDER / "openai.jsonl").values():
        calls = there(adapters.from_otel_spans(spans))[0]
        if ("search_ferries", '{"port": "Moss"}') in calls:
            assert ("find_ferries", DROPPED) in calls
