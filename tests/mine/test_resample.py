"""Which prompts the model under training is asked, and what its answers give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep import mine
from misstep.config import MineConfig
from misstep.mine.agreement import agreement
from misstep.mine.desk import Accepted
from misstep.mine.source import meaning
from misstep.types import Prompt
from scenes import (
    TRAIN_ONLY,
    called,
    calls_of,
    corpus,
    message,
    mined,
    result,
    said,
    session,
    user,
)

ASK = user("What is the weather in Oslo for the next days?")
WRONG = called("weather", {"town": "Oslo"})
RIGHT = called("weather", {"city": "Oslo"})


def task(n: int, answer) -> dict:
    return session(user(f"What is the weather in town number {n}, please?"), answer)


def prompts(*sessions, heldout=0.0, most=100, seed=0):
    known = corpus(*sessions)
    split = mine.split(known.sessions, MineConfig(heldout=heldout, dev=0.0), seed)
    return mine.resample_prompts(known, split, most, seed), split


def test_failed_prompts_are_asked_before_clean_ones():
    sessions = [task(n, RIGHT if n % 2 else WRONG) for n in range(6)]
    failed = {s.id for s in sessions[::2]}
    asked, _ = prompts(*sessions)
    assert {p.session for p in asked[:3]} == failed
    assert len(asked) == 6


def test_an_unjudged_step_is_not_asked():
    assert prompts(session(ASK, said("fine")))[0] == ()


def test_an_equal_prompt_is_asked_once():
    assert len(prompts(session(ASK, WRONG), session(ASK, RIGHT))[0]) == 1


def test_no_more_is_asked_than_wanted():
    assert len(prompts(*(task(n, WRONG) for n in range(9)), most=4)[0]) == 4


def test_nothing_held_out_is_asked():
    asked, split = prompts(*(task(n, WRONG) for n in range(20)), heldout=0.5)
    assert asked
    assert {split.part[p.session] for p in asked} == {"train"}


def test_a_prompt_that_a_held_out_session_shares_is_not_asked():
    greeted = [session(user("hi"), {**WRONG, "model": str(n)}) for n in range(40)]
    asked, split = prompts(*greeted, heldout=0.5)
    assert "heldout" in split.part.values()
    assert asked == ()


def test_families_take_turns():
    many = [row for n in range(5) for row in (called("weather", {"town": n}), result("bad"))]
    long, short = session(ASK, *many), task(1, WRONG)
    asked, _ = prompts(long, short)
    assert {p.session for p in asked[:2]} == {long.id, short.id}


def test_the_order_of_the_logs_does_not_matter():
    sessions = [task(n, WRONG) for n in range(9)]
    assert prompts(*sessions)[0] == prompts(*sessions[::-1])[0]


def test_answers_to_held_out_or_foreign_prompts_give_nothing():
    known = session(ASK, RIGHT)
    answers = {Prompt(session="elsewhere", step=1): (message(WRONG), message(RIGHT))}
    assert mined(known, answers=answers).pairs == ()


def test_a_failure_of_its_own_without_partner_is_an_unpaired_row():
    bare = session(ASK, said("fine"))
    found = mined(bare, answers={Prompt(session=bare.id, step=1): (message(WRONG),)})
    assert [(u.source, calls_of(u.completion)) for u in found.unpaired] == [
        ("resample", [("weather", '{"town": "Oslo"}')])
    ]


TOWNS = ("Bergen", "Kyoto", "Lisbon", "Quito", "Windhoek", "Zagreb")


def test_each_pair_of_a_prompt_has_another_failure():
    known = session(ASK, RIGHT)
    answers = [message(called("weather", {"town": n})) for n in TOWNS] + [message(RIGHT)]
    pairs = mined(known, answers={Prompt(session=known.id, step=1): answers}).pairs
    assert len(pairs) == TRAIN_ONLY.max_pairs_per_prompt
    assert len({calls_of(p.rejected)[0] for p in pairs}) == 2


def test_the_share_of_own_steps_is_by_the_short_name_of_the_model():
    a = session(ASK, {**RIGHT, "model": "org/Small-1B"}, result("x"), said("ok", model="other"))
    assert mine.own_share([a], ["small-1b"]) == pytest.approx(0.5)
    assert mine.own_share([], ["small-1b"]) == 0.0


# --- accepted steps ----------------------------------------------------------------------------


def accepted(*sessions, most=100, heldout=0.0, seed=0):
    known = corpus(*sessions)
    split = mine.split(known.sessions, MineConfig(heldout=heldout, dev=0.0), seed)
    return mine.accepted_steps(known, split, most, seed), split


def test_only_steps_that_passed_are_imitated():
    log = session(ASK, WRONG, result("city is required", error=True), RIGHT, said("no idea"))
    assert [p.step for p in accepted(log)[0]] == [3]


def test_nothing_held_out_is_imitated():
    steps, split = accepted(*(task(n, RIGHT) for n in range(20)), heldout=0.5)
    assert steps
    assert {split.part[p.session] for p in steps} == {"train"}


def test_a_prompt_that_a_held_out_session_shares_is_not_imitated():
    greeted = [session(user("hi"), {**RIGHT, "model": str(n)}) for n in range(40)]
    steps, split = accepted(*greeted, heldout=0.5)
    assert "heldout" in split.part.values()
    assert steps == ()


def test_an_answer_with_a_secret_or_a_redaction_mark_is_not_imitated():
    secret = called("weather", {"city": "AKIA" + "Z7Q2M4X6B8N1V3C5"})
    marked = called("weather", {"city": "[REDACTED]"})
    assert accepted(task(1, secret), task(2, marked))[0] == ()


def test_steps_are_drawn_evenly_over_the_families():
    many = [row for n in range(9) for row in (called("weather", {"city": f"c{n}"}), result("x"))]
    long = session(ASK, *many)
    steps, _ = accepted(long, task(1, RIGHT), task(2, RIGHT), most=4)
    assert sum(p.session == long.id for p in steps) == 2


def test_an_accepted_row_is_read_back_as_one_side():
    log = session(ASK, RIGHT)
    known = corpus(log)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    row = mine.accepted_row(Prompt(session=log.id, step=1), known, split)
    sides = mine.accepted_to_sides(row)
    assert (sides.rejected, sides.cut, calls_of(sides.chosen)) == (
        None,
        False,
        [("weather", '{"city": "Oslo"}')],
    )


PAGE = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def page(text: str, end: bool = True) -> dict:
    return said(f'{{"text": "{text}' + ('"}' if end else ""))


GOLD = "The quick brown fox jumps over the lazy dog by the river."
CLOSE = GOLD.replace("lazy", "hazy")
FAR = "Nothing of what stands on this page was read at all, sorry."
LOOP = GOLD[:20] + "over and over and " * 40


def pages(**settings):
    """Pairs and refusals of one page: gold in the log, four sampled answers."""
    logged = session(user("Transcribe."), page(GOLD), tools=(), schema=PAGE)
    own = Prompt(session=logged.id, step=1)
    config = replace(TRAIN_ONLY, sources=("resample",), **settings)
    texts = (settings and [FAR]) or [FAR, CLOSE]
    answers = [message(page(LOOP, end=False)), *(message(page(each)) for each in texts)]
    return mined(logged, config=config, answers={own: answers})


def test_of_clean_texts_the_one_nearest_to_the_accepted_text_is_chosen():
    (pair,) = pages().pairs
    assert pair.chosen.text == f'{{"text": "{CLOSE}"}}'
    assert pair.source == "resample"


def test_a_clean_text_too_far_from_the_accepted_one_gives_way_to_it():
    found = pages(min_agreement=0.7)
    (pair,) = found.pairs
    assert pair.chosen.text == f'{{"text": "{GOLD}"}}'
    assert pair.source == "resample+log"
    assert found.counts["refused"] == {"DISAGREES": 1}


def nested(depth):
    return message(called("ls", f'{{"a": {"[" * depth}1{"]" * depth}}}'))


def test_an_answer_nested_too_deep_to_be_written_again_does_not_end_mining():
    prompt = session(ASK, WRONG)
    own = Prompt(session=prompt.id, step=1)
    answers = [nested(300), nested(1020), message(RIGHT), message(WRONG)]
    found = mined(prompt, config=replace(TRAIN_ONLY, sources=("resample",)), answers={own: answers})
    assert found.pairs
    assert meaning(nested(300)) == meaning(nested(300)) != meaning(nested(301))


@pytest.mark.parametrize(
    "given", ["{}", "", " {} ", "[1]", "{broken", nested(300).calls[0].arguments]
)
def test_a_call_without_arguments_agrees_with_itself(given):
    call = message(called("ls", given))
    accepted = [Accepted(answer=call, verdict=None)]
    assert agreement(call, accepted) == 1.0
    assert agreement(message(called("pwd", given)), accepted) == 0.0
