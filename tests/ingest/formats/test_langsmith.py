"""LangSmith: the sample that its SDK sent, and small runs."""

from __future__ import annotations

import json

import pytest

from misstep import store
from misstep.ingest import ingest
from misstep.types import Outcome
from reading import balances, lines, read, read_one, shape, steps
from samples import read_sample

ASKED = {"messages": [[{"type": "human", "content": "hi"}]]}


def run(id, kind="llm", **more):
    return {
        "id": id,
        "trace_id": "t",
        "run_type": kind,
        "name": id,
        "start_time": "2026-01-01T00:00:00.000000",
        "end_time": "2026-01-01T00:00:01.000000",
        "inputs": ASKED,
        **more,
    }


def said(text, **more):
    return {"generations": [[{"text": text, "message": {"type": "ai", "content": text, **more}}]]}


def test_the_sample_holds_what_the_script_played():
    got = read_sample("langsmith")
    balances(got)
    assert len(got.sessions) == 7
    assert steps(got.sessions) == 16
    assert got.counts.ignored["merged"] == 11
    whole = {s.family: s for s in got.sessions if s.parent is None}
    assert whole["desk-2"].outcome == Outcome(thumbs="down")
    assert whole["desk-3"].outcome == Outcome(thumbs="up")
    assert [s.parent for s in got.sessions if s.parent] == [whole["desk-3"].id]
    (broken,) = [c for s in got.sessions for m in s.messages for c in m.calls if c.fault]
    assert (broken.arguments, broken.verbatim) == ('{"city": "Turku", "day": ', True)
    reasons = [m.finish_reason for s in got.sessions for m in s.messages if m.finish_reason]
    assert sorted(set(reasons)) == ["length", "stop", "tool_calls"]
    tools = {t.name for s in got.sessions for c in s.contexts for t in c.tools}
    assert tools == {"get_weather", "book_table", "ask_guide", "look_up"}


def test_no_error_holds_a_traceback():
    got = read_sample("langsmith")
    told = [m.error for s in got.sessions for m in s.messages if m.error]
    told += [r.hint for s in got.sessions for m in s.messages for r in m.results if r.hint]
    assert len(told) == 2
    assert not any("Traceback" in text for text in told)


def test_pieces_of_one_run_are_merged_by_its_id_in_any_order(tmp_path):
    post = {k: v for k, v in run("a").items() if k != "end_time"}
    patch = {"id": "a", "trace_id": "t", "outputs": said("so"), "end_time": "2026-01-01T00:00:01"}
    for name, order in (("one", [post, patch]), ("two", [patch, post])):
        records = [{"post": [order[0]]}, {"patch": [order[1]]}]
        got = read_one(tmp_path / name, *records, format="langsmith")
        if name == "one":
            assert shape(got.sessions[0]) == ["user 'hi'", "assistant 'so'"]
            assert got.counts.ignored == {"merged": 1}
    got = read_one(tmp_path / "both", {"post": [{**post, "outputs": {}}], "patch": [patch]})
    assert shape(got.sessions[0]) == ["user 'hi'", "assistant 'so'"]


def test_a_trees_children_belong_to_its_trace(tmp_path):
    child = run("b", outputs=said("so"))
    del child["trace_id"]
    tree = run("a", "chain", inputs={}, outputs={}, child_runs=[child])
    got = read_one(tmp_path, tree)
    assert got.counts.records == 2
    assert [s.family for s in got.sessions] == ["t"]


def test_parent_and_trace_are_found_in_the_dotted_order(tmp_path):
    tool = "20260101T000000000000Zroot.20260101T000000000000Zdo"
    rows = [
        run(
            "root",
            outputs={"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "do"}}]},
        ),
        run("do", "tool", dotted_order=tool, inputs={}, outputs={"output": "x"}),
        run("deep", dotted_order=f"{tool}.20260101T000000000000Zdeep", outputs=said("so")),
    ]
    for row in rows[1:]:
        del row["trace_id"]
    rows[0]["trace_id"] = "root"
    main, sub = read_one(tmp_path, *rows).sessions
    assert (sub.parent, sub.messages[-1].actor) == (main.id, "sub-agent")


def test_inputs_and_outputs_as_json_text_are_opened(tmp_path):
    plain = run("a", outputs=said("so"), extra={"metadata": {"thread_id": 7}})
    text = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in plain.items()}
    one = read_one(tmp_path / "a", plain).sessions
    two = read_one(tmp_path / "b", text).sessions
    assert [s.id for s in one] == [s.id for s in two]
    assert two[0].family == "7"


@pytest.mark.parametrize(
    "outputs",
    [
        {"choices": [{"message": {"content": "so"}}]},
        {"output": {"role": "assistant", "content": "so"}},
        {"role": "assistant", "content": [{"type": "text", "text": "so"}]},
        {"messages": [{"role": "user", "content": "hi"}, {"type": "ai", "content": "so"}]},
        {"output": "so"},
    ],
)
def test_answers_of_every_wrapper_are_read(tmp_path, outputs):
    (session,) = read_one(tmp_path, run("a", outputs=outputs)).sessions
    assert session.messages[-1].text == "so"


def test_a_run_that_stands_in_two_files_counts_once(tmp_path):
    row = run("a", outputs=said("so"))
    stats = {"feedback_stats": {"correctness": {"n": 1, "avg": 1.0}}}
    got = read(tmp_path, {"a.jsonl": lines(row), "b.jsonl": lines({**row, **stats})})
    (session,) = got.sessions
    assert session.copies == 1
    assert session.outcome == Outcome(reward=1.0)
    assert got.counts.ignored == {"repeated": 1}


def test_a_run_without_an_end_is_no_answer(tmp_path):
    got = read_one(tmp_path, {k: v for k, v in run("a").items() if k != "end_time"})
    assert [a.reason for a in got.set_aside] == ["no-answer"]


def test_a_parquet_export_with_json_columns_reads_like_the_rows(tmp_path):
    row = run("a", outputs=said("so"), extra={"metadata": {"thread_id": "x"}})
    flat = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()}
    store.write_rows(tmp_path / "runs.parquet", [flat])
    got = ingest([tmp_path / "runs.parquet"])
    balances(got)
    rows = read_one(tmp_path / "rows", row)
    assert [s.id for s in got.sessions] == [s.id for s in rows.sessions]
    assert got.sessions[0].family == "x"
