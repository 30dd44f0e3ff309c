"""Gemini CLI sessions: the sample against its script, patches, rewinds, real files, mutations."""

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
from reading import balances, lines, read, read_one, shape, steps
from samples import read_sample

HEAD = {"sessionId": "s1", "projectHash": "h", "startTime": "2026-03-09T08:00:00Z", "kind": "main"}


def said(name: str, text: str) -> dict:
    content = [{"text": text}]
    return {"id": name, "timestamp": "2026-03-09T08:00:00Z", "type": "user", "content": content}


def answered(name: str, text: str = "", **more: object) -> dict:
    kept = {"id": name, "timestamp": "2026-03-09T08:00:01Z", "type": "gemini", "content": text}
    return {**kept, **more}


def call(name: str, status: str = "success", response: dict | None = None, **args: object) -> dict:
    told = {"id": name, "name": "read_file", "response": response or {"output": "one"}}
    return {
        "id": name,
        "name": "read_file",
        "args": args,
        "status": status,
        "result": [{"functionResponse": told}],
    }


def only(got) -> Session:
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def asked(question: str) -> Session:
    return next(
        s for s in read_sample("gemini-cli").sessions if question in [m.text for m in s.messages]
    )


# -- the sample, against what the script played


def test_every_line_of_the_sample_is_read():
    got = read_sample("gemini-cli")
    assert got.set_aside == ()
    assert set(got.counts.formats) == {"gemini-cli", "unknown"}
    assert steps(got.sessions) == 17


def test_calls_and_their_ends_are_those_that_were_played():
    session = asked("Which prices are there?")
    calls = [(c.name, json.loads(c.arguments)) for m in session.messages for c in m.calls]
    assert calls == [
        ("list_directory", {"dir_path": "."}),
        ("open_file", {"file_path": "prices.csv"}),
        ("read_file", {"path": "prices.csv"}),
        ("read_file", {"file_path": "missing.csv"}),
        ("run_shell_command", {"command": "cat missing.csv; exit 3"}),
        ("read_file", {"file_path": "prices.csv"}),
        ("run_shell_command", {"command": "wc -l prices.csv"}),
    ]
    results = [r for m in session.messages for r in m.results]
    assert [r.is_error for r in results] == [False, True, True, True, False, False, False]
    assert [r.exit_code for r in results] == [None, None, None, None, 3, None, None]
    assert not any(c.verbatim for m in session.messages for c in m.calls)


def test_a_malformed_call_leaves_no_step_behind():
    texts = [m.text for m in asked("Which prices are there?").messages if m.role == "assistant"]
    assert texts[:2] == ["I look around.", "Once more."]


def test_a_resumed_session_is_one_session():
    session = asked("And the sum?")
    assert session == asked("Which prices are there?")
    assert shape(session)[-2:] == ["user 'And the sum?'", "assistant '7 in all.'"]
    assert session.prefix == 0


def test_thoughts_model_and_tokens_are_kept_and_the_opening_is_the_programs():
    session = asked("Which prices are there?")
    opening, question, first = session.messages[:3]
    assert (opening.actor, question.actor) == ("harness", "human")
    assert first.reasoning.startswith("Looking around")
    assert first.model == "gemini-2.5-flash"
    assert (first.usage.input_tokens, first.usage.output_tokens) == (100, 8)


def test_a_sub_agent_is_a_session_below_the_one_that_started_it():
    sessions = read_sample("gemini-cli").sessions
    (child,) = [s for s in sessions if any(m.actor == "sub-agent" for m in s.messages)]
    parent = asked("Let a helper count.")
    assert (child.parent, child.family) == (parent.id, parent.family)
    assert [c.name for m in child.messages for c in m.calls] == ["read_file", "complete_task"]


# -- lines


