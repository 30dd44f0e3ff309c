"""goose: the sample written after its source, and small hand-made lines."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from misstep.config import ValidateConfig
from misstep.validate import settings, validate
from reading import balances, read, read_one, shape
from samples import read_sample

RETRY = "Please retry if you think this is a transient or recoverable error."
ABOUT = {"working_dir": "/home/ada", "description": "t", "message_count": 3}


def text(said):
    return {"type": "text", "text": said}


def line(role, *blocks, at=1, **more):
    return {"role": role, "created": at, "content": list(blocks), **more}


def request(call="c1", name="shell", arguments=None, **more):
    value = {"name": name, "arguments": arguments or {"a": 1}}
    return {"type": "toolRequest", "id": call, "toolCall": {"status": "success", "value": value}}


def unread(said, call="c1"):
    return {"type": "toolRequest", "id": call, "toolCall": {"status": "error", "error": said}}


def response(value, call="c1"):
    return {"type": "toolResponse", "id": call, "toolResult": {"status": "success", "value": value}}


def one(folder, *lines):
    (session,) = read_one(folder, ABOUT, *lines).sessions
    return session


def main_session(sample):
    return next(s for s in sample.sessions if len(s.messages) > 10)


def test_the_sample_is_read_whole():
    got = read_sample("goose")
    balances(got)
    assert got.set_aside == ()
    assert got.counts.ignored == {"excluded": 3, "shown-only": 1, "table-schema_version": 1}
    assert len(got.sessions) == 5


def test_what_failed_in_the_sample_is_what_was_written():
    judge = settings(ValidateConfig())
    codes = Counter(
        (finding.code, finding.level)
        for session in read_sample("goose").sessions
        for finding in validate(session, judge).findings
    )
    assert codes["ARGS_UNPARSABLE", "defect"] == 3
    assert codes["ENV_ERROR", "info"] == 2


def test_an_answer_stored_in_several_rows_is_one_step():
    got = main_session(read_sample("goose"))
    first = got.messages[1]
    assert first.reasoning == "Look first."
    assert [(c.id, c.index) for c in first.calls] == [("c1", 0), ("c2", 1)]
    assert [r.call_id for r in got.messages[2].results] == ["c1", "c2"]
    assert len(first.origins) == 4


def test_a_call_that_could_not_be_read_keeps_what_goose_quotes():
    calls = [c for m in main_session(read_sample("goose")).messages for c in m.calls if c.fault]
    assert [(c.name, c.arguments, c.verbatim) for c in calls] == [
        ("", '{"command": "ls -l", }', True),
        ("shell exec", "{}", False),
    ]


def test_results_say_who_caused_what():
    got = main_session(read_sample("goose"))
    assert [(r.is_error, r.cause, r.exit_code) for m in got.messages for r in m.results] == [
        (False, None, 0),
        (False, None, 0),
        (True, "model", None),
        (True, "model", None),
        (True, None, 1),
        (True, None, None),
        (True, "human", None),
        (False, None, None),
    ]


def test_a_sub_agent_is_a_session_of_the_same_family():
    got = read_sample("goose")
    main = main_session(got)
    side = next(s for s in got.sessions if s.parent == main.id)
    assert (side.family, side.messages[1].actor) == (main.family, "sub-agent")
    assert side.messages[0].actor == "harness"


def test_what_a_compaction_hid_is_a_session_of_its_own():
    got = read_sample("goose")
    later = next(s for s in got.sessions if s.messages[0].text.startswith("Summary:"))
    before = next(s for s in got.sessions if s.id == later.parent)
    assert before.messages[0].text == "Read everything"
    assert (before.family, later.messages[0].actor) == (later.family, "harness")


def test_model_and_usage_are_kept():
    step = main_session(read_sample("goose")).messages[1]
    assert (step.model, step.usage.input_tokens, step.usage.output_tokens) == (
        "misstep-sample",
        100,
        20,
    )


@pytest.mark.parametrize(
    "failed",
    [
        [text(f"Ran into this error: 500.\n\n{RETRY}")],
        [{"type": "error", "kind": "other", "message": "500."}],
    ],
)  # fmt: skip
def test_a_failed_request_is_a_step_without_parts(tmp_path, failed):
    last = one(tmp_path, line("user", text("go")), line("assistant", *failed)).messages[-1]
    assert (last.error, last.parts) == ("500.", ())


def test_an_export_is_read_like_its_lines(tmp_path):
    talk = [
        line("user", text("go")),
        line("assistant", request(), at=2),
        line("user", response([text("x")]), at=3),
    ]
    lines = one(tmp_path / "a", *talk)
    whole = {**ABOUT, "id": "20250101_1", "conversation": talk}
    got = read(tmp_path / "b", {"e.json": json.dumps(whole).encode()})
    assert [shape(s) for s in got.sessions] == [shape(lines)]
    assert got.counts.used == 4
    assert got.sessions[0].family == "20250101_1"


def test_a_row_that_names_another_model_wins(tmp_path):
    notes = {"inference": {"provider": "p", "requestedModel": "m2"}}
    got = one(tmp_path, line("user", text("go")), line("assistant", text("x"), metadata=notes))
    assert got.messages[-1].model == "m2"


def test_what_only_the_user_sees_is_ignored(tmp_path):
    shown = {"type": "systemNotification", "notificationType": "inlineMessage", "msg": "hi"}
    got = read_one(
        tmp_path,
        ABOUT,
        line("user", text("go")),
        line("assistant", shown),
        line("assistant", text("x")),
    )
    assert got.counts.ignored == {"shown-only": 1}
    assert shape(got.sessions[0]) == ["user 'go'", "assistant 'x'"]


def test_what_later_versions_add_is_kept_by_hash(tmp_path):
    got = one(tmp_path, line("user", text("go")), line("assistant", {"type": "novel", "a": [1]}))
    assert [p.kind for p in got.messages[-1].parts] == ["image"]


def test_a_call_without_a_name_is_set_aside(tmp_path):
    got = read_one(tmp_path, ABOUT, line("user", text("go")), line("assistant", request(name=None)))
    assert [entry.reason for entry in got.set_aside] == ["bad-message"]
    assert got.set_aside[0].origin.pointer == "/content/0/toolCall/value"


def test_an_unread_call_without_a_quote_has_no_name(tmp_path):
    got = one(tmp_path, line("user", text("go")), line("assistant", unread("no such extension")))
    call = got.messages[-1].calls[0]
    assert (call.name, call.arguments, call.fault) == ("", "{}", "no such extension")
