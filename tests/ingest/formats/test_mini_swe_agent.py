"""mini-swe-agent: the samples against their script, format errors, refusals, real logs."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import read, shape, steps
from samples import read_sample

LOGS = CORPUS / "logs" / "mini-swe-agent"
PROMPT = {"role": "system", "content": "End with echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"}
TASK = {"role": "user", "content": "task"}


def said(text: str) -> dict:
    return {"role": "assistant", "content": text}


def block(command: str) -> dict:
    return said(f"I try.\n\n```bash\n{command}\n```\n")


def returned(code: int, text: str = "out") -> dict:
    return {
        "role": "user",
        "content": f"<returncode>{code}</returncode>\n<output>\n{text}\n</output>",
    }


def sample(name: str) -> Session:
    found = read_sample("mini-swe-agent").sessions
    return next(s for s in found if name in s.messages[0].origins[0].file)


def one(folder, value) -> Session:
    got = read(folder, {"run.traj.json": json.dumps(value, indent=1).encode()})
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def test_the_answers_that_were_turned_down_are_in_their_place_with_their_text():
    calls = sample("calls")
    faults = [(m.text, [c.arguments for c in m.calls], m.fault) for m in calls.messages if m.fault]
    assert [arguments for _, arguments, _ in faults] == [
        ['{"command": "sort -n heights.txt'],
        ['{"command": "sort -n heights.txt"}'],
        [],
    ]
    assert "Error parsing tool call arguments" in faults[0][2]
    assert faults[1][2] == "Unknown tool 'terminal'."
    assert faults[2][0] == "The lowest is 1.2."
    assert len(list(calls.steps)) == 8


def test_exit_codes_are_those_of_the_commands():
    calls = sample("calls")
    results = [r for m in calls.messages for r in m.results]
    assert [r.exit_code for r in results] == [0, 2, 0, 0, -1]
    assert all(r.is_error is None for r in results)
    assert {r.name for r in results} == {"bash"}


def test_a_command_in_a_block_is_a_call_and_the_text_keeps_the_rest():
    blocks = sample("blocks")
    first = blocks.messages[2]
    (call,) = first.calls
    assert (call.arguments, call.kind, call.syntax) == ("cat heights.txt", "custom", "code")
    assert first.text == "THOUGHT: I look first.\n\n"
    assert [bool(m.fault) for m in blocks.messages if m.role == "assistant"] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]


def test_the_responses_api_keeps_its_argument_text():
    responses = sample("responses")
    calls = [c for m in responses.messages for c in m.calls]
    assert [c.arguments for c in calls][:2] == [
        '{"command": "cat heights.txt"}',
        '{"cmd": "sort -n heights.txt"}',
    ]
    assert [m.fault for m in responses.messages if m.fault] == [
        "Missing 'command' argument in bash tool call."
    ]


def test_the_three_runs_of_one_task_are_one_family():
    assert len({s.family for s in read_sample("mini-swe-agent").sessions}) == 1


def test_a_bare_list_of_messages_is_one_session(tmp_path):
    session = one(tmp_path, [PROMPT, TASK, block("ls"), returned(0), block("cat x"), returned(1)])
    assert [r.exit_code for m in session.messages for r in m.results] == [0, 1]
    assert steps([session]) == 2


def test_an_answer_without_a_block_is_turned_down_in_a_list(tmp_path):
    told = {"role": "user", "content": "Please provide exactly one action."}
    session = one(tmp_path, [PROMPT, TASK, said("no block"), told, block("ls"), returned(0)])
    assert session.messages[2].fault == told["content"]
    assert session.messages[3].actor == "harness"


def test_what_a_human_refused_is_the_humans(tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    rows = [
        PROMPT,
        TASK,
        {"role": "assistant", "content": "", "tool_calls": [call], "extra": {}},
        {
            "role": "tool",
            "tool_call_id": "c",
            "content": "-1",
            "extra": {"returncode": -1, "exception_info": "action was not executed"},
        },
        {"role": "user", "content": "no!", "extra": {"interrupt_type": "UserRejection"}},
    ]
    value = {"info": {}, "messages": rows, "trajectory_format": "mini-swe-agent-1.1"}
    session = one(tmp_path, value)
    assert session.messages[3].results[0].cause == "human"
    assert session.messages[3].results[0].hint == "no!"
    assert session.messages[4].actor == "human"


def test_the_note_of_the_exit_is_no_message(tmp_path):
    rows = [PROMPT, TASK, block("ls"), {"role": "exit", "content": "", "extra": {}}]
    got = read(
        tmp_path,
        {
            "a.json": json.dumps(
                {"messages": rows, "trajectory_format": "mini-swe-agent-1.1"}
            ).encode()
        },
    )
    assert got.counts.ignored == {"exit": 1}
    assert len(shape(got.sessions[0])) == 3


@needs_corpus
@pytest.mark.parametrize(("name", "answers"), [("github_issue", 10), ("local", 2)])
def test_the_real_lists_hold_as_many_steps_as_plain_json_counts(name, answers):
    path = LOGS / f"{name}.traj.json"
    rows = json.loads(path.read_bytes())
    (session,) = ingest([path]).sessions
    assert len(session.messages) == len(rows)
    assert steps([session]) == answers == sum(r["role"] == "assistant" for r in rows)
    codes = [r.exit_code for m in session.messages for r in m.results]
    assert [c for c in codes if c is not None] == [
        int(r["content"].split(">")[1].split("<")[0])
        for r in rows
        if r["content"].startswith("<returncode>")
    ]


ERROR = {"interrupt_type": "FormatError", "response": {"choices": [{"message": said("x")}]}}
ITEM = {"type": "function_call", "name": "bash", "call_id": "c", "arguments": "{}"}
MUTATED = [
    {
        "info": {"config": {"model": {"model_name": "m", "model_kwargs": {"temperature": 0}}}},
        "messages": [
            PROMPT,
            TASK,
            block("ls"),
            returned(0),
            {"role": "user", "content": "bad", "extra": ERROR},
            {"object": "response", "output": [ITEM], "status": "completed", "extra": {}},
            {"type": "function_call_output", "call_id": "c", "output": "o", "extra": {}},
        ],
        "trajectory_format": "mini-swe-agent-1.1",
    },
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_trajectory_with_anything_anywhere_never_raises(data, tmp_path_factory):
    rows = data.draw(st.sampled_from([MUTATED, MUTATED[0]["messages"]]))
    survives(data, rows, tmp_path_factory.mktemp("any"), "mini-swe-agent")
