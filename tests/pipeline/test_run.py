"""The whole loop on a tiny real model: what it writes, resumes, refuses."""

import importlib.util
import json
import shutil

import pytest
from click.testing import CliRunner

from killing import ends_alike, killed_along, stages_said, weights
from logs import RIGHT, TOOL, WRONG, mixed, session, write
from misstep import api, store
from misstep.cli import main
from misstep.errors import ConfigError, InputError, LeakError, ModelError
from misstep.pipeline import mining, rounds, trial
from misstep.pipeline.job import Job
from misstep.pipeline.measuring import TRAINED

pytestmark = pytest.mark.slow

TASKS = 24


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model):
    """One finished run that several tests look at."""
    from misstep.config import load_config

    from .conftest import SMALL

    folder = tmp_path_factory.mktemp("finished")
    log = mixed(folder / "log.jsonl", TASKS)
    config = load_config(None, {**SMALL, "model": tiny_model, "eval.control": True})
    api.run([log], folder / "run", config)
    return log, folder / "run", config


def test_a_run_leaves_every_file_of_a_run_folder(finished):
    _, run, _ = finished
    for name in (
        "config.yaml",
        "sessions.parquet",
        "findings.parquet",
        "set_aside.jsonl",
        "pairs/train.parquet",
        "refused.jsonl",
        "README.md",
        "heldout.parquet",
        "adapter/adapter_model.safetensors",
        "scores.json",
        "report.md",
        "report.html",
        "stages.json",
    ):
        assert (run / name).exists(), name
    assert not list(run.rglob("*.part"))


def test_a_run_can_stop_after_any_stage_and_goes_on_to_the_same_result(finished, tmp_path):
    log, whole, config = finished
    run = tmp_path / "run"
    left = {
        "sft": ("sft/adapter_model.safetensors", "answers/resample.parquet"),
        "sample": ("answers/resample.parquet", "pairs/train.parquet"),
        "mine": ("pairs/train.parquet", "adapter/adapter_model.safetensors"),
        "train": ("adapter/adapter_model.safetensors", "scores.json"),
    }
    for stage, (made, later) in left.items():
        if stage == "sample" and not (whole / made).exists():
            continue
        assert api.run([log], run, config, until=stage) == "stopped"
        assert (run / made).exists(), stage
        assert not (run / later).exists(), stage
    api.run([log], run, config)
    assert weights(run / "adapter") == weights(whole / "adapter")
    assert api.scores(run)["scores"] == api.scores(whole)["scores"]


def test_the_scores_have_every_arm_with_n_and_an_interval(finished):
    _, run, _ = finished
    scores = json.loads((run / "scores.json").read_text())
    store.check_row(scores, "scores")
    totals = {s["model"]: s for s in scores["scores"] if s["code"] is None}
    assert set(totals) == {"base", "sft", "dpo", "control"}
    assert all(s["n"] > 0 and s["low"] <= s["value"] <= s["high"] for s in totals.values())


def test_the_report_says_whose_doing_it_is_and_what_it_took(finished):
    _, run, _ = finished
    effect = json.loads((run / "scores.json").read_text())["effect"]
    assert (effect["stage"], effect["control"], effect["lead"]) == (
        "dpo",
        "control",
        "failure_rate",
    )
    spent = {row["stage"]: row for row in store.read_json(run / "timing.json")["spent"]}
    assert {"sft", "train", "control"} <= set(spent)
    assert all(row["seconds"] > 0 and row["tokens"] for row in spent.values())
    text = (run / "report.md").read_text()
    assert "## Did DPO do it, and what did it cost?" in text
    assert "for comparison, the control's" in text


def test_the_card_has_the_verdict_and_every_stage_behind_the_adapter(finished):
    _, run, config = finished
    card = (run / "adapter/README.md").read_text()
    scores = api.scores(run)
    assert f"\nVerdict: **{scores['verdict']}**. " in card
    stages = [line for line in card.splitlines() if line.startswith(("| sft |", "| dpo |"))]
    rates = [line.rsplit("|", 2)[1].strip() for line in stages]
    assert rates == [f"{config.sft.learning_rate:g}", f"{config.dpo.learning_rate:g}"]


def test_the_same_weights_with_other_settings_are_another_model(finished, tmp_path, monkeypatch):
    log, whole, config = finished
    run, said = tmp_path / "run", []
    shutil.copytree(whole, run)
    monkeypatch.setattr("misstep.models.settings_of", lambda _: "another rope_theta")
    api.run([log], run, config, until="sft", say=said.append)
    assert "train sft …" in said
    monkeypatch.undo()


