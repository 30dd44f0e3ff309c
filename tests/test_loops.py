"""The loop benchmark: its pages, its pairs, its figures; no model is loaded."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
pytest.importorskip("torch")
pytest.importorskip("parts", reason="the benchmarks are no part of the wheel")
import loops
from parts import loops_work
from parts.loops_tasks import is_valid, recall, tasks

from misstep.types import Message, Part

TRAIN, HELD = tasks(60, loops.TRAIN_SEED), tasks(60, loops.HELD_SEED)


def wrote(text, finish="length"):
    return Message(
        role="assistant", parts=(Part(kind="text", text=text),), finish_reason=finish, model="m"
    )


def looping(page):
    """The first lines of the right output, and then one line again and again."""
    lines = page.right.splitlines()
    return wrote("\n".join([*lines[:4], *[lines[4]] * 30]))


def test_pages_are_drawn_once_for_all_and_differ_between_parts():
    assert tasks(60, loops.TRAIN_SEED) == TRAIN
    assert {page.asked for page in TRAIN}.isdisjoint(page.asked for page in HELD)
    assert len({page.asked for page in TRAIN}) == len(TRAIN)


def test_the_right_output_is_valid_complete_and_no_loop():
    for page in (*TRAIN, *HELD):
        assert is_valid(page, page.right)
        assert recall(page, page.right) == 1.0
        assert loops_work.loops_in(page, page.reference) == ()


@pytest.mark.parametrize("kind", ["json", "table", "transcript"])
def test_half_an_output_is_half_right_and_prose_is_not_valid(kind):
    page = next(page for page in HELD if page.kind == kind)
    lines = page.right.splitlines()
    assert 0.2 < recall(page, "\n".join(lines[: len(lines) // 2 + 1])) < 0.8
    assert not is_valid(page, "Here is what you asked for:\n" + page.right)


def test_loops_are_paired_with_right_outputs_trimmed_or_whole():
    given = [(page, [looping(page)]) for page in TRAIN[:6]]
    whole = loops_work.loop_pairs(given, loops.WHOLE)
    trimmed = loops_work.loop_pairs(given, 3)
    assert len(whole) == len(trimmed) == 6
    assert {row.chosen.text for row in whole} == {page.right for page, _ in given}
    assert {row.rejected.text for row in whole} == {some[0].text for _, some in given}
    shorter = {row.prompt[0].text: len(row.rejected.text) for row in trimmed}
    assert all(shorter[row.prompt[0].text] < len(row.rejected.text) / 2 for row in whole)
    assert all(any(mark.again for mark in row.marks) for row in (*whole, *trimmed))


def test_degenerate_and_valid_answers_are_counted_by_page():
    good = [(page, [page.reference] * 2) for page in HELD[:6]]
    bad = [(page, [page.reference, looping(page)]) for page in HELD[:6]]
    figures = loops_work.told(bad)
    assert (figures["degenerate"]["k"], figures["n"], figures["families"]) == (6, 12, 6)
    assert figures["degenerate"]["rate"] == 0.5
    assert figures["healthy_recall"] == 1.0
    assert 0.5 < figures["recall"] < 1.0
    change = loops_work.compared(bad, good)
    assert change["fewer_loops"] == 1.0
    assert change["degenerate"]["difference"] == -0.5
    assert change["degenerate"]["p"] < 0.05


def test_length_is_compared_where_both_answers_are_healthy():
    pages = [page for page in HELD if page.kind == "json"][:6]
    whole = [(page, [page.reference, page.reference]) for page in pages]
    half = [(page, [wrote(page.right[: len(page.right) // 2]), looping(page)]) for page in pages]
    assert loops_work.told(whole)["valid_of_reference"] == 1.0
    assert loops_work.told(half)["valid_of_reference"] is None
    assert loops_work.compared(whole, half)["healthy_length"] == pytest.approx(0.5, abs=0.01)
    assert loops_work.compared(half, whole)["healthy_length"] == pytest.approx(2.0, abs=0.02)


def test_results_grow_arm_by_arm_and_not_across_sizes(tmp_path):
    path, size = tmp_path / "loops.json", loops.SIZES["quick"]
    change = {"sft": {"0": {"fewer_loops": 0.9}}}
    loops.record(path, size, {"arm": "sft", "seed": 1, "part": "dev"})
    loops.record(path, size, {"arm": "dpo", "seed": 1, "part": "dev", "against": change})
    rows = loops.known(path, size)
    assert [row["arm"] for row in rows] == ["sft", "dpo"]
    assert loops.ratios(rows) == {"drop_vs_sft, dpo, seed 1, dev, temperature 0": 0.9}
    assert loops.known(path, replace(size, steps=9)) == []