def test_a_message_that_is_written_again_replaces_the_line_before(tmp_path):
    later = answered("a", "Reading.", toolCalls=[call("c1", file_path="x")])
    got = read_one(tmp_path, HEAD, said("u", "hi"), answered("a", "Reading."), later)
    assert shape(only(got)) == [
        "user 'hi'",
        'assistant \'Reading.\' read_file({"file_path":"x"})',
        "tool ->'one'",
    ]
    assert got.counts.ignored == {"head": 1, "superseded": 1}


def test_a_cancelled_call_is_a_humans_no(tmp_path):
    stopped = call("c1", "cancelled", {"error": "[Operation Cancelled]"})
    got = read_one(tmp_path, HEAD, said("u", "hi"), answered("a", toolCalls=[stopped]))
    (result,) = only(got).messages[-1].results
    assert (result.is_error, result.cause, result.text) == (True, "human", "[Operation Cancelled]")


def test_a_call_that_is_not_over_has_no_result(tmp_path):
    waits = call("c1", "awaiting_approval")
    got = read_one(tmp_path, HEAD, said("u", "hi"), answered("a", toolCalls=[waits]))
    assert [m.role for m in only(got).messages] == ["user", "assistant"]


def test_a_rewind_leaves_a_branch(tmp_path):
    got = read_one(
        tmp_path, HEAD, said("u", "hi"), answered("a", "one"), said("v", "more"),
        answered("b", "two"), {"$rewindTo": "v"}, said("w", "other"), answered("c", "three"),
    )  # fmt: skip
    first, second = got.sessions
    assert shape(first) == ["user 'hi'", "assistant 'one'", "user 'more'", "assistant 'two'"]
    assert (second.parent, second.prefix) == (first.id, 2)
    assert shape(second)[-1] == "assistant 'three'"
    assert steps(got.sessions) == 3


def test_a_rewind_to_nowhere_forgets_everything(tmp_path):
    got = read_one(
        tmp_path, HEAD, said("u", "hi"), answered("a", "one"), {"$rewindTo": "gone"},
        said("v", "new"), answered("b", "two"),
    )  # fmt: skip
    first, second = got.sessions
    assert (second.prefix, second.parent) == (0, first.id)
    assert shape(second) == ["user 'new'", "assistant 'two'"]


def test_a_replaced_history_starts_a_session_below_the_old_one(tmp_path):
    shorter = {"$set": {"messages": [said("sum", "<state_snapshot>so far</state_snapshot>")]}}
    got = read_one(
        tmp_path, HEAD, said("u", "hi"), answered("a", "one"), shorter, said("v", "on"),
        answered("b", "two"),
    )  # fmt: skip
    first, second = got.sessions
    assert (second.parent, second.family) == (first.id, first.family)
    assert [m.actor for m in second.messages] == ["harness", "human", "agent"]


def test_a_history_that_is_put_back_with_calls_as_parts_is_the_same_conversation(tmp_path):
    begun = [HEAD, said("u", "hi"), answered("a", "Look.", toolCalls=[call("c1", file_path="x")])]
    parts = [{"text": "Look."}, {"functionCall": {"id": "c1", "name": "read_file", "args": {}}}]
    back = {"$set": {"messages": [said("u", "hi"), {**answered("a"), "content": parts}]}}
    got = read_one(tmp_path, *begun, back, said("v", "on"), answered("b", "two"))
    assert [m.role for m in only(got).messages] == [
        "user",
        "assistant",
        "tool",
        "user",
        "assistant",
    ]


def test_calls_that_only_the_parts_hold_are_kept(tmp_path):
    parts = [{"functionCall": {"id": "c1", "name": "read_file", "args": {"file_path": "x"}}}]
    result = {"functionResponse": {"id": "c1", "response": {"error": "gone"}}}
    back = {"$set": {"messages": [said("u", "hi"), {**answered("a"), "content": parts}]}}
    told = {**said("r", ""), "content": [result]}
    got = read_one(tmp_path, HEAD, back, told, answered("b", "two"))
    assert shape(only(got))[1:3] == [
        'assistant read_file({"file_path":"x"})',
        "tool ->'gone'",
    ]
    assert only(got).messages[2].results[0].is_error is True


