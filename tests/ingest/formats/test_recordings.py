"""HAR files and VCR cassettes: their entries are read as the formats of the providers."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep.ingest import ingest
from misstep.ingest.event_frames import frames
from misstep.ingest.formats import har, vcr
from reading import balances, read, shape, steps
from samples import LOGS, read_sample

CHAT = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
DONE = {
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}],
}
URL = "https://x/v1/chat/completions"


def cassette(body, told, uri=URL, status=200):
    asked = {"method": "POST", "uri": uri, "body": body, "headers": {}}
    return {"request": asked, "response": {"status": {"code": status}, "body": told}}


def har_entry(body, content, url=URL):
    posted = {"mimeType": "application/json", "text": json.dumps(body)} if body else None
    asked = {"method": "POST", "url": url, "postData": posted}
    response = {"status": 200, "content": content}
    return {"startedDateTime": "2026-01-01T00:00:00Z", "request": asked, "response": response}


def only(tmp_path, name, data):
    got = read(tmp_path, {name: data})
    return [shape(s) for s in got.sessions], got


def test_the_har_sample_is_read_by_four_formats():
    got = read_sample("har")
    balances(got)
    assert {name: book.used for name, book in got.counts.formats.items() if book.used} == {
        "anthropic-messages": 8,
        "bedrock-converse": 3,
        "openai-chat": 6,
        "openai-responses": 2,
    }
    assert got.counts.ignored["other-traffic"] == 2
    assert steps(got.sessions) == 19
    broken = [
        c.arguments
        for s in got.sessions
        for m in s.messages
        for c in m.calls
        if c.arguments.endswith("celsius}")
    ]
    assert broken == ['{"city": "Oslo", "unit": celsius}'] * 3


def test_the_vcr_sample_is_read_by_five_formats():
    got = read_sample("vcr")
    balances(got)
    assert {name: book.used for name, book in got.counts.formats.items() if book.used} == {
        "anthropic-messages": 9,
        "bedrock-converse": 5,
        "gemini": 4,
        "openai-chat": 10,
        "openai-responses": 3,
    }
    assert got.counts.ignored["other-traffic"] == 1
    assert steps(got.sessions) == 31


def test_origins_point_into_the_recording():
    got = read_sample("vcr")
    (first,) = [s for s in got.sessions if s.format == "gemini" and "umbrella" in shape(s)[1]]
    origin = first.messages[2].origins[0]
    assert (origin.file, origin.pointer) == (
        "gemini.yaml",
        "/interactions/0/response/candidates/0",
    )


@pytest.mark.parametrize(
    "told",
    [
        {"string": json.dumps(DONE)},
        {"string": json.dumps(DONE).encode()},
        {"string": gzip.compress(json.dumps(DONE).encode())},
        {"base64_string": base64.b64encode(json.dumps(DONE).encode()).decode()},
        json.dumps(DONE),
        DONE,
    ],
)
def test_a_cassette_holds_bodies_in_many_forms(tmp_path, told):
    value = {"interactions": [cassette(json.dumps(CHAT), told)], "version": 1}
    shapes, _ = only(tmp_path, "c.yaml", yaml.safe_dump(value).encode())
    assert shapes == [["user 'go'", "assistant 'done'"]]


def test_a_parsed_body_is_read(tmp_path):
    entry = cassette("", "")
    entry["request"] = {"method": "POST", "uri": URL, "parsed_body": CHAT}
    entry["response"] = {"status": {"code": 200}, "parsed_body": DONE}
    shapes, _ = only(tmp_path, "c.yml", yaml.safe_dump({"interactions": [entry]}).encode())
    assert shapes == [["user 'go'", "assistant 'done'"]]


def test_two_cassettes_of_one_conversation_are_one_session(tmp_path):
    answer = DONE["choices"][0]["message"]
    later = {**CHAT, "messages": [*CHAT["messages"], answer, {"role": "user", "content": "on"}]}
    files = {
        f"{name}.json": json.dumps({"interactions": [cassette(json.dumps(body), DONE)]}).encode()
        for name, body in (("b", CHAT), ("a", later))
    }
    got = read(tmp_path, files)
    assert [len(s.messages) for s in got.sessions] == [4]
    assert steps(got.sessions) == 2


def test_entries_that_are_no_model_traffic_are_ignored(tmp_path):
    entries = [
        har_entry(CHAT, {"text": json.dumps(DONE)}),
        har_entry(None, {"text": "<html>"}, "https://x/"),
        har_entry({"a": 1}, {"text": "{}"}, "https://x/track"),
        har_entry(CHAT, {"text": "{}"}, "https://x/v1/tokenize"),
        None,
    ]
    shapes, got = only(tmp_path, "x.har", json.dumps({"log": {"entries": entries}}).encode())
    assert shapes == [["user 'go'", "assistant 'done'"]]
    assert got.counts.ignored == {"other-traffic": 4}
    assert got.sessions[0].messages[1].time == 1767225600.0


def test_a_base64_body_is_read(tmp_path):
    text = base64.b64encode(json.dumps(DONE).encode()).decode()
    entry = har_entry(CHAT, {"text": text, "encoding": "base64"})
    shapes, _ = only(tmp_path, "x.har", json.dumps({"log": {"entries": [entry]}}).encode())
    assert shapes == [["user 'go'", "assistant 'done'"]]


@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_nothing(data):
    assert frames(data) is None or isinstance(frames(data), list)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_cassette_with_anything_anywhere_is_unwrapped(data):
    entry = cassette(json.dumps(CHAT), {"string": json.dumps(DONE)})
    half = data.draw(st.sampled_from(["request", "response"]))
    key = data.draw(st.sampled_from(["body", "status", "uri", "parsed_body", "headers"]))
    entry[half][key] = data.draw(JUNK)
    entry = data.draw(st.sampled_from([entry, {**entry, half: data.draw(JUNK)}]))
    for _, record in vcr.unwrap({"interactions": [entry, data.draw(JUNK)]}):
        json.dumps(record)
    list(har.unwrap({"log": {"entries": [entry, data.draw(JUNK)]}}))
    list(har.unwrap(data.draw(JUNK)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), junk=JUNK)
def test_a_changed_yaml_cassette_never_raises(tmp_path_factory, seed, junk):
    value = yaml.safe_load((LOGS / "vcr" / "gemini.yaml").read_text())
    at = value["interactions"][seed % 4][("request", "response")[seed % 2]]
    body = json.loads(at["body"] if isinstance(at["body"], str) else at["body"]["string"])
    key = sorted(body)[seed % len(body)]
    at["parsed_body"] = {**body, key: junk}
    folder = tmp_path_factory.mktemp("yaml")
    (folder / "c.yaml").write_text(yaml.safe_dump(value))
    balances(ingest([folder]))
