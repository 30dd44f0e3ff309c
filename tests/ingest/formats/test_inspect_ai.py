"""Inspect AI logs: the sample against its script, pools, spans, retries, real logs, mutations."""

from __future__ import annotations

import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Outcome, Session
from reading import read, read_one, shape, steps
from samples import read_sample

LOGS = CORPUS / "logs" / "inspect-ai"


def user(text: str) -> dict:
    return {"role": "user", "content": text, "source": "input"}


def answer(text: str, *calls: dict, name: str = "m") -> dict:
    return {"id": name, "role": "assistant", "content": text, "tool_calls": list(calls)}


def call(name: str, arguments: object, **more: object) -> dict:
    return {"id": name, "function": "tide", "arguments": arguments, **more}


def result(name: str, text: str, **more: object) -> dict:
    return {"role": "tool", "content": text, "tool_call_id": name, "function": "tide", **more}


def model(given: list, said: dict, **more: object) -> dict:
    output = {"model": "m1", "choices": [{"message": said, "stop_reason": "stop"}]}
    return {
        "event": "model",
        "model": "p/m1",
        "input": given,
        "tools": [],
        "tool_choice": "auto",
        "config": {},
        "output": output,
        **more,
    }


def sample(events: list, messages: list, **more: object) -> dict:
    return {
        "id": 1,
        "epoch": 1,
        "input": "q",
        "target": "a",
        "messages": messages,
        "events": events,
        **more,
    }


def only(got) -> Session:
    assert got.set_aside == ()
    (one,) = got.sessions
    return one


def by_file() -> dict[str, list[Session]]:
    found: dict[str, list[Session]] = {}
    for session in read_sample("inspect-ai").sessions:
        name = session.messages[-1].origins[0].file.rpartition("/")[2]
        found.setdefault(name, []).append(session)
    return found


def test_the_script_of_every_way_to_go_wrong_is_ten_steps():
    (ways,) = by_file()["ways.eval"]
    calls = [c for m in ways.messages for c in m.calls]
    assert len(list(ways.steps)) == 10
    assert len(calls) == 10
    broken = calls[1]
    assert broken.arguments == '{"port": "Brest", "hour": 4'
    assert broken.verbatim
    assert broken.fault is not None
    assert broken.fault.startswith("Error parsing the following tool call arguments")
    assert [c.fault is None for c in calls].count(False) == 1
    assert ways.outcome == Outcome(reward=1.0, resolved=True)


def test_the_causes_of_the_errors_are_those_of_the_script():
    (ways,) = by_file()["ways.eval"]
    errors = [(r.hint, r.cause) for m in ways.messages for r in m.results if r.is_error]
    assert errors == [
        ("parsing", "model"),
        ("parsing", "model"),
        ("parsing", "model"),
        ("parsing", "model"),
        ("unknown", None),
        ("timeout", "infrastructure"),
        ("permission", None),
    ]


def test_every_step_knows_the_tools_and_the_limits_of_its_request():
    (ways,) = by_file()["ways.eval"]
    offers = {ways.context_of(step) for step in ways.steps}
    assert len(offers) == 1
    (offer,) = offers
    assert [tool.name for tool in offer.tools] == ["tide"]
    assert json.loads(offer.tools[0].parameters or "")["required"] == ["port", "hour"]
    assert (offer.tool_choice, offer.max_tokens, offer.temperature) == ("auto", 200, 0.5)


def test_the_grader_is_no_step():
    said = [m.text for s in read_sample("inspect-ai").sessions for m in s.messages]
    assert not [text for text in said if "GRADE" in text]


def test_epochs_are_sessions_of_one_family_and_the_failed_request_too():
    files = by_file()
    first, second = files["epochs.json"]
    assert first.family == second.family == files["broken.json"][0].family
    assert first.parent is second.parent is None
    assert [s.messages[-1].finish_reason for s in (first, second)] == [
        "content_filter",
        "max_tokens",
    ]


