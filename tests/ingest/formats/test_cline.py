"""Cline: the samples made by two of its versions, and small hand-made tasks."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from misstep.config import ValidateConfig
from misstep.validate import settings, validate
from reading import balances, read, shape
from samples import read_sample

HISTORY, SEEN = "api_conversation_history.json", "ui_messages.json"


def text(said):
    return {"type": "text", "text": said}


def said(*blocks, at=1, **more):
    return {"role": "user", "content": list(blocks), "ts": at, **more}


def answered(*blocks, at=2, **more):
    return {"role": "assistant", "content": list(blocks), "ts": at, **more}


def use(name="read_file", call="c1", **given):
    return {"type": "tool_use", "id": call, "name": name, "input": given}


def back(content, call="c1", **more):
    return {"type": "tool_result", "tool_use_id": call, "content": content, **more}


def task(folder, *messages, seen=(), name="1", **beside):
    files = {f"tasks/{name}/{HISTORY}": json.dumps(messages).encode()}
    if seen:
        files[f"tasks/{name}/{SEEN}"] = json.dumps(list(seen)).encode()
    for base, value in beside.items():
        files[f"tasks/{name}/{base}.json"] = json.dumps(value).encode()
    return read(folder, files)


def one(folder, *messages, **more):
    (session,) = task(folder, *messages, **more).sessions
    return session


def asked(words):
    sample = read_sample("cline")
    return next(s for s in sample.sessions if words in "".join(m.text for m in s.messages[:2]))


def test_the_sample_is_read_whole():
    got = read_sample("cline")
    balances(got)
    assert got.set_aside == ()
    assert got.counts.formats["cline"].sessions == 7


def test_what_failed_in_the_sample_is_what_was_played():
    judge = settings(ValidateConfig())
    codes = Counter(
        (finding.code, finding.level)
        for session in read_sample("cline").sessions
        for finding in validate(session, judge).findings
    )
    assert codes["ARGS_UNPARSABLE", "defect"] == 2
    assert codes["TOOL_UNKNOWN", "defect"] == 1
    assert codes["NO_CALL", "defect"] == 1
    assert codes["ENV_ERROR", "info"] == 2


def test_arguments_that_cline_could_not_read_stand_as_they_were_written():
    calls = [call for m in asked("Is gamma in notes.txt?").messages for call in m.calls]
    assert [(c.name, c.arguments, c.verbatim) for c in calls[2:5]] == [
        ("run_commands", '{"commands":["ls -l"]}', False),  # repaired before it was stored
        ("run_commands", "list the folder", True),
        ("shell_exec", '{"cmd":"ls"}', False),
    ]
    assert [c.fault is not None for c in calls] == [False] * 3 + [True, True] + [False] * 4


def test_an_unknown_tool_is_judged_by_the_tools_that_the_error_names():
    got = asked("Is gamma in notes.txt?")
    step = next(i for i in got.steps if any(c.name == "shell_exec" for c in got.messages[i].calls))
    assert "run_commands" in [tool.name for tool in got.context_of(step).tools]


def test_results_of_parallel_calls_are_one_message():
    got = asked("Is gamma in notes.txt?")
    assert [r.text for r in got.messages[3].results] == ["1 | alpha\n2 | beta", "1 | a,b\n2 | 1,2"]
    assert [r.is_error for r in got.messages[3].results] == [False, False]


def test_a_failed_entry_of_a_result_is_an_error_with_its_exit_code():
    got = asked("Is gamma in notes.txt?")
    failed = [r for m in got.messages for r in m.results if r.exit_code is not None]
    assert [(r.name, r.is_error, r.exit_code) for r in failed] == [("run_commands", True, 1)]


def test_a_sub_agent_is_a_session_of_the_same_family():
    main, side = asked("Is gamma in notes.txt?"), asked("Count the lines of notes")
    assert (side.parent, side.family) == (main.id, main.family)
    assert {m.actor for m in side.messages if m.role == "assistant"} == {"sub-agent"}


def test_tags_in_text_are_calls_and_their_results_follow():
    got = asked("Look with tags")
    assert shape(got)[1] == 'assistant \'I will read it.\\n\\n\' read_file({"path":"notes.txt"})'
    assert got.messages[2].results[0].text.startswith("1 | alpha")
    assert not got.messages[1].calls[0].verbatim
    codes = [r.exit_code for m in got.messages for r in m.results]
    assert codes == [None, 1, None, None]


def test_an_answer_without_a_tool_is_that_answers_fault():
    got = asked("Look with tags")
    faults = [(m.text, m.fault is not None) for m in got.messages if m.role == "assistant"]
    assert ("It has two lines.", True) in faults
    assert sum(fault for _, fault in faults) == 1


def test_a_missing_parameter_that_ended_the_task_is_the_calls_fault():
    call = asked("Leave out the path").messages[-1].calls[0]
    assert (call.name, call.arguments) == ("read_file", '{"file":"notes.txt"}')
    assert "required parameter 'path'" in call.fault


def test_refused_requests_are_steps_without_parts():
    sample = read_sample("cline")
    last = [s.messages[-1] for s in sample.sessions if s.messages[-1].error]
    assert [m.parts for m in last] == [(), ()]
    assert all("no such model" in m.error for m in last)


def test_calls_that_follow_each_other_in_text_are_all_found(tmp_path):
    tags = "<read_file><path>a</path></read_file> and <list_files><path>b</path></list_files>"
    got = one(tmp_path, said(text("<task>go</task>")), answered(text(tags)))
    assert [(c.name, c.index, c.arguments) for c in got.messages[1].calls] == [
        ("read_file", 0, '{"path":"a"}'),
        ("list_files", 1, '{"path":"b"}'),
    ]


@pytest.mark.parametrize(
    ("tags", "given"),
    [
        ("<write_to_file><path>a</path><content>\n<content>x</content>\n</content></write_to_file>",
         {"path": "a", "content": "<content>x</content>"}),
        ("<read_file>\n<path>a", {"path": "a"}),
        ("<read_file></read_file>", {}),
        ("<read_file>none</read_file>", {}),
    ],
)  # fmt: skip
def test_values_of_tags_end_where_cline_ends_them(tmp_path, tags, given):
    got = one(tmp_path, said(text("go")), answered(text(tags)))
    assert json.loads(got.messages[1].calls[0].arguments) == given


def test_a_tag_that_is_no_tool_stays_text(tmp_path):
    got = one(tmp_path, said(text("go")), answered(text("<b>bold</b>")))
    assert (got.messages[1].text, got.messages[1].calls) == ("<b>bold</b>", ())


def test_text_results_meet_the_calls_of_their_name_in_order(tmp_path):
    got = one(
        tmp_path,
        said(text("go")),
        answered(use(call="c1", path="a"), use(call="c2", path="b")),
        said(
            text("[read_file for 'a'] Result:"),
            text("one"),
            text("[read_file for 'b'] Result:\ntwo"),
            text("<environment_details>\n</environment_details>"),
            at=3,
        ),
        answered(text("done"), at=4),
    )
    assert [(r.call_id, r.text) for r in got.messages[2].results] == [("c1", "one"), ("c2", "two")]
    assert got.messages[3].actor == "harness"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("The user denied this operation.", (True, "human")),
        ('{"status":"denied","feedback":"no"}', (True, "human")),
        ('{"status":"error","message":"The tool execution failed","error":"x"}', (True, None)),
        ('{"status":"error","type":"unknown_tool","message":"x"}', (True, "model")),
        ('{"status":"approved","feedback":"go on"}', (None, None)),
        ("Skipping tool [read_file] due to user rejecting a previous tool.", (True, "knock-on")),
        (
            "The tool execution failed with the following error:\n<error>\nno\n</error>",
            (True, None),
        ),
        (
            "The tool execution failed with the following error:\n<error>\nMissing value for "
            "required parameter 'path'. Please retry.\n</error>",
            (True, "model"),
        ),
        ("all is well", (None, None)),
    ],
)
def test_the_fixed_words_of_a_result_say_who_caused_what(tmp_path, content, seen):
    got = one(tmp_path, said(text("go")), answered(use(path="a")), said(back(content)))
    result = got.messages[2].results[0]
    assert (result.is_error, result.cause) == seen


def test_a_flag_of_a_result_is_kept(tmp_path):
    got = one(tmp_path, said(text("go")), answered(use()), said(back("no", is_error=True)))
    assert got.messages[2].results[0].is_error is True


def test_a_sub_task_names_what_started_it_whatever_the_order_of_files(tmp_path):
    talk = [said(text("go")), answered(text("done"))]
    files = {
        f"tasks/1/{HISTORY}": json.dumps([said(text("sub")), answered(text("x"))]).encode(),
        "tasks/1/history_item.json": json.dumps(
            {"id": "1", "parentTaskId": "2", "rootTaskId": "2"}
        ).encode(),
        f"tasks/2/{HISTORY}": json.dumps(talk).encode(),
    }
    side, main = read(tmp_path, files).sessions
    assert (side.parent, side.family, main.family) == (main.id, "2", "2")
    assert side.messages[1].actor == "sub-agent"


def test_a_summary_starts_another_session(tmp_path):
    messages = [
        said(text("go")),
        answered(text("long")),
        answered(text("In short: long."), isSummary=True, at=3),
        said(text("<feedback>on</feedback>"), at=4),
        answered(text("done"), at=5),
    ]
    before, after = task(tmp_path, *messages).sessions
    assert after.parent == before.id
    assert shape(after)[0] == "user 'In short: long.'"
    assert [m.actor for m in after.messages] == ["harness", "human", "agent"]


def test_a_failed_request_that_was_tried_again_is_no_step(tmp_path):
    failed = {"type": "ask", "ask": "api_req_failed", "text": "500", "ts": 1.5}
    got = task(tmp_path, said(text("go")), answered(text("done")), seen=[failed])
    assert [m.error for m in got.sessions[0].messages] == [None, None]
    assert got.counts.ignored["seen-by-user"] == 1


def test_messages_without_a_known_role_are_set_aside(tmp_path):
    got = task(tmp_path, said(text("go")), answered(text("done")), {"role": "x", "content": []})
    assert [entry.reason for entry in got.set_aside] == ["bad-message"]


def test_the_newer_form_of_roo_reads_like_the_older_one(tmp_path):
    call = {
        "type": "tool-call",
        "toolCallId": "c1",
        "toolName": "read_file",
        "input": {"path": "a"},
    }
    output = {"type": "text", "value": "[ERROR] no such file"}
    came = {"type": "tool-result", "toolCallId": "c1", "toolName": "read_file", "output": output}
    messages = [
        said(text("<user_message>go</user_message>")),
        answered({"type": "reasoning", "text": "hm"}, call),
        {"role": "tool", "content": [came], "ts": 3},
        {"type": "reasoning", "encrypted_content": "x", "ts": 4},
        answered(text("done"), at=5),
    ]
    whole = json.dumps({"version": 2, "messages": messages}).encode()
    got = read(tmp_path, {f"tasks/1/{HISTORY}": whole})
    assert shape(got.sessions[0])[1:] == [
        'assistant read_file({"path":"a"})',
        "tool ->'[ERROR] no such file'",
        "assistant 'done'",
    ]
    assert got.sessions[0].messages[1].reasoning == "hm"
    assert got.sessions[0].messages[2].results[0].is_error is True
    assert got.counts.ignored == {"encrypted-reasoning": 1}
    assert (got.counts.used, got.sessions[0].family) == (4, "1")
