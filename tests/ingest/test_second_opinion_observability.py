"""A second opinion on observability exports: what `tracelint`'s adapters see in the same traces.

Calls (name and arguments), answers (text) and failed results of each trace, over all its sessions.
What only one side sees must be just what the tables below say, for the reasons that
`design/second-opinion.md` gives. Skipped where `tracelint` is not installed.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from samples import LOGS

tracelint = pytest.importorskip("tracelint.trace")
adapters = pytest.importorskip("tracelint.adapters")

REAL = CORPUS / "logs" / "langfuse"
MISSED: dict[str, tuple[str, int, int]] = {
    "agno-2025-06-11": ("", 0, 0),
    "autogen-2025-06-06": ("", 0, 0),
    "claude-agent-2025-12-22": ("answers in blocks", 0, 2),
    "google-adk-2025-08-28": ("answers in parts", 0, 1),
    "langgraph-js-2025-10-30": ("", 0, 0),
    "langgraph-python-2025-08-22": ("calls in additional_kwargs", 1, 0),
    "openai-agents-2025-09-30": ("answers in items", 0, 1),
    "pydantic-ai-tools-2025-06-06": ("", 0, 0),
}
"""Why `tracelint` misses calls or answers of a real trace, how many calls, how many answers."""

Seen = tuple[Counter[tuple[str, str]], Counter[str], int]


def plain(arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True)


def here(sessions: Iterable[Session]) -> Seen:
    calls: Counter[tuple[str, str]] = Counter()
    texts: Counter[str] = Counter()
    failed = 0
    for session in sessions:
        for step in session.steps:
            message = session.messages[step]
            texts.update([message.text.strip()] if message.text else [])
            calls.update((call.name, readable(call.arguments)) for call in message.calls)
        failed += sum(r.is_error is True for m in session.messages for r in m.results)
    return calls, texts, failed


def readable(arguments: str) -> str:
    try:
        return plain(json.loads(arguments))
    except ValueError:
        return arguments


def there(trace: Any) -> Seen:
    calls: Counter[tuple[str, str]] = Counter()
    texts: Counter[str] = Counter()
    failed = 0
    for step in trace.steps:
        if isinstance(step, tracelint.ToolCall):
            calls[step.name.removeprefix("execute_tool "), plain(step.args)] += 1
        elif isinstance(step, tracelint.ToolResult):
            failed += step.status is tracelint.ResultStatus.ERROR
        elif step.role is tracelint.Role.ASSISTANT and step.content not in ("None", "null"):
            texts[str(step.content).strip()] += 1
    return calls, texts, failed


def opened(value: Any) -> Any:
    """What the export holds as JSON in a string, as the SDK gives it."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    except ValueError:  # a printed Python dict
        return value


def langfuse(trace: dict[str, Any]) -> Any:
    told = ("input", "output", "metadata")
    rows = [{**row, **{key: opened(row[key]) for key in told}} for row in trace["observations"]]
    return adapters.langfuse.from_langfuse_trace({**trace["trace"], "observations": rows})


@needs_corpus
@pytest.mark.parametrize("name", sorted(MISSED))
def test_real_langfuse_traces_hold_the_same_calls_and_answers(name):
    path = REAL / f"{name}.trace.json"
    mine = here(ingest([path]).sessions)
    other = there(langfuse(json.loads(path.read_text())))
    _, calls, texts = MISSED[name]
    assert (mine[0] - other[0]).total() == calls
    assert (other[0] - mine[0]).total() == 0
    assert (mine[1] - other[1]).total() == texts
    assert (other[1] - mine[1]).total() == 0
    assert mine[2] == other[2] == 0


def test_the_langfuse_sample_holds_the_same_calls_and_answers(tmp_path):
    for number, trace in enumerate(json.loads((LOGS / "langfuse" / "traces.json").read_text())):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(trace))
        mine = here(ingest([path]).sessions)
        other = there(langfuse(trace))
        quoted = Counter({("count_keys", '{"floor": "two"}'): 1})
        assert mine[0] - other[0] == (quoted if number == 3 else Counter())
        assert other[0] - mine[0] == Counter()
        assert mine[1] == other[1]


def test_the_langsmith_sample_holds_the_same_calls_and_answers(tmp_path):
    text = gzip.decompress((LOGS / "langsmith" / "runs.jsonl.gz").read_bytes()).decode()
    runs = {row["id"]: {**row, "child_runs": []} for row in map(json.loads, text.splitlines())}
    for run in runs.values():
        if run["parent_run_id"]:
            runs[run["parent_run_id"]]["child_runs"].append(run)
    missed = Counter({("reserve_table", '{"guests": 4, "place": "Gull"}'): 1})
    for root in (run for run in runs.values() if not run["parent_run_id"]):
        path = tmp_path / f"{root['id']}.json"
        path.write_text(json.dumps(root))
        mine = here(ingest([path]).sessions)
        other = there(adapters.langsmith.from_langsmith_run(root))
        first = root["extra"]["metadata"]["thread_id"] == "desk-2"
        assert mine[0] - other[0] == (missed if first else Counter()), "asked for, never run"
        assert other[0] - mine[0] == Counter()
        assert mine[1] == other[1]
        assert (mine[2], other[2]) == ((3, 2) if first else (0, 0)), "the one that never ran"
