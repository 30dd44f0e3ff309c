"""Bedrock Converse: the sample made by boto3, small records, and real cassettes."""

from __future__ import annotations

import json

from corpus import CORPUS, needs_corpus
from misstep.config import ValidateConfig
from misstep.ingest import ingest
from misstep.ingest.converse_stream import join_converse
from misstep.ingest.stream import CUT
from misstep.validate import settings, validate
from reading import balances, read_one, shape, steps
from samples import read_sample

GO = {"role": "user", "content": [{"text": "go"}]}


def use(name="look", number=1, **given):
    return {"toolUse": {"toolUseId": f"t{number}", "name": name, "input": given}}


def told(text, status=None, number=1):
    result = {"toolUseId": f"t{number}", "content": [{"text": text}]}
    return {"toolResult": {**result, "status": status} if status else result}


def pair(messages, *content, stop="end_turn", **request):
    output = {"message": {"role": "assistant", "content": [*content]}}
    usage = {"inputTokens": 5, "outputTokens": 2}
    return {
        "url": "https://x/model/us.some%3A0/converse",
        "request": {"messages": messages, **request},
        "response": {"output": output, "stopReason": stop, "usage": usage},
    }


def test_the_sample_holds_what_the_script_played():
    got = read_sample("bedrock-converse")
    assert got.counts.used == 21
    assert len(got.sessions) == 13
    assert steps(got.sessions) == 21
    answers = [s.messages[i] for s in got.sessions for i in s.steps]
    assert {a.model for a in answers} == {"misstep-sample"}
    calls = [c for a in answers for c in a.calls]
    assert [c.kind for c in calls].count("hosted") == 1
    assert [c.arguments for c in calls if c.verbatim] == [
        '{"city": "Oslo", "unit": celsius}',
        '{"city": "Oslo", "unit": "celsius"}',
        '{"city": ',
    ]
    (unread,) = [a for a in answers if a.fault]
    assert "invalid sequence as part of ToolUse" in unread.fault
    flags = [r.is_error for s in got.sessions for m in s.messages for r in m.results]
    assert flags.count(True) == 4


def test_a_call_that_the_client_had_to_rewrite_is_counted_once():
    got = read_sample("bedrock-converse")
    (session,) = [s for s in got.sessions if "How warm is it in Oslo?" in shape(s)[1]]
    assert [c.arguments for m in session.messages for c in m.calls] == [
        '{"city": "Oslo", "unit": celsius}',
        '{"city": "Oslo", "unit": "celsius"}',
    ]


def test_tools_choice_schema_and_limits_are_read(tmp_path):
    spec = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
    tools = [spec, {"cachePoint": {"type": "default"}}, {"systemTool": {"name": "nova_grounding"}}]
    structure = {"jsonSchema": {"name": "x", "schema": '{"type": "object"}'}}
    row = pair(
        [GO],
        {"text": "{}"},
        toolConfig={"tools": tools, "toolChoice": {"any": {}}},
        inferenceConfig={"maxTokens": 9, "temperature": 0.5},
        outputConfig={"textFormat": {"type": "json_schema", "structure": structure}},
    )
    (session,) = read_one(tmp_path, row).sessions
    (context,) = session.contexts
    assert [(t.name, t.parameters) for t in context.tools] == [
        ("look", '{"type":"object"}'),
        ("nova_grounding", None),
    ]
    assert (context.tool_choice, context.max_tokens) == ("required", 9)
    assert context.response_schema == '{"type": "object"}'
    assert session.messages[1].model == "us.some:0"


def test_results_keep_their_status_and_stand_before_the_users_words(tmp_path):
    back = {"role": "user", "content": [told("no", "error"), told("yes", number=2), {"text": "on"}]}
    said = {"role": "assistant", "content": [use(), use(number=2)]}
    (session,) = read_one(tmp_path, pair([GO, said, back], {"text": "Done."})).sessions
    assert shape(session)[2:4] == ["tool ->'no' ->'yes'", "user 'on'"]
    assert [r.is_error for r in session.messages[2].results] == [True, None]


def test_a_stop_reason_that_says_malformed_is_a_fault_of_the_model(tmp_path):
    row = pair([GO], {"text": ""}, stop="malformed_tool_use")
    assert read_one(tmp_path, row).sessions[0].messages[1].fault == "malformed_tool_use"


def test_a_throttled_request_is_an_error(tmp_path):
    row = {**pair([GO]), "response": {"message": "Too many requests"}, "status": 429}
    (step,) = [m for m in read_one(tmp_path, row).sessions[0].messages if m.role == "assistant"]
    assert step.error == 'HTTP 429: {"message":"Too many requests"}'
    assert step.fault is None


def test_a_stream_without_its_stop_is_cut():
    start = {"contentBlockStart": {"contentBlockIndex": 0, "start": use()}}
    delta = {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"a'}}}
    whole = join_converse([start, {"contentBlockDelta": delta}])
    assert whole[CUT]
    assert CUT not in join_converse([start, {"messageStop": {"stopReason": "tool_use"}}])


@needs_corpus
def test_real_cassettes_count_as_plain_code_counts_them():
    path = CORPUS / "logs/vcr/pydantic-ai-bedrock-converse.jsonl"
    ids: list[str] = []
    hosted = 0
    for line in path.read_text().splitlines():
        body = json.loads(line)["response"] or {}
        message = body.get("output", {}).get("message", {})
        for block in message.get("content", ()):
            if "toolUse" in block:
                ids.append(block["toolUse"]["toolUseId"])
                hosted += block["toolUse"].get("type") == "server_tool_use"
    got = ingest([path])
    balances(got)
    answered = [
        c
        for s in got.sessions
        for i in s.steps
        if s.messages[i].context is not None
        for c in s.messages[i].calls
    ]
    assert (len(ids), hosted) == (87, 2)
    assert sorted(c.id for c in answered) == sorted(ids)
    assert [c.name for c in answered if c.kind == "hosted"] == ["nova_code_interpreter"] * 2
    defects = [
        (f.code, f.evidence[:12])
        for s in got.sessions
        for f in validate(s, settings(ValidateConfig())).findings
        if f.level == "defect"
    ]
    assert sorted(defects) == [("NO_CALL", "tool_choice "), ("TOOL_ERROR", "get_capital:")]
