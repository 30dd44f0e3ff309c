"""Claude Code transcripts: split answers, interleaved results, forks, sub-agents, bookkeeping."""

from __future__ import annotations

import pytest

from reading import lines, read, read_one, reasons, shape, steps


def line(kind, uuid, up, body, **more):
    return {
        "type": kind,
        "uuid": uuid,
        "parentUuid": up,
        "sessionId": "s1",
        "isSidechain": False,
        "timestamp": "2026-01-02T03:04:05Z",
        "message": body,
        **more,
    }


def user(uuid, up, content, **more):
    return line("user", uuid, up, {"role": "user", "content": content}, **more)


def answer(uuid, up, mid, *blocks, tokens=1, **more):
    body = {
        "role": "assistant",
        "id": mid,
        "model": "m",
        "content": list(blocks),
        "usage": {"output_tokens": tokens},
    }
    return line("assistant", uuid, up, body, **more)


def text(words):
    return {"type": "text", "text": words}


def use(number, **arguments):
    return {"type": "tool_use", "id": f"t{number}", "name": "Run", "input": arguments}


def result(number, words, error=None):
    block = {"type": "tool_result", "tool_use_id": f"t{number}", "content": words}
    return [block if error is None else {**block, "is_error": error}]


TALK = [
    user("u1", None, "start it"),
    answer("a1", "u1", "m1", {"type": "thinking", "thinking": "hm"}),
    answer("a2", "a1", "m1", text("Now."), tokens=4),
    answer("a3", "a2", "m1", use(1), tokens=9),
    answer("a4", "a3", "m1", use(2)),
    user("u2", "a4", result(2, "two")),
    user("u3", "a3", result(1, "one", error=True), toolUseResult="Error: one"),
    answer("a5", "u3", "m2", text("Done.")),
]


def test_an_answer_over_several_lines_is_one_step(tmp_path):
    (session,) = read_one(tmp_path, *TALK).sessions
    assert shape(session) == [
        "user 'start it'",
        "assistant 'Now.' Run({}) Run({})",
        "tool ->'two' ->'one'",
        "assistant 'Done.'",
    ]
    step = session.messages[1]
    assert [call.index for call in step.calls] == [0, 1]
    assert [origin.row for origin in step.origins] == ["a1", "a2", "a3", "a4"]
    assert (step.usage.output_tokens, step.time, step.actor) == (9, 1767323045.0, "agent")
    assert step.context is None
    assert session.family == "s1"


def test_an_error_keeps_its_flag_and_what_the_transcript_says_about_it(tmp_path):
    (session,) = read_one(tmp_path, *TALK).sessions
    two, one = session.messages[2].results
    assert (two.is_error, two.hint) == (None, None)
    assert (one.is_error, one.hint) == (True, "Error: one")


def test_a_denial_is_the_hint(tmp_path):
    denied = user(
        "u2", "a1", result(1, "no", error=True), toolDenialKind="user", toolUseResult="Error: no"
    )
    got = read_one(tmp_path, TALK[0], answer("a1", "u1", "m1", use(1)), denied)
    assert got.sessions[0].messages[-1].results[0].hint == "user"


def test_a_result_between_two_lines_of_one_answer_comes_after_it(tmp_path):
    got = read_one(
        tmp_path,
        user("u1", None, "go"),
        answer("a1", "u1", "m1", use(1)),
        user("u2", "a1", result(1, "one")),
        answer("a2", "u2", "m1", use(2)),
        user("u3", "a2", result(2, "two")),
        answer("a3", "u3", "m2", text("ok")),
    )
    assert shape(got.sessions[0]) == [
        "user 'go'",
        "assistant Run({}) Run({})",
        "tool ->'one' ->'two'",
        "assistant 'ok'",
    ]


