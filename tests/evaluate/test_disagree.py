"""Answers on which the two rules disagree: dealt evenly, counted by arm, without secrets."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from misstep.evaluate import Held
from misstep.evaluate.disagree import dealt, disagreeing, tallied
from misstep.evaluate.seen import see
from misstep.types import Message, Part, Prompt, Verdict

SECRET = "ghp_" + "a1B2c3D4e5" * 4
HELD = Held(
    prompt=Prompt(session="s", step=1),
    family="jane.doe@acme.org",
    demand_call=False,
    accepted=None,
    logged=Verdict(session="s", step=1, state="pass"),
)


def answer(text: str) -> Message:
    return Message(role="assistant", parts=(Part(kind="text", text=text),), finish_reason="stop")


@given(st.lists(st.sampled_from("abc")), st.integers(0, 12))
def test_no_group_hides_another(rows, most):
    shown = dealt(list(enumerate(rows)), most, lambda row: row[1])
    assert len(shown) == min(most, len(rows))
    assert shown == sorted(shown)
    whole, counts = Counter(rows), Counter(name for _, name in shown)
    for name, count in counts.items():
        for other in whole:
            assert counts[other] >= min(whole[other], count - 1), (name, other)


def test_the_end_of_an_answer_holds_no_secret_that_its_cut_goes_through(make, settings):
    session = make.session("s", make.user("page"), make.says("x"))
    loop = "the same line again and again\n" * 40
    text = f"{loop}{SECRET}{'.' * 100}"
    seen = see(session, HELD.prompt, answer(text), gold=None, settings=settings)
    assert seen.looped
    (row,) = disagreeing("sft", [(HELD, "greedy", 0, seen)])
    assert len(row.tail) == 120
    assert SECRET[-10:] not in row.tail
    assert row.tail.endswith("." * 100)
    assert "acme" not in row.family


def test_answers_on_which_the_rules_agree_keep_no_end(make, settings):
    session = make.session("s", make.user("page"), make.says("x"))
    seen = see(session, HELD.prompt, answer("x"), gold=None, settings=settings)
    assert seen.tail == ""
    assert list(disagreeing("sft", [(HELD, "greedy", 0, seen)])) == []


def test_they_are_counted_by_arm_kind_and_rule(make, settings):
    session = make.session("s", make.user("page"), make.says("x"))
    text = "the same line again and again\n" * 40
    seen = see(session, HELD.prompt, answer(text), gold=None, settings=settings)
    rows = [
        *disagreeing("sft", [(HELD, "greedy", 0, seen), (HELD, "sampled", 0, seen)]),
        *disagreeing("dpo", [(HELD, "greedy", 0, seen)] * 2),
    ]
    counts = [
        (r["model"], r["answers"], r["published_alone"], r["codes_alone"]) for r in tallied(rows)
    ]
    assert counts == [("sft", "greedy", 0, 1), ("sft", "sampled", 0, 1), ("dpo", "greedy", 0, 2)]
