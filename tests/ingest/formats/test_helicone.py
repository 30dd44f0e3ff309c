"""Helicone: rows after its documents, with bodies of real clients."""

from __future__ import annotations

import json

from misstep.types import Outcome
from reading import balances, read_one, shape, steps
from samples import read_sample


def row(**more):
    return {
        "request_id": "r",
        "request_created_at": "2026-01-01T00:00:00Z",
        "request_body": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
        "response_body": {"choices": [{"message": {"content": "so"}, "finish_reason": "stop"}]},
        "response_status": 200,
        "request_properties": {"Helicone-Session-Id": "s"},
        **more,
    }


def test_the_sample_holds_what_the_script_played():
    got = read_sample("helicone")
    balances(got)
    assert (len(got.sessions), steps(got.sessions)) == (5, 9)
    by_family = {s.family: s for s in got.sessions}
    assert by_family["library-1"].outcome == Outcome(thumbs="down")
    calls = [c for m in by_family["library-1"].messages for c in m.calls]
    assert [c.arguments for c in calls] == [
        '{"author": "Jansson", "copies": "all"}',
        '{"author": "Jansson"',
        '{"author": "Jansson"}',
    ]
    assert by_family["library-2"].messages[-1].finish_reason == "length"
    assert by_family["library-3"].messages[-1].error.startswith("HTTP 503: ")
    assert by_family["library-4"].messages[-1].calls[0].arguments == '{"author":  "Aho"}'
    assert by_family["library-5"].messages[2].results[0].is_error is False
    assert [a.reason for a in got.set_aside] == ["no-answer"]


def test_bodies_as_json_text_read_like_objects(tmp_path):
    text = {k: json.dumps(v) if isinstance(v, dict) else str(v) for k, v in row().items()}
    (one,) = read_one(tmp_path / "a", row()).sessions
    (two,) = read_one(tmp_path / "b", text).sessions
    assert one.id == two.id
    assert (two.family, shape(two)) == ("s", ["user 'hi'", "assistant 'so'"])


def test_a_row_without_its_bodies_is_set_aside(tmp_path):
    got = read_one(tmp_path, row(request_body=None, response_body=None), row(request_id="q"))
    assert [a.reason for a in got.set_aside] == ["not-stored"]


def test_a_stream_that_broke_off_is_cut(tmp_path):
    chunk = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "so"}}]}
    (session,) = read_one(tmp_path, row(response_body=f"data: {json.dumps(chunk)}\n\n")).sessions
    assert (session.messages[-1].text, session.messages[-1].end) == ("so", "cut")


def test_a_page_of_the_api_holds_rows(tmp_path):
    got = read_one(tmp_path, {"data": [row(), row(request_id="q")], "error": None})
    assert got.counts.records == 2
    assert [s.copies for s in got.sessions] == [2]
