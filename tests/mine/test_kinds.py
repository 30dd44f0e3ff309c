"""Which kinds of rejected sides `mine.rejected` takes, and what low scores are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.types import Prompt
from scenes import TRAIN_ONLY, called, message, mined, result, said, session, user

PAGE = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
GOLD = "The quick brown fox jumps over the lazy dog by the river."
CLOSE = GOLD.replace("lazy", "hazy")
NEAR = GOLD.replace("quick brown", "thick crown")
FAR = GOLD[:30]
LOOP = GOLD[:20] + "over and over and " * 40


def page(text, end=True, **more):
    return said(f'{{"text": "{text}' + ('"}' if end else ""), **more)


CLEAN = {text: page(text) for text in (GOLD, CLOSE, NEAR, FAR)}
LOOPS = page(LOOP, end=False)
BROKEN = page("The quick", end=False)
ASK = user("Transcribe.")
WRONG = called("weather", {"town": "Oslo"})
RIGHT = called("weather", {"city": "Oslo"})


def pages(*answers, logged=None, **settings):
    """What is mined of one page: gold in the log, and sampled answers."""
    log = session(ASK, logged or page(GOLD), tools=(), schema=PAGE)
    config = replace(TRAIN_ONLY, sources=("resample",), **settings)
    own = Prompt(session=log.id, step=1)
    return mined(log, config=config, answers={own: [message(each) for each in answers]})


def sides(found):
    """Chosen and rejected text, source, codes of each pair, by the rejected text."""
    rows = [(p.chosen.text, p.rejected.text, p.source, p.codes) for p in found.pairs]
    return sorted(rows, key=lambda row: row[1])


def test_by_default_every_failure_is_a_rejected_side_and_no_clean_answer():
    found = pages(LOOPS, BROKEN, *CLEAN.values())
    assert {p.codes for p in found.pairs} == {("REP_LOOP",), ("JSON_TRUNCATED",)}
    assert found.counts["refused"] == {}
    assert "unasked_failures" not in found.counts


def test_loops_alone_leave_other_failures_out_and_count_them():
    found = pages(LOOPS, BROKEN, page(CLOSE), rejected=("loops",))
    assert [p.codes for p in found.pairs] == [("REP_LOOP",)]
    assert found.counts["refused"] == {"FAILURE_UNASKED": 1}
    (refused,) = found.refused
    assert refused.said == "the rejected side fails by JSON_TRUNCATED; mine.rejected is loops"
    assert found.unpaired == ()


def test_failures_alone_leave_loops_out_and_count_them():
    found = pages(LOOPS, BROKEN, page(CLOSE), rejected=("failures",))
    assert [p.codes for p in found.pairs] == [("JSON_TRUNCATED",)]
    assert found.counts["refused"] == {"LOOP_UNASKED": 1}


def test_other_failures_take_no_room_of_loops():
    """They are nearer to the chosen side, so that they would come first."""
    broken = [page(GOLD[:n], end=False) for n in (30, 40, 50)]
    found = pages(*broken, LOOPS, page(CLOSE), rejected=("loops",), max_pairs_per_prompt=1)
    assert [p.codes for p in found.pairs] == [("REP_LOOP",)]
    assert found.counts["refused"] == {"FAILURE_UNASKED": 3}


def test_a_loop_by_the_published_rule_alone_is_a_loop():
    cells = page("| " * 60, end=False, finish_reason="length")
    found = pages(cells, page(CLOSE), rejected=("loops",))
    ((chosen, _, _, codes),) = sides(found)
    assert (chosen, "REP_LOOP" in codes) == (page(CLOSE)["content"], False)
    assert pages(cells, page(CLOSE), rejected=("failures",)).pairs == ()


def test_a_loop_by_the_published_rule_alone_is_trimmed_and_marked_where_it_begins():
    # each line has other letters, so that no code sees a loop; only the end repeats itself
    text = "".join(f"Ward {chr(97 + n % 26)}{n * n} of the river. " for n in range(8))
    bars = page(text + "| " * 140, end=False, finish_reason="length")
    (pair,) = pages(bars, page(CLOSE), rejected=("loops",)).pairs
    assert not {"REP_LOOP", "REP_DRIFT", "REP_WHITESPACE"} & set(pair.codes)
    onset = pair.rejected.text.index(" |")
    assert (pair.cut, pair.edits, len(pair.rejected.text)) == (True, ("trim",), onset + 60)
    mark = next(m for m in pair.marks if m.again is not None)
    assert (mark.side, mark.span) == ("rejected", (onset, onset + 60))
    assert mark.again == (onset + 2, onset + 4)


def test_the_logs_own_failures_are_held_against_the_kinds_too():
    log = session(ASK, WRONG, result("city is required", error=True), RIGHT, result("sunny"))
    assert [p.source for p in mined(log).pairs] == ["retry"]
    found = mined(log, config=replace(TRAIN_ONLY, rejected=("loops",)))
    assert (found.pairs, found.unpaired) == ((), ())
    counts = found.counts
    assert set(counts["refused"]) == {"FAILURE_UNASKED"}
    assert counts["unasked_failures"] == counts["failed_steps"] == 1
    assert counts["left_out"] == counts["unpaired_failures"] == 0


def test_a_low_score_is_rejected_where_it_is_asked_for():
    found = pages(page(CLOSE), page(FAR), rejected=("loops", "low_scores"))
    assert sides(found) == [(page(CLOSE)["content"], page(FAR)["content"], "resample", ())]
    (pair,) = found.pairs
    assert pair.margin == pytest.approx(0.39, abs=0.02)
    assert not pair.cut
    assert pages(page(CLOSE), page(FAR), rejected=("loops",)).pairs == ()


def test_a_low_score_within_the_margin_is_refused_and_counted():
    found = pages(page(CLOSE), page(NEAR), rejected=("low_scores",), score_margin=0.2)
    assert found.pairs == ()
    assert found.counts["refused"] == {"SCORE_MARGIN": 1}
    (refused,) = found.refused
    assert refused.said == "the rejected side agrees 0.03 less; mine.score_margin is 0.2"
    wider = pages(page(CLOSE), page(NEAR), rejected=("low_scores",), score_margin=0.02)
    assert len(wider.pairs) == 1


def test_failures_go_before_low_scores():
    kinds = ("loops", "failures", "low_scores")
    found = pages(LOOPS, page(CLOSE), page(FAR), rejected=kinds, max_pairs_per_prompt=1)
    assert [p.codes for p in found.pairs] == [("REP_LOOP",)]
    both = pages(LOOPS, page(CLOSE), page(FAR), rejected=kinds, max_pairs_per_prompt=2)
    assert [p.codes for p in both.pairs] in ([("REP_LOOP",), ()], [(), ("REP_LOOP",)])


def test_what_was_accepted_is_chosen_over_a_low_score_only_where_no_sample_is_near_enough():
    found = pages(page(FAR), rejected=("low_scores",), min_agreement=0.7)
    gold = page(GOLD)["content"]
    assert sides(found) == [(gold, page(FAR)["content"], "resample+log", ())]
    assert pages(page(NEAR), rejected=("low_scores",), min_agreement=0.7).pairs == ()


def test_without_anything_accepted_no_answer_has_a_low_score():
    found = pages(page(CLOSE), page(FAR), logged=BROKEN, rejected=("low_scores",))
    assert (found.pairs, found.counts["candidates"]) == ((), 0)
    assert found.counts["unasked_failures"] == 1


def test_what_is_chosen_over_a_failure_is_not_rejected_for_its_score():
    kinds = ("loops", "low_scores")
    found = pages(LOOPS, page(GOLD), page(NEAR), rejected=kinds, score_margin=0.01)
    chosen = {p.chosen.text for p in found.pairs}
    assert len(found.pairs) == 2
    assert not chosen & {p.rejected.text for p in found.pairs}


def test_calls_have_scores_by_their_arguments():
    asked = user("Weather in Oslo for 3 days, in celsius?")
    gold = called("weather", {"city": "Oslo", "days": 3, "unit": "celsius"})
    low = called("weather", {"city": "Oslo", "days": 9, "unit": "fahrenheit"})
    log = session(asked, gold)
    config = replace(TRAIN_ONLY, sources=("resample",), rejected=("low_scores",))
    own = Prompt(session=log.id, step=1)
    (pair,) = mined(log, config=config, answers={own: [message(gold), message(low)]}).pairs
    assert pair.rejected.calls[0].arguments == low["tool_calls"][0]["function"]["arguments"]
    assert pair.margin == pytest.approx(0.8)
