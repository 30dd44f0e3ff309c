"""Loops and worth of every arm: counts, intervals, changes, and where two rules disagree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from misstep import store
from misstep.config import EvalConfig
from misstep.evaluate import ArmAnswers, Held, quality
from misstep.evaluate.metrics import Bootstrap, mcnemar, wilson
from misstep.types import Context, Message, Part, Prompt, Usage, Verdict

GOLD = '{"text": "Aos três dias do mês de março reuniu-se a câmara"}'
LOOP = '{"text": "' + "Aos três dias do mês de março, " * 30
DRIFT = '{"text": "' + "".join(f"conforme a lei municipal, artigo {n}; " for n in range(100, 200))
TABLE = '{"text": "' + "| célula | vazia |\\n" * 4 + "| um fim |" + "| célula | vazia |"
CONFIG = EvalConfig(resamples=500)
PAGE = json.dumps(store.schema("ocr-page"))


def says(text: str, finish: str = "stop", tokens: int | None = 50) -> Message:
    usage = None if tokens is None else Usage(output_tokens=tokens)
    parts = (Part(kind="text", text=text),)
    return Message(role="assistant", parts=parts, finish_reason=finish, usage=usage)


CLEAN, LOOPED = says(GOLD), says(LOOP, "length", 450)


class Scene:
    """Pages of a family each, and the arms' answers to them."""

    def __init__(self, corpus: Any, make: Any, count: int) -> None:
        self.corpus = corpus
        self.held = []
        for number in range(count):
            asked = make.user(f"page {number}")
            context = Context(response_schema=PAGE)
            session = make.session(f"s{number}", asked, make.says(GOLD), context=context)
            corpus.add(session, family=f"f{number}")
            self.held.append(
                Held(
                    prompt=Prompt(session=session.id, step=1),
                    family=f"f{number}",
                    demand_call=False,
                    accepted=None,
                    logged=Verdict(session=session.id, step=1, state="pass"),
                )
            )
        self.golds = {each.prompt: GOLD for each in self.held}

    def measure(self, settings: Any, **arms: list[ArmAnswers]) -> dict[str, Any]:
        given = {
            name: {h.prompt: a for h, a in zip(self.held, answers, strict=True)}
            for name, answers in arms.items()
        }
        found = quality(
            self.corpus,
            self.held,
            given,
            golds=self.golds,
            settings=settings,
            config=CONFIG,
            seed=7,
        ).to_json()
        empty = {"scores": [], "paired": [], "verdict": "nothing-to-train", "why": ""}
        store.check_row(json.loads(json.dumps({**empty, **found})), "scores")
        return found


@pytest.fixture
def scene(corpus: Any, make: Any) -> Scene:
    return Scene(corpus, make, 8)


def greedy(*answers: Message) -> list[ArmAnswers]:
    return [ArmAnswers(greedy=answer) for answer in answers]


def figure(section: dict[str, Any], metric: str, model: str, kind: str = "greedy") -> Any:
    (row,) = [
        row
        for row in section["scores"]
        if (row["metric"], row["model"], row["answers"]) == (metric, model, kind)
    ]
    return row


def change(section: dict[str, Any], metric: str) -> Any:
    (row,) = [row for row in section["paired"] if row["metric"] == metric]
    return row


def test_both_rates_are_counted_out_of_n_with_wilsons_interval(scene, settings):
    found = scene.measure(
        settings,
        sft=greedy(*[LOOPED] * 4, *[CLEAN] * 4),
        dpo=greedy(LOOPED, *[CLEAN] * 7),
    )["degeneration"]
    for metric in ("degenerate_published", "degenerate_codes"):
        row = figure(found, metric, "sft")
        assert (row["k"], row["n"], row["value"], row["seed"]) == (4, 8, 0.5, 7)
        interval = wilson(4, 8, CONFIG.confidence)
        assert (row["low"], row["high"]) == (interval.low, interval.high)
        moved = change(found, metric)
        assert (moved["from"], moved["to"], moved["better"], moved["worse"]) == ("sft", "dpo", 3, 0)
        assert moved["p"] == mcnemar(3, 0)
    assert found["disagreeing"] == 0


def test_answers_on_which_the_rules_disagree_are_listed(scene, settings):
    answers = [says(DRIFT, "length", 700), says(TABLE, "length", 90), says(LOOP, "stop")]
    found = scene.measure(settings, sft=greedy(*answers, *[CLEAN] * 5))["degeneration"]
    assert found["disagreeing"] == len(found["disagreements"]) == 3
    rows = {row["session"]: row for row in found["disagreements"]}
    assert (rows["s0"]["published"], rows["s0"]["codes"]) == (False, ["REP_DRIFT"])
    assert (rows["s1"]["published"], rows["s1"]["codes"]) == (True, [])
    assert (rows["s2"]["published"], rows["s2"]["codes"]) == (False, ["REP_LOOP"])
    assert rows["s0"]["tail"].endswith("artigo 199; ")
    assert rows["s2"]["finish_reason"] == "stop"


def test_tokens_and_the_share_of_them_in_loops(scene, settings):
    found = scene.measure(settings, sft=greedy(*[LOOPED] * 2, *[CLEAN] * 6))["degeneration"]
    assert figure(found, "tokens", "sft")["value"] == (2 * 450 + 6 * 50) / 8
    assert figure(found, "loop_tokens", "sft")["value"] == 900 / 1200


def test_answers_that_nobody_counted_have_no_tokens(scene, settings):
    found = scene.measure(settings, sft=greedy(*[replace(CLEAN, usage=None)] * 8))["degeneration"]
    assert {row["metric"] for row in found["scores"]} == {
        "degenerate_published",
        "degenerate_codes",
    }


