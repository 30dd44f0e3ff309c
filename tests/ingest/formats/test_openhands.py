"""OpenHands: the SDK's sample against its script, V0 events, condensations, real logs."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Outcome, Session
from reading import lines, read, shape, steps
from samples import LOGS as SAMPLES
from samples import read_sample

LOGS = CORPUS / "logs" / "openhands"


def response(name: str, text: str, *calls: tuple[str, str, str]) -> dict:
    made = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls
    ]
    message = {"role": "assistant", "content": text, "tool_calls": made}
    return {"id": name, "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}


def old(number: int, **more: object) -> dict:
    return {"id": number, "timestamp": "2026-01-02T03:04:05", "source": "agent", **more}


def asked(number: int, text: str) -> dict:
    return old(number, source="user", action="message", args={"content": text})


def ran(number: int, answer: dict, call_id: str, **more: object) -> dict:
    metadata = {"function_name": "execute_bash", "tool_call_id": call_id, "model_response": answer}
    return old(number, action="run", args={}, tool_call_metadata=metadata, **more)


def saw(number: int, cause: int, text: str, call_id: str, **extras: object) -> dict:
    metadata = {"function_name": "execute_bash", "tool_call_id": call_id}
    return old(
        number,
        observation="run",
        cause=cause,
        content=text,
        tool_call_metadata=metadata,
        extras=extras,
    )


def new(name: str, kind: str, **more: object) -> dict:
    base = {"id": name, "timestamp": "2026-01-02T03:04:05", "source": "agent", "kind": kind}
    return base | more


def said(name: str, role: str, text: str, **more: object) -> dict:
    message = {"role": role, "content": [{"type": "text", "text": text}]}
    source = "user" if role == "user" else "agent"
    return new(name, "MessageEvent", llm_message=message, source=source, **more)


def acted(name: str, call_id: str, arguments: str, answer: str, **more: object) -> dict:
    call = {"id": call_id, "name": "terminal", "arguments": arguments}
    rest = {"tool_call": call, "tool_call_id": call_id, "tool_name": "terminal"}
    return new(name, "ActionEvent", thought=[], llm_response_id=answer, action={}, **rest, **more)


def folder(events: list[dict], at: str = "run") -> dict[str, bytes]:
    return {
        f"{at}/events/event-{i:05d}-{e['id']}.json": json.dumps(e).encode()
        for i, e in enumerate(events)
    }


def one(got) -> Session:
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def test_the_script_of_the_sdk_is_ten_steps_with_the_failures_that_were_played():
    (session,) = read_sample("openhands").sessions
    assert len(list(session.steps)) == 10
    calls = [c for m in session.messages for c in m.calls]
    assert [c.name for c in calls] == [
        "file_editor",
        "terminal",
        "file_editor",
        "file_editor",
        "tide_table",
        "file_editor",
        "terminal",
        "terminal",
        "terminal",
        "finish",
    ]
    assert [c.fault is not None for c in calls].index(True) == 2
    assert (calls[2].arguments, calls[2].verbatim) == ("", False)
    blamed = [r.call_id for m in session.messages for r in m.results if r.cause == "model"]
    assert blamed == [calls[i].id for i in (2, 3, 4)]


def test_usage_model_and_tools_come_from_the_state_and_the_first_event():
    (session,) = read_sample("openhands").sessions
    assert {session.messages[i].model for i in session.steps} == {"openai/gpt-4o-mini"}
    assert all(session.messages[i].usage for i in session.steps)
    assert [t.name for t in session.context_of(2).tools] == [
        "terminal",
        "file_editor",
        "finish",
        "think",
    ]


def test_parallel_calls_are_one_answer_and_exit_codes_are_kept():
    (session,) = read_sample("openhands").sessions
    (both,) = [m for m in session.messages if len(m.calls) == 2]
    assert [c.index for c in both.calls] == [0, 1]
    assert [r.exit_code for m in session.messages for r in m.results if r.name == "terminal"] == [
        0,
        2,
        0,
        0,
    ]


def test_files_of_one_conversation_are_read_in_the_order_of_their_numbers(tmp_path):
    events = [said("a", "user", "q"), said("b", "assistant", "x"), said("c", "user", "r")]
    names = list(folder(events).items())
    first = one(read(tmp_path / "one", dict(names)))
    second = one(read(tmp_path / "two", dict(reversed(names))))
    assert shape(first) == ["user 'q'", "assistant 'x'", "user 'r'"]
    assert first.id == second.id


def test_a_condensation_goes_on_in_a_session_of_its_own_and_counts_no_step_twice(tmp_path):
    events = [
        said("s", "user", "q"),
        acted("a", "c1", "{}", "r1"),
        said("b", "assistant", "long"),
        new("x", "Condensation", forgotten_event_ids=["b"], summary="sum", summary_offset=1),
        said("c", "assistant", "after"),
    ]
    got = read(tmp_path, folder(events))
    before, after = got.sessions
    assert shape(after) == ["user 'q'", "user 'sum'", "assistant terminal({})", "assistant 'after'"]
    assert after.parent == before.id
    assert steps(got.sessions) == 3


def test_a_rewind_is_a_branch_that_shares_its_beginning(tmp_path):
    events = [
        said("s", "user", "q"),
        said("a", "assistant", "one", parent_id="s"),
        said("b", "assistant", "two", parent_id="s"),
    ]
    got = read(tmp_path, folder(events))
    assert [s.messages[-1].text for s in got.sessions] == ["one", "two"]
    assert got.sessions[1].prefix == 1
    assert steps(got.sessions) == 2


def test_a_sub_agents_folder_names_the_conversation_that_started_it(tmp_path):
    files = folder([said("s", "user", "q"), said("a", "assistant", "main")])
    files |= folder([said("t", "user", "sub"), said("b", "assistant", "x")], "run/subagents/1")
    main, sub = read(tmp_path, files).sessions
    assert sub.parent == main.id
    assert sub.messages[1].actor == "sub-agent"


def test_a_rejection_is_the_humans(tmp_path):
    no = new(
        "b",
        "UserRejectObservation",
        tool_call_id="c1",
        tool_name="terminal",
        rejection_reason="no",
        rejection_source="user",
        action_id="a",
    )
    session = one(read(tmp_path, folder([said("s", "user", "q"), acted("a", "c1", "{", "r"), no])))
    (result,) = session.messages[-1].results
    assert (result.is_error, result.cause, result.hint) == (True, "human", "user")


def test_one_answer_copied_into_several_events_is_one_step(tmp_path):
    both = response("r", "t", ("c1", "execute_bash", '{"a":1}'), ("c2", "execute_bash", "{}"))
    events = [
        asked(0, "q"),
        ran(1, both, "c1"),
        saw(2, 1, "one", "c1", metadata={"exit_code": 1}),
        ran(3, both, "c2"),
        saw(4, 3, "two", "c2"),
    ]
    session = one(read(tmp_path, {"t.json": json.dumps(events).encode()}))
    assert steps([session]) == 1
    assert [c.arguments for c in session.messages[1].calls] == ['{"a":1}', "{}"]
    assert [r.exit_code for m in session.messages for r in m.results] == [1, None]


def test_errors_without_an_action_are_the_harness_and_with_one_the_tools(tmp_path):
    events = [
        asked(0, "q"),
        ran(1, response("r", "", ("c1", "execute_bash", "{}")), "c1"),
        saw(2, 1, "boom", "c1") | {"observation": "error"},
        old(3, observation="error", content="no such function", extras={}),
    ]
    session = one(read(tmp_path, {"t.json": json.dumps(events).encode()}))
    assert session.messages[2].results[0].is_error is True
    assert session.messages[3].actor == "harness"


def test_a_delegates_events_are_a_sub_agents(tmp_path):
    events = [
        asked(0, "q"),
        old(1, action="delegate", args={"agent": "B", "inputs": {}}),
        old(2, action="message", args={"content": "inner"}),
        old(3, observation="delegate", cause=1, content="done", extras={}),
        old(4, action="finish", args={"final_thought": "end"}),
    ]
    got = read(tmp_path, {"t.json": json.dumps(events).encode()})
    main, sub = got.sessions
    assert shape(main)[-1] == "assistant 'end'"
    assert sub.parent == main.id
    assert sub.messages[0].actor == "sub-agent"


def test_a_line_of_results_keeps_its_instance_and_its_report(tmp_path):
    line = {
        "instance_id": "django-1",
        "history": [[asked(0, "q"), old(1, action="message", args={"content": "a"})]],
        "test_result": {"report": {"resolved": True}},
    }
    newer = {"instance_id": "django-2", "history": [said("a", "user", "q")], "report": {}}
    got = read(tmp_path, {"output.jsonl": lines(line, newer)})
    assert [(s.family, s.outcome) for s in got.sessions] == [
        ("django-1", Outcome(resolved=True)),
        ("django-2", None),
    ]
    assert got.counts.used == 3


def test_a_condensation_of_older_events_names_them_by_range(tmp_path):
    events = [
        asked(0, "q"),
        old(1, action="message", args={"content": "a"}),
        old(
            2,
            action="condensation",
            args={
                "forgotten_events_start_id": 1,
                "forgotten_events_end_id": 1,
                "summary": "s",
                "summary_offset": 1,
            },
        ),
        old(3, action="message", args={"content": "b"}),
    ]
    got = read(tmp_path, {"t.json": json.dumps(events).encode()})
    assert [shape(s) for s in got.sessions] == [
        ["user 'q'", "assistant 'a'"],
        ["user 'q'", "user 's'", "assistant 'b'"],
    ]


@needs_corpus
def test_the_real_files_hold_the_answers_that_plain_json_counts():
    got = ingest([LOGS])
    assert got.set_aside == ()
    answers: set[object] = set()
    arguments = []
    for path in sorted(LOGS.glob("*.json")):
        for event in json.loads(path.read_bytes()):
            raw = (event.get("tool_call_metadata") or {}).get("model_response")
            if event.get("action") and event["source"] == "agent":
                answers.add(raw["id"] if raw else (path.name, event["id"]))
            if event.get("action") and raw:
                message = raw["choices"][0]["message"]
                arguments += [c["function"]["arguments"] for c in message["tool_calls"]]
    assert steps(got.sessions) == len(answers)
    assert sorted(c.arguments for s in got.sessions for m in s.messages for c in m.calls) == sorted(
        arguments
    )


V1 = [
    json.loads(path.read_bytes())
    for path in sorted((SAMPLES / "openhands").rglob("*.json"))
    if path.name != "expected.json"
]
ANSWER = response("r", "t", ("c1", "execute_bash", '{"a":1}'))
FORGET = {"forgotten_event_ids": [1], "summary": "s", "summary_offset": 0}
V0 = [
    asked(0, "q"),
    ran(1, ANSWER, "c1"),
    saw(2, 1, "one", "c1", metadata={"exit_code": 1}),
    old(3, action="condensation", args=FORGET),
    old(4, action="delegate", args={}),
    old(5, action="message", args={"content": "x"}),
    old(6, observation="delegate", cause=4, content="d"),
    {"instance_id": "i", "history": [asked(0, "q"), said("a", "user", "q")]},
]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_events_with_anything_anywhere_never_raise(data, tmp_path_factory):
    rows = data.draw(st.sampled_from([V0, V1]))
    survives(data, rows, tmp_path_factory.mktemp("any"), "openhands")
