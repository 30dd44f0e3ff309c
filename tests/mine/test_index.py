"""The index knows of every step what the sessions know, without opening them."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep import mine
from misstep.chat import prompt_keys
from misstep.mine.index import Index, Verdicts, in_turn, index_of
from misstep.mine.memo import Memo
from misstep.mine.source import answer_id
from misstep.types import Verdict, content_id
from scenes import called, corpus, result, said, session, user

WISH = st.sampled_from(["hi", "weather?", "Weather in Oslo, please, and then book a room there"])
TURN = st.sampled_from(
    [
        called("weather", {"city": "Oslo"}),
        called("weather", {"town": "Oslo"}),
        called("book", {"room": "a", "nights": 2}),
        said("done"),
        user("and now?"),
        result("sunny"),
    ]
)
SESSIONS = st.lists(
    st.builds(
        lambda wish, turns, time: session(user(wish), *turns, family="", parent=None, copies=time),
        WISH,
        st.lists(TURN, min_size=1, max_size=5),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda s: s.id,
)


@given(SESSIONS)
@settings(max_examples=25, deadline=None)
def test_keys_states_and_answers_are_those_of_the_sessions(sessions):
    known = corpus(*sessions)
    index = index_of(known)
    keys = {s.id: prompt_keys(s) for s in sessions}
    bare = {s.id: prompt_keys(s, request=False) for s in sessions}
    assert len(index) == sum(len(each) for each in keys.values())
    for each in sessions:
        assert index.bare_keys(each.id) == bare[each.id]
        for step, key in keys[each.id].items():
            row = index.row(each.id, step)
            assert index.key(row) == key
            assert index.answer(row) == answer_id(key, each.messages[step])
            assert index.verdict(row) == known.verdicts[each.id, step]
    assert dict(Verdicts(index)) == dict(known.verdicts)
    for state in ("pass", "fail", "unjudged"):
        found = {(p.session, p.step) for p in map(index.prompt, index.in_state(state))}
        assert found == {at for at, v in known.verdicts.items() if v.state == state}


@given(SESSIONS)
@settings(max_examples=20, deadline=None)
def test_steps_with_the_same_prompt_are_found_in_a_fixed_order(sessions):
    index = index_of(corpus(*sessions))
    steps = sorted((s.id, step, key) for s in sessions for step, key in prompt_keys(s).items())
    for _, _, key in steps:
        found = [(p.session, p.step) for p in map(index.prompt, index.same_prompt(key))]
        assert found == [(name, step) for name, step, other in steps if other == key]


@given(SESSIONS, st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_split_from_heads_is_the_split_of_the_sessions(sessions, seed):
    config = mine_config()
    given_ = {s.id: s for s in sessions}
    index = index_of(corpus(*sessions))
    assert mine.split(given_, config, seed, index.heads()) == mine.split(given_, config, seed)


def mine_config():
    from misstep.config import MineConfig

    return MineConfig(heldout=0.4)


def test_a_step_that_is_not_there_is_a_key_error():
    one = session(user("a"), said("b"))
    index = index_of(corpus(one))
    for at in ((one.id, 0), (one.id, 7), ("nobody", 1)):
        with pytest.raises(KeyError):
            index.row(*at)


def test_a_step_that_nobody_looked_at_has_no_verdict():
    one = session(user("a"), said("b"))
    index = Index.of([one], {})
    assert index.verdict(0) is None
    assert (one.id, 1) not in Verdicts(index)
    assert list(index.in_state("pass")) == []


def test_verdicts_that_say_the_same_are_kept_once():
    sessions = [session(user(f"wish {n}"), said("b")) for n in range(50)]
    said_ = {(s.id, 1): Verdict(session=s.id, step=1, state="pass", score=1.0) for s in sessions}
    index = Index.of(sessions, said_)
    assert len(index._known) == 2
    assert dict(Verdicts(index)) == said_


@given(st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 99)), max_size=5))
def test_families_take_turns_as_if_all_were_sorted_first(families):
    def order(row):
        return content_id(str(row))

    names = sorted(families, key=lambda name: content_id(name, "7"))
    rounds = zip_longest(*(sorted(families[name], key=order) for name in names))
    naive = [row for turn in rounds for row in turn if row is not None]
    assert list(in_turn(families, 7, order)) == naive


def test_a_family_is_sorted_when_its_turn_comes():
    asked = []
    families = {str(n): [n] for n in range(1000)}
    turns = in_turn(families, 0, lambda row: asked.append(row) or "")
    next(turns)
    assert len(asked) == 1


def test_a_memory_forgets_the_oldest():
    memo = Memo(2)
    for key in "abc":
        memo[key] = key
    memo["b"] = "again"
    assert dict(memo) == {"b": "again", "c": "c"}
