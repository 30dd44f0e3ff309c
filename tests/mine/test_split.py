"""Families and parts: what is one never stands on both sides, and what stands stays."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep import mine
from misstep.config import MineConfig
from misstep.errors import ConfigError
from misstep.types import Session
from scenes import said, session, user
from strategies import sessions as any_sessions

THIRD = MineConfig(heldout=0.33, dev=0.1)


def talk(task: str, number: int = 0, **more) -> Session:
    return session(user(task), said(f"answer {number}"), **more)


def split(*sessions: Session, config: MineConfig = THIRD, seed: int = 0) -> mine.Split:
    return mine.split({s.id: s for s in sessions}, config, seed)


def test_samples_of_one_task_are_one_family():
    a, b = (
        talk("List the invoices of March, please.", 1),
        talk("List  the INVOICES of March,\nplease.", 2),
    )
    family = split(a, b).family
    assert family[a.id] == family[b.id]


def test_different_tasks_are_different_families():
    a, b = talk("List the invoices of March."), talk("List the invoices of April.")
    family = split(a, b).family
    assert family[a.id] != family[b.id]


def test_a_fork_is_of_its_parents_family_whatever_its_text():
    parent = talk("Plan a trip to the mountains.")
    child = talk("You are a helper: find trains.", parent=parent.id)
    family = split(parent, child).family
    assert family[child.id] == family[parent.id]


def test_the_forks_of_a_parent_outside_the_logs_are_one_family():
    a, b = talk("find trains to the coast", parent="gone"), talk("find hotels", parent="gone")
    family = split(a, b).family
    assert family[a.id] == family[b.id]


def test_a_family_named_by_the_log_wins_over_the_text():
    same = "Fix the failing test of the parser module."
    a, b, c = talk(same, 1, family="x"), talk(same, 2, family="y"), talk("other", 3, family="x")
    family = split(a, b, c).family
    assert family[a.id] == family[c.id] != family[b.id]


def test_a_greeting_shared_by_many_unites_nobody():
    greeted = [talk("hi", n) for n in range(30)]
    assert len(set(split(*greeted).family.values())) == 30


def test_a_greeting_shared_by_few_unites_them():
    greeted = [talk("hi", n) for n in range(20)]
    assert len(set(split(*greeted).family.values())) == 1


def test_behind_a_common_greeting_the_next_turn_tells_the_families_apart():
    def greeted(task: str, n: int) -> Session:
        return session(user("hi"), said("hello"), user(task), said(f"answer {n}"))

    tasks = [greeted(f"task number {n % 3} of the week", n) for n in range(30)]
    assert len(set(split(*tasks).family.values())) == 3


def test_a_long_task_is_one_family_however_often_it_was_tried():
    task = "Resolve the merge conflict in the settings module and run the tests."
    tried = [talk(task, n) for n in range(60)]
    assert set(split(*tried).part.values()) == {"train"}


def test_sessions_without_a_user_stand_alone():
    a, b = session(said("one")), session(said("two"))
    assert len(set(split(a, b).family.values())) == 2


def test_images_tell_equal_texts_apart():
    def page(url: str) -> Session:
        content = [{"type": "text", "text": "Read this"}, {"type": "image_url", "image_url": url}]
        return session({"role": "user", "content": content}, said("text"))

    assert len(set(split(page("a.png"), page("b.png")).family.values())) == 2


def test_a_family_keeps_its_part_when_logs_are_added():
    first = [talk(f"task number {n} of the first week", n) for n in range(40)]
    more = [talk(f"task number {n} of the second week", n) for n in range(40)]
    before, after = split(*first), split(*first, *more)
    assert all(after.part[name] == part for name, part in before.part.items())


def test_another_seed_gives_another_split():
    tasks = [talk(f"task number {n} of the week", n) for n in range(40)]
    assert split(*tasks, seed=1).part != split(*tasks, seed=2).part


def test_the_shares_are_those_of_the_settings():
    tasks = [talk(f"task number {n} of the year", n) for n in range(600)]
    counts = split(*tasks).counts()
    # 198 and 60 expected; three standard deviations of a binomial are 34 and 22
    assert abs(counts["heldout"] - 198) < 35
    assert abs(counts["dev"] - 60) < 23


def test_two_families_are_one_to_train_on_and_one_held_out():
    for n in range(12):
        parts = split(talk(f"first task {n}"), talk(f"second task {n}")).part
        assert {"train", "heldout"} == set(parts.values())


def test_a_single_family_is_all_train():
    assert set(split(talk("only task")).part.values()) == {"train"}


def test_no_sessions_give_no_parts():
    assert split().part == {}


def test_split_by_time_holds_out_the_latest_families():
    def at(when: float) -> Session:
        return session(user(f"task at {when} o'clock"), said("done", time=when))

    days = [at(float(n)) for n in range(10)]
    parts = split(*days, config=dataclasses.replace(THIRD, split="time")).part
    assert [parts[s.id] for s in days] == ["train"] * 6 + ["dev"] + ["heldout"] * 3


def test_split_by_time_keeps_a_family_together():
    task = "task that was tried in two weeks"
    old = session(user(task), said("a", time=1.0))
    new = session(user(task), said("b", time=9.0))
    rest = [session(user(f"task {n} of the month"), said("c", time=float(n))) for n in range(2, 8)]
    parts = split(old, new, *rest, config=dataclasses.replace(THIRD, split="time")).part
    assert parts[old.id] == parts[new.id] == "heldout"


def test_split_by_time_without_any_time_is_a_wrong_set_up():
    with pytest.raises(ConfigError) as caught:
        split(talk("one"), talk("two"), config=dataclasses.replace(THIRD, split="time"))
    assert str(caught.value) == (
        "mine.split 'time' needs messages with a time, and none of the 2 sessions has one; "
        "use 'family'"
    )


def test_shares_that_leave_nothing_to_train_on_are_a_wrong_set_up():
    with pytest.raises(ConfigError) as caught:
        split(config=MineConfig(heldout=0.8, dev=0.2))
    assert str(caught.value) == (
        "mine.heldout 0.8 and mine.dev 0.2: expected shares that are not negative and leave "
        "something to train on; lower one of them"
    )


@given(
    st.lists(any_sessions, max_size=12, unique_by=lambda s: s.id),
    st.integers(0, 5),
    st.data(),
)
def test_no_family_is_on_both_sides(given_sessions, seed, data):
    ids = [s.id for s in given_sessions]
    linked = [
        dataclasses.replace(s, parent=data.draw(st.none() | st.sampled_from(ids)))
        for s in given_sessions
    ]
    found = split(*linked, seed=seed)
    parts: dict[str, set[str]] = {}
    for name, family in found.family.items():
        parts.setdefault(family, set()).add(found.part[name])
    assert all(len(each) == 1 for each in parts.values())
    assert all(found.family[s.id] == found.family[s.parent] for s in linked if s.parent)
    again = split(*data.draw(st.permutations(linked)), seed=seed)
    assert (again.part, again.family) == (found.part, found.family)
