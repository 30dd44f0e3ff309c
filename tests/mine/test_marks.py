"""Marks: where the sides of a pair fail, in the texts that are written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep import mine, store
from misstep.mine.marks import as_json, from_json, marks_of, moved, text_of
from misstep.types import Mark
from scenes import called, corpus, message, mined, result, said, session, user

ASK = user("What is the weather in Oslo?")
NEXT = result("sunny", error=False)


def pair_of(failed, better, **more):
    """The one pair that these two answers to one prompt give."""
    pairs = mined(session(ASK, failed, NEXT), session(ASK, better, NEXT), **more).pairs
    assert len(pairs) == 1
    return pairs[0]


def shown(pair):
    """Side, code and the marked characters of every mark."""
    sides = {"chosen": pair.chosen, "rejected": pair.rejected}
    return {(m.side, m.code, text_of(sides[m.side], m)[slice(*m.span)]) for m in pair.marks}


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (
            {"city": "Oslo", "days": "3"},
            {("rejected", "WRONG_TYPE", '"3"'), ("chosen", "WRONG_TYPE", "3")},
        ),
        (
            {"city": "Oslo", "town": "Oslo"},
            {("rejected", "UNEXPECTED_ARG", '"town": "Oslo"')},
        ),
        (
            {"days": 3},
            {("chosen", "MISSING_REQUIRED", '"city": "Oslo"')},
        ),
        ('{"city": "Oslo", "days": 3', {("rejected", "ARGS_UNPARSABLE", "3")}),
        (
            '```\n{"city": "Oslo", "days": 3}\n```',
            {("rejected", "ARGS_UNPARSABLE", "```\n"), ("rejected", "ARGS_UNPARSABLE", "\n```")},
        ),
    ],
)
def test_a_finding_marks_its_value_and_the_same_place_on_the_chosen_side(failed, expected):
    assert (
        shown(pair_of(called("weather", failed), called("weather", {"city": "Oslo", "days": 3})))
        == expected
    )


def test_an_unknown_tool_is_marked_by_its_name():
    pair = pair_of(called("wether", {"city": "Oslo"}), called("weather", {"city": "Oslo"}))
    assert shown(pair) == {
        ("rejected", "TOOL_UNKNOWN", "wether"),
        ("chosen", "TOOL_UNKNOWN", "weather"),
    }


def test_a_missing_call_has_no_place():
    forced = {"tool_choice": "required"}
    failed = session(ASK, said("It is sunny in Oslo, I think."), **forced)
    better = session(ASK, called("weather", {"city": "Oslo"}), **forced)
    (pair,) = mined(failed, better).pairs
    assert pair.codes == ("NO_CALL",)
    assert pair.marks == ()


def test_a_json_answer_is_marked_in_its_content_and_a_fence_around_it():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    def pair(failed):
        logs = (session(ASK, said(text), schema=schema) for text in (failed, '{"n": 1}'))
        return mined(*logs).pairs[0]

    assert shown(pair('{"n": "1"}')) == {
        ("rejected", "WRONG_TYPE", '"1"'),
        ("chosen", "WRONG_TYPE", "1"),
    }
    assert shown(pair('```json\n{"n": 1}\n```')) == {
        ("rejected", "JSON_FENCED", "```json\n"),
        ("rejected", "JSON_FENCED", "\n```"),
    }


def test_a_loop_is_marked_with_the_period_that_is_the_first_to_repeat_another():
    loop = said("To begin with, a word. " + "All is well here. " * 60, finish_reason="length")
    healthy = "The weather in Oslo is fine and it will stay so until the evening. " + " ".join(
        f"At {hour} it is {hour + 3} degrees warm in place number {hour * 7}." for hour in range(9)
    )
    pairs = mined(session(ASK, loop), session(ASK, said(healthy))).pairs
    assert len(pairs) == 1
    (mark,) = pairs[0].marks
    text = pairs[0].rejected.text
    assert (mark.code, mark.span[1]) == ("REP_LOOP", len(text))
    assert text[mark.again[0] : mark.again[1]] == text[mark.span[0] : mark.again[0]]
    assert mark.again[0] == mark.span[0] + len("All is well here. ")


def test_repeated_elements_are_marked_from_the_second_even_in_a_text_that_broke_off():
    from misstep.types import Finding, Loop

    items = ", ".join(['{"name": "a long enough name", "size": 3}'] * 4)
    for text in ('{"rows": [' + items + "]}", '{"rows": [' + items + ', {"na'):
        finding = Finding(
            session="s",
            step=1,
            code="REP_ELEMENT",
            level="defect",
            channel="content",
            where="/rows/0",
            loop=Loop(onset=0, period=1, count=4, share=1.0, unit=""),
        )
        (mark,) = marks_of(message(said("{}")), message(said(text)), [finding])
        assert text[slice(*mark.again)] == ' {"name": "a long enough name", "size": 3}'
        assert mark.again[0] > mark.span[1]


def test_what_was_trimmed_away_is_not_marked():
    from misstep.types import Finding

    finding = Finding(
        session="s", step=1, code="JSON_SYNTAX", level="defect", channel="content", span=(90, 99)
    )
    assert marks_of(message(said("{}")), message(said("short")), [finding]) == ()


# --- written and read back ---------------------------------------------------------------------

KEY = "AKIA" + "Z7Q2M4X6B8N1V3C5"


def test_marks_lie_right_in_the_redacted_texts_of_a_row():
    failed = called("weather", {"city": f"Oslo {KEY}", "days": "3", "unit": "celsius"})
    better = called("weather", {"city": "Oslo", "days": 3, "unit": "celsius"})
    logs = session(ASK, failed, NEXT), session(ASK, better, NEXT)
    row = mine.pair_row(mined(*logs).pairs[0], corpus(*logs))
    store.check_row(row, "pair")
    sides = mine.row_to_sides(row)
    assert KEY not in sides.rejected.calls[0].arguments
    marked = {
        mark.side: text_of(getattr(sides, mark.side), mark)[slice(*mark.span)]
        for mark in sides.marks
    }
    assert marked == {"rejected": '"3"', "chosen": "3"}


@given(st.text("ab \n", max_size=30), st.data())
def test_a_span_outside_of_what_was_replaced_keeps_its_characters(text, data):
    secret = "S" * 9
    at = data.draw(st.integers(0, len(text)))
    old, new = text[:at] + secret + text[at:], text[:at] + "[gone]" + text[at:]
    start = data.draw(st.integers(0, at))
    end = data.draw(st.integers(start, at))
    behind = data.draw(st.integers(at + len(secret), len(old)))
    for span in ((start, end), (behind, len(old))):
        mark = Mark(side="rejected", code="X", channel="content", span=span)
        (after,) = moved([mark], {"rejected": message(said(old))}, {"rejected": message(said(new))})
        assert new[slice(*after.span)] == old[slice(*span)]


def test_a_mark_in_a_long_text_that_changed_a_lot_is_given_up():
    mark = Mark(side="rejected", code="X", channel="content", span=(5, 9_000))
    texts = ({"rejected": message(said(c * 10_000))} for c in "ab")
    assert moved([mark], *texts) == ()


SIDES = {"chosen": message(said("good")), "rejected": message(called("t", "{}", "bad"))}
GOOD = {"side": "rejected", "code": "X", "channel": "arguments", "call": 0, "span": [0, 2]}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"span": [0, 3]}, "[0, 3] lies outside of 2 characters"),
        ({"span": [2, 1]}, "[2, 1] lies outside of 2 characters"),
        ({"span": [-1, 1]}, "[-1, 1] lies outside of 2 characters"),
        ({"again": [1, 9]}, "[1, 9] lies outside of 2 characters"),
        ({"call": 1}, "the rejected side has no arguments of call 1"),
        ({"call": None}, "the rejected side has no arguments of call None"),
        ({"side": "chosen"}, "the chosen side has no arguments of call 0"),
        ({"span": ["a", 1]}, "Expected `int`, got `str` - at `$.span[0]`"),
        ({"channel": "reasoning"}, "Invalid enum value 'reasoning' - at `$.channel`"),
    ],
)
def test_a_mark_that_cannot_be_used_is_told_apart_and_the_others_stand(changes, wrong):
    marks, said_ = from_json(json.dumps([{**GOOD, **changes}, GOOD]), SIDES)
    assert [mark.span for mark in marks] == [(0, 2)]
    assert said_ == (f"places/0: {wrong}",)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_no_column_makes_a_reader_fail(value):
    from_json(value, SIDES)
    from_json(json.dumps(value), SIDES)
    marks, wrong = from_json([GOOD, value], SIDES)
    assert len(marks) + len(wrong) == 2


@pytest.mark.parametrize("value", [None, "", "[]"])
def test_a_row_without_marks_has_neither_marks_nor_faults(value):
    assert from_json(value, SIDES) == ((), ())


def test_a_text_that_is_not_json_is_one_fault():
    assert from_json("[" * 99_999, SIDES) == ((), ("places: not JSON",))
    assert from_json('{"a": 1}', SIDES) == ((), ("places: expected a list, got dict",))


def test_marks_survive_writing(tmp_path):
    pair = pair_of(called("weather", {"days": "3"}), called("weather", {"city": "Oslo"}))
    known = corpus(session(ASK, called("weather", {"days": "3"}), NEXT))
    rows = [mine.pair_row(replace(pair, prompt=p), known) for p in known.failed()]
    store.write_rows(tmp_path / "p.parquet", rows)
    (row,) = store.read_rows(tmp_path / "p.parquet")
    assert (
        mine.row_to_sides(row).marks
        == pair.marks
        == from_json(as_json(pair.marks), {"chosen": pair.chosen, "rejected": pair.rejected})[0]
    )
    del row["places"]
    assert mine.row_to_sides(row).marks == ()


def test_a_swap_or_an_edit_leaves_no_mark_where_it_no_longer_holds():
    pair = pair_of(called("weather", {"days": "3"}), called("weather", {"city": "Oslo"}))
    row = mine.pair_row(
        pair,
        corpus(
            session(ASK, called("weather", {"days": "3"}), NEXT),
            session(ASK, called("weather", {"city": "Oslo"}), NEXT),
        ),
    )
    sides = mine.row_to_sides(row)
    edited = message(called("weather", {"city": "Bergen"}))

    def left(word, text=None):
        decision = mine.Decision(pair=sides.id, word=word, edited=text, time="", reviewer="")
        return {mark.side for mark in mine.decided(sides, {sides.id: decision}).marks}

    assert {mark.side for mark in sides.marks} == {"chosen", "rejected"}
    assert left("swap") == set()
    assert left("edit", edited) == {"rejected"}


@given(st.text('{}[]",: \\1a\n', max_size=40), st.sampled_from("{["), st.integers(-2, 60))
def test_no_answer_however_broken_makes_marking_fail(text, opening, at):
    from misstep.types import Finding, Loop

    loop = Loop(onset=max(at, 0), period=3, count=4, share=1.0, unit="")
    side = message(said(opening + text))
    for code, where, span in (("WRONG_TYPE", "/1", None), ("REP_ELEMENT", "/a/0", None)):
        finding = Finding(
            session="s",
            step=1,
            code=code,
            level="defect",
            channel="content",
            where=where,
            span=span,
            loop=loop if code == "REP_ELEMENT" else None,
        )
        spanned = replace(finding, code="REP_LOOP", span=(max(at, 0), max(at, 0) + 9), loop=loop)
        marks = marks_of(side, side, [finding, spanned])
        sides = {"chosen": side, "rejected": side}
        assert from_json(as_json(marks), sides) == (marks, ())
