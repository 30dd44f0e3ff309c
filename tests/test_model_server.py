"""The local server that plays scripted answers for the makers of sample logs."""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_logs" / "make"))

from model_server import Call, Reply, serve

pytestmark = pytest.mark.source

BROKEN = Reply("Let me look.", calls=(Call("search", '{"q": "a",}'),))
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def post(url: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def test_chat_carries_broken_arguments_byte_for_byte():
    with serve([BROKEN]) as server:
        body = json.loads(post(f"{server.url}/v1/chat/completions", ASK))
    [choice] = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"q": "a",}'


def test_streams_add_up_to_the_same_arguments():
    with serve([BROKEN]) as server:
        text = post(f"{server.url}/v1/messages", {**ASK, "stream": True}).decode()
    events = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("partial_json", "") for delta in deltas) == '{"q": "a",}'


def test_replies_are_taken_in_order_and_the_last_one_repeats():
    with serve([Reply("one"), Reply("two")]) as server:
        answers = [json.loads(post(f"{server.url}/v1/responses", {"input": i})) for i in range(3)]
        assert [body["input"] for _, body in server.requests] == [0, 1, 2]
    assert [a["output"][0]["content"][0]["text"] for a in answers] == ["one", "two", "two"]


def test_a_function_may_choose_the_reply():
    with serve(lambda path, body: Reply(f"{path} {body['model']}")) as server:
        body = json.loads(post(f"{server.url}/v1/chat/completions", ASK))
    assert body["choices"][0]["message"]["content"] == "/v1/chat/completions m"


def test_gemini_reports_arguments_that_are_no_json_as_a_malformed_call():
    with serve([BROKEN]) as server:
        body = json.loads(post(f"{server.url}/v1beta/models/m:generateContent", {"contents": []}))
    assert body["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


def test_bedrock_answers_with_an_error_where_the_arguments_are_no_json():
    with serve([BROKEN]) as server, pytest.raises(urllib.error.HTTPError) as caught:
        post(f"{server.url}/model/m/converse", {"messages": []})
    assert caught.value.code == 424
    assert caught.value.headers["x-amzn-ErrorType"] == "ModelErrorException"


def test_an_error_has_its_status_and_body():
    with (
        serve([Reply(status=400, error={"error": {"message": "no"}})]) as server,
        pytest.raises(urllib.error.HTTPError) as caught,
    ):
        post(f"{server.url}/v1/chat/completions", ASK)
    assert json.loads(caught.value.read()) == {"error": {"message": "no"}}


def test_a_cut_stream_ends_without_its_end():
    with (
        serve([Reply("a text of some length", cut_after=2)]) as server,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        post(f"{server.url}/v1/chat/completions", {**ASK, "stream": True})
    assert caught.value.partial.count(b"data:") == 2


def test_models_are_listed():
    with serve([]) as server, urllib.request.urlopen(f"{server.url}/v1/models") as answer:
        assert json.loads(answer.read())["data"][0]["id"] == "misstep-sample"
