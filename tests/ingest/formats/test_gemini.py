"""Gemini: the sample made by the SDK, small records, and real cassettes."""

from __future__ import annotations

import json

import pytest

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.ingest.gemini_parts import join_generated, json_schema, unread_call
from misstep.ingest.stream import CUT
from reading import balances, read_one, shape, steps
from samples import read_sample


def content(role, *parts):
    return {"role": role, "parts": [{"text": p} if isinstance(p, str) else p for p in parts]}


def use(name="look", **args):
    return {"functionCall": {"name": name, "args": args}}


def told(value, name="look"):
    return {"functionResponse": {"name": name, "response": value}}


def pair(contents, *parts, finish="STOP", message=None, **request):
    candidate = {"content": content("model", *parts), "finishReason": finish, "index": 0}
    if message:
        candidate["finishMessage"] = message
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}
    return {"request": {"contents": contents, **request}, "response": answer}


def test_the_sample_holds_what_the_script_played():
    got = read_sample("gemini")
    assert got.counts.used == 21
    assert steps(got.sessions) == 21
    answers = [s.messages[i] for s in got.sessions for i in s.steps]
    (broken,) = [a for a in answers if a.finish_reason == "MALFORMED_FUNCTION_CALL"]
    (call,) = broken.calls
    assert (call.name, call.arguments) == (
        "get_weather",
        '{"city": "Oslo", "unit": celsius}',
    )
    assert call.fault.startswith("Malformed function call")
    (unexpected,) = [a for a in answers if a.finish_reason == "UNEXPECTED_TOOL_CALL"]
    assert unexpected.fault == "UNEXPECTED_TOOL_CALL"
    assert [a.end for a in answers].count("cut") == 1
    assert [a.error[:8] for a in answers if a.error] == ["HTTP 429"]
    assert len([c for a in answers for c in a.calls]) == 9


def test_open_api_schemas_are_read_as_json_schema():
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True, "enum": ["a"]},
            "n": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "2"},
        },
    }
    assert json_schema(schema) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["a", None]},
            "n": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        },
    }


@pytest.mark.parametrize("spelling", ["functionDeclarations", "function_declarations"])
def test_declarations_and_hosted_tools_are_offered(tmp_path, spelling):
    one = {"name": "a", "parameters": {"type": "OBJECT"}}
    two = {"name": "b", "parametersJsonSchema": {"type": "object", "title": "kept"}}
    tools = [{spelling: [one, two]}, {"googleSearch": {}}]
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}}
    row = pair([content("user", "go")], use("a"), tools=tools, toolConfig=config)
    (context,) = read_one(tmp_path, row).sessions[0].contexts
    assert [(t.name, t.parameters) for t in context.tools] == [
        ("a", '{"type":"object"}'),
        ("b", '{"type":"object","title":"kept"}'),
        ("googleSearch", None),
    ]
    assert context.tool_choice == "a"


def test_functions_that_the_config_does_not_allow_are_not_offered(tmp_path):
    tools = [{"functionDeclarations": [{"name": n} for n in "abc"]}, {"googleSearch": {}}]
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "c"]}}
    row = pair([content("user", "go")], use("a"), tools=tools, toolConfig=config)
    (context,) = read_one(tmp_path, row).sessions[0].contexts
    assert [tool.name for tool in context.tools] == ["a", "c", "googleSearch"]
    assert context.tool_choice == "required"


def test_results_without_ids_belong_to_their_calls_by_order_and_name(tmp_path):
    asked = [content("user", "go")]
    first = pair(asked, "I look.", use(x=1), use("other"))
    history = [*asked, content("model", "I look.", use(x=1), use("other"))]
    back = content("user", told({"error": "no"}), told({"output": "yes"}, "other"))
    (session,) = read_one(tmp_path, first, pair([*history, back], "Done.")).sessions
    assert shape(session) == [
        "user 'go'",
        "assistant 'I look.' look({\"x\":1}) other({})",
        "tool ->'no' ->'yes'",
        "assistant 'Done.'",
    ]
    assert [(r.name, r.is_error) for r in session.messages[2].results] == [
        ("look", True),
        ("other", None),
    ]


