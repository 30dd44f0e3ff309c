"""Data sets as logs: ShareGPT, Hermes, ToolACE, xLAM, preference rows, and tables of chat rows."""

from __future__ import annotations

import json

import polars as pl
import pytest

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from reading import read, read_one, reasons, shape, steps
from samples import read_sample

NAMES = ("sharegpt", "hermes", "toolace", "xlam", "preference")


def calls(session):
    return [(c.name, c.arguments, c.verbatim) for m in session.messages for c in m.calls]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_recognised_and_nothing_is_set_aside(name):
    got = read_sample(name)
    assert set(got.counts.formats) == {name, "unknown"}  # unknown holds what was left out
    assert got.set_aside == ()


def test_the_argument_text_of_a_sharegpt_call_is_the_slice_of_its_turn():
    first = read_sample("sharegpt").sessions[0]
    assert calls(first) == [("get_weather", '{"city":  "Oslo", "days": 2}', True)]
    assert [t.name for t in first.contexts[0].tools] == ["get_weather", "book_table"]


def test_a_call_that_breaks_off_keeps_its_broken_text():
    assert calls(read_sample("sharegpt").sessions[3]) == [("get_weather", '{"city": "Oslo', True)]


def test_results_of_parallel_calls_stand_one_by_one():
    third = read_sample("sharegpt").sessions[2]
    assert [m.role for m in third.messages] == ["user", "assistant", "tool", "tool", "assistant"]


def test_hermes_tools_come_from_the_system_text_where_no_field_holds_them():
    got = read_sample("hermes")
    assert [[t.name for t in s.contexts[0].tools] for s in got.sessions] == [
        ["get_weather", "book_table"],
        ["get_weather", "book_table"],
    ]


def test_a_hermes_call_as_a_python_literal_is_read_but_is_not_verbatim():
    second = read_sample("hermes").sessions[1]
    assert calls(second) == [
        ("get_weather", '{"city":"Oslo"}', False),
        ("get_weather", '{"city": "Bergen", "day": 1}', True),
        ("book_table", '{"place": "Lofoten", "people": 2}', True),
    ]
    assert [r.text for m in second.messages for r in m.results] == [
        "rain",
        "sun",
        "time is missing",
    ]


def test_toolace_names_may_hold_blanks_and_text_with_brackets_is_no_call():
    first, second, third = read_sample("toolace").sessions
    assert calls(first) == [("Get Weather", '{"city":"Oslo","days":2}', False)]
    assert calls(second)[0][:2] == (
        "Book Table",
        'place="Lofoten", people=len(guests), time="20:00"',
    )
    assert calls(third) == []


def test_flat_parameters_of_xlam_become_a_schema():
    (tool,) = read_sample("xlam").sessions[0].contexts[0].tools
    assert json.loads(tool.parameters) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "City."},
            "days": {"type": "integer", "default": 1},
        },
        "required": ["city"],
    }


def test_a_preference_row_is_two_answers_to_one_prompt_with_thumbs():
    got = read_sample("preference")
    assert [s.outcome.thumbs for s in got.sessions] == ["up", "down"] * 4
    assert steps(got.sessions) == 8
    first, second = got.sessions[:2]
    assert (first.family, second.parent, second.prefix) == (second.family, first.id, 1)
    assert [c.arguments for c in second.messages[1].calls] == ['{"town": "Oslo"']


def test_an_implicit_prompt_is_what_both_sides_begin_with():
    last = read_sample("preference").sessions[-1]
    assert shape(last) == ["user 'Two fjords?'", "assistant 'No.'"]


def test_a_side_that_ends_in_no_answer_is_set_aside(tmp_path):
    row = {"prompt": "a", "chosen": [{"role": "user", "content": "x"}], "rejected": "b"}
    got = read_one(tmp_path, row, {"prompt": "a", "chosen": "c", "rejected": "b"})
    assert reasons(got) == [(1, "bad-message")]


def test_pairs_that_misstep_writes_are_read_back(tmp_path):
    row = {
        "prompt": [{"role": "user", "content": "Oslo?"}],
        "chosen": [{"role": "assistant", "content": "Rain."}],
        "rejected": [{"role": "assistant", "content": ""}],
        "tools": "[]",
        "source": "sibling",
    }
    pl.DataFrame([row]).write_parquet(tmp_path / "pairs.parquet")
    got = read(tmp_path, {})
    assert [s.messages[1].text for s in got.sessions] == ["Rain.", ""]


def test_agent_trace_columns_hold_messages_as_json_text(tmp_path):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    table = {
        "harness": ["codex"] * 2,
        "session_id": ["a", "b"],
        "messages": [[json.dumps(m) for m in messages], [json.dumps(messages[0])]],
        "tools": [[json.dumps(tool)], []],
    }
    pl.DataFrame(table).write_parquet(tmp_path / "traces.parquet")
    got = read(tmp_path, {})
    assert shape(got.sessions[0]) == ["user 'hi'", "assistant 'yes'"]
    assert [t.name for t in got.sessions[0].contexts[0].tools] == ["f"]


@needs_corpus
def test_the_real_sharegpt_file_reads_to_the_calls_that_plain_json_counts():
    path = CORPUS / "logs" / "sharegpt"
    rows = json.loads((path / "glaive_toolcall_en_80.json").read_text())
    distinct = {json.dumps(row): row for row in rows}
    got = ingest([path])
    assert sum(s.copies for s in got.sessions) == len(rows)
    assert sum(len(calls(s)) for s in got.sessions) == sum(
        turn["from"] == "function_call"
        for row in distinct.values()
        for turn in row["conversations"]
    )
