"""The round of `rft`: SFT on confirmed answers of the model itself, before the preference stage."""

import shutil
from dataclasses import replace

import pytest

from killing import ends_alike, killed_and_resumed, stages_said
from logs import mixed
from misstep import api, store
from misstep.config import load_config
from misstep.pipeline import mining, rounds
from misstep.pipeline.job import Job
from misstep.pipeline.measuring import TRAINED

from .conftest import SMALL

pytestmark = pytest.mark.slow

TASKS = 12
SETTINGS = {
    **SMALL,
    "mine.off_policy": False,
    "mine.sources": ["resample"],
    "resample.num_generations": 2,
    "resample.greedy": True,
    "resample.max_prompts": 8,
    "dpo.max_steps": 2,
    "sft.max_steps": 2,
    "rft.enabled": True,
    "rft.max_steps": 2,
    "rft.min_votes": 1,
    "rft.supported_values": False,
    "eval.control": True,
}


@pytest.fixture(scope="module")
def settings(tiny_model):
    return lambda **more: load_config(None, {**SETTINGS, "model": tiny_model, **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory, settings):
    folder = tmp_path_factory.mktemp("rft")
    log = mixed(folder / "log.jsonl", TASKS)
    api.run([log], folder / "run", settings())
    return log, folder / "run"


def note(folder):
    return store.read_json(folder / "misstep_adapter.json")


def test_the_stage_goes_on_from_sft_and_the_preference_stage_and_its_control_from_it(finished):
    _, run = finished
    first = note(run / "rft/adapter")
    assert first["stage"] == "sft"
    assert first["continued"] == note(run / "sft")["sha256"]
    assert note(run / "adapter")["continued"] == first["sha256"]
    assert note(run / "control")["continued"] == first["sha256"]


def test_its_answers_are_not_those_of_the_preference_stage(finished):
    _, run = finished
    tables = (run / "rft/answers/resample.parquet", run / "answers/resample.parquet")
    first, second = ([row["answer"] for row in store.read_rows(path)] for path in tables)
    assert len(first) == len(second)
    assert first != second


def test_it_is_measured_beside_the_others_and_the_verdict_compares_with_sft(finished):
    _, run = finished
    scores = api.scores(run)
    assert {row["model"] for row in scores["scores"]} == {"base", "sft", "dpo", "rft", "control"}
    assert (scores["before"], scores["after"]) == ("sft", "dpo")
    assert ("rft", "dpo") in {(row["from"], row["to"]) for row in scores["paired"]}


def test_measuring_again_finds_every_stage_before_the_adapter(finished, tmp_path, settings):
    _, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    before = (folder / "scores.json").read_text()
    api.evaluate(folder, settings())
    assert (folder / "scores.json").read_text() == before


def test_the_prompts_that_it_learned_are_noted_beside_every_later_adapter(finished):
    _, run = finished
    learned = set(store.read_json(run / "rft/adapter" / TRAINED)["prompts"])
    assert learned
    for name in ("adapter", "control"):
        assert learned <= set(store.read_json(run / name / TRAINED)["prompts"])


def test_the_report_has_it_among_the_rounds(finished):
    _, run = finished
    text = (run / "report.md").read_text().split("## Rounds")[1]
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:4] == ["rft", "1"]


def test_a_finished_run_keeps_everything(finished, settings):
    log, run = finished
    stages = stages_said(log, run, settings())
    assert any(line.startswith("rft: train adapter") for line in stages)
    assert all(line.endswith("unchanged, kept") for line in stages), stages


@pytest.mark.parametrize("at", ["rft: resample", "rft: train adapter", "train adapter"])
def test_a_run_killed_in_or_behind_it_resumes_to_the_same(finished, tmp_path, settings, at):
    log, run = finished
    killed_and_resumed(log, tmp_path / "run", settings(), at)
    assert ends_alike(tmp_path / "run", run)


def test_its_demands_are_its_own_and_without_pairs_it_is_left_out(tmp_path, settings, monkeypatch):
    asked, said = [], []
    mine_stage, pair_rows = mining.mine_stage, mining.pair_rows

    def stage(job, *args, **how):
        asked.append((job.round, job.config.mine.min_votes, job.config.mine.supported_values))
        return mine_stage(job, *args, **how)

    monkeypatch.setattr(mining, "mine_stage", stage)
    monkeypatch.setattr(mining, "pair_rows", lambda job: pair_rows(job) if job.round else [])
    log = mixed(tmp_path / "log.jsonl", TASKS)
    demands = {"rft.min_votes": 9, "rft.supported_values": True, "eval.control": False}
    api.run([log], tmp_path / "run", settings(**demands), say=said.append)
    assert asked == [(0, 9, True), (1, 1, False)]
    assert any("no chosen side is confirmed" in line for line in said)
    assert note(tmp_path / "run/adapter")["continued"] == note(tmp_path / "run/sft")["sha256"]
    models = {row["model"] for row in api.scores(tmp_path / "run")["scores"]}
    assert models == {"base", "sft", "dpo"}


def test_several_rounds_come_behind_it(finished, tmp_path, settings):
    log, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    said = []
    api.run([log], folder, settings(rounds=2), say=said.append)
    assert "rft: train adapter: unchanged, kept" in said
    assert "round 1: train adapter: unchanged, kept" in said
    notes = [note(folder / f"rounds/{n}/adapter") for n in (1, 2)]
    assert notes[0]["continued"] == note(folder / "rft/adapter")["sha256"]
    assert notes[1]["continued"] == notes[0]["sha256"]
    before = (folder / "scores.json").read_text()
    api.evaluate(folder, settings(rounds=2))
    assert (folder / "scores.json").read_text() == before


def test_forgetting_a_session_takes_the_round_along(finished, tmp_path):
    _, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    first = store.read_rows(folder / "rft/pairs/train.parquet")[0]["session"]
    done = api.forget(folder, [first])
    assert not (folder / "rft").exists()
    assert done.rows["rft/pairs/train.parquet"] > 0


def test_an_endpoint_would_answer_both_rounds_alike_so_it_is_left_out(tmp_path):
    said = []
    config = load_config(None, {"rft.enabled": True, "endpoint.url": "http://127.0.0.1:1/v1"})
    job = Job(store.RunFolder(tmp_path), config, say=said.append)
    assert not rounds._confirms(job)
    assert "rft is left out" in said[0]
    assert rounds._confirms(replace(job, config=load_config(None, {"rft.enabled": True})))


def test_the_plan_names_it(tmp_path, settings):
    log = mixed(tmp_path / "log.jsonl", TASKS)
    text = api.plan([log], tmp_path / "run", settings(**{"rft.min_votes": 3}))
    assert "  rft        at most 320 chosen sides of a round of its own, 3 votes each" in text
    assert "rft" not in api.plan([log], tmp_path / "run", settings(**{"rft.enabled": False}))
