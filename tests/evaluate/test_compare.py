"""The whole evaluation on corpora built on the spot, with the real validators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from misstep import store
from misstep.config import EvalConfig
from misstep.errors import StageError
from misstep.evaluate import ArmAnswers, Evaluation, evaluate, held_out, nothing_to_train
from misstep.types import Message, Prompt

CONFIG = EvalConfig(num_generations=3, resamples=500)


@pytest.fixture
def bench(make, corpus, settings):
    """Sixty families whose logged step fails in every second one; `measure(arm=words)`.

    A word is one letter per answer: the greedy one, then the sampled ones.
    """
    letters = {
        ".": make.calls('{"n": 1}'),
        "w": make.calls('{"n": "1"}'),
        "m": make.calls("{}"),
        "t": make.says("two"),
    }
    for i in range(60):
        logged = letters["w" if i % 2 else "."]
        session = make.session(f"s{i}", make.user(f"task {i}"), logged, make.calls('{"n": 1}'))
        corpus.add(session, family=f"f{i:02}")
    held = [
        h for h in held_out(corpus, corpus, EvalConfig(prompts_per_family=2)) if h.prompt.step == 1
    ]

    def answers(words: Sequence[str]) -> dict[Prompt, ArmAnswers]:
        given = {}
        for i, each in enumerate(held):
            greedy, *sampled = (letters[c] for c in words[i % len(words)])
            given[each.prompt] = ArmAnswers(greedy=greedy, sampled=tuple(sampled))
        return given

    def measure(**arms: Sequence[str]) -> Evaluation:
        given: Mapping[str, Any] = {name: answers(words) for name, words in arms.items()}
        return evaluate(corpus, held, given, settings=settings, config=CONFIG, seed=7)

    measure.held = held  # type: ignore[attr-defined]
    measure.answers = answers  # type: ignore[attr-defined]
    measure.corpus = corpus  # type: ignore[attr-defined]
    measure.settings = settings  # type: ignore[attr-defined]
    return measure


def row(rows: Sequence[dict[str, Any]], **want: Any) -> dict[str, Any]:
    (found,) = (r for r in rows if all(r[key] == value for key, value in want.items()))
    return found


def test_a_model_that_fails_less_ships(bench) -> None:
    got = bench(base=["tttt"], sft=["wwm.", ".w.."], dpo=["....", ".w..", "...."])
    assert got.verdict == "ship"
    assert got.why.startswith("total failure rate 50.0 % → 11.1 % from sft to dpo (−38.9 points")
    assert (got.before, got.after, got.families, got.prompts) == ("sft", "dpo", 60, 60)


def test_scores_hold_every_arm_and_code_with_n_and_interval(bench) -> None:
    rows = bench(base=["tttt"], sft=["wwm.", ".w.."], dpo=["...."]).to_json()["scores"]
    total = row(rows, metric="failure_rate", code=None, model="sft")
    assert (total["k"], total["n"]) == (90, 180)
    assert total["low"] < 0.5 < total["high"]
    wrong = row(rows, metric="failure_rate", code="WRONG_TYPE", model="sft")
    missing = row(rows, metric="failure_rate", code="MISSING_REQUIRED", model="sft")
    unasked = row(rows, metric="failure_rate", code="NO_CALL", model="base")
    greedy = row(rows, metric="failure_rate_greedy", code=None, model="sft")
    assert (wrong["k"], missing["k"], unasked["k"]) == (60, 30, 180)
    assert (greedy["k"], greedy["n"]) == (30, 60)
    codes = [r["code"] for r in rows if (r["metric"], r["model"]) == ("failure_rate", "dpo")]
    assert codes == [None, "MISSING_REQUIRED", "WRONG_TYPE", "NO_CALL"]


def test_paired_changes_go_from_stage_to_stage_and_from_control_to_the_last(bench) -> None:
    rows = bench(base=["tttt"], sft=["wwww"], dpo=["...."], control=["www."]).to_json()["paired"]
    arrows = [(r["from"], r["to"]) for r in rows if r["code"] is None]
    assert arrows == [("base", "sft"), ("sft", "dpo"), ("base", "dpo"), ("control", "dpo")]
    total = row(rows, **{"from": "sft", "to": "dpo", "code": None})
    assert (total["fixed"], total["broken"]) == (60, 0)
    assert total["p"] == pytest.approx(2 / 2**60)
    assert (total["greedy_fixed"], total["greedy_broken"]) == (60, 0)


def test_failing_less_by_calling_less_does_not_ship(bench, make, settings) -> None:
    # prompts without an accepted call do not demand one: silence is clean there
    got = bench(base=["wwww"], dpo=["tttt"])
    assert got.verdict == "do-not-ship"
    lazy = bench(base=["wwww"], dpo=["t...", "t...", "tttt"])
    assert lazy.verdict == "do-not-ship"
    assert "guard down: answers without a demanded call 0.0 % → 33.3 %" in lazy.why


def test_what_rose_under_a_falling_total_stands_in_the_reason(bench) -> None:
    got = bench(base=[".www", "...."], dpo=[".mm.", "...."])
    assert got.verdict == "ship"
    assert "; no guard is down; MISSING_REQUIRED rose +33.3 points (interval +" in got.why
    assert got.why.endswith(" corrected for 2 codes)")
    cold = bench(base=[".www"], dpo=["w..."])
    assert "; greedy answers fail more often in 60 families and less often in 0 (p < " in cold.why


def test_without_sft_the_base_is_what_dpo_is_compared_with(bench) -> None:
    got = bench(base=["wwww"], dpo=["...."])
    assert (got.before, got.after, got.verdict) == ("base", "dpo", "ship")
    assert [(p.before, p.after) for p in got.paired if p.code is None] == [("base", "dpo")]


def test_collateral_counts_the_logged_clean_and_the_clean_before(bench) -> None:
    rows = bench(base=["....", "wwww"], dpo=["...w"]).to_json()["collateral"]
    logged, before = row(rows, kind="logged-clean"), row(rows, kind="clean-before")
    assert (logged["prompts"], logged["k"], logged["n"]) == (30, 30, 90)
    assert (before["prompts"], before["k"], before["n"]) == (30, 30, 90)
    assert before["k_before"] == 0


def test_the_same_answers_give_the_same_numbers(bench) -> None:
    arms = {"base": ["wwm.", ".w.."], "dpo": ["....", ".w.."]}
    assert bench(**arms).to_json() == bench(**arms).to_json()


def test_what_is_written_fits_the_schemas(bench) -> None:
    written = bench(base=["tttt"], sft=["wwm.", ".w.."], dpo=["...."], control=["wt.."]).to_json()
    store.check_row(written, "scores")
    for each in written["scores"]:
        store.check_row(each, "score")
    store.check_row(nothing_to_train("there are no pairs").to_json(), "scores")


def test_no_trained_arm_or_no_held_out_prompt_is_nothing_to_train(bench) -> None:
    alone = bench(base=["...."])
    assert (alone.verdict, alone.why) == (
        "nothing-to-train",
        "there is no trained model to compare with",
    )
    empty = evaluate(
        bench.corpus, [], {"base": {}, "dpo": {}}, settings=bench.settings, config=CONFIG, seed=0
    )
    assert (empty.verdict, empty.why) == (
        "nothing-to-train",
        "there is no held-out prompt to compare with",
    )


def test_a_prompt_that_no_arm_answered_is_counted_and_left_out(bench) -> None:
    answers = {name: bench.answers(["wwww"]) for name in ("base", "dpo")}
    for given in answers.values():
        del given[bench.held[0].prompt]
    got = evaluate(
        bench.corpus, bench.held, answers, settings=bench.settings, config=CONFIG, seed=0
    )
    assert (got.prompts, got.families, got.unanswered) == (59, 59, 1)


def test_a_prompt_that_one_arm_alone_left_unanswered_stops_the_stage(bench) -> None:
    answers = {name: bench.answers(["wwww"]) for name in ("base", "dpo")}
    del answers["dpo"][bench.held[0].prompt]
    with pytest.raises(StageError) as caught:
        evaluate(bench.corpus, bench.held, answers, settings=bench.settings, config=CONFIG, seed=0)
    assert str(caught.value) == (
        "the answers of dpo lack 1 of 60 held-out prompts; "
        "remove them from the run folder and run again"
    )


def test_without_sampled_answers_the_greedy_ones_make_the_number(bench) -> None:
    got = bench(base=["w"], dpo=["."])
    total = row(got.to_json()["scores"], metric="failure_rate", code=None, model="base")
    assert (total["k"], total["n"], got.verdict) == (60, 60, "ship")


def test_answers_that_nobody_can_judge_measure_nothing(bench, make) -> None:
    void = ArmAnswers(greedy=Message(role="assistant", error="500"), sampled=())
    answers = {name: {h.prompt: void for h in bench.held} for name in ("base", "dpo")}
    got = evaluate(
        bench.corpus, bench.held, answers, settings=bench.settings, config=CONFIG, seed=0
    )
    assert got.verdict == "nothing-to-train"


def test_a_trained_model_whose_answers_nobody_can_judge_does_not_ship(bench) -> None:
    void = ArmAnswers(greedy=Message(role="assistant", error="500"), sampled=())
    answers = {name: bench.answers(["wwww"]) for name in ("base", "control", "dpo")}
    answers["dpo"] = {h.prompt: void for h in bench.held}
    got = evaluate(
        bench.corpus, bench.held, answers, settings=bench.settings, config=CONFIG, seed=0
    )
    assert (got.verdict, got.why) == (
        "do-not-ship",
        "no failure rate can be compared: 180 of base and 0 of dpo held-out answers could be "
        "judged",
    )
    assert not got.paired  # a rate that nobody knows is not zero
    assert [g.metric for g in got.guards if g.down][-1] == "judged_rate"


def test_the_final_arm_must_not_be_worse_than_the_base(bench) -> None:
    arms = {
        "base": ["wwww", *["...."] * 9],
        "sft": [*["wwww"] * 5, *["...."] * 5],
        "dpo": [*["wwww"] * 3, *["...."] * 7],
    }
    got = bench(**arms)
    assert got.verdict == "do-not-ship"
    assert "; worse than base: 10.0 % → 30.0 % from base to dpo (+20.0 points" in got.why
    assert "; guard down since base: agreement with the accepted arguments" in got.why
    assert bench(sft=arms["sft"], dpo=arms["dpo"]).verdict == "ship"
    quiet = bench(base=["...."], sft=["wwtt"], dpo=["...t"])
    assert "since base: answers without a demanded call" in quiet.why
    assert "since base: answers that call a tool" not in quiet.why


def test_five_long_documents_are_five_whatever_many_short_ones_do(make, corpus, settings) -> None:
    letters = {".": make.calls('{"n": 1}'), "w": make.calls('{"n": "1"}')}
    given: dict[str, dict[Prompt, ArmAnswers]] = {"base": {}, "dpo": {}}
    for i in range(130):
        session = make.session(f"s{i}", make.user(f"task {i}"), letters["."])
        corpus.add(session, family=f"long{i // 20}" if i < 100 else f"short{i}")
        for arm, letter in (("base", "w" if i < 60 else "."), ("dpo", "." if i < 100 else "w")):
            given[arm][Prompt(session=f"s{i}", step=1)] = ArmAnswers(
                greedy=letters[letter], sampled=()
            )
    held = held_out(corpus, corpus, EvalConfig(prompts_per_family=20))
    got = evaluate(corpus, held, given, settings=settings, config=CONFIG, seed=0)
    (total,) = (row for row in got.paired if row.code is None)
    assert (total.fixed, total.broken) == (3, 30)
    assert total.difference < 0
    assert total.p > 0.05  # the short ones speak for the other direction
    assert got.verdict == "do-not-ship"
