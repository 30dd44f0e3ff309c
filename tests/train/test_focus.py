"""Which tokens of a pair count: by their ids, by the place of a failure, by the onset of a loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.train.focus import counts, differing, failing, focused, of, onset
from misstep.train.places import Places, places
from misstep.train.rows import Ids, Row, row_key
from misstep.types import Context, Mark, Message, Part, ToolCall
from training import say


def bare(marked):
    return tuple("".join("x" if each else "." for each in side) for side in marked)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # the sides differ in tokens 1, 4 and 5; the failure is the second difference
        (Places(rejected=(4, 5), chosen=(4,)), ("....x..", "....xx..")),
        (Places(rejected=(4,)), ("....x..", "....x...")),
        (Places(chosen=(4,)), ("....x..", "....xx..")),
        # its place on the rejected side begins later: where the sides part counts all the same
        (Places(rejected=(5,), chosen=(4,)), ("....x..", "....xx..")),
        # what both sides have in common does not count, though it is at the place
        (Places(rejected=(2, 3, 4, 5, 6)), ("....x..", "....xx..")),
        (Places(rejected=(0, 1, 2), chosen=(0, 1, 2)), (".x.....", ".x......")),
        # no difference at the place: the last one before it, or right behind it
        (Places(rejected=(6,)), ("....x..", "....x...")),
        (Places(rejected=(2,)), (".x.....", ".x......")),
        (Places(rejected=(3,)), ("....x..", "....x...")),
    ],
)
def test_tokens_that_differ_at_the_place_of_the_failure_count(where, expected):
    chosen = (1, 20, 3, 4, 50, 7, 0)
    rejected = (1, 21, 3, 4, 51, 52, 7, 0)
    assert bare(failing(chosen, rejected, where)) == expected


def test_a_place_before_every_difference_is_none():
    assert failing((1, 2, 3, 4), (1, 2, 3, 5), Places(rejected=(0,))) is None
    assert failing((1, 2, 3), (1, 2, 4), Places()) is None


def test_a_missing_stretch_counts_by_what_stands_in_its_place():
    # rejected lacks tokens 8 and 9; in their place it has 3
    marked = failing((1, 2, 8, 9, 3, 0), (1, 2, 3, 0), Places(chosen=(2, 3)))
    assert bare(marked) == ("..xx..", "..x.")


def test_marks_that_cover_two_wholly_different_sides_give_the_counts_of_all():
    ids = Ids(id="a", prompt=(1,), chosen=(2, 3, 4), rejected=(5, 6))
    where = Places(chosen=(0, 1, 2), rejected=(0, 1))
    assert counts(ids, "failing", where) == counts(ids, "all")
    assert counts(ids, "onset", Places(again=(0, 1)), 9) == counts(ids, "all")


TOKENS = st.lists(st.integers(0, 4), max_size=9).map(tuple)


@given(TOKENS, TOKENS, st.sets(st.integers(0, 8)), st.sets(st.integers(0, 8)))
def test_failing_tokens_are_some_of_the_differing_ones(chosen, rejected, mine, other):
    where = Places(chosen=tuple(sorted(mine)), rejected=tuple(sorted(other)))
    marked = failing(chosen, rejected, where)
    if marked is None:
        return
    for some, every in zip(marked, differing(chosen, rejected), strict=True):
        assert len(some) == len(every)
        assert all(b for a, b in zip(some, every, strict=True) if a)


@pytest.mark.parametrize(
    ("again", "window", "expected"),
    [
        ((4, 5, 6), 0, "....xxx..."),
        ((4, 5, 6), 2, "..xxxxx..."),
        ((4,), 3, ".xxxxxx..."),
        ((4, 5), 99, "xxxxxxxxxx"),
        ((9,), 1, "........xx"),
    ],
)
def test_a_loop_counts_around_its_first_repeat(again, window, expected):
    assert bare([onset(10, again, window)]) == (expected,)


def test_without_a_first_repeat_there_is_no_onset():
    assert onset(10, (), 8) is None


# --- from characters to tokens -----------------------------------------------------------------


class Spelled:
    """A template that writes a call as `name(arguments)` and gives one token per character."""

    def answer_text(self, answer, end=True):
        text = "".join(
            part.text or "" if part.call is None else f"<{part.call.name}({part.call.arguments})>"
            for part in answer.parts
        )
        return text + ("$" if end else "")

    def answer_spans(self, answer, end=True):
        return [(at, at + 1) for at in range(len(self.answer_text(answer, end)))]


def call(name, arguments):
    return Part(kind="call", call=ToolCall(name=name, arguments=arguments))


def text(words):
    return Part(kind="text", text=words)


def mark(channel, span, side="rejected", **more):
    return Mark(side=side, code="X", channel=channel, span=span, **more)


SIDE = Message(role="assistant", parts=(text("ab"), call("f", "{}"), text("cd"), call("f", "{1}")))


@pytest.mark.parametrize(
    ("given", "characters"),
    [
        (mark("content", (0, 1)), "a"),
        (mark("content", (1, 3)), "b<f({})>c"),
        (mark("content", (4, 4)), "<"),
        (mark("arguments", (0, 2), call=0), "{}"),
        (mark("arguments", (1, 2), call=1), "1"),
        (mark("arguments", (3, 3), call=1), ")"),
        (mark("name", (0, 1), call=1), "f"),
        (mark("name", (0, 1), call=2), ""),
        (mark("content", (0, 99)), ""),
    ],
)
def test_a_mark_is_found_in_the_rendered_answer(given, characters):
    template = Spelled()
    whole = template.answer_text(SIDE)
    found = places((SIDE, SIDE), [given], template, cut=False).rejected
    assert "".join(whole[at] for at in found) == characters


def test_what_was_cut_off_is_no_token():
    found = places((SIDE, SIDE), [mark("arguments", (1, 3), call=1)], Spelled(), cut=True)
    assert "".join(Spelled().answer_text(SIDE)[at] for at in found.rejected) == "1}"


class Trimming(Spelled):
    """A template that removes white space at the ends of the answer."""

    def answer_text(self, answer, end=True):
        return super().answer_text(answer, False).strip() + ("$" if end else "")


def test_a_place_that_the_template_changes_is_not_guessed():
    side = say("assistant", "ab   ")
    assert places((side, side), [mark("content", (0, 1))], Trimming(), cut=False).rejected == (0,)
    assert places((side, side), [mark("content", (3, 5))], Trimming(), cut=False).rejected == ()


class Slow(Spelled):
    """A tokenizer that does not know which characters its tokens stand for."""

    def answer_spans(self, answer, end=True):
        return None


def row(name, chosen, rejected, *marks, **more):
    return Row(
        id=name,
        prompt=(say("user", "?"),),
        context=Context(),
        chosen=say("assistant", chosen),
        rejected=say("assistant", rejected),
        marks=marks,
        **more,
    )


def spelled(row):
    template = Spelled()
    ids = (tuple(map(ord, template.answer_text(side))) for side in (row.chosen, row.rejected))
    chosen, rejected = ids
    return Ids(id=row.id, prompt=(1,), chosen=chosen, rejected=rejected)


ROWS = [
    row("a", "n1 t2", "m1 t3", mark("content", (4, 5)), unplaced=("places/1: ?",)),
    row("b", "n1 t2", "m1 t3"),
]


def seen(each):
    """The characters that count."""
    sides = zip((each.chosen, each.rejected), each.counts, strict=True)
    return tuple("".join(chr(i) for i, n in zip(*side, strict=True) if n) for side in sides)


def test_a_pair_without_a_place_counts_its_differing_tokens_and_is_counted():
    ids = [spelled(each) for each in ROWS]
    found = focused(ids, ROWS, Spelled(), kind="failing", window=8)
    assert [seen(each) for each in found.ids] == [("2", "3"), ("n2", "m3")]
    assert found.facts() == {
        "tokens": "failing",
        "placed": 1,
        "unplaced": 1,
        "spans_set_aside": 1,
        "share": 0.25,
    }
    assert found.said == (
        "dpo.preference_tokens: failing: 1 of 2 pairs have no known place; all tokens that differ "
        "of these count"
    )


def test_a_tokenizer_without_offsets_has_no_places():
    found = focused([spelled(ROWS[0])], ROWS, Slow(), kind="failing", window=8)
    assert [seen(each) for each in found.ids] == [("n2", "m3")]
    assert found.unplaced == 1


def test_onset_concerns_loops_alone():
    loop = row(
        "c",
        "good",
        "so aaaaaaaaaa",
        mark("content", (3, 13), again=(4, 5)),
        codes=("REP_LOOP",),
    )
    lost = row("d", "good", "bad", codes=("REP_DRIFT",))
    rows = [loop, lost, ROWS[1]]
    found = focused([spelled(each) for each in rows], rows, Spelled(), kind="onset", window=2)
    assert [seen(each) for each in found.ids] == [
        ("good$", " aaa"),
        ("good$", "bad$"),
        ("n1 t2$", "m1 t3$"),
    ]
    assert (found.placed, found.unplaced) == (1, 1)
    assert found.said == (
        "dpo.preference_tokens: onset: 1 of 2 loops have no known place; all tokens of these count"
    )


@pytest.mark.parametrize("kind", ["all", "differing"])
def test_what_the_ids_alone_decide_changes_no_key(kind):
    ids = [spelled(each) for each in ROWS]
    assert list(focused(ids, ROWS, Spelled(), kind=kind, window=8).ids) == ids
    assert focused(ids, ROWS, Spelled(), kind=kind, window=8).said == ""


def test_other_counts_are_another_row():
    ids = spelled(ROWS[0])
    other = replace(ids, counts=of(ids, "differing"))
    assert row_key(ids) != row_key(other) != row_key(replace(ids, counts=of(ids, "all")))


# --- with a real tokenizer ---------------------------------------------------------------------


@pytest.mark.parametrize("template", ["plain", "native"])
def test_the_tokens_of_a_wrong_value_are_found_in_a_rendered_call(template):
    pytest.importorskip("transformers")
    from misstep.models import Template
    from tiny import CHATML, NATIVE, build_tokenizer

    tokenizer = build_tokenizer({"plain": CHATML, "native": NATIVE}[template])
    made = Template(tokenizer)
    assert made.native is (template == "native")
    answer = Message(
        role="assistant",
        parts=(text("I look: <|im_end|> "), call("look_up", '{"city": "Øslo", "days": "drei"}')),
    )
    ids = made.answer_ids(answer)
    spans, whole = made.answer_spans(answer), made.answer_text(answer)
    assert len(spans) == len(ids)
    assert spans[-1] == (len(whole) - len("<|im_end|>"), len(whole))
    assert "".join(whole[a:b] for a, b in sorted(set(spans))).replace(" ", "") == whole.replace(
        " ", ""
    )
    wanted = [mark("arguments", (25, 31), call=0), mark("name", (0, 7), call=0)]
    found = places((answer, answer), wanted, made, cut=False).rejected
    assert tokenizer.decode([ids[at] for at in found]).replace(" ", "") == 'look_up"drei"'


def test_the_tokens_of_a_cut_answer_are_those_of_the_whole_one_up_to_the_cut():
    pytest.importorskip("transformers")
    from misstep.models import Template
    from tiny import build_tokenizer

    tokenizer = build_tokenizer()
    made = Template(tokenizer)
    answer = Message(role="assistant", parts=(call("look_up", '{"city": "Oslo Oslo Oslo'),))
    ids = made.answer_ids(answer, end=False)
    assert len(made.answer_spans(answer, end=False)) == len(ids)
    wanted = [mark("arguments", (15, 24), call=0)]
    found = places((answer, answer), wanted, made, cut=True).rejected
    assert tokenizer.decode([ids[at] for at in found]).split() == ["Oslo", "Oslo"]