def test_a_failed_request_is_an_error_without_parts():
    (broken,) = by_file()["broken.json"]
    last = broken.messages[-1]
    assert last.parts == ()
    assert "400" in (last.error or "")
    assert last.fault is None


def test_a_sub_agent_names_the_session_that_called_it():
    main, pilot = by_file()["crew.eval"]
    assert pilot.parent == main.id
    assert {pilot.messages[i].actor for i in pilot.steps} == {"sub-agent"}
    assert {main.messages[i].actor for i in main.steps} == {"agent"}


def test_what_react_put_in_the_place_of_the_last_answer_is_no_step():
    main, _ = by_file()["crew.eval"]
    assert [c.name for c in main.messages[-1].calls] == ["submit"]
    assert main.outcome == Outcome(reward=1.0, resolved=True)


def test_attachments_and_pools_give_the_same_session_as_plain_messages(tmp_path):
    long = "x" * 300
    one, two = user(long), answer("", call("c", {"port": "B"}))
    three, four = result("c", long), answer("done", name="n")
    plain = sample([model([one], two), model([one, two, three], four)], [one, two, three, four])
    pooled = sample(
        [
            model([], two, input_refs=[[0, 1]]),
            model([], four, input_refs=[[0, 3]]),
        ],
        [one, two, three, four],
        events_data={
            "messages": [
                user("attachment://h"),
                two,
                result("c", "attachment://h"),
            ],
            "calls": [],
        },
        attachments={"h": long},
    )
    for name, value in (("plain", plain), ("pooled", pooled)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.json").write_text(json.dumps(value))
    first, second = (only(ingest([tmp_path / name])) for name in ("plain", "pooled"))
    assert shape(first) == shape(second)
    assert first.id == second.id


def test_the_text_of_arguments_comes_from_the_providers_answer(tmp_path):
    said = answer("", call("c", {"a": 1, "b": 2}))
    wire = {"id": "c", "function": {"name": "tide", "arguments": '{ "b": 2, "a":1 }'}}
    response = {"choices": [{"message": {"tool_calls": [wire]}}]}
    events = [
        model([user("q")], said, call={"request": {}, "response": response}),
        model([user("q"), said, result("c", "r")], answer("x", name="n")),
    ]
    session = only(read_one(tmp_path, sample(events, [])))
    (got,) = session.messages[1].calls
    assert (got.arguments, got.verbatim) == ('{ "b": 2, "a":1 }', True)
    assert steps([session]) == 2


def test_a_retried_sample_keeps_the_first_attempt(tmp_path):
    failed = {"message": "boom", "events": [model([user("q")], answer("first try"))]}
    kept = sample([model([user("q")], answer("second try"))], [], error_retries=[failed])
    got = read_one(tmp_path, kept)
    assert [s.messages[-1].text for s in got.sessions] == ["first try", "second try"]
    assert got.sessions[1].parent == got.sessions[0].id
    assert steps(got.sessions) == 2


def test_events_of_a_scorer_step_of_older_logs_are_left_out(tmp_path):
    scoring = {"event": "step", "type": "scorer", "name": "s"}
    events = [
        model([user("q")], answer("a")),
        {**scoring, "action": "begin"},
        model([user("grade")], answer("GRADE")),
        {**scoring, "action": "end"},
    ]
    assert shape(only(read_one(tmp_path, sample(events, [])))) == ["user 'q'", "assistant 'a'"]


def test_a_tools_own_events_of_older_logs_are_a_sub_agents(tmp_path):
    said = answer("", call("c", {}))
    inner = {"event": "tool", "id": "c", "events": [model([user("sub")], answer("inner"))]}
    got = read_one(tmp_path, sample([model([user("q")], said), inner], []))
    main, sub = got.sessions
    assert sub.parent == main.id
    assert sub.messages[-1].actor == "sub-agent"


def test_a_sample_of_the_first_logs_keeps_its_events_in_a_transcript(tmp_path):
    events = [model([user("attachment://h")], answer("a"))]
    older = sample([], [], transcript={"events": events, "content": {"h": "q"}})
    del older["events"]
    session = only(read_one(tmp_path, older | {"score": {"value": "I"}}))
    assert shape(session) == ["user 'q'", "assistant 'a'"]
    assert session.outcome == Outcome(reward=0.0, resolved=False)


def test_several_choices_are_several_answers(tmp_path):
    event = model([user("q")], answer("one"))
    event["output"]["choices"].append({"message": answer("two"), "stop_reason": "stop"})
    got = read_one(tmp_path, sample([event], []))
    assert [s.messages[-1].text for s in got.sessions] == ["one", "two"]


def test_samples_of_one_log_count_one_each_and_a_bad_one_is_set_aside(tmp_path):
    good = sample([model([user("q")], answer("a"))], [])
    bad = sample([], [{"role": "nobody", "content": ""}])
    log = {"version": 2, "eval": {"task": "t", "model": "m"}, "samples": [good, bad, 7]}
    got = read(tmp_path, {"log.json": json.dumps(log).encode()})
    assert got.counts.formats["inspect-ai"].records == 3
    assert [(a.origin.pointer, a.reason) for a in got.set_aside] == [
        ("/samples/1/messages/0/role", "bad-message"),
        ("/samples/2", "bad-message"),
    ]


@pytest.mark.parametrize(
    ("scores", "outcome"),
    [
        ({"s": {"value": "C"}}, Outcome(reward=1.0, resolved=True)),
        ({"s": {"value": "P"}}, Outcome(reward=0.5, resolved=False)),
        ({"s": {"value": True}}, Outcome(reward=1.0, resolved=True)),
        ({"s": {"value": {"a": 1}}, "t": {"value": 0.25}}, Outcome(reward=0.25)),
        ({"s": {"value": "text"}}, None),
        ("odd", None),
    ],
)
def test_scores_are_the_outcome(tmp_path, scores, outcome):
    value = sample([model([user("q")], answer("a"))], [], scores=scores)
    assert only(read_one(tmp_path, value)).outcome == outcome


@needs_corpus
def test_the_real_logs_hold_as_many_messages_as_plain_json_counts():
    got = ingest([LOGS])
    assert got.set_aside == ()
    expected = 0
    for path in sorted(LOGS.iterdir()):
        if path.suffix == ".json":
            samples = json.loads(path.read_bytes())["samples"]
        else:
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.startswith("samples/")]
                samples = [json.loads(archive.read(name)) for name in names]
        expected += sum(len(one["messages"]) for one in samples)
    assert sum(len(session.messages) for session in got.sessions) == expected
    assert len(got.sessions) == 8
    assert steps(got.sessions) == 16


