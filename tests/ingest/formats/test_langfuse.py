"""Langfuse: the sample that its SDK wrote, small traces, and real ones."""

from __future__ import annotations

import csv
import io
import json
import re

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Outcome
from misstep.validate import Settings, validate
from reading import balances, lines, read, read_one, shape, steps
from samples import read_sample

CALL = {"id": "c", "function": {"name": "look", "arguments": '{"q": 1}'}}
ASKED = [{"role": "user", "content": "hi"}]
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}


def row(id, type="GENERATION", start=0, parent=None, trace="t", **more):
    return {
        "id": id,
        "traceId": trace,
        "type": type,
        "startTime": f"2026-01-01T00:00:{start:02d}.000Z",
        "parentObservationId": parent,
        "level": "DEFAULT",
        "name": id,
        **more,
    }


def trace(*rows, **more):
    return {"trace": {"id": "t", "name": "n", "timestamp": "x", **more}, "observations": list(rows)}


def generation(id, answer, asked=ASKED, **more):
    return row(id, input=asked, output=answer, **more)


def by_family(got, family):
    return [s for s in got.sessions if s.family == family]


def test_the_sample_holds_what_the_script_played():
    got = read_sample("langfuse")
    balances(got)
    assert len(got.sessions) == 8
    assert steps(got.sessions) == 18
    assert sum(len(m.calls) for s in got.sessions for m in s.messages) == 10
    (first,) = by_family(got, "desk-1")
    assert first.outcome == Outcome(thumbs="up")
    (second,) = by_family(got, "desk-2")
    assert second.outcome == Outcome(thumbs="down")
    assert [r.is_error for m in second.messages for r in m.results] == [True, True, True]
    guided, guide = by_family(got, "desk-3")
    assert guide.parent == guided.id
    assert {guide.messages[i].actor for i in guide.steps} == {"sub-agent"}
    (limited,) = by_family(got, "desk-4")
    assert "429" in limited.messages[-1].error
    assert by_family(got, "desk-5")[0].messages[-1].finish_reason == "length"


def test_a_broken_call_is_found_in_the_step_around_the_models_run():
    (session,) = by_family(read_sample("langfuse"), "desk-1")
    (call,) = [c for m in session.messages for c in m.calls if c.fault]
    assert (call.name, call.arguments) == ("get_weather", '{"city": "Turku", "day": ')
    assert call.verbatim
    assert call.fault.startswith("Function get_weather arguments:")


def test_both_samples_of_the_same_talks_read_to_the_same_conversations():
    fuse, smith = read_sample("langfuse"), read_sample("langsmith")
    for family in ("desk-2", "desk-3", "desk-5", "desk-6"):
        assert [s.id for s in by_family(fuse, family)] == [s.id for s in by_family(smith, family)]


def test_a_tools_error_is_its_results_and_its_words_the_hint(tmp_path):
    told = [*ASKED, CALLED, {"role": "tool", "tool_call_id": "c", "content": "sorry"}]
    got = read_one(
        tmp_path,
        trace(
            generation("g1", CALLED),
            row("look", "TOOL", 1, input={"q": 1}, level="ERROR", statusMessage="boom"),
            generation("g2", "done", told, start=2),
        ),
    )
    (session,) = got.sessions
    (result,) = session.messages[2].results
    assert (result.text, result.is_error, result.hint) == ("sorry", True, "boom")


def test_a_result_that_no_request_quotes_is_taken_from_the_tools_run(tmp_path):
    got = read_one(
        tmp_path,
        trace(generation("g1", CALLED), row("look", "TOOL", 1, input='{"q": 1}', output='"rain"')),
    )
    (session,) = got.sessions
    assert shape(session) == ["user 'hi'", 'assistant look({"q": 1})', "tool ->'rain'"]


