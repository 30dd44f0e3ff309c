"""LiteLLM: payloads that its own logger wrote, and rows of the spend log."""

from __future__ import annotations

import json

from misstep.types import Usage
from reading import balances, read_one, shape, steps
from samples import read_sample


def payload(**more):
    return {
        "id": "x",
        "call_type": "completion",
        "startTime": 1.0,
        "model": "m",
        "response_cost": 0,
        "hidden_params": {},
        "status": "success",
        "messages": [{"role": "user", "content": "hi"}],
        "response": {"choices": [{"message": {"content": "so"}, "finish_reason": "stop"}]},
        "model_parameters": {},
        **more,
    }


def test_the_sample_holds_what_the_script_played():
    got = read_sample("litellm")
    balances(got)
    assert len(got.sessions) == 5
    assert steps(got.sessions) == 10
    assert got.counts.used == 13
    answers = [s.messages[i] for s in got.sessions for i in s.steps]
    assert [c.name for a in answers for c in a.calls].count("count_stok") == 1
    assert all(c.verbatim for a in answers for c in a.calls)
    refused, limited = [a for a in answers if a.error]
    assert refused.calls[0].arguments == '{"article": "nails", "shelf": }'
    assert refused.error.startswith("HTTP 400: ")
    assert (limited.error[:8], limited.parts, limited.usage) == ("HTTP 429", (), None)
    assert {s.family for s in got.sessions} == {"store-1", "store-groq", "store-openai"}
    assert all(c.tools for s in got.sessions for c in s.contexts)


def test_a_spend_log_of_the_same_calls_adds_no_step():
    got = read_sample("litellm")
    assert got.counts.formats["litellm"].files == 2
    assert not any("spend" in (m.origins[0].row or "") for s in got.sessions for m in s.messages)


def test_json_texts_of_a_spend_log_are_opened(tmp_path):
    row = payload(
        request_id="r",
        spend=0.1,
        request_tags="[]",
        messages="{}",
        response=json.dumps(payload()["response"]),
        proxy_server_request=json.dumps(
            {"messages": payload()["messages"], "tools": [{"type": "function", "name": "look"}]}
        ),
        prompt_tokens=3,
        completion_tokens=1,
    )
    (session,) = read_one(tmp_path, row).sessions
    assert shape(session) == ["user 'hi'", "assistant 'so'"]
    assert [t.name for t in session.contexts[0].tools] == ["look"]
    assert session.messages[-1].usage == Usage(input_tokens=3, output_tokens=1)


def test_what_the_proxy_did_not_store_is_set_aside(tmp_path):
    empty = payload(messages="{}", response="{}", proxy_server_request="{}", spend=0)
    hidden = payload(messages=[{"role": "user", "content": "redacted-by-litellm"}], id="y")
    got = read_one(tmp_path, empty, hidden, payload(id="z"))
    assert [a.reason for a in got.set_aside] == ["not-stored", "not-stored"]


def test_other_kinds_of_calls_are_ignored_by_kind(tmp_path):
    got = read_one(tmp_path, payload(), payload(call_type="aembedding", id="e"))
    assert got.counts.ignored == {"aembedding": 1}


def test_a_payload_inside_a_loggers_arguments_is_found(tmp_path):
    got = read_one(tmp_path, {"standard_logging_object": payload()})
    assert len(got.sessions) == 1
    assert got.sessions[0].messages[-1].origins[0].pointer == "/standard_logging_object/response"
