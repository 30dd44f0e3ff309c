"""`codex exec --json`: the sample, calls of other kinds, real files, mutations."""

from __future__ import annotations

import copy
import json
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import balances, read_one, shape
from samples import read_sample


def only(got) -> Session:
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def test_a_run_of_exec_keeps_commands_with_exit_codes():
    runs = {s.family: s for s in read_sample("codex-exec").sessions}
    codes = Counter(r.exit_code for s in runs.values() for m in s.messages for r in m.results)
    assert codes == {0: 6, 3: 1, None: 2}
    failed = [r for s in runs.values() for m in s.messages for r in m.results if r.is_error is True]
    assert [(r.exit_code, r.cause) for r in failed] == [(3, None)]


def test_exec_and_rollout_are_of_one_family():
    threads = {s.family for s in read_sample("codex").sessions}
    assert {s.family for s in read_sample("codex-exec").sessions} <= threads


def test_an_mcp_call_keeps_its_arguments_and_its_error(tmp_path):
    item = {
        "id": "item_0",
        "type": "mcp_tool_call",
        "server": "files",
        "tool": "open",
        "arguments": {"path": "a"},
        "error": {"message": "no such file"},
        "status": "failed",
    }
    begun = {**item, "status": "in_progress", "error": None}
    got = read_one(
        tmp_path, {"type": "thread.started", "thread_id": "t"}, {"type": "turn.started"},
        {"type": "item.started", "item": begun}, {"type": "item.completed", "item": item},
    )  # fmt: skip
    assert shape(only(got)) == [
        'assistant mcp__files__open({"path":"a"})',
        "tool ->'no such file'",
    ]
    assert only(got).messages[1].results[0].is_error is True


def test_the_usage_of_a_turn_belongs_to_its_one_step(tmp_path):
    told = {"id": "i", "type": "agent_message", "text": "hi"}
    got = read_one(
        tmp_path, {"type": "thread.started", "thread_id": "t"}, {"type": "turn.started"},
        {"type": "item.completed", "item": told},
        {"type": "turn.completed", "usage": {"input_tokens": 5, "output_tokens": 2}},
    )  # fmt: skip
    assert only(got).messages[0].usage.output_tokens == 2


@needs_corpus
def test_real_runs_of_exec_hold_the_commands_that_plain_json_counts():
    folder = CORPUS / "logs" / "codex-exec"
    events = [json.loads(e) for f in sorted(folder.glob("*")) for e in f.read_text().splitlines()]
    ended = [e["item"] for e in events if e["type"] == "item.completed"]
    got = ingest([folder])
    balances(got)
    assert got.set_aside == ()
    calls = [c for s in got.sessions for m in s.messages for c in m.calls]
    kinds = ("command_execution", "file_change")
    assert len(calls) == sum(item["type"] in kinds for item in ended)
    texts = [m.text for s in got.sessions for m in s.messages if m.text]
    assert texts == [item["text"] for item in ended if item["type"] == "agent_message"]


EXEC = [
    {"type": "thread.started", "thread_id": "t"},
    {"type": "item.started", "item": {"id": "i", "type": "command_execution", "command": "ls"}},
    {
        "type": "item.completed",
        "item": {"id": "i", "type": "command_execution", "exit_code": 1, "status": "failed"},
    },
    {"type": "item.completed", "item": {"id": "j", "type": "agent_message", "text": "x"}},
    {"type": "turn.completed", "usage": {"input_tokens": 1}},
    {"type": "turn.failed", "error": {"message": "no"}},
]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_run_with_anything_anywhere_is_read_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(EXEC), tmp_path_factory.mktemp("any"), "codex-exec")