def test_results_that_a_user_line_repeats_are_counted_once(tmp_path):
    repeated = {**said("r", ""), "content": call("c1")["result"]}
    got = read_one(
        tmp_path, HEAD, said("u", "hi"), answered("a", toolCalls=[call("c1")]), repeated,
        answered("b", "two"),
    )  # fmt: skip
    assert len([r for m in only(got).messages for r in m.results]) == 1


def test_an_error_of_the_api_is_a_step_without_parts_and_notes_are_ignored(tmp_path):
    failed = {**said("e", ""), "type": "error", "content": "[API Error: quota]"}
    note = {**said("i", ""), "type": "info", "content": "Update available."}
    got = read_one(tmp_path, HEAD, said("u", "hi"), note, failed)
    last = only(got).messages[-1]
    assert (last.role, last.error, last.parts) == ("assistant", "[API Error: quota]", ())
    assert got.counts.ignored["info"] == 1


def test_a_document_and_the_lines_it_was_moved_to_are_one_session(tmp_path):
    messages = [said("u", "hi"), answered("a", "one")]
    document = json.dumps({**HEAD, "messages": messages}).encode()
    moved = lines(HEAD, *messages, said("v", "on"), answered("b", "two"))
    got = read(tmp_path, {"session-1.json": document, "session-1.jsonl": moved})
    assert shape(only(got))[-1] == "assistant 'two'"
    assert steps(got.sessions) == 2


def test_the_list_of_prompts_beside_the_sessions_is_ignored(tmp_path):
    prompt = {"sessionId": "s1", "messageId": 0, "type": "user", "message": "hi", "timestamp": "x"}
    got = read(tmp_path, {"logs.json": json.dumps([prompt]).encode()})
    assert got.sessions == ()
    assert got.counts.formats["gemini-cli"].ignored == 1


# -- real files


@needs_corpus
def test_real_sessions_hold_the_calls_and_ends_that_plain_json_counts():
    folder = CORPUS / "logs" / "gemini-cli"
    documents = [json.loads(f.read_text()) for f in sorted(folder.glob("*.json"))]
    messages = [m for d in documents for m in d.get("messages", [d])]
    listed = [c for m in messages for c in m.get("toolCalls", [])]
    got = ingest([folder])
    balances(got)
    assert got.set_aside == ()
    assert got.counts.records == len(messages)
    calls = [c for s in got.sessions for m in s.messages for c in m.calls]
    assert [c.name for c in calls] == [c["name"] for c in listed]
    assert [json.loads(c.arguments) for c in calls] == [c["args"] for c in listed]
    ends = Counter(
        "cancelled" if r.cause == "human" else "error" if r.is_error else "success"
        for s in got.sessions
        for m in s.messages
        for r in m.results
    )
    assert ends == Counter(c["status"] for c in listed)


# -- anything anywhere

CHAT = [
    HEAD,
    {"$set": {"messages": [said("o", "<session_context>x"), answered("p", "x")]}},
    said("u", "hi"),
    answered(
        "a",
        [{"text": "x", "thought": True}, {"functionCall": {"id": "c2", "name": "t"}}],
        thoughts=[{"subject": "s", "description": "d"}],
        toolCalls=[call("c1", "error", {"error": "no"})],
        tokens={"input": 1},
        model="m",
    ),
    {**said("r", ""), "content": call("c1")["result"]},
    {"$rewindTo": "u"},
    {**HEAD, "messages": [said("u", "hi"), answered("a", "x")]},
    {**HEAD, "kind": "subagent"},
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_session_with_anything_anywhere_is_read_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(CHAT), tmp_path_factory.mktemp("any"), "gemini-cli")