def test_no_held_out_family_was_trained_on(finished):
    _, run, _ = finished
    held = {row["family"] for row in store.read_rows(run / "heldout.parquet")}
    paired = {row["family"] for row in store.read_rows(run / "pairs/train.parquet")}
    accepted = {row["family"] for row in store.read_rows(run / mining.ACCEPTED)}
    assert held
    assert paired
    assert held.isdisjoint(paired | accepted)
    trained = json.loads((run / "adapter" / TRAINED).read_text())["prompts"]
    hashes = {row["hash"] for row in store.read_rows(run / "heldout.parquet")}
    assert trained
    assert hashes.isdisjoint(trained)


def test_a_second_run_keeps_everything(finished):
    log, run, config = finished
    before = weights(run / "adapter")
    stages = stages_said(log, run, config)
    assert all(line.endswith("unchanged, kept") for line in stages), stages
    assert weights(run / "adapter") == before


def test_a_run_killed_again_and_again_resumes_to_the_same_adapter(finished, tmp_path):
    log, run, config = finished
    places = ["reading", "train sft", "train adapter", "sft: sampled", "dpo: greedy"]
    killed_along(log, tmp_path / "run", config, places)
    assert ends_alike(tmp_path / "run", run)


def test_evaluating_a_prompt_that_was_trained_on_is_refused(finished, tmp_path):
    _, run, config = finished
    adapter = run / "adapter"
    note = adapter / TRAINED
    kept = note.read_text()
    hashes = [row["hash"] for row in store.read_rows(run / "heldout.parquet")]
    try:
        note.write_text(json.dumps({"prompts": hashes[:1]}))
        with pytest.raises(LeakError, match="1 of"):
            api.evaluate(run, config)
    finally:
        note.write_text(kept)


def test_an_adapter_of_another_base_is_refused(finished, tmp_path, tiny_model):
    from dataclasses import replace

    from tiny import build_tiny

    _, run, config = finished
    other = build_tiny(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="another"):
        api.evaluate(run, replace(config, model=str(other)))


def test_logs_without_a_failure_train_nothing(tmp_path, small):
    log = write(tmp_path / "log.jsonl", [session(n, RIGHT % n) for n in range(1, 6)])
    assert api.run([log], tmp_path / "run", small()) == "nothing-to-train"
    scores = api.scores(tmp_path / "run")
    assert scores["why"].startswith("no step in these logs failed")
    assert not (tmp_path / "run" / "adapter").exists()


def test_logs_with_nothing_to_choose_say_which_sources_could_help(tmp_path, small):
    log = write(tmp_path / "log.jsonl", [session(n, WRONG % n) for n in range(1, 6)])
    config = small(**{"mine.sources": ["retry", "sibling", "reference"]})
    assert api.run([log], tmp_path / "run", config) == "nothing-to-train"
    assert "--references" in api.scores(tmp_path / "run")["why"]


