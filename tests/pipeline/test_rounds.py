"""Several rounds of resampling, pairing and training: what each begins with, and resuming."""

import json
import shutil

import pytest

from killing import Killed, ends_alike, killed_along, stages_said, weights
from logs import RIGHT, mixed, session, write
from misstep import api, store
from misstep.config import load_config
from misstep.errors import InputError
from misstep.pipeline.measuring import TRAINED
from misstep.pipeline.reviewing import Review

from .conftest import SAMPLED

pytestmark = pytest.mark.slow

TASKS = 12
SETTINGS = {
    **SAMPLED,
    "rounds": 2,
}


def state(folder):
    return store.read_json(folder / "stages.json")


@pytest.fixture(scope="module")
def settings(tmp_path_factory, tiny_model):
    return lambda **more: load_config(None, {**SETTINGS, "model": tiny_model, **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory, settings):
    folder = tmp_path_factory.mktemp("rounds")
    log = mixed(folder / "log.jsonl", TASKS)
    api.run([log], folder / "run", settings())
    return log, folder / "run"


def test_each_round_begins_with_the_adapter_of_the_round_before_it(finished):
    _, run = finished
    notes = [store.read_json(run / f"rounds/{n}/adapter/misstep_adapter.json") for n in (1, 2)]
    sft = store.read_json(run / "sft/misstep_adapter.json")
    assert notes[0]["continued"] == sft["sha256"]
    assert notes[1]["continued"] == notes[0]["sha256"]
    assert notes[0]["sha256"] != notes[1]["sha256"]


def test_the_last_round_is_what_the_run_folder_shows(finished):
    _, run = finished
    assert weights(run / "adapter") == weights(run / "rounds/2/adapter")
    for name in ("pairs/train.parquet", "pairs/train.jsonl", "refused.jsonl", "mined.json"):
        assert (run / name).read_bytes() == (run / "rounds/2" / name).read_bytes(), name
    scores = api.scores(run)
    assert {row["model"] for row in scores["scores"]} == {"base", "sft", "dpo", "control"}
    assert scores["adapter"] == store.weights_digest(run / "adapter")


def test_each_round_asks_for_one_greedy_answer_beside_the_sampled_ones(finished):
    _, run = finished
    for n in (1, 2):
        rows = store.read_rows(run / f"rounds/{n}/answers/resample.parquet")
        kinds = [row["kind"] for row in rows]
        assert kinds.count("sampled") == 2 * kinds.count("greedy") > 0


def test_the_rounds_draw_other_answers(finished):
    _, run = finished
    first, second = (
        [r["answer"] for r in store.read_rows(run / f"rounds/{n}/answers/resample.parquet")]
        for n in (1, 2)
    )
    assert len(first) == len(second)
    assert first != second


def test_the_prompts_of_every_round_are_noted_beside_the_adapter(finished):
    _, run = finished
    notes = [json.loads((run / f"rounds/{n}/adapter" / TRAINED).read_text()) for n in (1, 2)]
    last = json.loads((run / "adapter" / TRAINED).read_text())
    assert set(notes[0]["prompts"]) <= set(notes[1]["prompts"]) == set(last["prompts"])


def test_the_control_takes_the_steps_of_all_rounds(finished):
    _, run = finished
    steps = [state(run / f"rounds/{n}")["train adapter"]["facts"]["steps"] for n in (1, 2)]
    assert state(run)["train control"]["facts"]["steps"] == sum(steps) == 4


def test_the_control_learns_at_the_rate_of_the_sft_that_it_continues(finished):
    _, run = finished
    rates = {
        name: json.loads((run / name / "misstep_adapter.json").read_text())["config"]
        for name in ("sft", "adapter", "control")
    }
    found = {name: each["learning_rate"] for name, each in rates.items()}
    assert found["control"] == found["sft"] != found["adapter"]


def test_the_report_names_the_rounds(finished):
    _, run = finished
    text = (run / "report.md").read_text()
    assert "## Rounds" in text
    rows = [line for line in text.split("## Rounds")[1].splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[:4]] == ["round", "---", "1", "2"]


def test_a_finished_run_of_rounds_keeps_everything(finished, settings):
    log, run = finished
    before = weights(run / "adapter"), (run / "scores.json").read_text()
    stages = stages_said(log, run, settings())
    assert all(line.endswith("unchanged, kept") for line in stages), stages
    assert (weights(run / "adapter"), (run / "scores.json").read_text()) == before


def test_a_run_killed_all_along_its_rounds_resumes_to_the_same(finished, tmp_path, settings):
    log, run = finished
    places = ["reading", "train sft"]
    places += [f"round {n}: {what}" for n in (1, 2) for what in ("resample", "train adapter")]
    places += ["train control", "dpo: sampled"]
    killed_along(log, tmp_path / "run", settings(), places)
    assert ends_alike(tmp_path / "run", run)


def test_a_run_killed_while_a_round_is_taken_over_resumes_to_the_same(
    finished, tmp_path, settings, monkeypatch
):
    log, run = finished
    from misstep.pipeline import rounds

    copied, left = rounds._copied, ["answers", "pairs", "adapter"]

    def killed(source, target):
        copied(source, target)
        if left and left[0] in (target.parent.name, target.name):
            raise Killed(left.pop(0))

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "_copied", killed)
        for place in list(left):
            with pytest.raises(Killed, match=place):
                api.run([log], folder, settings())
    api.run([log], folder, settings())
    assert ends_alike(folder, run)