@needs_corpus
def test_the_browser_log_keeps_its_arguments_byte_for_byte():
    (session,) = ingest([LOGS / "2025-05-12T20-27-36-04-00_browser.json"]).sessions
    calls = [c for m in session.messages for c in m.calls]
    assert [c.name for c in calls] == ["web_browser_go", *["web_browser_click"] * 3]
    assert all(c.verbatim for c in calls)
    assert len(session.context_of(1).tools) == 8


EVENTS = [
    {"event": "span_begin", "id": "s", "parent_id": None, "type": "tool"},
    model([user("q")], answer("", call("c", {"a": 1}, parse_error="no")), span_id="s"),
    model([], answer("x", name="n"), input_refs=[[0, 2], 1]),
]
MUTATED = {
    "version": 2,
    "eval": {"task": "t"},
    "samples": [
        sample(
            EVENTS,
            [user("q"), answer("", call("c", {})), result("c", "r", error={"type": "parsing"})],
            events_data={"messages": [user("q"), answer("a")], "calls": []},
            attachments={"h": "x"},
            scores={"s": {"value": "C"}},
        )
    ],
}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_log_with_anything_anywhere_never_raises(data, tmp_path_factory):
    survives(data, [MUTATED], tmp_path_factory.mktemp("any"), "inspect-ai")
