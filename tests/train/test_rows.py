"""Rows: what becomes token ids, what is set aside, and in which order they come."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from misstep.models.budget import Budget
from misstep.train import Row
from misstep.train.focus import differing
from misstep.train.rows import Ids, batches, evenly, plan, tokenise
from misstep.types import Context, Message, Origin, Part, ToolCall
from training import Letters, pairs, say


def row(chosen: str, rejected: str | None, **more) -> Row:
    return Row(
        id=chosen,
        prompt=(say("user", "ab"),),
        context=Context(),
        chosen=say("assistant", chosen),
        rejected=None if rejected is None else say("assistant", rejected),
        **more,
    )


def reasons(rows, **more):
    kept, aside = tokenise(rows, Letters(), **{"max_length": 100, "pairs": True, **more})
    assert len(kept) + len(aside) == len(rows)
    return [each.reason for each in aside]


def test_both_sides_carry_their_end_of_turn():
    kept, _ = tokenise([row("c", "dd")], Letters(), max_length=100, pairs=True)
    assert kept == [Ids(id="c", prompt=(97, 98), chosen=(99, 0), rejected=(100, 100, 0))]


def test_a_cut_rejected_side_carries_none():
    kept, _ = tokenise([row("c", "dd", cut=True)], Letters(), max_length=100, pairs=True)
    assert kept[0].rejected == (100, 100)


def test_a_row_longer_than_max_length_is_set_aside_and_not_cut():
    kept, aside = tokenise([row("c", "d" * 9)], Letters(), max_length=11, pairs=True)
    assert kept == []
    assert aside[0].reason == "too-long"
    assert aside[0].said == "row c: 12 tokens, at most 11 (max_length) are trained on"


def test_a_row_of_exactly_max_length_is_trained_on():
    assert reasons([row("c", "d" * 9)], max_length=12) == []


def test_sides_that_are_equal_after_the_template_are_set_aside():
    assert reasons([row("c", "c")]) == ["same-sides"]


def test_sides_that_differ_in_their_end_alone_are_trained_on():
    assert reasons([row("c", "c", cut=True)]) == []


def test_a_pair_without_a_rejected_side_is_set_aside():
    assert reasons([row("c", None)]) == ["no-rejected"]


def test_a_side_that_the_template_refuses_is_set_aside_with_the_reason():
    kept, aside = tokenise([row("c", "!")], Letters(), max_length=9, pairs=True)
    assert (kept, aside[0].reason) == ([], "template")
    assert aside[0].said == "row c: rejected answer: rendered in another way"


def test_the_same_tokens_are_trained_on_once():
    assert reasons([row("c", "d"), row("c", "d"), row("c", "e")]) == ["copy"]


def test_rows_beyond_the_limit_are_set_aside():
    assert reasons([row("c", "d"), row("c", "c"), row("e", "f"), row("g", "h")], limit=2) == [
        "same-sides",
        "over-limit",
    ]


def test_supervised_rows_do_not_look_at_the_rejected_side():
    kept, aside = tokenise([row("c", "c")], Letters(), max_length=100, pairs=False)
    assert aside == []
    assert kept[0].rejected is None


def test_what_is_set_aside_leads_back_to_the_log():
    origin = Origin(file="a.jsonl", format="chat", line=3)
    faulty = replace(row("c", None), chosen=replace(say("assistant", "c"), origins=(origin,)))
    assert tokenise([faulty], Letters(), max_length=9, pairs=True)[1][0].origin == origin


def test_every_family_gives_a_row_before_any_gives_two():
    rows = [replace(each, family="big") for each in pairs(20)] + [
        replace(each, family=f"small{at}") for at, each in enumerate(pairs(4))
    ]
    assert {each.family for each in evenly(rows, seed=1)[:5]} == {
        "big",
        "small0",
        "small1",
        "small2",
        "small3",
    }


@given(st.integers(0, 40), st.integers(0, 5))
def test_evenly_loses_no_row(count, seed):
    rows = pairs(count)
    assert sorted(each.id for each in evenly(rows, seed=seed)) == sorted(each.id for each in rows)


def test_an_epoch_of_ten_rows_by_four_is_three_steps():
    assert plan(10, batch=4, accumulate=1, epochs=1, max_steps=-1) == (3, 3)


def test_accumulation_makes_steps_of_several_batches():
    assert plan(10, batch=4, accumulate=2, epochs=2, max_steps=-1) == (3, 6)


def test_max_steps_overrides_epochs():
    assert plan(10, batch=4, accumulate=2, epochs=1, max_steps=7) == (7, 14)


def some_ids(lengths):
    return [Ids(id=str(at), prompt=(at,) * n, chosen=(at,)) for at, n in enumerate(lengths)]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=60), st.integers(1, 9))
def test_each_epoch_has_each_row_once(lengths, batch):
    rows = some_ids(lengths)
    per_epoch = -(-len(rows) // batch)
    order = batches(rows, batch=batch, count=2 * per_epoch, seed=0)
    for epoch in (order[:per_epoch], order[per_epoch:]):
        assert sorted(at for group in epoch for at in group) == list(range(len(rows)))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.integers(4, 9))
def test_the_batches_of_an_epoch_are_about_as_large(sessions, batch):
    rows = [
        Ids(id=f"{task}-{step}", prompt=(task, *range(step)), chosen=(1,))
        for task, steps in enumerate(sessions)
        for step in range(steps)
    ]
    count = -(-len(rows) // batch)
    sizes = [len(group) for group in batches(rows, batch=batch, count=count, seed=0)]
    assert max(sizes) <= batch
    assert min(sizes) >= min(len(rows), len(rows) // count - batch // 4 - 1, batch // 2)
    assert sum(sizes) == len(rows)


def test_the_longest_rows_have_no_batch_of_their_own():
    rows = some_ids([*range(10, 340, 10)])
    for seed in range(20):
        groups = batches(rows, batch=8, count=5, seed=seed)
        assert sorted(map(len, groups)) == [6, 6, 7, 7, 7]
        assert min(len(group) for group in groups if 32 in group) >= 6


def test_rows_of_one_prompt_stay_together_where_batches_cannot_be_full():
    rows = [Ids(id=str(at), prompt=(at // 2,) * 5, chosen=(at,)) for at in range(18)]
    groups = batches(rows, batch=4, count=5, seed=0)
    assert all(
        sorted(at // 2 for at in group[::2]) == sorted(at // 2 for at in group[1::2])
        for group in groups
    )


def test_rows_of_a_batch_are_alike_in_length():
    dice = random.Random(0)
    rows = some_ids([dice.randrange(16, 1600) for _ in range(400)])
    groups = batches(rows, batch=8, count=50, seed=0)
    spread = [max(rows[i].length for i in g) - min(rows[i].length for i in g) for g in groups]
    assert sum(spread) / len(spread) < 60


def test_two_pairs_with_one_prompt_share_a_batch():
    rows = [Ids(id=str(at), prompt=(at // 2,) * 5, chosen=(at,)) for at in range(16)]
    for group in batches(rows, batch=4, count=4, seed=3):
        prompts = sorted(at // 2 for at in group)
        assert prompts[0] == prompts[1]
        assert prompts[2] == prompts[3]


def test_steps_of_one_session_and_prompts_with_the_same_tools_meet_in_a_batch():
    tools = {"a": (1,) * 70, "b": (2,) * 70}
    rows = [
        Ids(id=f"{name}{task}{step}", prompt=(*head, 100 + task, *range(step * 40)), chosen=(9,))
        for name, head in tools.items()
        for task in range(6)
        for step in range(2)
    ]
    for group in batches(rows, batch=4, count=6, seed=0):
        names = [rows[at].id for at in group]
        assert len({name[0] for name in names}) == 1
        assert len({name[:2] for name in names}) == 2


def test_another_seed_gives_another_order():
    rows = some_ids(range(1, 65))
    assert batches(rows, batch=8, count=8, seed=1) != batches(rows, batch=8, count=8, seed=2)


def test_no_rows_give_no_batches():
    assert batches([], batch=8, count=8, seed=1) == []


def marked(chosen: str, rejected: str) -> tuple[str, str]:
    sides = differing([ord(c) for c in chosen], [ord(c) for c in rejected])
    return tuple(
        "".join(c for c, mark in zip(side, marks, strict=True) if mark)
        for side, marks in zip((chosen, rejected), sides, strict=True)
    )


def test_a_replaced_stretch_counts_on_both_sides():
    assert marked('{"n": 12}.', '{"n": "a"}.') == ("12", '"a"')


def test_a_stretch_of_one_side_also_counts_the_token_in_its_place():
    assert marked('{"a": 1}.', '{"a": 1.') == ("}", ".")


def test_a_trimmed_loop_counts_against_the_end_of_the_answer():
    assert marked("ab.", "ababab") == (".", "abab")


def test_equal_sides_have_nothing_that_counts():
    assert marked("abc", "abc") == ("", "")


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_sides_without_their_counted_tokens_are_equal_up_to_the_extra_marks(left, right):
    one, other = differing(list(map(ord, left)), list(map(ord, right)))
    assert (len(one), len(other)) == (len(left), len(right))
    assert (any(one) or any(other)) == (left != right)


class Lines(Letters):
    """A prompt takes a token a letter, line by line."""

    def prompt_ids(self, messages, context):
        return [ord(c) for m in messages for c in m.text]


def long_row(answer=None) -> Row:
    prompt = (
        say("user", "task"),
        *(say("assistant" if n % 2 else "user", f"turn {n}") for n in range(20)),
    )
    return replace(row("c", "d"), prompt=prompt, chosen=answer or say("assistant", "c"))


def fitting(one: Row, budget: Budget | None, **more):
    settings = {"max_length": 999, "pairs": True, "budget": budget, **more}
    return tokenise([one], Lines(), **settings)


def test_a_prompt_over_its_budget_loses_its_middle():
    budget = Budget(max_prompt=90, max_length=999)
    (whole,), _ = fitting(long_row(), None)
    (kept,), aside = fitting(long_row(), budget)
    text = "".join(map(chr, kept.prompt))
    assert aside == []
    assert len(kept.prompt) <= 90 < len(whole.prompt)
    assert text.startswith("task\n\n[")
    assert text.endswith("turn 19")


def test_a_prompt_within_its_budget_is_the_very_same():
    budget = Budget(max_prompt=999, max_length=999)
    assert fitting(long_row(), budget) == fitting(long_row(), None)


def test_an_answer_that_rests_on_what_was_left_out_is_set_aside():
    call = ToolCall(name="open", arguments='{"which": "turn 3"}')
    answer = Message(role="assistant", parts=(Part(kind="call", call=call),))
    budget = Budget(max_prompt=90, max_length=999)
    assert fitting(long_row(answer), None)[1] == []
    assert [each.reason for each in fitting(long_row(answer), budget)[1]] == ["lost-value"]


def test_a_prompt_that_no_shortening_fits_is_set_aside():
    budget = Budget(max_prompt=8, max_length=999)
    assert [each.reason for each in fitting(long_row(), budget)[1]] == ["too-long"]
