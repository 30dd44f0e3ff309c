"""Claude Code's printed streams, and what the transcripts of the same runs say."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from misstep.config import IngestConfig
from misstep.ingest import Ingested, ingest
from misstep.types import Session
from reading import balances, read_one, shape
from samples import LOGS

FOLDER = LOGS / "claude-stream"
INIT = {
    "type": "system",
    "subtype": "init",
    "session_id": "s",
    "tools": ["Task", "Bash", "Read"],
    "model": "m",
}
USE = {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "ls"}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "a.txt", "is_error": False}


def spoke(name: str, *content: dict, **more: object) -> dict:
    body = {"id": name, "model": "m", "role": "assistant", "content": list(content)}
    kept = {"type": "assistant", "message": body, "parent_tool_use_id": None, "session_id": "s"}
    return {**kept, **more}


def told(*content: dict, **more: object) -> dict:
    body = {"role": "user", "content": list(content)}
    return {"type": "user", "message": body, "session_id": "s", "parent_tool_use_id": None, **more}


def text(said: str) -> dict:
    return {"type": "text", "text": said}


@pytest.fixture(scope="module")
def streams() -> Ingested:
    got = ingest([FOLDER / "streams"])
    balances(got)
    return got


@pytest.fixture(scope="module")
def transcripts() -> Ingested:
    got = ingest([FOLDER / "transcripts"])
    balances(got)
    return got


def run(streams: Ingested, name: str) -> list[Session]:
    """The sessions of one stream, main first."""
    return [s for s in streams.sessions if s.messages[0].origins[0].file.endswith(f"{name}.jsonl")]


def calls(got: Ingested) -> list[tuple[str | None, str, str]]:
    """Calls of the own steps, in a fixed order."""
    own = [m for s in got.sessions for m in s.messages[s.prefix :]]
    return sorted((c.id, c.name, " ".join(c.arguments.split())) for m in own for c in m.calls)


def test_both_folders_are_read_whole(streams, transcripts):
    for got, name in ((streams, "claude-stream"), (transcripts, "claude-code")):
        assert got.set_aside == ()
        assert set(got.counts.formats) == {name}


def test_streams_and_transcripts_of_the_same_runs_hold_the_same_calls(streams, transcripts):
    printed = calls(streams)
    assert len(printed) == 14
    spelled = {c[0]: c for c in printed if c[2].startswith("{ ")}
    kept = [c for c in calls(transcripts) if c[0] not in spelled]
    assert [c for c in printed if c[0] not in spelled] == kept
    assert len(spelled) == 1  # only a stream with partial messages has the spelling


def test_streams_and_transcripts_hold_the_same_results_and_texts(streams, transcripts):
    def facts(got: Ingested) -> set[tuple[str | None, str, bool | None]]:
        return {
            (r.call_id, r.text, r.is_error)
            for s in got.sessions
            for m in s.messages
            for r in m.results
        }

    def texts(got: Ingested) -> set[str]:
        return {m.text for s in got.sessions for m in s.messages if m.role == "assistant"}

    assert facts(streams) == facts(transcripts)
    assert texts(transcripts) - texts(streams) == {"3 lines."}  # of the sub-agent, printed nowhere
    assert texts(streams) <= texts(transcripts)


def test_families_are_the_sessions_of_the_program(streams, transcripts):
    """A stream cannot tell what it was forked from: there a fork is a family of its own."""
    printed, kept = ({s.family for s in got.sessions} for got in (streams, transcripts))
    (lost,) = printed - kept
    assert kept < printed
    assert lost in {s.family for name in ("fork", "faults") for s in run(streams, name)}


def test_the_raw_text_of_an_input_that_is_no_json_is_kept(streams, transcripts):
    for got in (streams, transcripts):
        broken = {c for s in got.sessions for m in s.messages for c in m.calls if c.verbatim}
        texts = {c.arguments for c in broken}
        assert '{"command": "cat prices.csv", ' in texts


def test_raw_text_that_the_program_clipped_is_not_verbatim(tmp_path):
    kept = {"__unparsedToolInput": {"raw": '{"command": "ec', "len": 20014}}
    got = read_one(tmp_path, INIT, spoke("m1", {**USE, "input": kept}))
    (call,) = got.sessions[0].messages[0].calls
    assert (call.arguments, call.verbatim) == ('{"command": "ec', False)


def test_the_offered_tools_are_known_by_name_under_both_names_of_one(streams):
    (session,) = run(streams, "faults")
    names = [tool.name for tool in session.contexts[0].tools]
    assert {"Bash", "Read", "Task", "Agent"} <= set(names)
    assert "OpenFile" not in names
    assert all(tool.parameters is None for tool in session.contexts[0].tools)


def test_a_sub_agent_stands_below_the_run_and_has_no_known_tools(streams):
    main, side = run(streams, "sub-agent")
    assert (side.parent, side.family, side.contexts) == (main.id, main.family, ())
    assert {m.actor for m in side.messages if m.role == "assistant"} == {"sub-agent"}


def test_permissions_that_were_denied_are_a_humans_no(streams):
    (session,) = run(streams, "denied")
    assert [r.cause for m in session.messages for r in m.results] == ["human", "human"]


def test_a_failed_request_is_an_error_and_the_result_line_gives_the_last_stop_reason(streams):
    (failed,) = run(streams, "http-error")
    assert failed.messages[0].parts == ()
    assert failed.messages[0].error.startswith("API Error: 500")
    (clean,) = run(streams, "clean")
    assert [clean.messages[at].finish_reason for at in clean.steps] == [None, None, "end_turn"]


def test_partial_messages_give_spelling_and_stop_reasons(streams):
    (session,) = run(streams, "partial")
    (call,) = [c for m in session.messages for c in m.calls]
    assert (call.arguments, call.verbatim) == ('{ "command":"grep 3 prices.csv" }', True)
    assert [session.messages[at].finish_reason for at in session.steps] == ["tool_use", "end_turn"]


def test_a_fork_and_a_resumed_run_share_their_beginning_in_the_transcripts(transcripts):
    forked = [s for s in transcripts.sessions if s.prefix]
    (second,) = forked
    first = next(s for s in transcripts.sessions if s.id == second.parent)
    assert first.messages[: second.prefix] == second.messages[: second.prefix]
    assert {shape(first)[-1], shape(second)[-1]} == {
        "assistant 'The higher is 4.'",
        "assistant 'And 7 in all.'",
    }


def test_the_file_beside_a_sub_agent_is_ignored_by_kind(transcripts):
    assert transcripts.counts.ignored["sub-agent-meta"] == 1


def test_calls_of_one_answer_around_a_result_are_one_step(tmp_path):
    second = {**USE, "id": "c2", "input": {"command": "pwd"}}
    other = {**RESULT, "tool_use_id": "c2", "content": "/home"}
    got = read_one(
        tmp_path, INIT, spoke("m1", USE), told(RESULT), spoke("m1", second), told(other),
        spoke("m2", text("done")),
    )  # fmt: skip
    assert shape(got.sessions[0]) == [
        'assistant Bash({"command":"ls"}) Bash({"command":"pwd"})',
        "tool ->'a.txt' ->'/home'",
        "assistant 'done'",
    ]


def test_lines_with_an_id_each_are_one_answer_until_a_result_comes(tmp_path):
    lone = [spoke(n, c, uuid=n) for n, c in (("1", text("x")), ("2", USE))]
    got = read_one(tmp_path, INIT, *lone, told(RESULT), spoke("3", text("done"), uuid="3"))
    assert [m.role for m in got.sessions[0].messages] == ["assistant", "tool", "assistant"]


def test_the_output_count_of_a_line_that_has_not_ended_is_left_out(tmp_path):
    body = spoke("m1", text("x"))
    body["message"]["usage"] = {"input_tokens": 9, "output_tokens": 1}
    usage = read_one(tmp_path, INIT, body).sessions[0].messages[0].usage
    assert (usage.input_tokens, usage.output_tokens) == (9, None)


def test_a_transcript_is_no_stream_and_a_stream_is_no_transcript(tmp_path):
    line = {
        "type": "user",
        "uuid": "1",
        "parentUuid": None,
        "sessionId": "s",
        "message": {"role": "user", "content": "hi"},
    }
    assert set(read_one(tmp_path / "a", line).counts.formats) == {"claude-code"}
    assert set(read_one(tmp_path / "b", INIT, told(text("x"))).counts.formats) == {"claude-stream"}


def test_the_words_of_the_program_in_a_transcript_are_not_the_humans(tmp_path):
    def line(uuid: str, up: str | None, content: str) -> dict:
        body = {"role": "user", "content": content}
        return {"type": "user", "uuid": uuid, "parentUuid": up, "sessionId": "s", "message": body}

    got = read_one(
        tmp_path,
        line("1", None, "<local-command-stdout></local-command-stdout>"),
        line("2", "1", "hello"),
    )
    assert [m.actor for m in got.sessions[0].messages] == ["harness", "human"]


def test_blocks_of_a_result_stand_below_each_other_and_a_picture_by_its_hash(tmp_path):
    picture = {"type": "image", "source": {"type": "base64", "data": "aGk="}}
    told_so = {**RESULT, "content": [text("one"), picture, text("two")]}
    got = read_one(tmp_path, INIT, spoke("m1", USE), told(told_so))
    (result,) = got.sessions[0].messages[1].results
    first, middle, last = result.text.split("\n")
    assert (first, last) == ("one", "two")
    assert middle.startswith("blake2b:")


ROWS = [
    INIT,
    {
        "type": "stream_event",
        "session_id": "s",
        "event": {"type": "message_start", "message": {"id": "m1"}},
    },
    {"type": "stream_event", "session_id": "s", "event": {"type": "message_stop"}},
    spoke("m1", {"type": "thinking", "thinking": "t"}, USE, uuid="1"),
    told(RESULT, uuid="2", tool_use_result="Error: no"),
    spoke("m2", text("x"), parent_tool_use_id="c1", error="server_error"),
    {
        "type": "result",
        "session_id": "s",
        "stop_reason": "end_turn",
        "permission_denials": [{"tool_use_id": "c1"}],
    },
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_stream_with_anything_anywhere_is_read_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), "claude-stream")


def test_the_sample_can_be_forced():
    got = ingest([FOLDER / "streams" / "clean.jsonl"], config=IngestConfig(format="claude-stream"))
    assert len(got.sessions) == 1
