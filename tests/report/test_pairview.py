"""Pairs made ready: what is marked, what differs, what is left out."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from misstep.report.pairview import MAX_TEXT, Run, pair_view

words = st.text(alphabet='ab {}":,\n\u202e', max_size=40)


def row(rejected: Any, chosen: Any, **more: Any) -> dict[str, Any]:
    return {"prompt": [], "chosen": chosen, "rejected": rejected, **more}


def says(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]


def calls(*arguments: Any) -> list[dict[str, Any]]:
    made = [{"function": {"name": "add", "arguments": a}} for a in arguments]
    return [{"role": "assistant", "content": "", "tool_calls": made}]


def test_the_finding_is_marked_and_the_difference_too() -> None:
    marks = [{"channel": "content", "call": None, "start": 4, "end": 9}]
    view = pair_view(row(says("the wrong end"), says("the right end"), marks=marks), 1)
    assert view.rejected[0].runs == (Run("the "), Run("wrong", "diff mark"), Run(" end"))
    assert view.chosen[0].runs == (Run("the "), Run("right", "diff"), Run(" end"))


def test_a_mark_belongs_to_its_call_and_channel() -> None:
    marks = [
        {"channel": "arguments", "call": 1, "start": 0, "end": 2, "evidence": "no", "code": "X"}
    ]
    view = pair_view(row(calls("[1]", "[2]"), calls("[1]", "[2]"), marks=marks), 1)
    assert view.rejected[0].runs == (Run("[1]"),)
    assert view.rejected[1].runs == (Run("[2", "mark"), Run("]"))
    assert (view.rejected[0].kind, view.rejected[0].title) == ("call", "add")
    assert view.evidence == (("X", "no"),)


def test_arguments_stored_as_objects_are_shown_as_json() -> None:
    view = pair_view(row(calls({"n": 1}), calls(None)), 1)
    assert view.rejected[0].runs[0].text.startswith("{")
    assert view.chosen[0].runs == ()


def test_rows_that_come_back_from_a_table_are_understood() -> None:
    back = {"role": "assistant", "content": "x", "tool_calls": None, "reasoning_content": None}
    view = pair_view(
        row([back], [back], tools='[{"function": {"name": "add"}}]', codes=None, id=None), 1
    )
    assert view.tools == ("add",)
    assert (view.codes, view.id) == ((), "")
    assert pair_view(row([back], [back], tools="{broken"), 1).tools == ()


def test_only_the_tail_of_the_prompt_is_shown() -> None:
    prompt = [{"role": "user", "content": f"turn {i}"} for i in range(9)]
    view = pair_view({**row(says("a"), says("b")), "prompt": prompt}, 1)
    assert view.earlier == 5
    assert [t.blocks[0].runs[0].text for t in view.tail] == ["turn 5", "turn 6", "turn 7", "turn 8"]


def test_a_long_text_is_cut_in_the_middle_and_says_so() -> None:
    view = pair_view(row(says("x" * 100_000), says("y")), 1)
    shown = "".join(run.text for run in view.rejected[0].runs)
    assert len(shown) < MAX_TEXT + 100
    assert " characters left out … " in shown


def test_where_it_came_from_is_a_place_to_look_up() -> None:
    origin = [{"file": "a.jsonl", "line": 3, "format": "x"}, {"file": "b.jsonl", "line": None}]
    view = pair_view(row(says("a"), says("b"), origin_rejected=origin, origin_chosen="told"), 1)
    assert view.from_rejected == "a.jsonl:3, b.jsonl"
    assert view.from_chosen == "told"


@given(words, words, st.integers(-5, 50), st.integers(-5, 50))
def test_no_character_is_lost_or_added(wrong: str, right: str, start: int, end: int) -> None:
    marks = [{"channel": "content", "start": start, "end": end}]
    view = pair_view(row(says(wrong), says(right), marks=marks), 1)
    shown = "".join(run.text for block in view.rejected for run in block.runs)
    assert shown == wrong.replace("\u202e", "\\u{202e}")


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(["role", "content", "tool_calls", "function", "name"]),
                x,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_rows_of_any_shape_are_shown(value: Any) -> None:
    pair_view(row(value, value, tools=value, codes=value, origin_chosen=value, marks=value), 1)


def test_two_texts_of_a_hundred_thousand_words_are_ready_at_once() -> None:
    started = time.process_time()
    pair_view(row(says("a b " * 50_000), says("b a " * 50_000)), 1)
    pair_view(row(says("a b c d " * 480), says("d c b a " * 480)), 2)
    assert time.process_time() - started < 2.0


def test_a_pair_of_sampled_answers_still_leads_back_to_its_prompt() -> None:
    assert pair_view(row(says("a"), says("b"), session="ab12", step=3), 1).place == (
        "session ab12 step 3"
    )
    assert pair_view(row(says("a"), says("b")), 1).place == ""