def test_one_more_round_keeps_the_rounds_that_are_done(finished, tmp_path, settings):
    log, run = finished
    folder = tmp_path / "run"
    api.run([log], folder, settings(rounds=1))
    alone = weights(folder / "adapter")
    assert not (folder / "rounds").exists()
    said = []
    api.run([log], folder, settings(), say=said.append)
    assert "round 1: train adapter: unchanged, kept" in said
    assert weights(folder / "rounds/1/adapter") == alone
    assert weights(folder / "adapter") == weights(run / "adapter")


def test_pairs_of_the_log_are_trained_in_one_round(tmp_path, settings):
    log = mixed(tmp_path / "log.jsonl", TASKS)
    config = settings(**{"mine.off_policy": True, "mine.sources": ["sibling"]})
    api.run([log], tmp_path / "run", config)
    assert (tmp_path / "run/adapter").exists()
    assert not (tmp_path / "run/rounds").exists()


def test_a_first_round_without_pairs_is_nothing_to_train(tmp_path, settings):
    log = write(tmp_path / "log.jsonl", [session(n, RIGHT % n) for n in range(1, 9)])
    rows = log.read_text() + json.dumps(session(99, '{"minutes": "x"}')) + "\n"
    log.write_text(rows)
    config = settings(**{"resample.max_prompts": 1, "mine.max_pairs_per_family": 0})
    assert api.run([log], tmp_path / "run", config) == "nothing-to-train"
    assert not (tmp_path / "run/adapter").exists()


def test_forgetting_a_session_takes_the_rounds_along_and_marks_what_they_taught(finished, tmp_path):
    _, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    first = store.read_rows(folder / "rounds/1/pairs/train.parquet")[0]["session"]
    done = api.forget(folder, [first])
    assert not (folder / "rounds").exists()
    assert done.rows["rounds/1/pairs/train.parquet"] > 0
    assert done.adapters["adapter"] > 0


def test_only_resampling_cuts_loops_where_only_resampling_is_told_to(
    tmp_path, settings, monkeypatch
):
    from misstep import models

    given, batches = [], models.batches

    def seen(*args, **how):
        given.append(how["stop_loops"])
        return batches(*args, **how)

    monkeypatch.setattr(models, "batches", seen)
    log = mixed(tmp_path / "log.jsonl", TASKS)
    config = settings(**{"resample.stop_loops": True, "rounds": 1, "eval.control": False})
    api.run([log], tmp_path / "run", config)
    resampled, evaluated = given[:2], given[2:]
    assert all(each is not None and set(each.asked) == {0} for each in resampled)
    assert len(evaluated) == 6
    assert evaluated == [None] * 6


def test_pairs_of_a_later_round_are_not_trained_from_sft(finished, tmp_path, settings):
    log, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    with pytest.raises(InputError, match=r"mined for the adapter .*rounds/1/adapter.*misstep run"):
        api.train(folder, settings())
    store.RunFolder(folder).forget(["train adapter"])  # killed while it was taken over
    with pytest.raises(InputError, match=r"mined for the adapter .*rounds/1/adapter"):
        api.train(folder, settings())
    first = tmp_path / "first"
    assert api.run([log], first, settings(rounds=1), until="train") == "stopped"
    assert api.train(first, settings(rounds=1))["steps"] > 0


def test_pairs_of_a_round_in_the_middle_are_found_and_reviewed_for_the_run(
    finished, tmp_path, settings
):
    log, _ = finished
    folder = tmp_path / "run"
    assert api.run([log], folder, settings(), until="mine") == "stopped"
    assert api.left_by(folder, settings(), "mine") == folder / "rounds/1/pairs"
    assert not (folder / "pairs").exists()
    with pytest.raises(InputError, match=r"its pairs lie in .*rounds/1/pairs"):
        api.training_plan(folder, settings())
    sitting = Review.of(folder)
    assert sitting.heads[0].file == folder / "rounds/1/pairs/train.parquet"
    assert sitting.file == folder / "review.jsonl"
    for path in (folder / "rounds/1", folder / "rounds/1/pairs/train.parquet"):
        assert Review.of(path).file.resolve() == (folder / "review.jsonl").resolve()