def test_a_model_that_does_not_exist_stops_before_the_logs_are_read(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", 2)
    with pytest.raises(ModelError, match="no such model"):
        api.run([log], tmp_path / "run", small(model="./none"))
    assert not (tmp_path / "run" / "sessions.parquet").exists()


def test_mine_train_and_eval_one_after_the_other_do_what_run_does(finished, tmp_path):
    log, run, config = finished
    folder = tmp_path / "steps"
    facts = api.mine([log], folder, config, resample=False)
    assert facts["pairs"] == len(store.read_rows(run / "pairs/train.parquet")) + len(
        store.read_rows(run / "pairs/dev.parquet")
    )
    api.train(folder, config)
    assert weights(folder / "adapter") == weights(run / "adapter")
    scores = api.evaluate(folder, config)
    wanted = {s["model"]: s for s in api.scores(run)["scores"] if s["code"] is None}
    got = {s["model"]: s for s in scores["scores"] if s["code"] is None}
    assert {m: got[m] for m in ("base", "sft", "dpo")} == {
        m: wanted[m] for m in ("base", "sft", "dpo")
    }


def test_a_model_that_did_not_write_the_log_is_resampled(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", 6)
    said = []
    config = small(**{"mine.off_policy": False, "resample.num_generations": 2})
    api.run([log], tmp_path / "run", config, say=said.append)
    assert any("wrote 0% of the logged steps" in line for line in said)
    assert (tmp_path / "run" / "answers" / "resample.parquet").exists()


def test_the_plan_marks_what_is_trained_on_and_writes_nothing(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", TASKS)
    text = api.plan([log], tmp_path / "run", small())
    assert text.count("chosen     «") == 2
    assert text.count("rejected   «") == 2
    assert not (tmp_path / "run").exists()


def test_the_plan_says_where_a_run_would_train_nothing(tmp_path, small):
    clean = write(tmp_path / "clean.jsonl", [session(n, RIGHT % n) for n in range(1, 6)])
    text = api.plan([clean], tmp_path / "run", small())
    assert text.splitlines()[-1].startswith("Nothing to train: no step in these logs failed")
    assert "evaluate" not in text
    wrong = write(tmp_path / "wrong.jsonl", [session(n, WRONG % n) for n in range(1, 6)])
    config = small(**{"mine.sources": ["retry", "sibling", "reference"]})
    assert "Nothing to train: 5 steps failed but" in api.plan([wrong], tmp_path / "run", config)
    sampled = small(**{"mine.off_policy": False, "mine.on_policy_share": 1.5})
    assert "Nothing to train" not in api.plan([clean], tmp_path / "run", sampled)


def test_few_pairs_are_called_little_data_before_and_while_they_are_trained_on(tmp_path, small):
    log, folder, said = mixed(tmp_path / "log.jsonl", 6), tmp_path / "run", []
    api.mine([log], folder, small(), resample=False)
    pairs = len(store.read_rows(folder / "pairs/train.parquet"))
    note = f"{pairs} pairs are little data: below 100 "
    assert note in api.training_plan(folder, small())
    assert "pairs are little data" in api.plan([log], tmp_path / "new", small())
    api.train(folder, small(), say=said.append)
    assert [line for line in said if line.startswith(note)] == [
        line for line in said if "little data" in line
    ]
    job = Job(store.RunFolder(folder), small())
    assert [rounds.little(job, count) is None for count in (0, 1, 99, 100)] == [
        True,
        False,
        False,
        True,
    ]


def test_clean_logs_in_the_folder_of_an_earlier_run_leave_nothing_of_it(tmp_path, small):
    run = tmp_path / "run"
    api.run([mixed(tmp_path / "log.jsonl", 6)], run, small())
    assert (run / "adapter").exists()
    clean = write(tmp_path / "clean.jsonl", [session(n, RIGHT % n) for n in range(1, 6)])
    assert api.run([clean], run, small()) == "nothing-to-train"
    assert not (run / "adapter").exists()
    assert not (run / "pairs" / "train.parquet").exists()
    assert "nothing to learn from" in (run / "report.md").read_text()


def test_a_run_folder_inside_the_logs_is_refused(tmp_path, small):
    mixed(tmp_path / "logs" / "log.jsonl", 2)
    for call in (api.run, api.plan):
        with pytest.raises(InputError, match="lies inside the logs"):
            call([tmp_path / "logs"], tmp_path / "logs" / "run", small())
        with pytest.raises(InputError, match="lies inside the logs"):
            call([tmp_path / "logs"], tmp_path / "logs", small())
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["log.jsonl"]


def test_a_mistyped_path_is_refused_even_beside_one_that_was_read_before(tmp_path, small):
    log = write(tmp_path / "log.jsonl", [session(1, RIGHT % 1)])
    api.run([log], tmp_path / "run", small())
    with pytest.raises(InputError, match="no such file or folder"):
        api.run([log, tmp_path / "typo"], tmp_path / "run", small())


def test_references_are_read_before_anything_long(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", 4)
    bad = tmp_path / "references.jsonl"
    bad.write_text("not json\n")
    with pytest.raises(InputError, match="references"):
        api.run([log], tmp_path / "run", small(**{"mine.references": str(bad)}))
    assert not (tmp_path / "run" / "sessions.parquet").exists()


def test_evaluating_after_a_run_keeps_its_answers(finished):
    _, run, config = finished
    before = (run / "scores.json").read_text()
    said = []
    api.evaluate(run, config, say=said.append)
    assert said
    assert all(line.endswith("unchanged, kept") for line in said)
    assert (run / "scores.json").read_text() == before


def test_without_the_preference_stage_base_and_sft_are_compared(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", 12)
    api.run([log], tmp_path / "run", small(**{"dpo.enabled": False}))
    scores = api.scores(tmp_path / "run")
    assert {s["model"] for s in scores["scores"]} == {"base", "sft"}
    assert not (tmp_path / "run" / "adapter").exists()


def test_pairs_that_are_all_too_long_are_nothing_to_train(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", 8)
    config = small(**{"dpo.max_length": 8})
    assert api.run([log], tmp_path / "run", config) == "nothing-to-train"
    assert "no row could be trained on" in api.scores(tmp_path / "run")["why"]


def test_the_card_of_the_adapter_holds_the_measured_table(finished):
    _, run, _ = finished
    card = (run / "adapter" / "README.md").read_text()
    assert "Not measured yet" not in card
    assert "| **total** |" in card
    assert "48 sessions → 48 steps → 24 failed" in card


def test_another_tools_file_asks_the_models_again(tmp_path, small):
    rows = [session(n, WRONG % n) for n in range(1, 9)] + [
        session(n, RIGHT % n) for n in range(1, 9)
    ]
    for row in rows:
        del row["tools"]
    log = write(tmp_path / "log.jsonl", rows)
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([TOOL]))
    config = small(**{"ingest.tools": str(tools)})
    api.run([log], tmp_path / "run", config)
    first = store.read_json(tmp_path / "run" / "stages.json")["answers base"]["key"]
    tool = json.loads(json.dumps(TOOL))
    tool["function"]["description"] = "Counts minutes down."
    tools.write_text(json.dumps([tool]))
    api.run([log], tmp_path / "run", config)
    assert store.read_json(tmp_path / "run" / "stages.json")["answers base"]["key"] != first


def test_kto_trains_on_unpaired_answers_too_and_is_measured_as_an_arm_of_its_own(
    tmp_path, tiny_model
):
    from misstep.config import load_config

    from .conftest import SMALL

    log = mixed(tmp_path / "log.jsonl", TASKS)
    config = load_config(
        None,
        {
            **SMALL,
            "model": tiny_model,
            "kto.enabled": True,
            "kto.per_device_train_batch_size": 4,
            "mine.max_pairs_per_family": 0,  # nothing is paired: KTO needs no pairs
            "eval.control": True,
        },
    )
    run = tmp_path / "run"
    api.run([log], run, config)
    facts = store.RunFolder(run).noted("train adapter")
    unpaired = store.read_rows(run / "unpaired" / "train.parquet")
    assert store.RunFolder(run).noted("mine")["pairs"] == 0
    assert facts["rows"] == len(unpaired) > 4
    assert store.read_json(run / "adapter" / "misstep_adapter.json")["stage"] == "kto"
    scores = json.loads((run / "scores.json").read_text())
    assert {row["model"] for row in scores["scores"]} == {"base", "sft", "kto", "control"}
    assert "KTO adapter" in (run / "adapter" / "README.md").read_text()


def test_training_twice_on_mined_pairs_keeps_the_pairs(tmp_path, tiny_model):
    from misstep.config import load_config

    from .conftest import SMALL

    folder = tmp_path / "pairs"
    config = load_config(None, {**SMALL, "model": tiny_model})
    api.mine([mixed(tmp_path / "log.jsonl", TASKS)], folder, config, resample=False)
    pairs = (folder / "pairs" / "train.parquet").read_bytes()
    first = api.train(folder, config)
    again = load_config(None, {**SMALL, "model": tiny_model, "sft.learning_rate": 1e-3})
    second = api.train(folder, again)
    assert first["steps"] == second["steps"] == 3
    assert (folder / "pairs" / "train.parquet").read_bytes() == pairs


def test_a_run_that_would_leave_model_folders_is_refused_before_it_begins(tmp_path, tiny_model):
    from misstep.config import load_config

    from .conftest import SMALL

    config = load_config(None, {**SMALL, "model": tiny_model, "lora.enabled": False})
    with pytest.raises(ConfigError, match="a run measures adapters; mine and train one after"):
        api.run([mixed(tmp_path / "log.jsonl", 2)], tmp_path / "run", config)
    assert not (tmp_path / "run" / "stages.json").exists()


def test_a_prompt_is_answered_by_base_and_adapter_and_both_are_judged(finished):
    _, run, _ = finished
    name = next(iter(store.read_stream(run / "sessions.parquet", ("id",))))[0]
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    words = ["try", str(run), "Wake me in 7 minutes.", "--like", name, "--max-new-tokens", "6"]
    done = CliRunner().invoke(main, [*words, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["prompt"] == "Wake me in 7 minutes."
    tried = told["answers"]
    assert [one["arm"] for one in tried] == ["base", "adapter"]
    assert all(one["state"] in ("pass", "fail", "unjudged") for one in tried)
    assert all(one["finish_reason"] in ("stop", "length") for one in tried)
    shown = CliRunner().invoke(main, words).stdout
    assert shown.startswith("base: ")
    assert "\nadapter: " in shown
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_trial_offers_the_tools_that_it_is_told_to(finished, tmp_path):
    _, run, config = finished
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{"type": "function", "function": {"name": "ring"}}]))
    name = next(iter(store.read_stream(run / "sessions.parquet", ("id",))))[0]
    for like, file, offered in ((name, None, ["set_timer"]), (None, tools, ["ring"])):
        asked = api.Asked(text="Wake me.", like=like, tools=file)
        assert [tool.name for tool in trial.offered(run, asked, config)[1].tools] == offered


def test_a_trial_without_an_adapter_or_with_an_unknown_session_says_so(finished, tmp_path):
    _, run, config = finished
    with pytest.raises(InputError, match="holds no adapter"):
        api.trial(tmp_path, api.Asked(text="hi"), config)
    with pytest.raises(InputError, match="no session 'zzz'"):
        api.trial(run, api.Asked(text="hi", like="zzz"), config)
    with pytest.raises(InputError, match="window"):
        api.trial(run, api.Asked(text="hi", max_new_tokens=10**6), config)


def test_the_adapter_of_sft_is_measured_as_that_and_not_as_a_preference(finished, tmp_path):
    log, whole, config = finished
    run = tmp_path / "run"
    assert api.run([log], run, config, until="sft") == "stopped"
    scores = api.evaluate(run, config, run / "sft")
    assert {row["model"] for row in scores["scores"]} == {"base", "sft"}
    assert (scores["before"], scores["after"]) == ("base", "sft")
    assert "effect" not in scores
    text = (run / "report.md").read_text()
    assert "(base → sft)" in text.splitlines()[2]
    assert "Did DPO do it" not in text
    copied = tmp_path / "elsewhere"
    shutil.copytree(run / "sft", copied)
    assert api.evaluate(run, config, copied)["after"] == "sft"
    assert api.run([log], run, config) == api.scores(whole)["verdict"]
    card = (run / "adapter" / "README.md").read_text()
    api.evaluate(run, config, run / "sft")
    assert (run / "adapter" / "README.md").read_text() == card
    assert f"adapter: {run / 'sft'}\n" in api.run_text(run, width=400)
    api.evaluate(run, config)
    assert f"adapter: {run / 'adapter'}\n" in api.run_text(run, width=400)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lora.enabled": False}, "a run measures adapters"),
        ({"lora.load_in_4bit": True}, "needs bitsandbytes"),
        ({"rounds": 2, "endpoint.url": "http://localhost:1/v1"}, "rounds: 2 with endpoint.url"),
    ],
)
def test_the_plan_refuses_what_the_run_refuses(tmp_path, small, settings, said):
    if "bitsandbytes" in said and importlib.util.find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    log = mixed(tmp_path / "log.jsonl", 2)
    for call in (api.run, api.plan):
        with pytest.raises(ConfigError, match=said):
            call([log], tmp_path / "run", small(**settings))
    assert not (tmp_path / "run").exists()


def test_the_plan_names_the_stage_that_is_trained(tmp_path, small):
    log = mixed(tmp_path / "log.jsonl", TASKS)
    text = api.plan([log], tmp_path / "run", small(**{"kto.enabled": True}))
    assert "  kto        at most 400 labelled answers, loss kto, beta 0.1" in text
    assert "  dpo  " not in text
    assert "  dpo        at most 200 pairs" in api.plan([log], tmp_path / "run", small())


@pytest.mark.parametrize("command", ["run", "mine", "eval"])
def test_what_one_process_must_do_is_refused_in_several(tmp_path, small, monkeypatch, command):
    log, folder = mixed(tmp_path / "log.jsonl", 2), tmp_path / "run"
    calls = {
        "run": lambda: api.run([log], folder, small()),
        "mine": lambda: api.mine([log], folder, small(), resample=False),
        "eval": lambda: api.evaluate(folder, small()),
    }
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ConfigError, match=f"misstep {command}: 2 processes.*accelerate launch"):
        calls[command]()
    assert not folder.exists()