def test_bookkeeping_lines_are_ignored_by_kind_and_still_link(tmp_path):
    got = read_one(
        tmp_path,
        {"type": "summary", "summary": "x", "leafUuid": "a1"},
        user("u1", None, "go"),
        {"type": "progress", "uuid": "p1", "parentUuid": "u1", "sessionId": "s1"},
        {"type": "system", "subtype": "x", "uuid": "p2", "parentUuid": "p1", "sessionId": "s1"},
        answer("a1", "p2", "m1", text("ok")),
        {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
    )
    assert len(got.sessions) == 1
    assert len(got.sessions[0].messages) == 2
    assert got.counts.ignored == {
        "file-history-snapshot": 1,
        "progress": 1,
        "summary": 1,
        "system": 1,
    }


def test_lines_that_are_no_messages_are_set_aside_and_do_not_break_the_chain(tmp_path):
    broken = user("b1", "u1", None)
    got = read_one(
        tmp_path,
        user("u1", None, "go"),
        "oops",
        7,
        [1],
        {"silly": "this"},
        broken,
        line("user", "b2", "b1", "error"),
        answer("a1", "b2", "m1", text("ok")),
    )
    assert reasons(got) == [
        (2, "not-an-object"),
        (3, "not-an-object"),
        (4, "not-an-object"),
        (5, "unknown-record"),
        (6, "bad-message"),
        (7, "bad-message"),
    ]
    assert got.set_aside[4].origin.pointer == "/message/content"
    assert shape(got.sessions[0]) == ["user 'go'", "assistant 'ok'"]


def test_a_resumed_file_that_repeats_a_stretch_is_counted_once(tmp_path):
    more = [user("u9", "a5", "and now?"), answer("a9", "u9", "m9", text("Later."))]
    copied = [{**entry, "sessionId": "s2"} for entry in TALK]
    moved = [{**entry, "sessionId": "s2"} for entry in more]
    got = read(tmp_path, {"a.jsonl": lines(*TALK), "b.jsonl": lines(*copied, *moved)})
    (session,) = got.sessions
    assert steps(got.sessions) == 3
    assert shape(session)[-1] == "assistant 'Later.'"
    assert got.counts.used == len(TALK) * 2 + 2


def test_a_copy_under_new_uuids_is_counted_once(tmp_path):
    renamed = [
        {**e, "uuid": f"x{e['uuid']}", "parentUuid": e["parentUuid"] and f"x{e['parentUuid']}"}
        for e in TALK
    ]
    got = read(tmp_path, {"a.jsonl": lines(*TALK), "b.jsonl": lines(*renamed)})
    (session,) = got.sessions
    assert session.copies == 2
    assert steps(got.sessions) == 2


def test_a_second_message_after_the_same_line_is_a_fork(tmp_path):
    got = read_one(
        tmp_path,
        *TALK,
        user("u4", "a5", "thanks"),
        answer("a6", "u4", "m3", text("Bye.")),
        user("u5", "a5", "no, stop it"),
        answer("a7", "u5", "m4", text("Stopped.")),
    )
    first, second = got.sessions
    assert (second.parent, second.prefix) == (first.id, 4)
    assert [m.text for m in second.messages[4:]] == ["no, stop it", "Stopped."]
    assert steps(got.sessions) == 4


def test_a_branch_that_nobody_answered_is_ignored_by_kind(tmp_path):
    got = read_one(
        tmp_path,
        *TALK,
        user("u4", "a5", "never mind"),
        user("u5", "a5", "go on"),
        answer("a6", "u5", "m3", text("Gone on.")),
    )
    assert len(got.sessions) == 1
    assert got.counts.ignored == {"unanswered-branch": 1}


def test_a_compaction_starts_a_session_that_names_the_one_before(tmp_path):
    got = read_one(
        tmp_path,
        *TALK,
        {
            "type": "system",
            "subtype": "compact_boundary",
            "uuid": "c1",
            "parentUuid": None,
            "logicalParentUuid": "a5",
            "sessionId": "s1",
        },
        user("u9", "c1", "This continues an earlier conversation.", isCompactSummary=True),
        answer("a9", "u9", "m9", text("Going on.")),
    )
    first, second = got.sessions
    assert (second.parent, second.prefix) == (first.id, 0)
    assert second.messages[0].actor == "harness"


def test_a_sub_agent_names_the_session_that_started_it(tmp_path):
    side = [
        user("x1", None, "Find it.", isSidechain=True),
        answer("x2", "x1", "m8", text("Found."), isSidechain=True),
    ]
    got = read(tmp_path, {"a/subagents/agent-1.jsonl": lines(*side), "s.jsonl": lines(*TALK)})
    by_parent = {session.parent: session for session in got.sessions}
    assert by_parent[by_parent[None].id].messages[1].actor == "sub-agent"
    assert by_parent[by_parent[None].id].family == "s1"


def test_lines_without_links_follow_each_other(tmp_path):
    got = read_one(
        tmp_path,
        user("u1", None, "one"),
        answer("a1", None, "m1", text("1")),
        user("u2", None, "two"),
        answer("a2", None, "m2", text("2")),
    )
    assert len(got.sessions) == 1
    assert len(got.sessions[0].messages) == 4


def test_a_line_whose_predecessor_is_lost_continues_its_file(tmp_path):
    got = read_one(tmp_path, *TALK, user("u9", "lost", "hm"), answer("a9", "u9", "m9", text("?")))
    assert len(got.sessions) == 1
    assert len(got.sessions[0].messages) == 6


def test_the_same_answer_id_in_another_session_is_another_answer(tmp_path):
    other = [
        user("v1", None, "hello", sessionId="s2"),
        answer("v2", "v1", "m1", text("Hi."), sessionId="s2"),
    ]
    got = read(tmp_path, {"a.jsonl": lines(*TALK), "b.jsonl": lines(*other)})
    assert steps(got.sessions) == 3


def test_an_api_error_is_a_step_with_its_error(tmp_path):
    got = read_one(
        tmp_path,
        user("u1", None, "go"),
        answer("a1", "u1", "m1", text("API Error: 529"), isApiErrorMessage=True),
    )
    failed = got.sessions[0].messages[-1]
    assert (failed.error, failed.parts) == ("API Error: 529", ())


def test_what_the_program_put_in_the_models_mouth_is_no_step(tmp_path):
    fake = answer("a1", "u1", "m1", text("No response requested."))
    fake["message"]["model"] = "<synthetic>"
    got = read_one(tmp_path, user("u1", None, "go"), fake, user("u2", "a1", "well?"))
    assert got.counts.ignored == {"synthetic": 1}
    assert shape(got.sessions[0]) == ["user 'go'", "user 'well?'"]


@pytest.mark.parametrize(
    ("block", "pointer"),
    [("word", "/message/content/0"), ({"type": "text"}, "/message/content/0/text")],
)
def test_a_block_without_a_known_shape_is_set_aside_with_its_pointer(tmp_path, block, pointer):
    got = read_one(tmp_path, *TALK, user("u9", "a5", [block]))
    assert [e.origin.pointer for e in got.set_aside] == [pointer]
