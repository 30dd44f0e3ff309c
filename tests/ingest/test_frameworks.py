"""Every framework's shape of a message reads to the same message; anything else is a Misfit."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.ingest.format import Misfit
from misstep.ingest.traces.feedback import outcome_of
from misstep.ingest.traces.framework_answers import answers, counted, refused
from misstep.ingest.traces.framework_asked import asked, offer_of, tools_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.frameworks import messages_of, paired, transcript
from misstep.types import Outcome, Usage

ARGS = {"city": "Oslo"}
RAW = '{"city":  "Oslo"}'
FUNCTION = {"name": "look", "arguments": RAW}
CALLS = {
    "openai": {
        "role": "assistant",
        "content": "so",
        "tool_calls": [{"id": "c", "function": FUNCTION}],
    },
    "langfuse": {
        "role": "assistant",
        "content": "so",
        "additional_kwargs": {"tool_calls": [{"id": "c", "function": FUNCTION}]},
    },
    "langchain dumps": {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", "AIMessage"],
        "kwargs": {
            "content": "so",
            "tool_calls": [{"name": "look", "args": ARGS, "id": "c"}],
            "additional_kwargs": {"tool_calls": [{"id": "c", "function": FUNCTION}]},
        },
    },
    "langchain chunk": {
        "type": "AIMessageChunk",
        "data": {
            "content": [{"type": "text", "text": "so"}],
            "tool_calls": [{"name": "look", "args": ARGS, "id": "c"}],
            "tool_call_chunks": [{"name": "look", "args": RAW, "id": "c", "index": 0}],
        },
    },
    "langchain responses": {
        "type": "ai",
        "content": [
            {"type": "text", "text": "so"},
            {"type": "function_call", "name": "look", "arguments": RAW, "call_id": "c"},
        ],
        "tool_calls": [{"name": "look", "args": ARGS, "id": "c"}],
    },
    "gen_ai event": {
        "event.name": "gen_ai.choice",
        "message": {"content": "so", "tool_calls": [{"id": "c", "function": FUNCTION}]},
    },
    "gen_ai parts": {
        "role": "assistant",
        "parts": [
            {"type": "text", "content": "so"},
            {"type": "tool_call", "id": "c", "name": "look", "arguments": RAW},
        ],
    },
    "pydantic-ai": {
        "kind": "response",
        "parts": [
            {"part_kind": "text", "content": "so"},
            {"part_kind": "tool-call", "tool_name": "look", "args": RAW, "tool_call_id": "c"},
        ],
    },
    "agno": "role='assistant' content='so' name=None tool_calls=[{'id': 'c', 'function': "
    "{'name': 'look', 'arguments': '{\"city\":  \"Oslo\"}'}}] metrics=M(a=1, b=[2, 3])",
}
OBJECTS = {
    "anthropic": {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "c", "name": "look", "input": ARGS},
        ],
    },
    "gemini": {
        "role": "model",
        "parts": [{"text": "so"}, {"function_call": {"id": "c", "name": "look", "args": ARGS}}],
    },
    "bedrock": {
        "role": "assistant",
        "content": [
            {"text": "so"},
            {"toolUse": {"toolUseId": "c", "name": "look", "input": ARGS}},
        ],
    },
    "vercel": {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "so"},
            {"type": "tool-call", "toolCallId": "c", "toolName": "look", "input": ARGS},
        ],
    },
    "langchain plain": {
        "type": "ai",
        "content": "so",
        "tool_calls": [{"name": "look", "args": ARGS, "id": "c"}],
    },
}
RESULTS = {
    "openai": {"role": "tool", "tool_call_id": "c", "content": "rain"},
    "langchain": {"type": "tool", "content": "rain", "tool_call_id": "c", "status": "success"},
    "responses": {"type": "function_call_output", "call_id": "c", "output": "rain"},
    "anthropic": {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c", "content": "rain"}],
    },
    "vercel": {
        "role": "tool",
        "content": [
            {
                "type": "tool-result",
                "toolCallId": "c",
                "toolName": "look",
                "output": {"type": "text", "value": "rain"},
            }
        ],
    },
    "gen_ai parts": {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "c", "response": "rain"}],
    },
    "pydantic-ai": {
        "kind": "request",
        "parts": [
            {
                "part_kind": "tool-return",
                "tool_name": "look",
                "content": "rain",
                "tool_call_id": "c",
            }
        ],
    },
    "autogen": {
        "type": "FunctionExecutionResultMessage",
        "source": "tools",
        "content": [{"call_id": "c", "content": "rain", "name": "look"}],
    },
}


def one(row):
    (message,) = messages_of(row, "")
    return message


@pytest.mark.parametrize("shape", CALLS)
def test_argument_text_is_kept_byte_for_byte_in_every_shape_that_has_it(shape):
    message = one(CALLS[shape])
    (call,) = message.calls
    assert (message.role, message.text) == ("assistant", "so")
    assert (call.id, call.name, call.arguments, call.verbatim) == ("c", "look", RAW, True)


@pytest.mark.parametrize("shape", OBJECTS)
def test_argument_objects_are_rendered_and_said_to_be(shape):
    message = one(OBJECTS[shape])
    (call,) = message.calls
    assert (message.role, message.text) == ("assistant", "so")
    assert (call.id, call.name, json.loads(call.arguments)) == ("c", "look", ARGS)
    assert not call.verbatim


@pytest.mark.parametrize("shape", RESULTS)
def test_a_result_is_a_tool_message_in_every_shape(shape):
    message = one(RESULTS[shape])
    (result,) = message.results
    assert (message.role, result.call_id, result.text) == ("tool", "c", "rain")
    assert result.is_error is None


def test_marks_of_failed_results_are_kept():
    failed = [
        {"type": "tool", "content": "no", "tool_call_id": "c", "status": "error"},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": True}],
        },
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c", "status": "error"}}]},
        "role='tool' content='no' tool_call_id='c' tool_call_error=True",
    ]
    assert [one(row).results[0].is_error for row in failed] == [True] * 4
    wrong = {"part_kind": "retry-prompt", "tool_name": "look", "tool_call_id": "c"}
    row = {"kind": "request", "parts": [{**wrong, "content": [{"type": "missing"}]}]}
    result = one(row).results[0]
    assert (result.is_error, result.cause) == (True, "model")


def test_a_call_that_did_not_parse_keeps_its_text_and_what_the_parser_said():
    message = one(
        {
            "type": "ai",
            "content": "",
            "tool_calls": [{"name": "look", "args": ARGS, "id": "a"}],
            "invalid_tool_calls": [
                {"name": "look", "args": '{"city": ', "id": "b", "error": "no JSON"}
            ],
        }
    )
    assert [(c.id, c.fault, c.index) for c in message.calls] == [
        ("a", None, 0),
        ("b", "no JSON", 1),
    ]
    assert message.calls[1].arguments == '{"city": '


def test_a_role_that_is_a_tools_name_is_that_tools_result():
    call = CALLS["openai"]
    made = paired([one(call), one({"role": "look", "content": "rain"})])
    (result,) = made[1].results
    assert (result.call_id, result.name, result.text) == ("c", "look", "rain")


def test_results_without_ids_go_to_the_calls_in_their_order():
    calls = {"role": "model", "parts": [{"functionCall": {"name": n}} for n in ("a", "b", "a")]}
    told = [
        {"role": "user", "parts": [{"functionResponse": {"name": n, "response": {"output": 1}}}]}
        for n in ("a", "a", "b")
    ]
    made = paired([one(calls), *(one(row) for row in told)])
    assert [m.results[0].name for m in made[1:]] == ["a", "a", "b"]


def test_definitions_of_tools_that_pose_as_messages_become_tools():
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    heard = asked([{"role": "user", "content": "hi"}, {"role": "tool", "content": tool}])
    assert [row["role"] for row, _ in heard.rows] == ["user"]
    assert heard.offer["tools"] == [tool]


def test_a_flattened_transcript_has_its_speakers_and_other_text_none():
    assert [m.role for m in transcript("system: be brief\nuser: hi\nthere")] == ["system", "user"]
    assert transcript("system: be brief\nuser: hi\nthere")[1].text == "hi\nthere"
    assert [m.role for m in transcript("see user: hi")] == ["user"]


def test_offers_are_read_in_every_spelling():
    gemini = {
        "config": {
            "max_output_tokens": 5,
            "tools": [
                {"function_declarations": [{"name": "look", "parameters": {"type": "OBJECT"}}]}
            ],
        }
    }
    told = {"name": "look", "parameters": {"type": "object"}}
    assert offer_of(gemini) == {"max_tokens": 5, "tools": [told]}
    table = {"look": '{"parameters": {"type": "object"}}'}
    assert tools_of(table) == [told]
    nested = [{"type": "namespace", "name": "n", "tools": [told]}]
    assert tools_of(json.dumps(nested)) == [told]


def test_answers_are_read_in_every_providers_form():
    said = {
        "openai": {"choices": [{"message": {"content": "so"}, "finish_reason": "stop"}]},
        "anthropic": {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "so"}],
            "stop_reason": "stop",
        },
        "gemini": {
            "candidates": [{"content": {"parts": [{"text": "so"}]}, "finishReason": "stop"}]
        },
        "adk": {"content": {"parts": [{"text": "so"}]}, "finish_reason": "stop"},
        "langchain": {
            "generations": [[{"text": "so", "generation_info": {"finish_reason": "stop"}}]]
        },
        "responses": {
            "object": "response",
            "status": "stop",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "so"}]}],
        },
        "vercel": {"text": "so", "finishReason": "stop"},
        "choice": {"message": {"role": "assistant", "content": "so"}, "finish_reason": "stop"},
    }
    for form, body in said.items():
        (answer,) = answers(body)
        assert (form, answer.text, answer.finish_reason) == (form, "so", "stop")
    assert [m.text for m in answers("so")] == ["so"]
    assert answers(None) == answers({}) == []


def test_items_of_one_answer_are_one_message():
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "name": "a", "arguments": "{}", "call_id": "1"},
        {"type": "function_call", "name": "b", "arguments": "{", "call_id": "2"},
    ]
    (answer,) = answers({"object": "response", "status": "completed", "output": items})
    assert answer.reasoning == "hm"
    assert [(c.index, c.id, c.arguments) for c in answer.calls] == [(0, "1", "{}"), (1, "2", "{")]


def test_geminis_malformed_call_is_found_in_its_finish_message():
    said = 'Malformed function call: look({"city": })'
    body = {"content": {"parts": []}, "finish_reason": "MALFORMED_FUNCTION_CALL"}
    (answer,) = answers({**body, "error_message": said})
    assert answer.fault == said


def test_a_refused_generation_is_found_in_an_error():
    body = {"error": {"failed_generation": '{"name": "look", "arguments": {"a": }}'}}
    for text in (f"Error: {json.dumps(body)}", f"Error code: 400 - {body!r}"):
        (part,) = refused(text)
        assert (part.call.name, part.call.arguments) == ("look", '{"a": }')
    assert refused("Error code: 429") == ()


def test_only_scores_with_a_plain_name_are_an_outcome():
    assert outcome_of([("toxicity", 1.0)]) is None
    assert outcome_of([("Correctness", 0.25)]) == Outcome(reward=0.25)
    assert outcome_of([("user-feedback", "thumbs_down")]) == Outcome(thumbs="down")
    assert outcome_of([("user_score", 1), ("Success", False)]) == Outcome(
        thumbs="up", resolved=False
    )
    assert outcome_of([("user_score", 0.4)]) is None


def test_counts_of_tokens_are_read_in_every_spelling():
    told = Usage(input_tokens=3, output_tokens=2)
    for ins, outs in (
        ("prompt_tokens", "completion_tokens"),
        ("input_tokens", "output_tokens"),
        ("input", "output"),
        ("promptTokenCount", "candidatesTokenCount"),
    ):
        assert counted({ins: 3, outs: 2}) == told
    assert counted({}) is counted("x") is None


def test_json_inside_text_is_opened_but_not_without_end():
    assert opened('{"a": "[1]"}') == {"a": "[1]"}
    assert opened(json.dumps(json.dumps({"a": 1}))) == {"a": 1}
    deep = "[" * 300 + "]" * 300
    assert opened(deep) == deep
    assert opened("{not json}") == "{not json}"


KEYS = st.sampled_from(
    [
        *("role", "content", "type", "messages", "parts", "tool_calls", "function", "name"),
        *("arguments", "kwargs", "lc", "id", "data", "output", "choices", "generations", "input"),
        *("message", "update", "additional_kwargs", "invalid_tool_calls", "args", "error"),
        *("config", "tools", "candidates", "text", "finish_reason", "usage", "kind", "part_kind"),
    ]
)
WORDS = st.sampled_from(
    [
        *("assistant", "user", "tool", "ai", "text", "tool_call", "tool_use", "constructor"),
        *("function_call", "AIMessage", "request", "response", "{}", "[1]", "role='user' content="),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(value=JSON)
def test_any_json_is_read_or_a_misfit(value):
    for read in (asked, answers, lambda v: messages_of(v, ""), offer_of_any):
        with suppress(Misfit):
            read(value)


def offer_of_any(value):
    return offer_of(value) if isinstance(value, dict) else None


SOUND = {"id": "audio_1", "data": "@@@langfuseMedia:type=audio/wav|id=a@@@", "transcript": "Rain."}
SPOKEN = {
    "chat": {"role": "assistant", "content": None, "audio": SOUND},
    "chat, the sound as a reference": {"role": "assistant", "audio": SOUND["data"]},
    "a completion": {"choices": [{"message": {"role": "assistant", "audio": SOUND}}]},
    "a list": [{"role": "assistant", "content": "", "audio": SOUND}],
    "langchain": {"type": "ai", "content": "", "additional_kwargs": {"audio": SOUND}},
    "langchain in chat form": {
        "role": "assistant",
        "content": "",
        "additional_kwargs": {"audio": SOUND},
    },
    "the sound alone": SOUND,
}


@pytest.mark.parametrize("output", SPOKEN.values(), ids=SPOKEN.keys())
def test_a_spoken_answer_is_not_empty(output):
    (message,) = answers(output)
    assert [part.kind for part in message.parts] == ["image"]


def test_a_later_request_repeats_a_sound_by_its_id_alone():
    again = {"role": "assistant", "audio": {"id": "audio_1"}}
    assert messages_of(again, "") == answers(SPOKEN["chat"])


def test_words_beside_a_sound_are_the_answer():
    (message,) = answers({"role": "assistant", "content": "Rain.", "audio": SOUND})
    assert [part.kind for part in message.parts] == ["text"]


@pytest.mark.parametrize(
    "output",
    [
        {"role": "assistant", "content": None, "audio": None},
        {"content": None, "tool_calls": None, "refusal": None},
        {"model": "m", "usage": {"output": 0}, "finish_reason": "stop", "tool_calls": []},
    ],
)
def test_an_answer_that_holds_nothing_stays_empty(output):
    (message,) = answers(output)
    assert message.parts == ()


def test_a_parsed_object_is_an_answer_though_no_text():
    (message,) = answers({"city": "Oslo", "degrees": 4})
    assert [part.kind for part in message.parts] == ["image"]
