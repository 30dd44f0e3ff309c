"""Google ADK: the sample, both cases of names, faults and errors, sub-agents, eval sets, files."""

from __future__ import annotations

import copy
import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Outcome
from reading import balances, read, read_one, shape, steps
from samples import read_sample


def event(author: str, *parts: dict, **more: object) -> dict:
    role = "user" if author == "user" else "model"
    content = {"parts": list(parts), "role": role}
    return {"author": author, "invocation_id": "i", "content": content, **more}


def text(said: str, **more: object) -> dict:
    return {"text": said, **more}


def call(name: str, **args: object) -> dict:
    return {"function_call": {"id": "c1", "name": name, "args": args}}


def gave(name: str, **response: object) -> dict:
    return {"function_response": {"id": "c1", "name": name, "response": response}}


def session(*events: dict, **more: object) -> dict:
    return {"id": "s", "app_name": "app", "user_id": "ada", "events": list(events), **more}


def test_the_sample_holds_what_the_script_played():
    got = read_sample("google-adk")
    balances(got)
    assert got.set_aside == ()
    by = {s.family.rsplit("/", 1)[-1]: s for s in got.sessions if s.parent is None}
    assert set(by) == {"eval-where_is_a17", "clean", "broken", "transfer", "unknown", "down"}
    assert [len(m.calls) for m in by["clean"].messages if m.role == "assistant"] == [1, 2, 0]
    assert by["broken"].messages[1].fault == "MALFORMED_FUNCTION_CALL"
    assert by["broken"].messages[-1].finish_reason == "SAFETY"
    (refused,) = by["unknown"].messages[2].results
    assert (refused.is_error, refused.cause) == (True, "model")
    assert by["down"].messages[1].error.startswith("UNAVAILABLE: 503")
    (billing,) = [s for s in got.sessions if s.parent is not None]
    assert billing.parent == by["transfer"].id
    assert {m.actor for m in billing.messages if m.role == "assistant"} == {"sub-agent"}


def test_a_session_in_the_database_and_as_json_is_one_session_with_copies():
    got = read_sample("google-adk")
    copies = {s.family.rsplit("/", 1)[-1]: s.copies for s in got.sessions}
    assert copies["broken"] == copies["transfer"] == copies["unknown"] == 2
    assert copies["clean"] == copies["down"] == 1


def test_both_cases_of_names_read_the_same(tmp_path):
    snake = session(
        event("user", text("hi")),
        event("a", call("f", x=1), finish_reason="STOP", usage_metadata={"prompt_token_count": 3}),
    )
    camel = json.loads(
        json.dumps(snake)
        .replace("function_call", "functionCall")
        .replace("finish_reason", "finishReason")
        .replace("usage_metadata", "usageMetadata")
        .replace("prompt_token_count", "promptTokenCount")
        .replace("app_name", "appName")
        .replace("user_id", "userId")
        .replace("invocation_id", "invocationId")
    )
    (one,), (two,) = (
        read_one(tmp_path / name, value).sessions for name, value in (("a", snake), ("b", camel))
    )
    assert one.id == two.id
    assert two.messages[1].usage.input_tokens == 3
    assert two.messages[1].calls[0].verbatim is False


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_gemini_could_not_read_is_the_models_fault(tmp_path, reason):
    broken = {
        "author": "a",
        "invocation_id": "i",
        "error_code": reason,
        "error_message": "print(f(",
    }
    (got,) = read_one(tmp_path, session(event("user", text("hi")), broken)).sessions
    answer = got.messages[1]
    assert (answer.fault, answer.finish_reason, answer.error) == ("print(f(", reason, None)


def test_another_error_code_is_a_request_that_failed(tmp_path):
    failed = {"author": "a", "invocation_id": "i", "error_code": "429", "error_message": "slow"}
    (got,) = read_one(tmp_path, session(event("user", text("hi")), failed)).sessions
    assert (got.messages[1].error, got.messages[1].parts) == ("429: slow", ())


def test_partial_pieces_and_events_without_words_are_no_steps(tmp_path):
    rows = (
        event("user", text("hi")), event("a", text("o"), partial=True), event("a", text("ok")),
        {"author": "a", "invocation_id": "i", "actions": {"state_delta": {"k": 1}}},
    )  # fmt: skip
    (got,) = read_one(tmp_path, session(*rows)).sessions
    assert shape(got) == ["user 'hi'", "assistant 'ok'"]


def test_thoughts_are_reasoning_and_code_is_hosted(tmp_path):
    code = {"executable_code": {"code": "1+1", "language": "PYTHON"}}
    output = {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "2"}}
    rows = (
        event("user", text("hi")),
        event("a", text("so", thought=True), code, output, text("2")),
    )
    (got,) = read_one(tmp_path, session(*rows)).sessions
    assert [p.kind for p in got.messages[1].parts] == ["reasoning", "call", "result", "text"]
    assert got.messages[1].calls[0].kind == "hosted"


