"""SWE-agent: the samples against their script, shapes of older files, real logs, mutations."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import read, shape, steps
from samples import LOGS as SAMPLES
from samples import read_sample

LOGS = CORPUS / "logs" / "swe-agent"


def row(role: str, text: str, **more: object) -> dict:
    return {"role": role, "content": text, "agent": "main", **more}


def one(folder, value, name="a.traj") -> Session:
    got = read(folder, {name: json.dumps(value).encode()})
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def by_file() -> dict[str, list[Session]]:
    found: dict[str, list[Session]] = {}
    for session in read_sample("swe-agent").sessions:
        found.setdefault(session.messages[0].origins[0].file, []).append(session)
    return found


def test_turned_down_tries_stand_beside_the_accepted_answer_which_counts_once():
    tried, main = by_file()["tides-1.traj"]
    assert main.parent == tried.id
    assert [m.fault is not None for m in tried.messages if m.role == "assistant"] == [
        False,
        True,
        True,
        False,
    ]
    assert steps([tried, main]) == 6
    assert [c.name for m in main.messages for c in m.calls] == ["bash", "edit", "bash", "submit"]
    assert tried.messages[-1].calls == main.messages[4].calls


def test_a_run_that_gave_up_holds_its_last_tries_before_the_harness_says_so():
    (only,) = by_file()["tides-2.traj"]
    faults = [m.fault for m in only.messages if m.fault]
    assert faults[0] == "vim is not supported here."
    assert faults[-1].startswith("Exit due to repeated format")
    assert only.messages[-1].actor == "harness"
    assert [m.actor for m in only.messages if m.role == "assistant"] == ["agent"] * 5


def test_argument_text_stays_as_it_was_written():
    _, main = by_file()["tides-1.traj"]
    assert main.messages[4].calls[0].arguments == (
        '{"path": "tides.py", "old": "max", "new": "min" }'
    )


def test_the_command_is_found_behind_its_fence_not_in_the_thought(tmp_path):
    text = "I run ls to see.\n```\nls\n```\n"
    value = {"history": [row("user", "q"), row("assistant", text, action="ls\n", thought="x")]}
    session = one(tmp_path, value)
    assert shape(session)[1] == "assistant 'I run ls to see.\\n' bash(ls)"


def test_demonstrations_are_no_steps(tmp_path):
    demo = row("assistant", "demo", action="ls", is_demo=True)
    value = {
        "history": [row("system", "s"), demo, row("assistant", "a\n```\nls\n```", action="ls")]
    }
    session = one(tmp_path, value)
    assert steps([session]) == 1
    assert session.messages[1].actor == "harness"


def test_a_request_that_failed_is_an_error_not_an_answer(tmp_path):
    text = "Exit due to retry error: 500"
    session = one(tmp_path, {"history": [row("user", "q"), row("assistant", text, action="")]})
    assert session.messages[1].error == text
    assert session.messages[1].parts == ()


def test_steps_alone_make_a_session(tmp_path):
    step = {"action": "ls", "observation": "o", "response": "I look\n```\nls\n```", "thought": ""}
    session = one(tmp_path, {"trajectory": [step, step]})
    assert [m.role for m in session.messages] == ["assistant", "tool", "assistant", "tool"]


def test_attempts_are_runs_of_one_family(tmp_path):
    run = {"history": [row("user", "q"), row("assistant", "a", action="ls")], "trajectory": []}
    other = {"history": [row("user", "q"), row("assistant", "b", action="ls")], "trajectory": []}
    got = read(tmp_path, {"x.traj": json.dumps({"attempts": [run, other], **other}).encode()})
    assert got.counts.records == 2
    assert [s.messages[-1].text for s in got.sessions] == ["a", "b"]
    assert {s.family for s in got.sessions} == {"x"}


@needs_corpus
def test_the_real_files_hold_as_many_steps_and_results_as_plain_json_counts():
    got = ingest([LOGS])
    assert got.set_aside == ()
    answers = replies = 0
    for path in LOGS.rglob("*.traj"):
        history = json.loads(path.read_bytes())["history"]
        answers += sum(r["role"] == "assistant" for r in history)
        pairs = pairwise(history)
        replies += sum(a["role"] == "assistant" and b["role"] != "assistant" for a, b in pairs)
    assert len(got.sessions) == 19
    assert steps(got.sessions) == answers == 209
    assert sum(len(m.results) for s in got.sessions for m in s.messages) == replies
    assert sum(len(m.calls) for s in got.sessions for m in s.messages) == answers


@needs_corpus
def test_every_command_of_the_real_files_is_the_logged_action():
    for path in sorted(LOGS.rglob("*.traj")):
        history = json.loads(path.read_bytes())["history"]
        (session,) = ingest([path]).sessions
        for told, message in zip(history, session.messages, strict=True):
            for call in message.calls:
                if call.kind == "custom":
                    assert call.arguments == told["action"].strip("\r\n")
                    assert call.verbatim
                else:
                    assert call.arguments == told["tool_calls"][0]["function"]["arguments"]


MUTATED = [json.loads((SAMPLES / "swe-agent" / f"tides-{n}.traj").read_bytes()) for n in (1, 2)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_trajectory_with_anything_anywhere_never_raises(data, tmp_path_factory):
    survives(data, MUTATED, tmp_path_factory.mktemp("any"), "swe-agent")
