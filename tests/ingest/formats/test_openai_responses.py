"""OpenAI Responses: the sample made by the SDK, small records, and real cassettes."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from corpus import CORPUS, needs_corpus
from misstep.config import IngestConfig
from misstep.ingest import ingest
from misstep.ingest.responses_stream import join_response
from misstep.ingest.stream import CUT, events
from reading import balances, read, read_one, reasons, shape, steps
from samples import read_sample

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}


def call(name="look", arguments="{}", number=1, **more):
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": name,
        "arguments": arguments,
        **more,
    }


def told(text, number=1):
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": text}


def said(text, number=1):
    part = {"type": "output_text", "text": text}
    return {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": [part]}


def pair(asked, *items, number=1, status="completed", **more):
    response = {"id": f"resp_{number}", "object": "response", "status": status, "output": [*items]}
    request = {"model": "m", "input": asked, "tools": [TOOL], **more.pop("request", {})}
    return {"request": request, "response": {**response, **more}}


def own_calls(got, *kinds):
    return [
        c for s in got.sessions for i in s.steps for c in s.messages[i].calls if c.kind in kinds
    ]


def test_the_sample_holds_what_the_script_played():
    got = read_sample("openai-responses")
    assert got.counts.used == 25
    assert len(got.sessions) == 15
    assert steps(got.sessions) == 25
    calls = own_calls(got, "function")
    assert len(calls) == 11
    assert '{"city": "Oslo", "unit": celsius}' in [c.arguments for c in calls]
    assert [c.name for c in own_calls(got, "hosted", "custom")] == ["web_search", "run_sql"]
    answers = [s.messages[i] for s in got.sessions for i in s.steps]
    assert [a.finish_reason for a in answers].count("refusal") == 1
    assert [a.finish_reason for a in answers].count("max_output_tokens") == 1
    assert [a.end for a in answers].count("cut") == 1
    assert [bool(a.error) for a in answers].count(True) == 2


def test_a_chain_of_previous_responses_is_one_session_whatever_the_order_of_files(tmp_path):
    first = pair("Oslo?", call(), number=1)
    second = pair(
        [told("rain")], said("Rain."), number=2, request={"previous_response_id": "resp_1"}
    )
    early = read(
        tmp_path / "a",
        {"1.json": json.dumps(first).encode(), "2.json": json.dumps(second).encode()},
    )
    late = read(
        tmp_path / "b",
        {"1.json": json.dumps(second).encode(), "2.json": json.dumps(first).encode()},
    )
    (session,) = early.sessions
    assert shape(session) == [
        "user 'Oslo?'",
        "assistant look({})",
        "tool ->'rain'",
        "assistant 'Rain.'",
    ]
    assert [s.id for s in late.sessions] == [session.id]
    assert steps(late.sessions) == 2


def test_instructions_belong_to_one_request_only(tmp_path):
    first = pair("Oslo?", said("Rain."), number=1, request={"instructions": "Be brief."})
    second = pair(
        "And Bergen?", said("Wind."), number=2, request={"previous_response_id": "resp_1"}
    )
    got = read_one(tmp_path, first, second)
    assert sorted(map(shape, got.sessions)) == [
        ["system 'Be brief.'", "user 'Oslo?'", "assistant 'Rain.'"],
        ["user 'Oslo?'", "assistant 'Rain.'", "user 'And Bergen?'", "assistant 'Wind.'"],
    ]
    assert steps(got.sessions) == 2


def test_a_request_whose_previous_response_is_in_no_log_stands_alone(tmp_path):
    got = read_one(
        tmp_path, pair("Go on.", said("No."), request={"previous_response_id": "resp_0"})
    )
    assert [shape(s) for s in got.sessions] == [["user 'Go on.'", "assistant 'No.'"]]


def test_item_references_stand_for_the_answer_that_holds_the_items(tmp_path):
    first = pair("Oslo?", {"type": "reasoning", "id": "rs_1", "summary": []}, call(), number=1)
    refs = [{"type": "item_reference", "id": "rs_1"}, {"type": "item_reference", "id": "fc_1"}]
    asked = [{"role": "user", "content": "Oslo?"}, *refs, told("rain")]
    got = read_one(tmp_path, first, pair(asked, said("Rain."), number=2))
    (session,) = got.sessions
    assert shape(session)[1:3] == ["assistant look({})", "tool ->'rain'"]
    assert steps(got.sessions) == 2


def test_a_conversation_goes_on_where_it_ended(tmp_path):
    kept = {"conversation": {"id": "conv_1"}}
    first = pair("Oslo?", said("Rain."), number=1, request=kept)
    second = pair("Sure?", said("Yes."), number=2, request=kept)
    (session,) = read_one(tmp_path, first, second).sessions
    assert len(session.messages) == 4


def test_tools_of_namespaces_and_of_searches_are_known(tmp_path):
    space = {"type": "namespace", "name": "crm", "tools": [{**TOOL, "name": "inside"}]}
    found = {
        "type": "tool_search_output",
        "execution": "client",
        "tools": [{**TOOL, "name": "found"}],
    }
    request = {"tools": [space, {"type": "tool_search"}]}
    asked = [{"role": "user", "content": "go"}, {**found, "call_id": "c"}]
    got = read_one(tmp_path, pair(asked, call("inside", namespace="crm"), request=request))
    (context,) = got.sessions[0].contexts
    assert {t.name for t in context.tools} == {"inside", "found", "tool_search"}


def test_tools_that_a_search_of_the_provider_loads_are_offered_to_the_same_answer(tmp_path):
    space = {"type": "namespace", "name": "crm", "tools": [{**TOOL, "name": "inside"}]}
    items = [
        {"type": "tool_search_call", "execution": "server", "arguments": {"q": "look"}},
        {"type": "tool_search_output", "execution": "server", "tools": [TOOL, space]},
        call("inside", namespace="crm"),
    ]
    request = {"tools": [{"type": "tool_search"}, TOOL]}
    (session,) = read_one(tmp_path, pair("go", *items, request=request)).sessions
    (context,) = session.contexts
    assert sorted(t.name for t in context.tools) == ["inside", "look", "tool_search"]


def test_namesakes_of_two_namespaces_lose_their_schema(tmp_path):
    spaces = [
        {"type": "namespace", "name": n, "tools": [{**TOOL, "parameters": {"title": n}}]}
        for n in ("a", "b")
    ]
    got = read_one(tmp_path, pair("go", call(), request={"tools": spaces}))
    assert [(t.name, t.parameters) for t in got.sessions[0].contexts[0].tools] == [("look", None)]


def test_hosted_calls_keep_what_came_of_them(tmp_path):
    items = [
        {"type": "mcp_call", "id": "mcp_1", "name": "roll", "arguments": '{"n":1}', "error": "no"},
        {"type": "code_interpreter_call", "id": "ci_1", "code": "1+1", "outputs": [{"logs": "2"}]},
    ]
    (session,) = read_one(tmp_path, pair("go", *items, said("2"))).sessions
    step = session.messages[1]
    assert [(c.name, c.kind, c.syntax) for c in step.calls] == [
        ("roll", "hosted", "json"),
        ("code_interpreter", "hosted", "code"),
    ]
    assert [(r.text, r.is_error) for r in step.results] == [("no", True), ('[{"logs":"2"}]', None)]


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ("auto", "auto"),
        ({"type": "function", "name": "look"}, "look"),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "required"),
        ({"type": "file_search"}, "required"),
    ],
)
def test_tool_choice_in_every_spelling(tmp_path, choice, read):
    got = read_one(tmp_path, pair("go", call(), request={"tool_choice": choice}))
    assert got.sessions[0].contexts[0].tool_choice == read


def test_what_allowed_tools_leaves_out_is_not_on_offer(tmp_path):
    other = {"type": "function", "name": "book", "parameters": {"type": "object"}}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [other]}
    asked = {"tools": [TOOL, other, {"type": "web_search"}], "tool_choice": choice}
    (context,) = read_one(tmp_path, pair("go", call(), request=asked)).sessions[0].contexts
    assert [tool.name for tool in context.tools] == ["book", "web_search"]
    assert context.tool_choice == "required"


def test_the_demanded_schema_is_kept(tmp_path):
    form = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    got = read_one(tmp_path, pair("go", said("{}"), request={"text": form}))
    assert got.sessions[0].contexts[0].response_schema == '{"type":"object"}'


def test_a_queued_response_is_no_answer(tmp_path):
    got = read_one(tmp_path, pair("go", status="queued"))
    assert reasons(got) == [(1, "no-answer")]


def test_other_calls_of_the_same_server_are_ignored(tmp_path):
    row = pair("go", said("x"))
    counts = {"url": "https://x/v1/responses/input_tokens", "request": row["request"]}
    got = read_one(tmp_path, row, {**counts, "response": {"input_tokens": 3, "object": "n"}})
    assert got.counts.ignored == {"other-traffic": 1}


def test_a_stream_is_the_response_of_its_last_event():
    whole = {"id": "r", "output": [call()], "status": "completed"}
    lines = [{"type": "response.created", "response": {"id": "r", "output": []}}]
    lines.append({"type": "response.completed", "response": whole})
    text = "".join(f"event: x\ndata: {json.dumps(line)}\n\n" for line in lines)
    assert join_response(events(text)) == {"object": "response", **whole}


def test_a_cut_stream_keeps_what_came():
    added = {"type": "response.output_item.added", "output_index": 0}
    delta = {"type": "response.function_call_arguments.delta", "output_index": 0}
    joined = join_response(
        [
            {**added, "item": {**call(), "arguments": ""}},
            {**delta, "delta": '{"a"'},
            {**delta, "delta": ": 1"},
        ]
    )
    assert joined[CUT]
    assert joined["output"][0]["arguments"] == '{"a": 1'


def test_an_answer_is_found_again_where_a_client_rewrote_a_hosted_call(tmp_path):
    search = {"type": "tool_search_call", "id": "ts_1", "call_id": None, "arguments": {"paths": []}}
    first = pair("go", search, call(), number=1)
    rewritten = {**search, "arguments": {"queries": ["x"]}}
    asked = [{"role": "user", "content": "go"}, rewritten, call(), told("ok")]
    got = read_one(tmp_path, first, pair(asked, said("done"), number=2))
    assert len(got.sessions) == 1
    assert steps(got.sessions) == 2


@needs_corpus
def test_real_cassettes_count_as_plain_code_counts_them():
    path = CORPUS / "logs/vcr/pydantic-ai-openai-responses.jsonl"
    ids: list[str] = []
    for line in path.read_text().splitlines():
        body = json.loads(line)["response"]
        if isinstance(body, str):
            done = [json.loads(x[5:]) for x in body.splitlines() if x.startswith("data: {")]
            items = [e["item"] for e in done if e["type"] == "response.output_item.done"]
        else:
            items = body.get("output") or []
        ids += [i["call_id"] for i in items if i["type"] == "function_call"]
    got = ingest([path], config=IngestConfig())
    balances(got)
    assert len(ids) == 98
    answered = [
        call
        for s in got.sessions
        for i in s.steps
        if s.messages[i].context is not None
        for call in s.messages[i].calls
        if call.kind == "function"
    ]
    # two cassettes repeat the same request and answer: copies of one session
    assert Counter(ids) - Counter(call.id for call in answered) == {"call_0": 2}
    assert len(answered) == 96
    offered = [
        call.name in {t.name for t in s.context_of(i).tools}
        for s in got.sessions
        for i in s.steps
        if s.messages[i].context is not None
        for call in s.messages[i].calls
    ]
    assert all(offered)
    assert got.counts.used == 197
    assert got.counts.ignored == {"other-traffic": 1}