def test_tools_of_one_name_go_to_the_calls_with_their_arguments(tmp_path):
    two = [
        {**CALL, "id": i, "function": {"name": "look", "arguments": f'{{"q": {i}}}'}} for i in "12"
    ]
    got = read_one(
        tmp_path,
        trace(
            generation("g", {"role": "assistant", "tool_calls": two}),
            row("a", "TOOL", 1, name="look", input={"q": 2}, output="two"),
            row("b", "TOOL", 2, name="look", input={"q": 1}, output="one"),
            row("c", "TOOL", 3, name="other", input={}, output="x"),
        ),
    )
    (session,) = got.sessions
    assert [(r.call_id, r.text) for r in session.messages[-1].results] == [
        ("1", "one"),
        ("2", "two"),
    ]
    assert got.counts.ignored == {"trace": 1, "tool-without-call": 1}


def test_a_run_inside_another_models_run_is_the_same_request(tmp_path):
    got = read_one(
        tmp_path,
        trace(
            generation("outer", {"choices": [{"message": CALLED, "finish_reason": "tool_calls"}]}),
            generation("inner", "", "user: hi", parent="outer", start=1),
        ),
    )
    (session,) = got.sessions
    assert shape(session) == ["user 'hi'", 'assistant look({"q": 1})']
    assert got.counts.ignored == {"echo": 1, "trace": 1}


def test_runs_below_a_tools_run_are_a_sub_agents(tmp_path):
    got = read_one(
        tmp_path,
        trace(
            generation("g1", CALLED),
            row("look", "TOOL", 1, input={"q": 1}, output="found"),
            generation("g2", "found", [{"role": "user", "content": "q"}], parent="look", start=2),
        ),
    )
    main, sub = got.sessions
    assert (sub.parent, sub.messages[-1].actor) == (main.id, "sub-agent")
    assert main.messages[1].actor == "agent"


def test_an_agent_that_another_agents_run_holds_is_a_sub_agent(tmp_path):
    def agents(*rows):
        return trace(row("wrap", "AGENT"), row("main", "AGENT", 1, "wrap"), *rows)

    got = read_one(
        tmp_path,
        agents(
            generation("g1", "wait", parent="main", start=2),
            row("sub", "AGENT", 3, "main"),
            generation("g2", "yes", [{"role": "user", "content": "q"}], parent="sub", start=4),
        ),
    )
    main, sub = got.sessions
    assert (main.messages[-1].actor, sub.messages[-1].actor) == ("agent", "sub-agent")
    assert sub.parent == main.id


def test_a_failed_call_is_an_error_without_content(tmp_path):
    failed = generation("g", None, level="ERROR", statusMessage="429 slow down")
    (session,) = read_one(tmp_path, trace(failed)).sessions
    assert (session.messages[-1].error, session.messages[-1].parts) == ("429 slow down", ())


def test_traces_of_one_session_that_repeat_the_history_are_one_conversation(tmp_path):
    more = [*ASKED, {"role": "assistant", "content": "so"}, {"role": "user", "content": "and?"}]
    got = read(
        tmp_path,
        {
            "b.jsonl": lines(
                generation("g2", "that", more, trace="t2", start=5),
                {"id": "t2", "timestamp": "x", "sessionId": "s", "tags": [], "input": None},
            ),
            "a.jsonl": lines(
                generation("g1", "so", trace="t1"),
                {"id": "t1", "timestamp": "x", "sessionId": "s", "tags": [], "input": None},
            ),
        },
    )
    (session,) = got.sessions
    assert (session.family, len(list(session.steps))) == ("s", 2)


def test_what_shares_only_a_system_message_stays_in_its_own_family(tmp_path):
    system = {"role": "system", "content": "be brief"}
    rows = [
        generation(i, "so", [system, {"role": "user", "content": i}], trace=i, session_id=f"s{i}")
        for i in "12"
    ]
    assert [s.family for s in read_one(tmp_path, *rows).sessions] == ["s1", "s2"]


