"""Which prompts are held out, what the log accepted there, and the guard against leaks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.config import EvalConfig
from misstep.errors import LeakError
from misstep.evaluate import check_leak, held_out
from misstep.types import Message, Part, ToolResult

BAD = '{"n": "one"}'


def error() -> Message:
    result = ToolResult(text="n must be an integer", name="add", is_error=True)
    return Message(role="tool", parts=(Part(kind="result", result=result),))


def test_one_prompt_a_family_is_picked_whatever_its_outcome(make, corpus) -> None:
    for family in range(40):
        bad = BAD if family % 2 else '{"n": 1}'
        session = make.session(f"s{family}", make.user(f"task {family}"), make.calls(bad))
        corpus.add(session, family=f"f{family}")
    held = held_out(corpus, corpus, EvalConfig())
    assert len(held) == 40
    assert {each.logged.state for each in held} == {"pass", "fail"}


def test_prompts_per_family_and_max_prompts_are_kept(make, corpus) -> None:
    for family in range(6):
        turns = [m for i in range(4) for m in (make.user(f"{family} {i}"), make.calls())]
        corpus.add(make.session(f"s{family}", *turns), family=f"f{family}")
    assert len(held_out(corpus, corpus, EvalConfig(prompts_per_family=2))) == 12
    few = held_out(corpus, corpus, EvalConfig(prompts_per_family=2, max_prompts=5))
    assert len(few) == 5
    assert [(h.family, h.hash) for h in few] == sorted((h.family, h.hash) for h in few)


def test_families_take_turns_so_that_a_long_one_crowds_out_no_other(make, corpus) -> None:
    for family, pages in enumerate((40, 2, 1)):
        turns = [m for i in range(pages) for m in (make.user(f"{family} {i}"), make.calls())]
        corpus.add(make.session(f"s{family}", *turns), family=f"f{family}")
    config = EvalConfig(prompts_per_family=500, max_prompts=6)
    found = [h.family for h in held_out(corpus, corpus, config)]
    assert found == ["f0", "f0", "f0", "f1", "f1", "f2"]
    assert len(held_out(corpus, corpus, EvalConfig(prompts_per_family=500))) == 43


def test_a_prompt_that_families_share_is_asked_once(make, corpus) -> None:
    for run in range(12):
        session = make.session(f"s{run:02}", make.user(f"task {run % 3}"), make.calls())
        corpus.add(session, family=f"run{run:02}")
    assert [h.family for h in held_out(corpus, corpus, EvalConfig())] == ["run00", "run01", "run02"]
    corpus.verdicts["s00", 1] = replace(corpus.verdicts["s00", 1], state="unjudged")
    assert [h.family for h in held_out(corpus, corpus, EvalConfig())] == ["run01", "run02", "run03"]


def test_the_same_corpus_in_another_order_gives_the_same_prompts(make, corpus) -> None:
    for family in range(9):
        turns = [m for i in range(3) for m in (make.user(f"{family} {i}"), make.calls())]
        corpus.add(make.session(f"s{family}", *turns), family=f"f{family % 4}")
    once = held_out(corpus, corpus, EvalConfig())
    corpus.sessions = dict(reversed(corpus.sessions.items()))
    assert held_out(corpus, corpus, EvalConfig()) == once


def test_sessions_of_other_parts_are_not_held_out(make, corpus) -> None:
    corpus.add(make.session("a", make.user("x"), make.calls()), family="a", part="train")
    corpus.add(make.session("b", make.user("y"), make.calls()), family="b", part="dev")
    assert held_out(corpus, corpus, EvalConfig()) == ()


def test_a_prompt_that_also_stands_in_training_is_left_out(make, corpus) -> None:
    corpus.add(make.session("a", make.user("hi"), make.calls()), family="a", part="train")
    corpus.add(make.session("b", make.user("hi"), make.calls(BAD)), family="b")
    assert held_out(corpus, corpus, EvalConfig()) == ()


def test_a_step_that_nobody_could_judge_is_left_out(make, corpus) -> None:
    corpus.add(make.session("a", make.user("x"), make.calls("{}", "unheard")), family="a")
    corpus.verdicts[("a", 1)] = replace(corpus.verdicts[("a", 1)], state="unjudged", score=None)
    assert held_out(corpus, corpus, EvalConfig()) == ()


def test_a_clean_step_is_its_own_accepted_answer(make, corpus) -> None:
    corpus.add(make.session("a", make.user("x"), make.calls()), family="a")
    (held,) = held_out(corpus, corpus, EvalConfig())
    assert held.accepted == make.calls()
    assert held.demand_call


def test_a_passing_sibling_of_the_family_is_accepted_for_a_failed_step(make, corpus) -> None:
    corpus.add(make.session("a", make.user("x"), make.calls(BAD)), family="f")
    corpus.add(make.session("b", make.user("x"), make.calls('{"n": 7}')), family="f")
    (held,) = held_out(corpus, corpus, EvalConfig())
    assert (held.prompt.session, held.logged.state) == ("a", "fail")
    assert held.accepted == make.calls('{"n": 7}')


def test_the_retry_that_followed_is_accepted_for_a_failed_step(make, corpus) -> None:
    session = make.session("a", make.user("x"), make.calls(BAD), error(), make.calls('{"n": 2}'))
    corpus.add(session, family="f")
    held = held_out(corpus, corpus, EvalConfig(prompts_per_family=2))
    assert [h.accepted for h in held] == [make.calls('{"n": 2}')] * 2


def test_a_call_after_the_user_spoke_again_is_no_retry(make, corpus) -> None:
    session = make.session("a", make.user("x"), make.calls(BAD), make.user("y"), make.calls())
    corpus.add(session, family="f")
    held = held_out(corpus, corpus, EvalConfig(prompts_per_family=2))
    assert sorted(h.demand_call for h in held) == [False, True]


def test_a_call_of_another_tool_is_no_retry(make, corpus) -> None:
    session = make.session("a", make.user("x"), make.calls(BAD), error(), make.calls("{}", "stop"))
    corpus.add(session, family="f")
    held = {h.prompt.step: h for h in held_out(corpus, corpus, EvalConfig(prompts_per_family=2))}
    assert held[1].accepted is None
    assert not held[1].demand_call


def test_a_trained_prompt_is_refused() -> None:
    with pytest.raises(LeakError) as caught:
        check_leak(["aa", "bb", "bb"], {"bb", "cc"})
    assert str(caught.value) == (
        "1 of 2 held-out prompts were trained on (first content hash bb); a figure from them "
        "would be worthless. Evaluate on the held-out families of the run that trained the "
        "adapter, or mine and train again"
    )


def test_disjoint_prompts_are_no_leak() -> None:
    check_leak(["aa"], {"bb"})
