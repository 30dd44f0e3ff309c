"""Trimming rejected loops, worked by hand."""

from __future__ import annotations

import pytest

from misstep.mine.trim import trim
from misstep.types import Finding, Loop, Message, Part, ToolCall


def text(*texts: str, **more) -> Message:
    return Message(role="assistant", parts=tuple(Part(kind="text", text=t) for t in texts), **more)


def found(loop: Loop, channel="content", code="REP_LOOP", **more) -> Finding:
    return Finding(
        session="s", step=1, code=code, level="defect", channel=channel, loop=loop, **more
    )


def loop(onset: int, period: int, count: float) -> Loop:
    return Loop(onset=onset, period=period, count=count, share=0.9, unit="")


def test_three_periods_stay_behind_the_onset():
    unit = "thirty characters of the unit. "
    got = trim(text("head " + unit * 20), [found(loop(5, 31, 20))], periods=3)
    assert got.answer.text == "head " + unit * 3
    assert (got.edits, got.cut) == (("trim",), True)


def test_of_a_short_unit_sixty_characters_stay():
    got = trim(text("x" + "ab" * 500), [found(loop(1, 2, 500))], periods=3)
    assert got.answer.text == "x" + "ab" * 30


def test_no_more_stays_than_there_is():
    got = trim(text("ab" * 20 + " end"), [found(loop(0, 2, 20))], periods=3)
    assert got.answer.text == "ab" * 20


def test_what_follows_the_loop_goes_too():
    call = Part(kind="call", call=ToolCall(name="weather", arguments="{}"))
    answer = Message(role="assistant", parts=(Part(kind="text", text="ab" * 100), call))
    got = trim(answer, [found(loop(0, 2, 100))], periods=3)
    assert got.answer.parts == (Part(kind="text", text="ab" * 30),)


def test_a_loop_may_start_in_the_second_text_part():
    got = trim(text("0123456789", "ab" * 100), [found(loop(10, 2, 100))], periods=3)
    assert [p.text for p in got.answer.parts] == ["0123456789", "ab" * 30]


def test_a_loop_in_arguments_cuts_the_call_and_what_follows():
    calls = [ToolCall(name="note", arguments='{"t": "' + "ab" * 99, index=i) for i in range(3)]
    answer = Message(role="assistant", parts=tuple(Part(kind="call", call=c) for c in calls))
    got = trim(answer, [found(loop(7, 2, 99), "arguments", call=1)], periods=3)
    assert [c.arguments for c in got.answer.calls] == [calls[0].arguments, '{"t": "' + "ab" * 30]


def test_a_loop_in_reasoning_leaves_no_text_behind_it():
    parts = (Part(kind="reasoning", text="ab" * 99), Part(kind="text", text="so"))
    got = trim(
        Message(role="assistant", parts=parts), [found(loop(0, 2, 99), "reasoning")], periods=3
    )
    assert (got.answer.reasoning, got.answer.text) == ("ab" * 30, "")


def test_the_earliest_loop_counts():
    findings = [found(loop(300, 2, 100)), found(loop(0, 2, 100), code="REP_DRIFT")]
    assert len(trim(text("ab" * 300), findings, periods=3).answer.text) == 60


def test_of_equal_parallel_calls_three_stay():
    calls = [ToolCall(name="note", arguments="{}", index=i) for i in range(8)]
    answer = Message(role="assistant", parts=tuple(Part(kind="call", call=c) for c in calls))
    finding = found(loop(1, 1, 7), "arguments", "REP_ELEMENT", call=2, tags=("parallel",))
    got = trim(answer, [finding], periods=3)
    assert got.answer.calls == tuple(calls[:4])
    assert got.cut


def test_without_a_loop_nothing_changes():
    answer = text("fine", finish_reason="stop")
    got = trim(answer, [], periods=3)
    assert got.answer is answer
    assert (got.edits, got.cut) == ((), False)


@pytest.mark.parametrize("more", [{"finish_reason": "length"}, {"end": "cut"}])
def test_an_answer_that_met_its_limit_carries_no_end_of_turn(more):
    got = trim(text("half a", **more), [], periods=3)
    assert (got.edits, got.cut) == ((), True)