def test_pages_of_the_api_and_rows_in_snake_case_are_read_alike(tmp_path):
    camel = generation("g", "so", model="m", usageDetails={"input": 3, "output": 1})
    snake = {
        "id": "g",
        "trace_id": "t",
        "type": "GENERATION",
        "start_time": "2026-01-01 00:00:00.000000",
        "input": json.dumps(ASKED),
        "output": '"so"',
        "provided_model_name": "m",
        "usage_details": '{"input": 3, "output": 1}',
    }
    page = read_one(tmp_path / "a", {"data": [camel], "meta": {"page": 1}})
    rows = read_one(tmp_path / "b", snake)
    assert [s.id for s in page.sessions] == [s.id for s in rows.sessions]
    assert page.sessions[0].messages[-1].time == rows.sessions[0].messages[-1].time
    assert page.sessions[0].messages[-1].usage.output_tokens == 1


def test_a_table_of_observations_reads_like_the_rows(tmp_path):
    rows = [generation("g", "so"), row("s", "SPAN", 1)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for held in rows:
        plain = {k: json.dumps(v) if isinstance(v, list) else v for k, v in held.items()}
        writer.writerow(plain)
    table = read(tmp_path / "a", {"observations.csv": text.getvalue().encode()})
    objects = read_one(tmp_path / "b", *rows)
    assert [s.id for s in table.sessions] == [s.id for s in objects.sessions]
    assert table.counts.ignored == objects.counts.ignored == {"span": 1}


def test_an_answer_without_a_request_is_set_aside(tmp_path):
    got = read_one(tmp_path, trace(generation("g", "so", None)))
    assert [a.reason for a in got.set_aside] == ["no-request"]
    assert got.set_aside[0].origin.row == "g"


def test_the_state_of_the_outermost_step_stands_in_where_no_call_was_traced(tmp_path):
    state = {"messages": [*ASKED, CALLED, {"role": "tool", "tool_call_id": "c", "content": "x"}]}
    (session,) = read_one(tmp_path, trace(row("graph", "CHAIN", output=state))).sessions
    assert shape(session) == ["user 'hi'", 'assistant look({"q": 1})', "tool ->'x'"]


def test_runs_that_are_their_own_ancestors_do_no_harm(tmp_path):
    loop = trace(generation("a", "x", parent="b"), generation("b", "y", parent="a", start=1))
    balances(read_one(tmp_path, loop))


def test_scores_of_a_step_say_nothing_of_the_whole(tmp_path):
    def scored(**more):
        score = {"id": "x", "traceId": "t", "name": "correctness", "value": 0.5, **more}
        return trace(generation("g", "so"), scores=[score])

    (whole,) = read_one(tmp_path / "a", scored(observationId=None)).sessions
    (step,) = read_one(tmp_path / "b", scored(observationId="g")).sessions
    assert (whole.outcome, step.outcome) == (Outcome(reward=0.5), None)


@needs_corpus
def test_real_traces_hold_as_many_calls_as_a_plain_count_finds():
    files = sorted((CORPUS / "logs" / "langfuse").glob("*.trace.json"))
    got = ingest(files)
    balances(got)
    assert (len(files), len(got.sessions), got.set_aside) == (8, 8, ())
    ids = set()
    for file in files:
        text = json.dumps(json.loads(file.read_text())["observations"])
        ids |= set(re.findall("(?:call_|toolu_)[A-Za-z0-9]{24}", text))
    named = [c for s in got.sessions for m in s.messages for c in m.calls if c.id]
    assert len(named) == len(ids) == 6
    assert steps(got.sessions) == 14


def test_a_generation_that_speaks_has_no_finding(tmp_path):
    sound = {"id": "audio_1", "data": "@@@langfuseMedia:type=audio/wav|id=a@@@"}
    told = {"role": "assistant", "content": None, "audio": sound}
    (session,) = read_one(tmp_path, trace(generation("a", told))).sessions
    assert validate(session, Settings()).findings == ()
    (silent,) = read_one(tmp_path, trace(generation("a", {**told, "audio": None}))).sessions
    assert [f.code for f in validate(silent, Settings()).findings] == ["EMPTY_OUTPUT"]