def test_worth_is_that_of_the_pages_and_error_rates_are_over_all_letters(scene, settings):
    wrong = says('{"text": "Aos tres dias"}')
    found = scene.measure(
        settings, base=greedy(*[wrong] * 8), sft=greedy(*[wrong] * 2, *[CLEAN] * 6)
    )["gold"]
    assert found["prompts"] == 8
    gold = json.loads(GOLD)["text"]
    assert figure(found, "cer", "sft")["value"] == pytest.approx(
        2 * (len(gold) - len("Aos tres dias") + 1) / (8 * len(gold))
    )
    assert figure(found, "exact", "sft")["k"] == 6
    assert figure(found, "exact", "sft")["n"] == 8
    assert figure(found, "text_score", "sft")["k"] is None
    assert (
        figure(found, "text_score", "base")["value"] < figure(found, "text_score", "sft")["value"]
    )
    moved = change(found, "text_score")
    assert (moved["better"], moved["worse"], moved["families"]) == (6, 0, 8)
    assert moved["p"] == 2 / 2**6


def test_broken_json_and_a_broken_schema_are_told_apart(scene, settings):
    answers = [LOOPED, says('{"body": "a"}'), says("plain"), *[CLEAN] * 5]
    found = scene.measure(settings, sft=greedy(*answers))["gold"]
    assert figure(found, "json_valid", "sft")["k"] == 6
    assert figure(found, "schema_valid", "sft")["k"] == 5


def test_without_gold_there_is_no_section_about_it(scene, settings):
    scene.golds = {}
    assert "gold" not in scene.measure(settings, sft=greedy(*[CLEAN] * 8))


def test_sampled_answers_are_counted_apart_from_greedy_ones(scene, settings):
    answers = [ArmAnswers(greedy=CLEAN, sampled=(LOOPED, CLEAN, CLEAN)) for _ in range(8)]
    found = scene.measure(settings, sft=answers)["degeneration"]
    assert figure(found, "degenerate_published", "sft")["k"] == 0
    row = figure(found, "degenerate_published", "sft", "sampled")
    assert (row["k"], row["n"]) == (8, 24)


def test_a_prompt_that_one_arm_lacks_is_left_out_of_all(scene, settings):
    given = {h.prompt: ArmAnswers(greedy=CLEAN) for h in scene.held}
    fewer = dict(list(given.items())[:5])
    found = quality(
        scene.corpus,
        scene.held,
        {"base": given, "sft": fewer},
        golds=scene.golds,
        settings=settings,
        config=CONFIG,
        seed=0,
    ).to_json()
    assert figure(found["degeneration"], "degenerate_codes", "base")["n"] == 5


def test_equal_answers_give_equal_figures(scene, settings):
    arms = {"base": greedy(*[LOOPED, CLEAN] * 4), "sft": greedy(*[CLEAN] * 8)}
    assert scene.measure(settings, **arms) == scene.measure(settings, **arms)


def paged(scene: Scene) -> None:
    """The pages of two documents of three and of two that stand alone."""
    names = ("a", "a", "a", "b", "b", "b", "c", "d")
    scene.held = [replace(h, family=name) for h, name in zip(scene.held, names, strict=True)]


def test_all_pages_of_a_document_count_and_documents_are_drawn_and_flipped(scene, settings):
    paged(scene)
    found = scene.measure(
        settings,
        sft=greedy(*[LOOPED] * 3, *[CLEAN] * 3, LOOPED, CLEAN),
        dpo=greedy(*[CLEAN] * 8),
    )
    row = figure(found["degeneration"], "degenerate_published", "sft")
    assert (row["k"], row["n"]) == (4, 8)
    drawn = Bootstrap(4, resamples=500, seed=7).ratio((3, 0, 1, 0), (3, 3, 1, 1))
    assert (row["low"], row["high"]) == (drawn.low, drawn.high)
    moved = change(found["degeneration"], "degenerate_published")
    assert (moved["families"], moved["better"], moved["worse"], moved["p"]) == (4, 2, 0, 0.5)
    assert moved["difference"] == -0.5
    assert figure(found["gold"], "exact", "sft")["n"] == 8
    assert figure(found["gold"], "text_score", "dpo")["n"] == 8


def test_one_long_document_is_one_whatever_its_pages_do(scene, settings):
    names = ("a", "a", "a", "a", "b", "c", "d", "e")
    scene.held = [replace(h, family=name) for h, name in zip(scene.held, names, strict=True)]
    found = scene.measure(
        settings,
        sft=greedy(*[LOOPED] * 4, *[CLEAN] * 4),
        dpo=greedy(*[CLEAN] * 4, LOOPED, LOOPED, LOOPED, CLEAN),
    )
    moved = change(found["degeneration"], "degenerate_published")
    assert (moved["better"], moved["worse"], moved["difference"]) == (1, 3, -1 / 8)
    # -4 +1 +1 +1 adds up to -1, and no pattern of signs to less than one in size
    assert moved["p"] == 1.0


def test_in_whichever_order_pages_of_a_document_come_the_figures_are_the_same(scene, settings):
    paged(scene)
    arms = {"sft": greedy(LOOPED, *[CLEAN] * 7), "dpo": greedy(*[CLEAN] * 8)}
    once = scene.measure(settings, **arms)
    scene.held.reverse()
    turned = {name: list(reversed(answers)) for name, answers in arms.items()}
    assert scene.measure(settings, **turned) == once
