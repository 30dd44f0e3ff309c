"""Whose doing a change is, and what it cost: one word a measure, every figure from elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from misstep import evaluate, store
from misstep.config import EvalConfig
from misstep.evaluate import ArmAnswers, Held, with_effect
from misstep.evaluate.effect import cost, word
from misstep.types import Context, Message, Part, Prompt, Usage, Verdict

CONFIG = EvalConfig(resamples=500)
PAGE = json.dumps(store.schema("ocr-page"))
GOLD = '{"text": "Aos três dias do mês de março reuniu-se a câmara"}'
COUNT = 24


def says(text: str, finish: str, tokens: int) -> Message:
    parts = (Part(kind="text", text=text),)
    usage = Usage(output_tokens=tokens)
    return Message(role="assistant", parts=parts, finish_reason=finish, usage=usage)


CLEAN = says(GOLD, "stop", 50)
LOOP = says('{"text": "' + "Aos três dias do mês de março, " * 30, "length", 450)
WRONG = says('{"text": "Nada"}', "stop", 9)


def move(difference: float, low: float, high: float, p: float = 0.001) -> dict[str, Any]:
    return {"difference": difference, "low": low, "high": high, "p": p, "better": 1, "worse": 1}


FALL = move(-0.3, -0.35, -0.25)


@pytest.mark.parametrize(
    ("change", "against", "said"),
    [
        (FALL, None, "no-control"),
        (FALL, move(-0.25, -0.3, -0.2), "preference"),
        (FALL, move(-0.06, -0.09, -0.03), "adds"),
        (FALL, move(0.0, -0.05, 0.04, 0.9), "as-much"),
        (FALL, move(-0.1, -0.22, 0.02, 0.1), "too-few"),
        (FALL, move(0.1, 0.05, 0.15), "worse"),
        (move(-0.02, -0.08, 0.03, 0.4), None, "no-change"),
        (move(-0.02, -0.08, 0.03, 0.4), move(-0.25, -0.3, -0.2), "no-change"),
        (move(-0.02, -0.04, 0.0, 0.03), None, "no-change"),
        (move(0.2, 0.1, 0.3), None, "rose"),
        (move(0.2, 0.1, 0.3), move(0.1, 0.05, 0.15), "worse"),
    ],
)
def test_the_word_follows_from_the_change_and_from_the_control(
    change: dict[str, Any], against: dict[str, Any] | None, said: str
) -> None:
    assert word(change, against, 0.05) == said


def held_of(corpus: Any, make: Any, *, image: bool) -> list[Held]:
    held = []
    for number in range(COUNT):
        asked = make.user(f"page {number}")
        if image:
            shown = Part(kind="image", text=f"sha256:{number:064x}")
            asked = Message(role="user", parts=(shown,))
        context = Context(response_schema=PAGE)
        session = make.session(f"s{number}", asked, make.says(GOLD), context=context)
        corpus.add(session, family=f"f{number:02}")
        held.append(
            Held(
                prompt=Prompt(session=session.id, step=1),
                family=f"f{number:02}",
                demand_call=False,
                accepted=None,
                logged=Verdict(session=session.id, step=1, state="pass"),
            )
        )
    return held


def measured(
    corpus: Any,
    make: Any,
    settings: Any,
    *,
    image: bool = True,
    gold: bool = True,
    **arms: list[Message],
) -> dict[str, Any]:
    """Scores of arms whose greedy answers are given, filled up with clean ones."""
    held = held_of(corpus, make, image=image)
    answers = {
        name: {
            each.prompt: ArmAnswers(greedy=(given[at] if at < len(given) else CLEAN))
            for at, each in enumerate(held)
        }
        for name, given in arms.items()
    }
    golds = {each.prompt: GOLD for each in held} if gold else {}
    more = {"settings": settings, "config": CONFIG, "seed": 3}
    result = evaluate.evaluate(corpus, held, answers, **more).to_json()
    beside = evaluate.quality(corpus, held, answers, golds=golds, **more).to_json()
    scores = with_effect({**result, **beside}, corpus, held)
    store.check_row(json.loads(json.dumps(scores)), "scores")
    return scores


def measure(scores: dict[str, Any], metric: str) -> dict[str, Any]:
    (row,) = [row for row in scores["effect"]["measures"] if row["metric"] == metric]
    return row


def test_loops_lead_on_pages_and_are_told_of_every_arm(corpus, make, settings):
    scores = measured(
        corpus,
        make,
        settings,
        base=[LOOP] * 20,
        sft=[LOOP] * 18,
        dpo=[LOOP],
        control=[LOOP] * 17,
    )
    effect = scores["effect"]
    assert (effect["stage"], effect["control"], effect["lead"]) == (
        "dpo",
        "control",
        "degenerate_published",
    )
    row = measure(scores, "degenerate_published")
    assert row["values"] == {
        "base": 20 / COUNT,
        "sft": 18 / COUNT,
        "dpo": 1 / COUNT,
        "control": 17 / COUNT,
    }
    assert (row["change"]["better"], row["change"]["worse"]) == (17, 0)
    assert (row["against_control"]["better"], row["against_control"]["worse"]) == (16, 0)
    assert row["word"] == "preference"
    assert measure(scores, "failure_rate")["word"] == "preference"


def test_a_control_that_does_as_much_is_said_to(corpus, make, settings):
    arms = {"sft": [LOOP] * 18, "dpo": [LOOP], "control": [LOOP]}
    scores = measured(corpus, make, settings, base=[LOOP] * 18, **arms)
    assert measure(scores, "degenerate_published")["word"] == "as-much"


def test_without_images_the_failures_lead(corpus, make, settings):
    arms = {"sft": [LOOP] * 18, "dpo": [LOOP]}
    scores = measured(corpus, make, settings, image=False, base=[LOOP] * 18, **arms)
    assert scores["effect"]["lead"] == "failure_rate"
    assert scores["effect"]["control"] is None
    assert measure(scores, "failure_rate")["against_control"] is None
    assert measure(scores, "failure_rate")["word"] == "no-control"


def test_pages_without_a_loop_lead_with_failures(corpus, make, settings):
    scores = measured(corpus, make, settings, base=[], sft=[], dpo=[])
    assert scores["effect"]["lead"] == "failure_rate"
    assert [row["metric"] for row in scores["effect"]["measures"]] == ["failure_rate"]


def test_the_cost_names_what_got_worse_against_gold(corpus, make, settings):
    scores = measured(corpus, make, settings, base=[], sft=[], dpo=[WRONG] * 20)
    moved = {row["metric"]: row["moved"] for row in scores["cost"]["gold"]}
    assert moved["text_score"] == moved["cer"] == moved["exact"] == "worse"
    assert moved["json_valid"] == ""


def test_answers_that_loop_do_not_count_in_the_length_of_healthy_ones(corpus, make, settings):
    scores = measured(corpus, make, settings, base=[], sft=[LOOP] * 6, dpo=[WRONG] * 20)
    lengths = {row["metric"]: row["values"] for row in scores["cost"]["lengths"]}
    assert lengths["tokens"]["sft"] == (6 * 450 + 18 * 50) / 24
    short = pytest.approx((20 * 9 + 4 * 50) / 24)
    assert lengths["healthy_tokens"] == {"base": 50, "sft": 50, "dpo": short}


def test_codes_that_got_more_frequent_are_listed_those_beyond_chance_first(corpus, make, settings):
    plain, extra = says("Nada", "stop", 3), says(GOLD + " {}", "stop", 60)
    scores = measured(
        corpus, make, settings, gold=False, base=[], sft=[], dpo=[extra, *[plain] * 12]
    )
    cost = scores["cost"]
    assert cost["gold"] is None
    assert cost["codes"][0]["told"]
    assert cost["codes"][0]["value_after"] == 12 / COUNT
    assert not cost["codes"][-1]["told"]
    assert cost["codes"][-1]["value_after"] == 1 / COUNT


def test_a_run_that_measured_nothing_has_neither_section():
    nothing = evaluate.evaluate({}, [], {}, settings=None, config=CONFIG, seed=0).to_json()
    assert with_effect(nothing, {}, []) == nothing  # type: ignore[arg-type]


def test_without_a_preference_stage_only_the_cost_is_told(corpus, make, settings):
    scores = measured(corpus, make, settings, base=[LOOP] * 9, sft=[])
    assert "effect" not in scores
    assert scores["cost"]["codes"] == []


def test_a_code_counts_as_risen_only_after_correction_for_all_that_were_tested():
    def row(code, difference, p):
        more = {"low": difference - 0.01, "high": difference + 0.01, "fixed": 1, "broken": 1}
        return {"from": "sft", "to": "dpo", "code": code, "difference": difference, "p": p, **more}

    def told(*codes):
        scores = {
            "before": "sft",
            "after": "dpo",
            "confidence": 0.95,
            "scores": [
                {"metric": "failure_rate", "model": arm, "code": row["code"], "value": 0.1}
                for arm in ("sft", "dpo")
                for row in codes
            ],
            "paired": codes,
        }
        return {each["code"]: (each["p"], each["told"]) for each in cost(scores)["codes"]}

    assert told(row("ENUM", 0.1, 0.02)) == {"ENUM": (0.02, True)}
    fell = [row(f"C{i}", -0.1, 0.5) for i in range(3)]
    assert told(row("ENUM", 0.1, 0.02), *fell) == {"ENUM": (0.02, False)}
    assert told(row("ENUM", 0.1, 0.01), *fell) == {"ENUM": (0.01, True)}
    absent = {**row("RANGE", 0.0, 1.0), "fixed": 0, "broken": 0}
    assert told(row("ENUM", 0.1, 0.03), absent) == {"ENUM": (0.03, True)}
