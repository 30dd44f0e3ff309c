"""Real logs, counted a second time by plain code that shares nothing with the readers."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path

import pytest

from misstep.ingest import ingest
from reading import balances, steps

CORPUS = Path(os.environ.get("MISSTEP_CORPUS", "/nonexistent")) / "logs"
pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="MISSTEP_CORPUS does not point at a folder that holds logs/"
)


def own_calls(sessions):
    return [call for s in sessions for i in s.steps for call in s.messages[i].calls]


def own_results(sessions):
    return [r for s in sessions for m in s.messages[s.prefix :] for r in m.results]


def transcript_counts(folder):
    """Distinct answers, calls, results and flagged results over all files; lines in all."""
    answers, calls, results, flagged = set(), set(), set(), set()
    total = 0
    for path in sorted(folder.rglob("*.jsonl")):
        for text in path.read_bytes().splitlines():
            total += 1
            entry = json.loads(text)
            body = entry.get("message") if isinstance(entry, dict) else None
            blocks = body.get("content") if isinstance(body, dict) else None
            if not isinstance(blocks, list):
                continue
            where = entry["sessionId"]
            if entry["type"] == "assistant":
                answers.add((where, body["id"]))
            for block in (b for b in blocks if isinstance(b, dict)):
                if block["type"] == "tool_use":
                    calls.add((where, block["id"]))
                elif block["type"] == "tool_result":
                    results.add((where, block["tool_use_id"]))
                    if block.get("is_error"):
                        flagged.add((where, block["tool_use_id"]))
    return total, len(answers), len(calls), len(results), len(flagged)


def test_claude_code_transcripts_count_as_plain_code_counts_them():
    folder = CORPUS / "claude-code"
    got = ingest([folder])
    balances(got)
    total, answers, calls, results, flagged = transcript_counts(folder)
    assert (total, answers, calls, results, flagged) == (2482, 260, 332, 328, 14)
    assert got.counts.records == total
    assert steps(got.sessions) == answers
    assert len(own_calls(got.sessions)) == calls
    assert len(own_results(got.sessions)) == results
    assert sum(r.is_error is True for r in own_results(got.sessions)) == flagged


def test_claude_code_sessions_are_the_roots_of_the_transcripts():
    """15 files hold 14 linked or unlinked chains and one compaction boundary; the file of the
    compaction's own call continues the chain before the boundary, so it adds no session."""
    got = ingest([CORPUS / "claude-code"])
    by_family = defaultdict(int)
    for session in got.sessions:
        by_family[session.family] += 1
    assert len(got.sessions) == 15
    assert len(by_family) == 13
    assert max(by_family.values()) == 3


def test_every_line_of_claude_code_is_used_or_has_a_reason():
    got = ingest([CORPUS / "claude-code"])
    assert got.counts.used == 911
    assert got.counts.ignored == {
        "file-history-snapshot": 49,
        "progress": 1476,
        "queue-operation": 8,
        "summary": 19,
        "system": 10,
        "unanswered-branch": 2,
    }
    assert got.counts.set_aside == {"bad-message": 3, "not-an-object": 3, "unknown-record": 1}
    assert {entry.origin.file for entry in got.set_aside} == {"edge-cases/edge_cases.jsonl"}


def test_tau_bench_counts_as_plain_code_counts_it():
    folder = CORPUS / "tau-bench"
    got = ingest([folder])
    balances(got)
    runs = [run for path in sorted(folder.glob("*.json")) for run in json.loads(path.read_text())]
    spoken = [message for run in runs for message in run["traj"]]
    calls = [call for message in spoken for call in message.get("tool_calls") or ()]
    assert (len(runs), len(calls)) == (200, 1164)
    assert len(got.sessions) == len(runs)
    assert steps(got.sessions) == sum(message["role"] == "assistant" for message in spoken)
    assert [call.arguments for call in own_calls(got.sessions)] == [
        call["function"]["arguments"] for call in calls
    ]
    results = own_results(got.sessions)
    assert [r.text for r in results] == [m["content"] for m in spoken if m["role"] == "tool"]
    assert {r.is_error for r in results} == {None}
    assert sum(s.outcome.reward for s in got.sessions) == sum(run["reward"] for run in runs)
    assert len({s.family for s in got.sessions}) == len({run["task_id"] for run in runs})


def test_recorded_anthropic_pairs_hold_every_logged_call():
    path = CORPUS / "vcr" / "pydantic-ai-anthropic-messages.jsonl"
    got = ingest([path])
    balances(got)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert got.counts.records == got.counts.used == len(rows) == 202
    logged = {
        block["id"]
        for row in rows
        if isinstance(row["response"], dict)
        for block in row["response"].get("content", ())
        if block["type"] == "tool_use"
    }
    streamed = sum(
        len(re.findall(r'"content_block": ?\{"type": ?"tool_use"', row["response"]))
        for row in rows
        if isinstance(row["response"], str)
    )
    answered = [
        call.id
        for s in got.sessions
        for i in s.steps
        if s.messages[i].context is not None
        for call in s.messages[i].calls
        if call.kind == "function"
    ]
    assert logged <= set(answered)
    assert len(answered) == len(set(answered)) == len(logged) + streamed == 117


def test_recorded_openai_pairs_hold_every_logged_call():
    path = CORPUS / "vcr" / "openinference-openai-chat.jsonl"
    got = ingest([path])
    balances(got)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert got.counts.records == len(rows) == 40
    assert got.counts.set_aside == {"no-answer": 2}
    logged = {
        (call["id"], call["function"]["arguments"])
        for row in rows
        if isinstance(row["response"], dict)
        for choice in row["response"].get("choices", ())
        for call in choice["message"].get("tool_calls") or ()
    }
    kept = {(call.id, call.arguments) for call in own_calls(got.sessions)}
    assert logged <= kept


def test_all_real_logs_are_recognised_but_for_what_stands_beside_them():
    got = ingest([CORPUS])
    balances(got)
    unknown = {e.origin.file for e in got.set_aside if e.reason == "unknown-format"}
    assert {name for name in unknown if not name.endswith((".chatml.json", "MANIFEST.md"))} == set()
