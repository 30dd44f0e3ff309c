"""Pi sessions: the sample against its script, branches, compactions, a real file, mutations."""

from __future__ import annotations

import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import lines, read, read_one, reasons, shape, steps
from samples import read_sample

HEAD = {"type": "session", "version": 3, "id": "s1", "cwd": "/home/ada"}


def entry(kind: str, name: str, up: str | None, **more: object) -> dict:
    return {"type": kind, "id": name, "parentId": up, "timestamp": "2026-03-09T08:00:00Z", **more}


def said(name: str, up: str | None, text: str, role: str = "user", **more: object) -> dict:
    content = [{"type": "text", "text": text}]
    return entry("message", name, up, message={"role": role, "content": content, **more})


def answered(name: str, up: str, text: str) -> dict:
    return said(name, up, text, "assistant", stopReason="stop")


def only(got) -> Session:
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def test_the_sample_holds_what_was_played():
    got = read_sample("pi")
    assert got.set_aside == ()
    first = next(s for s in got.sessions if s.messages[0].text == "Which prices are there?")
    calls = [(c.name, json.loads(c.arguments)) for m in first.messages for c in m.calls]
    assert calls == [
        ("bash", {"command": "ls"}),
        ("read", {"path": "prices.cs"}),  # played as broken JSON, completed by the program
        ("open_file", {"path": "prices.csv"}),
        ("read", {"file": "prices.csv"}),
        ("bash", {"command": "cat missing.csv; exit 3"}),
        ("bash", {"command": "wc -l prices.csv"}),
        ("read", {"path": "prices.csv"}),
    ]
    results = [r for m in first.messages for r in m.results]
    assert [r.is_error for r in results] == [False, True, True, True, True, False, False]
    assert [r.exit_code for r in results] == [None, None, None, None, 3, None, None]
    assert [first.messages[at].finish_reason for at in first.steps][-1] == "stop"


def test_a_fork_into_another_file_shares_its_beginning():
    got = read_sample("pi")
    (fork,) = [s for s in got.sessions if s.prefix]
    parent = next(s for s in got.sessions if s.id == fork.parent)
    assert fork.family == parent.family
    assert {shape(parent)[-1], shape(fork)[-1]} == {
        "assistant 'The higher is 4.'",
        "assistant 'And 7 in all.'",
    }
    assert steps(got.sessions) == 11


def test_requests_that_failed_and_streams_that_broke_off_are_told_apart():
    asked = {s.messages[0].text: s.messages[-1] for s in read_sample("pi").sessions}
    failed, cut = asked["Say hello."], asked["Write."]
    assert (failed.parts, failed.end) == ((), "complete")
    assert failed.error.startswith("500")
    assert cut.end == "cut"
    assert cut.text.startswith("Here is a long text.")


def test_a_second_answer_to_the_same_entry_is_a_branch(tmp_path):
    got = read_one(
        tmp_path, HEAD, said("1", None, "hi"), answered("2", "1", "one"), said("3", "2", "on"),
        answered("4", "3", "two"), answered("5", "3", "three"),
    )  # fmt: skip
    first, second = got.sessions
    assert (second.parent, second.prefix) == (first.id, 3)
    assert steps(got.sessions) == 3


def test_short_ids_of_other_sessions_are_not_mixed_up(tmp_path):
    other = {**HEAD, "id": "s2"}
    one = lines(HEAD, said("1", None, "hi"), answered("2", "1", "one"))
    two = lines(other, said("1", None, "ho"), answered("2", "1", "two"))
    got = read(tmp_path, {"a.jsonl": one, "b.jsonl": two})
    assert sorted(shape(s)[0] for s in got.sessions) == ["user 'hi'", "user 'ho'"]


def test_a_compaction_starts_a_session_with_its_summary(tmp_path):
    squeezed = entry("compaction", "3", "2", summary="so far")
    got = read_one(
        tmp_path, HEAD, said("1", None, "hi"), answered("2", "1", "one"), squeezed,
        said("4", "3", "on"), answered("5", "4", "two"),
    )  # fmt: skip
    first, second = got.sessions
    assert second.parent == first.id
    assert shape(second) == ["user 'so far'", "user 'on'", "assistant 'two'"]
    assert [m.actor for m in second.messages] == ["harness", "human", "agent"]


def test_entries_between_messages_are_ignored_by_kind_and_keep_the_link(tmp_path):
    changed = entry("model_change", "2", "1", provider="p", modelId="m")
    got = read_one(tmp_path, HEAD, said("1", None, "hi"), changed, answered("3", "2", "one"))
    assert shape(only(got)) == ["user 'hi'", "assistant 'one'"]
    assert got.counts.ignored == {"model_change": 1, "session": 1}


def test_a_command_of_the_human_is_a_message_of_the_human(tmp_path):
    body = {"role": "bashExecution", "command": "ls", "output": "a.txt", "exitCode": 0}
    ran = entry("message", "1", None, message=body)
    got = read_one(tmp_path, HEAD, ran, answered("2", "1", "one file"))
    assert shape(only(got))[0] == "user 'ls\\na.txt'"
    assert only(got).messages[0].actor == "human"


@needs_corpus
def test_a_real_session_is_read_and_its_broken_line_set_aside():
    got = ingest([CORPUS / "logs" / "other-clis" / "pi_session.jsonl"])
    assert reasons(got) == [(10, "not-json")]
    assert [[c.name for m in s.messages for c in m.calls] for s in got.sessions] == [["read"], []]
    assert steps(got.sessions) == 2


ROWS = [
    {**HEAD, "parentSession": "/home/ada/x_s0.jsonl"},
    said("1", None, "hi"),
    entry(
        "message",
        "2",
        "1",
        message={
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t"},
                {"type": "toolCall", "id": "c1", "name": "bash", "arguments": {"a": 1}},
            ],
            "usage": {"input": 1},
            "stopReason": "error",
        },
    ),
    said("3", "2", "no", "toolResult", toolCallId="c1", toolName="bash", isError=True),
    entry("compaction", "4", "3", summary="s"),
    entry("branch_summary", "5", "4", summary="b"),
    entry("custom_message", "6", "5", content="x"),
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_session_with_anything_anywhere_is_read_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), "pi")