def test_a_sub_agent_sees_what_the_lead_said_and_counts_its_own_steps(tmp_path):
    rows = (
        event("user", text("hi")), event("lead", call("transfer_to_agent", agent_name="sub")),
        event("lead", gave("transfer_to_agent")), event("sub", text("mine")),
        event("user", text("and?")), event("lead", text("back")),
    )  # fmt: skip
    got = read_one(tmp_path, session(*rows))
    lead, sub = got.sessions
    assert shape(lead) == [
        "user 'hi'",
        'assistant transfer_to_agent({"agent_name":"sub"})',
        "tool ->'{}'",
        "user '[sub] said: mine'",
        "user 'and?'",
        "assistant 'back'",
    ]
    assert sub.parent == lead.id
    assert shape(sub)[-1] == "assistant 'mine'"
    assert sub.messages[1].text == '[lead] called transfer_to_agent({"agent_name":"sub"})'
    assert steps(got.sessions) == 3


def test_parallel_agents_do_not_see_each_others_branch(tmp_path):
    rows = (
        event("user", text("hi")), event("x", text("one"), branch="all.x"),
        event("y", text("two"), branch="all.y"), event("z", text("both")),
    )  # fmt: skip
    _, second, last = read_one(tmp_path, session(*rows)).sessions
    assert shape(second) == ["user 'hi'", "assistant 'two'"]
    assert shape(last)[1:3] == ["user '[x] said: one'", "user '[y] said: two'"]


def test_eval_cases_are_sessions_and_their_status_is_the_outcome(tmp_path):
    turn = {
        "invocation_id": "i",
        "user_content": {"parts": [text("hi")]},
        "final_response": {"parts": [text("done")]},
        "intermediate_data": {
            "tool_uses": [{"name": "f", "args": {"a": 1}}, {"name": "g", "args": {}}],
            "tool_responses": [{"name": "f", "response": {"r": 1}}],
        },
    }
    asked = {"eval_set_id": "e", "eval_cases": [{"eval_id": "x", "conversation": [turn]}, {}]}
    got = read_one(tmp_path / "a", asked)
    (one,) = got.sessions
    assert shape(one) == [
        "user 'hi'",
        'assistant f({"a":1})',
        "tool ->'{\"r\":1}'",
        "assistant g({})",
        "assistant 'done'",
    ]
    assert [e.reason for e in got.set_aside] == ["no-answer"]
    measured = [{"actualInvocation": turn, "expectedInvocation": turn}]
    case = {"evalId": "x", "finalEvalStatus": 2, "evalMetricResultPerInvocation": measured}
    (two,) = read_one(tmp_path / "b", {"evalCaseResults": [case]}).sessions
    assert two.outcome == Outcome(resolved=False)
    assert (two.id, two.family) == (one.id, one.family)


def test_a_session_without_events_is_ignored(tmp_path):
    got = read_one(tmp_path, session())
    assert got.counts.ignored == {"empty-session": 1}


def test_the_older_database_with_a_column_for_each_field_is_read(tmp_path):
    base = tmp_path / "logs" / "adk.db"
    base.parent.mkdir()
    columns = ("id", "app_name", "user_id", "session_id", "invocation_id", "author", "timestamp")
    with sqlite3.connect(base) as db:
        db.execute("CREATE TABLE sessions (app_name TEXT, user_id TEXT, id TEXT)")
        named = ", ".join(f"{column} TEXT" for column in columns)
        db.execute(f"CREATE TABLE events ({named}, content TEXT, actions BLOB, error_code TEXT)")
        rows = [
            ("user", event("user", text("hi"))["content"], None),
            ("a", event("a", call("f", x=1))["content"], None),
            ("a", None, "MALFORMED_FUNCTION_CALL"),
            ("a", "{", None),
        ]
        for at, (author, content, code) in enumerate(rows):
            body = content if content is None or content == "{" else json.dumps(content)
            start = (str(at), "app", "ada", "s", "i", author, "2026-01-01 00:00:00")
            marks = ", ".join("?" * 10)
            db.execute(f"INSERT INTO events VALUES ({marks})", (*start, body, b"\x80", code))
    db.close()
    got = read(tmp_path / "logs", {})
    (one,) = got.sessions
    assert shape(one) == ["user 'hi'", 'assistant f({"x":1})', "assistant"]
    assert one.messages[2].fault == "MALFORMED_FUNCTION_CALL"
    assert len(got.set_aside) == 1


@needs_corpus
def test_real_sessions_count_as_plain_code_counts_them():
    folder = CORPUS / "logs" / "google-adk"
    got = ingest([folder])
    balances(got)
    assert got.set_aside == ()
    answers = calls = 0
    for path in folder.glob("*.session.json"):
        for row in json.loads(path.read_text())["events"]:
            kinds = [set(part) for part in row["content"]["parts"]]
            answers += row["author"] != "user" and not any("function_response" in k for k in kinds)
            calls += sum("function_call" in k for k in kinds)
    case = json.loads((folder / "home_automation_agent__simple_test.test.json").read_text())
    uses = case["eval_cases"][0]["conversation"][0]["intermediate_data"]["tool_uses"]
    own = [s.messages[i] for s in got.sessions for i in s.steps]
    assert len(own) == answers + len(uses) + 1
    assert sum(len(m.calls) for m in own) == calls + len(uses)
    tooled = [s for s in got.sessions if s.contexts]
    assert [t.name for s in tooled for t in s.contexts[0].tools] == ["update_fc"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    rows = [
        session(event("user", text("hi")), event("a", call("f", x=1)), event("b", gave("f", y=2))),
        {"eval_set_id": "e", "eval_cases": [{"eval_id": "x", "conversation": []}]},
    ]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), "google-adk")