def test_an_answer_that_is_one_of_the_options_owes_no_json(tmp_path):
    options = {"type": "STRING", "enum": ["x", "y"]}
    config = {"responseMimeType": "text/x.enum", "responseSchema": options}
    asked = pair([content("user", "go")], {"text": "x"}, generationConfig=config)
    (context,) = read_one(tmp_path, asked).sessions[0].contexts
    assert (context.response_schema, context.json_mode) == (None, False)


def test_thoughts_code_and_its_result_keep_their_kinds(tmp_path):
    parts = [
        {"text": "hm", "thought": True},
        {"executableCode": {"code": "1/0", "language": "PYTHON"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "ZeroDivisionError"}},
    ]
    (session,) = read_one(tmp_path, pair([content("user", "go")], *parts)).sessions
    step = session.messages[1]
    assert step.reasoning == "hm"
    assert [(c.kind, c.syntax, c.arguments) for c in step.calls] == [("hosted", "code", "1/0")]
    assert [r.is_error for r in step.results] == [True]
    assert step.usage.output_tokens == 3


@pytest.mark.parametrize(
    ("said", "name", "arguments"),
    [
        ("Malformed function call: print(default_api.look(a=1)", "look", "look(a=1)"),
        ("Malformed function call: call:default_api:look{a:1}", "look", "{a:1}"),
    ],
)
def test_the_call_that_a_finish_message_quotes_is_found(said, name, arguments):
    call = unread_call(said)
    assert (call.name, call.arguments, call.fault) == (name, arguments, said)


def test_a_malformed_call_that_nothing_quotes_is_a_fault_of_the_answer(tmp_path):
    row = pair([content("user", "go")], finish="MALFORMED_FUNCTION_CALL", message="unreadable")
    assert read_one(tmp_path, row).sessions[0].messages[1].fault == "unreadable"


def test_a_blocked_prompt_is_an_error_and_no_answer(tmp_path):
    row = pair([content("user", "go")])
    row["response"] = {"promptFeedback": {"blockReason": "SAFETY"}}
    (step,) = [m for m in read_one(tmp_path, row).sessions[0].messages if m.role == "assistant"]
    assert "SAFETY" in step.error
    assert step.parts == ()


def test_chunks_add_up_and_a_missing_end_is_a_cut():
    def chunk(*parts, **more):
        return {"candidates": [{"content": content("model", *parts), **more}]}

    whole = join_generated([chunk("Hel"), chunk("lo"), chunk(use(), finishReason="STOP")])
    (candidate,) = whole["candidates"]
    assert candidate["content"]["parts"] == [{"text": "Hello"}, use()]
    assert CUT not in candidate
    assert join_generated([chunk("Hel")])["candidates"][0][CUT]


def test_the_form_of_the_python_client_is_read(tmp_path):
    config = {"system_instruction": {"parts": [{"text": "Be brief."}]}}
    config |= {"generation_config": {"response_mime_type": "application/json"}}
    row = pair([content("user", "go")], "{}", **config)
    (session,) = read_one(tmp_path, row).sessions
    assert shape(session)[0] == "system 'Be brief.'"
    assert session.contexts[0].json_mode


@needs_corpus
def test_real_cassettes_count_as_plain_code_counts_them():
    path = CORPUS / "logs/vcr/openinference-gemini-generateContent.jsonl"
    distinct = set()
    for line in path.read_text().splitlines():
        row = json.loads(line)
        body = row["response"]
        if isinstance(body, str):
            body = json.loads(body.splitlines()[0][5:])
        parts = body["candidates"][0]["content"]["parts"]
        calls = [
            (p["functionCall"]["name"], p["functionCall"]["args"])
            for p in parts
            if "functionCall" in p
        ]
        if calls:
            asked = {k: row["request"].get(k) for k in ("contents", "systemInstruction")}
            distinct.add(json.dumps([asked, calls], sort_keys=True))
    got = ingest([path])
    balances(got)
    answered = [
        s.messages[i]
        for s in got.sessions
        for i in s.steps
        if s.messages[i].context is not None and s.messages[i].calls
    ]
    assert got.counts.used == 29
    assert len(answered) == len(distinct)
