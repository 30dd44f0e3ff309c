"""aider: the sample made by aider, and small hand-made runs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.config import ValidateConfig
from misstep.ingest.format import Record, Tally
from misstep.ingest.formats.aider import FORMAT
from misstep.types import Origin
from misstep.validate import settings, validate
from reading import balances, read, shape
from samples import read_sample

START = "\n# aider chat started at 2026-01-02 03:04:05\n\n"
BANNER = "> Aider v0.86.2  \n> Model: m with diff edit format  \n"


def run(folder, body):
    return read(folder, {"x/.aider.chat.history.md": f"{START}{BANNER}{body}".encode()})


def one(folder, body):
    (session,) = run(folder, body).sessions
    return session


def asked(words):
    return next(s for s in read_sample("aider").sessions if s.messages[0].text == words)


def test_the_sample_is_read_whole_and_every_line_is_accounted_for():
    got = read_sample("aider")
    balances(got)
    assert got.set_aside == ()
    assert got.counts.formats["aider"].sessions == 5


def test_what_failed_in_the_sample_is_what_was_played():
    judge = settings(ValidateConfig())
    codes = Counter(
        (finding.code, finding.level)
        for session in read_sample("aider").sessions
        for finding in validate(session, judge).findings
    )
    assert codes == {("NO_CALL", "defect"): 2, ("ENV_ERROR", "info"): 1}


def test_an_answer_that_does_not_apply_is_its_own_fault_and_the_next_one_is_told_why():
    first, told, second = asked("Rename delta to zeta").messages[1:]
    assert first.fault.startswith("The LLM did not conform to the edit format.")
    assert (told.role, told.actor) == ("user", "harness")
    assert told.text.startswith("# 1 SEARCH/REPLACE block failed to match!")
    assert ">>>>>>> REPLACE" in told.text
    assert told.text.endswith("indentation, docstrings, etc")
    assert (second.fault, second.text[:5]) == (None, "Sorry")


def test_an_answer_is_kept_to_the_letter():
    answer = asked("Rename alpha to gamma").messages[1]
    block = "<<<<<<< SEARCH\nalpha\n=======\ngamma\n>>>>>>> REPLACE"
    assert answer.text == f"I rename it.\n\nnotes.txt\n```\n{block}\n```"
    assert (answer.model, answer.usage.input_tokens) == ("openai/misstep-sample", 100)


def test_a_quoted_line_and_a_line_like_a_users_stay_in_the_answer():
    assert asked("Break a block").messages[-1].text == "> a quoted line\n\nI give up."
    assert asked("hi there").messages[1].text == "Hello.\n\n#### Not a user\n\nplain"


def test_a_refused_request_is_a_step_without_parts():
    last = asked("Is it broken?").messages[-1]
    assert (last.parts, last.error[:23]) == ((), "litellm.BadRequestError")


def test_commands_are_not_said_to_the_model():
    got = asked("hi there")
    assert [m.role for m in got.messages] == ["user", "assistant", "user", "assistant"]
    assert not any(m.text.startswith("/") for m in got.messages)


def test_a_run_starts_at_the_time_of_its_line(tmp_path):
    got = one(tmp_path, "#### hi  \n\nhello\n")
    assert got.messages[0].time == 1767323045.0


def test_lines_of_one_prompt_are_one_message(tmp_path):
    got = one(
        tmp_path, "#### one  \n#### two  \n\nanswer\n\nmore\n\n> Tokens: 1.2k sent, 3 received.  \n"
    )
    assert shape(got) == ["user 'one\\ntwo'", "assistant 'answer\\n\\nmore'"]
    assert (got.messages[1].usage.input_tokens, got.messages[1].usage.output_tokens) == (1200, 3)


def test_a_token_limit_is_a_finish_reason(tmp_path):
    body = "#### go  \n\nlong\n\n> Model m has hit a token limit!  \n"
    assert one(tmp_path, body).messages[-1].finish_reason == "length"


def test_an_answer_that_the_user_stopped_is_cut(tmp_path):
    last = one(tmp_path, "#### go  \n\nhalf\n\n> ^C again to exit  \n").messages[-1]
    assert (last.text, last.end, last.error) == ("half", "cut", "stopped by the user")


def test_a_run_without_an_answer_is_ignored(tmp_path):
    got = run(tmp_path, "#### hi  \n")
    assert got.sessions == ()
    assert set(got.counts.ignored) == {"blank", "unanswered-run"}


def test_text_before_the_first_run_is_set_aside(tmp_path):
    got = read(tmp_path, {"a.md": f"notes\n{START}#### hi  \n\nhello\n".encode()})
    assert [entry.reason for entry in got.set_aside] == ["unknown-record"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_runs_of_one_file_are_sessions(tmp_path, ends):
    body = f"{START}#### a  \n\nx\n{START}#### b  \n\ny\n".replace("\n", ends)
    got = read(tmp_path, {"h.md": body.encode()})
    assert [shape(s) for s in got.sessions] == [
        ["user 'a'", "assistant 'x'"],
        ["user 'b'", "assistant 'y'"],
    ]


LINE = st.sampled_from(
    [
        "",
        "# aider chat started at 2026-01-02 03:04:05",
        "# aider chat started at x",
        "#### hi  ",
        "#### /run ls  ",
        "####",
        "> Tokens: 1 sent, 9,9.9k received.  ",
        "> The LLM did not conform to the edit format.  ",
        "> The LLM did not conform",
        "> quote",
        ">",
        "plain",
        "plain  ",
        "  ",
        "> litellm.APIError: x  ",
        "> Model: m with x  ",
    ]
)


@given(st.lists(LINE | st.text(max_size=8) | st.integers(), max_size=30))
def test_any_lines_are_read_and_counted_once(lines):
    tally = Tally()
    reader = FORMAT.reader(tally)
    for number, text in enumerate(lines):
        reader.read(Record(value=text, origin=Origin(file="f", format="aider", line=number)))
    reader.close_file()
    sessions = reader.finish()
    assert tally.used + tally.ignored.total() + len(tally.set_aside) == len(lines)
    assert all(any(m.role == "assistant" for m in s.messages) for s in sessions)
