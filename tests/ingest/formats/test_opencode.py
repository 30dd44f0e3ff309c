"""opencode: the samples made by two of its versions, and small hand-made rows."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter

import pytest

from misstep.config import IngestConfig, ValidateConfig
from misstep.ingest import ingest
from misstep.validate import settings, validate
from reading import balances, read, read_one, shape
from samples import LOGS, read_sample

MODEL = {"providerID": "local", "modelID": "m"}


def info(**more):
    return {"id": "ses_1", "title": "t", "projectID": "p", "time": {"created": 1}, **more}


def said(number, text, session="ses_1", **more):
    own = f"msg_{session}_{number}"
    row = {"id": own, "sessionID": session, "role": "user", "time": {"created": number}}
    return {"info": row, "parts": [part(own, 0, type="text", text=text, **more)]}


def answered(number, *parts, session="ses_1", **more):
    own = f"msg_{session}_{number}"
    row = {"id": own, "sessionID": session, "role": "assistant", "time": {"created": number}}
    held = [part(own, at, **one) for at, one in enumerate(parts)]
    return {"info": {**row, **MODEL, **more}, "parts": held}


def part(message, number, **fields):
    return {"id": f"prt_{message}_{number}", "messageID": message, "sessionID": "ses_1", **fields}


def text(said):
    return {"type": "text", "text": said}


def tool(name="read", call="c1", **state):
    return {"type": "tool", "tool": name, "callID": call, "state": {"input": {"a": 1}, **state}}


def export(*messages, **more):
    return {"info": info(**more), "messages": list(messages)}


def asked(sample, words):
    return next(s for s in sample.sessions if any(words in m.text for m in s.messages))


def main_session(sample):
    return next(s for s in sample.sessions if len(s.messages) > 10)


def test_the_sample_is_read_whole():
    got = read_sample("opencode")
    balances(got)
    assert got.set_aside == ()
    assert got.counts.formats["opencode"].sessions == 9


def test_a_call_that_was_no_json_keeps_its_name_and_its_text():
    got = main_session(read_sample("opencode"))
    call = got.messages[3].calls[0]
    assert (call.name, call.arguments) == ("bash", '{"command": "ls -l", "description": "List", }')
    assert call.verbatim
    assert "JSON parsing failed" in call.fault
    assert got.messages[4].results[0].cause == "model"


def test_an_unknown_tool_is_judged_by_the_tools_that_the_error_names():
    got = main_session(read_sample("opencode"))
    offered = [tool.name for tool in got.context_of(5).tools]
    assert got.messages[5].calls[0].name == "shell_exec"
    assert "bash" in offered
    assert "invalid" not in offered


def test_what_failed_in_the_sample_is_what_was_played():
    judge = settings(ValidateConfig())
    got = read_sample("opencode")
    codes = Counter(
        (finding.code, finding.level)
        for session in got.sessions
        for finding in validate(session, judge).findings
    )
    assert codes["ARGS_UNPARSABLE", "defect"] == 4  # three programs, and one cut by the limit
    assert codes["TOOL_UNKNOWN", "defect"] == 2
    assert codes["TRUNCATED", "defect"] == 1
    assert codes["ENV_ERROR", "info"] == 1


def test_a_fork_of_the_program_keeps_such_calls_under_their_own_name():
    (got,) = ingest([LOGS / "opencode" / "kilo.db"]).sessions
    calls = [call for message in got.messages for call in message.calls]
    assert [(c.name, c.arguments, c.verbatim) for c in calls] == [
        ("bash", '{"command": "ls -l", "description": "List", }', True),
        ("shell_exec", '{"cmd":"ls"}', False),
    ]
    assert all(call.fault for call in calls)
    assert {r.cause for m in got.messages for r in m.results} == {"model"}


def test_a_shell_that_failed_shows_it_only_in_its_exit_code():
    result = next(
        r for m in main_session(read_sample("opencode")).messages for r in m.results if r.exit_code
    )
    assert (result.exit_code, result.is_error, result.text) == (1, None, "(no output)")


def test_a_sub_agent_is_a_session_of_the_same_family():
    got = read_sample("opencode")
    for side in (s for s in got.sessions if s.messages[-1].actor == "sub-agent"):
        parent = next(s for s in got.sessions if s.id == side.parent)
        assert side.family == parent.family
        assert any(call.name == "task" for m in parent.messages for call in m.calls)
    assert sum(s.messages[-1].actor == "sub-agent" for s in got.sessions) == 2


def test_a_fork_that_goes_on_is_the_same_session():
    got = main_session(read_sample("opencode"))
    assert shape(got)[-2:] == [
        "user '\"And beta?\"'",
        "assistant 'Yes, beta is the second line.'",
    ]


def test_after_a_compaction_a_session_starts_with_the_summary():
    got = read_sample("opencode")
    later = next(s for s in got.sessions if s.messages[0].text.startswith("Summary:"))
    before = next(s for s in got.sessions if s.id == later.parent)
    assert before.messages[-1].text == later.messages[0].text
    assert [m.actor for m in later.messages] == ["harness", "harness", "agent"]


def test_a_refused_request_is_a_step_without_parts():
    last = asked(read_sample("opencode"), "Ask a broken provider").messages[-1]
    assert (last.error, last.parts) == ("APIError: no such model", ())


def test_an_export_beside_its_base_is_not_counted_again():
    alone = ingest([LOGS / "opencode" / "opencode.db"])
    both = ingest(
        [LOGS / "opencode"], config=IngestConfig(exclude=("storage/", "make.py", "kilo.db"))
    )
    assert both.counts.ignored["copy"] == 38
    assert sum(len(list(s.steps)) for s in both.sessions) == sum(
        len(list(s.steps)) for s in alone.sessions
    )


def test_the_three_layouts_of_a_session_read_alike(tmp_path):
    messages = [said(1, "go"), answered(2, tool(status="completed", output="x"), text("done"))]
    whole = read(tmp_path / "a", {"e.json": json.dumps(export(*messages)).encode()}).sessions
    stored = {"storage/session/p/ses_1.json": json.dumps(info()).encode()}
    for message in messages:
        own = message["info"]
        stored[f"storage/message/ses_1/{own['id']}.json"] = json.dumps(own).encode()
        for one in message["parts"]:
            stored[f"storage/part/{own['id']}/{one['id']}.json"] = json.dumps(one).encode()
    split = read(tmp_path / "b", stored).sessions
    base = tmp_path / "c" / "x.db"
    base.parent.mkdir()
    write_base(base, messages)
    rows = ingest([base]).sessions
    assert [shape(s) for s in whole] == [shape(s) for s in split] == [shape(s) for s in rows]
    assert shape(whole[0])[1:] == ["assistant 'done' read({\"a\":1})", "tool ->'x'"]


def write_base(path, messages):
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE session (id TEXT, parent_id TEXT, time_created INTEGER)")
        base.execute(
            "CREATE TABLE message (id TEXT, session_id TEXT, time_created INTEGER, data TEXT)"
        )
        base.execute("CREATE TABLE part (id TEXT, message_id TEXT, session_id TEXT, data TEXT)")
        base.execute("CREATE TABLE event (id TEXT)")
        base.execute("INSERT INTO session VALUES ('ses_1', NULL, 1)")
        for message in messages:
            own = message["info"]
            row = (own["id"], "ses_1", own["time"]["created"], json.dumps(own))
            base.execute("INSERT INTO message VALUES (?,?,?,?)", row)
            for one in message["parts"]:
                row = (one["id"], own["id"], "ses_1", json.dumps(one))
                base.execute("INSERT INTO part VALUES (?,?,?,?)", row)


def test_a_row_whose_data_is_no_json_is_set_aside(tmp_path):
    base = tmp_path / "x.db"
    write_base(base, [said(1, "go"), answered(2, text("done"))])
    with sqlite3.connect(base) as open_base:
        open_base.execute("UPDATE part SET data = '{' WHERE rowid = 2")
    got = ingest([base])
    balances(got)
    assert [entry.reason for entry in got.set_aside] == ["not-json"]
    assert got.set_aside[0].origin.row == "part:2"


def test_an_answer_with_several_steps_falls_apart(tmp_path):
    steps = [
        {"type": "step-start"},
        tool(status="completed", output="one"),
        {"type": "step-finish", "reason": "tool-calls", "tokens": {"input": 5, "output": 2}},
        {"type": "step-start"},
        text("done"),
        {"type": "step-finish", "reason": "stop", "tokens": {"input": 9, "output": 1}},
    ]
    session = read_one(tmp_path, export(said(1, "go"), answered(2, *steps))).sessions[0]
    assert shape(session)[1:] == ['assistant read({"a":1})', "tool ->'one'", "assistant 'done'"]
    ends = [
        (session.messages[i].finish_reason, session.messages[i].usage.input_tokens)
        for i in session.steps
    ]
    assert ends == [("tool-calls", 5), ("stop", 9)]


def test_a_fork_shares_what_it_copied(tmp_path):
    first = export(said(1, "go"), answered(2, text("one")), said(3, "a"), answered(4, text("x")))
    copied = [said(1, "go", "ses_2"), answered(2, text("one"), session="ses_2")]
    own = [said(5, "b", "ses_2"), answered(6, text("y"), session="ses_2")]
    fork = {"info": info(id="ses_2", time={"created": 9}), "messages": [*copied, *own]}
    parent, forked = read(
        tmp_path, {"1.json": json.dumps(fork).encode(), "2.json": json.dumps(first).encode()}
    ).sessions
    assert shape(parent)[-1] == "assistant 'x'"
    assert (forked.parent, forked.prefix, forked.family) == (parent.id, 2, "ses_1")
    assert list(forked.steps) == [3]


def test_sessions_with_the_same_instructions_are_no_family(tmp_path):
    told = {"system": ["Be brief."]}
    one = export(said(1, "a"), answered(2, text("x"), **told))
    two = {
        "info": info(id="ses_2"),
        "messages": [said(3, "b", "ses_2"), answered(4, text("y"), session="ses_2", **told)],
    }
    got = read_one(tmp_path, one, two).sessions
    assert [(s.family, s.parent, s.messages[0].text) for s in got] == [
        ("ses_1", None, "Be brief."),
        ("ses_2", None, "Be brief."),
    ]


@pytest.mark.parametrize(
    ("error", "end", "seen"),
    [
        ({"name": "APIError", "data": {"message": "no"}}, "cut", ("APIError: no", None)),
        ({"name": "MessageAbortedError"}, "cut", ("MessageAbortedError", None)),
        (
            {"name": "StructuredOutputError", "data": {"message": "bad"}},
            "complete",
            (None, "StructuredOutputError: bad"),
        ),
        ({"name": "MessageOutputLengthError"}, "complete", (None, None)),
    ],
)
def test_what_ended_an_answer_is_told_apart(tmp_path, error, end, seen):
    answer = answered(2, text("half"), error=error)
    last = read_one(tmp_path, export(said(1, "go"), answer)).sessions[0].messages[-1]
    assert (last.end, (last.error, last.fault)) == (end, seen)
    assert (last.finish_reason == "length") == (error["name"] == "MessageOutputLengthError")


def test_what_the_program_wrote_for_the_user_is_the_harness(tmp_path):
    turns = [said(1, "go"), answered(2, text("x")), said(3, "Continue", synthetic=True)]
    got = read_one(tmp_path, export(*turns, answered(4, text("y")))).sessions[0]
    assert [m.actor for m in got.messages] == ["human", "agent", "harness", "agent"]


def test_a_call_that_never_ended_has_no_result(tmp_path):
    running = tool(status="running", raw='{"a": 1}')
    got = read_one(tmp_path, export(said(1, "go"), answered(2, running))).sessions[0]
    assert [m.role for m in got.messages] == ["user", "assistant"]
    assert (got.messages[1].calls[0].arguments, got.messages[1].calls[0].verbatim) == (
        '{"a": 1}',
        True,
    )


def test_parts_of_no_message_are_set_aside(tmp_path):
    stray = part("msg_9", 0, type="text", text="x")
    got = read(tmp_path, {"prt.json": json.dumps({**stray, "sessionID": "ses_1"}).encode()})
    assert [entry.reason for entry in got.set_aside] == ["unknown-record"]
