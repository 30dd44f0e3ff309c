"""The round of `rft`: SFT on confirmed answers of the model itself, before the preference stage."""

import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from killing import ends_alike, killed_along, stages_said
from logs import mixed
from misstep import api, store
from misstep.cli import main
from misstep.config import load_config
from misstep.errors import InputError
from misstep.pipeline import checks, mining
from misstep.pipeline.job import Job
from misstep.pipeline.measuring import TRAINED
from misstep.pipeline.reviewing import Review

from .conftest import SAMPLED

pytestmark = pytest.mark.slow

TASKS = 12
SETTINGS = {
    **SAMPLED,
    "rft.enabled": True,
    "rft.max_steps": 2,
    "rft.min_votes": 1,
    "rft.supported_values": False,
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


@pytest.mark.parametrize(("folder", "rate"), [("rft/adapter", 1e-5), ("sft", 3e-4)])
def test_the_control_learns_at_the_rate_of_what_it_goes_on_from(
    tmp_path, monkeypatch, folder, rate
):
    from misstep.pipeline import training

    rates = []
    monkeypatch.setattr(
        training, "_train", lambda job, *_, **__: rates.append(job.config.sft.learning_rate)
    )
    config = load_config(None, {"rft.learning_rate": 1e-5, "sft.learning_rate": 3e-4})
    start = training.Adapter(path=tmp_path / folder, key="", facts={})
    taught = SimpleNamespace(rows=(), left_out=(), steps=3)
    training.control_stage(Job(store.RunFolder(tmp_path), config), taught, start)
    assert rates == [rate]


@pytest.mark.parametrize("arm", ["rft", "control"])
def test_the_adapter_that_is_asked_about_is_the_one_that_is_judged(
    finished, tmp_path, arm, settings
):
    _, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    place = folder / ("rft/adapter" if arm == "rft" else arm)
    scores = api.evaluate(folder, settings(), place)
    assert (scores["before"], scores["after"]) == ("sft", arm)
    assert scores["adapter"] == note(place)["sha256"]
    assert ("base", arm) in {(row["from"], row["to"]) for row in scores["paired"]}
    assert f"(sft → {arm})" in (folder / "report.md").read_text()
    assert f"adapter: {place}\n" in api.run_text(folder, width=400)


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


def test_a_run_killed_in_and_behind_it_resumes_to_the_same(finished, tmp_path, settings):
    log, run = finished
    places = ["rft: resample", "rft: train adapter", "train adapter"]
    killed_along(log, tmp_path / "run", settings(), places)
    assert ends_alike(tmp_path / "run", run)


def asked_of(monkeypatch, empty=False):
    """What is asked of the pairs of each part; `empty`: that of `rft` pairs nothing."""
    asked = []
    mine_stage, pair_rows = mining.mine_stage, mining.pair_rows

    def stage(job, *args, **how):
        asked.append((job.round, job.config.mine.min_votes, job.config.mine.supported_values))
        return mine_stage(job, *args, **how)

    monkeypatch.setattr(mining, "mine_stage", stage)
    if empty:
        rows = lambda job: pair_rows(job) if job.round else []  # noqa: E731
        monkeypatch.setattr(mining, "pair_rows", rows)
    return asked


def test_its_demands_are_its_own(tmp_path, settings, monkeypatch):
    asked = asked_of(monkeypatch)
    log = mixed(tmp_path / "log.jsonl", TASKS)
    config = settings(**{"mine.min_votes": 2, "eval.control": False})
    api.run([log], tmp_path / "run", config, until="train")
    assert asked == [(0, 1, False), (1, 2, False)]


def test_without_pairs_it_is_left_out_and_its_demands_are_made_of_all_pairs(
    tmp_path, settings, monkeypatch
):
    asked, said = asked_of(monkeypatch, empty=True), []
    log = mixed(tmp_path / "log.jsonl", TASKS)
    demands = {"rft.min_votes": 9, "rft.supported_values": True, "eval.control": False}
    api.run([log], tmp_path / "run", settings(**demands), until="train", say=said.append)
    assert asked == [(0, 9, True), (1, 9, True)]
    assert any("no chosen side is confirmed" in line for line in said)
    assert [line for line in said if line.startswith("without rft its demands are made")]


def test_without_pairs_and_with_the_same_demands_the_preference_stage_goes_on_from_sft(
    tmp_path, settings, monkeypatch
):
    asked, said = asked_of(monkeypatch, empty=True), []
    log = mixed(tmp_path / "log.jsonl", TASKS)
    api.run([log], tmp_path / "run", settings(**{"eval.control": False}), say=said.append)
    assert asked == [(0, 1, False), (1, 1, False)]
    assert not [line for line in said if "demands" in line]
    assert note(tmp_path / "run/adapter")["continued"] == note(tmp_path / "run/sft")["sha256"]
    models = {row["model"] for row in api.scores(tmp_path / "run")["scores"]}
    assert models == {"base", "sft", "dpo"}


def test_where_nothing_follows_it_is_left_out_and_that_is_said(tmp_path, settings, monkeypatch):
    asked, said = asked_of(monkeypatch), []
    log = mixed(tmp_path / "log.jsonl", TASKS)
    off = {"dpo.enabled": False, "rft.min_votes": 2}
    text = api.plan([log], tmp_path / "run", settings(**off))
    api.run([log], tmp_path / "run", settings(**off), say=said.append)
    assert asked == [(1, 2, False)]
    for line in ("rft is left out: dpo and kto are off", "without rft its demands are made"):
        assert [each for each in said if each.startswith(line)]
        assert f"  note       {line}" in text
    assert "  rft        " not in text
    assert "  dpo        off" in text
    assert not (tmp_path / "run/rft").exists()


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


def test_an_endpoint_would_answer_both_rounds_alike_so_it_is_left_out():
    asked = {"rft.enabled": True, "mine.min_votes": 1, "mine.supported_values": False}
    config = load_config(None, {**asked, "endpoint.url": "http://127.0.0.1:1/v1"})
    assert checks.left_out(config).startswith("rft is left out: an endpoint goes on answering")
    assert checks.left_out(load_config(None, asked)) is None
    held = checks.held_to(config).mine
    assert (held.min_votes, held.supported_values) == (2, True)
    kept = checks.held_to(config, ["mine.min_votes"]).mine
    assert (kept.min_votes, kept.supported_values) == (1, True)
    assert checks.held_to(load_config(None, {"mine.min_votes": 1})).mine.min_votes == 1
    more = load_config(None, {**asked, "mine.min_votes": 3})
    assert checks.held_to(more).mine.min_votes == 3


def test_pairs_that_were_mined_behind_it_are_not_trained_from_sft(finished, tmp_path, settings):
    _, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for call in (api.train, api.training_plan):
        with pytest.raises(InputError, match=r"mined for the adapter .*rft/adapter.*misstep run"):
            call(folder, settings())
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    store.RunFolder(folder).forget(["train adapter"])  # killed before its end
    with pytest.raises(InputError, match=r"mined for the adapter .*rft/adapter"):
        api.train(folder, settings())


def test_pairs_that_were_mined_anew_are_trained_on(finished, tmp_path, settings):
    log, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    config = settings(**{"mine.sources": ["sibling"]})
    api.mine([log], folder, config, resample=False)
    assert api.train(folder, config)["steps"] > 0


def test_a_run_that_stops_in_it_says_where_and_its_pairs_can_be_reviewed(
    finished, tmp_path, tiny_model
):
    log, whole = finished
    folder, file = tmp_path / "run", tmp_path / "settings.yaml"
    file.write_text((whole / "config.yaml").read_text())
    words = ["run", str(log), "-o", str(folder), "--config", str(file), "--quiet", "--until"]
    for until, made in (("sample", "answers/resample.parquet"), ("mine", "pairs")):
        done = CliRunner().invoke(main, [*words, until])
        assert done.exit_code == 0, done.output
        assert done.stdout == (
            f"{folder}: {until} is done ({folder}/rft/{made}); the same command without --until "
            f"goes on\n"
        )
    with pytest.raises(InputError, match=r"its pairs lie in .*rft/pairs.*misstep run"):
        api.train(folder, load_config(file))
    sitting = Review.of(folder)
    assert sitting.file == folder / "review.jsonl"
    names = [row["id"] for row in store.read_rows(folder / "rft/pairs/train.parquet")]
    assert set(names) <= {head.id for head in sitting.heads}
    for path in (folder / "rft", folder / "rft/pairs/train.parquet"):
        assert Review.of(path).file.resolve() == (folder / "review.jsonl").resolve()
    Review.of(folder / "rft/pairs/train.parquet").decide(0, "drop")
    assert not (folder / "rft/review.jsonl").exists()
    done = CliRunner().invoke(main, [*words, "mine"])
    assert done.exit_code == 0, done.output
    left = [row["id"] for row in store.read_rows(folder / "rft/pairs/train.parquet")]
    assert names[0] not in left


def test_its_adapter_is_measured_under_its_own_name(finished, tmp_path, settings):
    _, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    scores = api.evaluate(folder, settings(), folder / "rft/adapter")
    assert {row["model"] for row in scores["scores"]} == {"base", "sft", "rft"}
    assert "effect" not in scores
    scores = api.evaluate(folder, settings(), folder / "control")
    assert {row["model"] for row in scores["scores"]} == {"base", "sft", "rft", "control"}


def test_the_plan_names_it(tmp_path, settings):
    log = mixed(tmp_path / "log.jsonl", TASKS)
    text = api.plan([log], tmp_path / "run", settings(**{"rft.min_votes": 3}))
    assert "  rft        at most 320 chosen sides of a round of its own, 3 votes each" in text
    assert "rft" not in api.plan([log], tmp_path / "run", settings(**{"rft.enabled": False}))
