"""`misstep run` as a process: exit codes, a kill, a disk that fills."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from logs import RIGHT, mixed, session, write
from misstep import store
from misstep.cli import main

pytest.importorskip("torch", reason="training needs the train extra")

FAST = [
    "--off-policy",
    *("--set", "sample.max_new_tokens=6"),
    *("--set", "sft.max_steps=4"),
    *("--set", "sft.save_steps=1"),
    *("--set", "dpo.max_steps=4"),
    *("--set", "dpo.save_steps=1"),
    *("--set", "lora.lora_r=2"),
    *("--set", "eval.resamples=200"),
    *("--set", "dtype=float32"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tiny import build_tiny

    return str(build_tiny(tmp_path_factory.mktemp("model") / "tiny"))


def words(log, folder, model):
    return ["run", str(log), "--model", model, "-o", str(folder), *FAST]


def start(log, folder, model, **more):
    command = [sys.executable, "-m", "misstep", *words(log, folder, model)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


@pytest.mark.slow
def test_a_run_that_is_killed_by_a_signal_resumes_to_the_same_adapter(tmp_path, model):
    log = mixed(tmp_path / "log.jsonl", 24)
    whole = CliRunner().invoke(main, words(log, tmp_path / "whole", model))
    assert whole.exit_code in (0, 3), whole.output
    running = start(log, tmp_path / "killed", model)
    checkpoint = tmp_path / "killed"
    deadline = time.monotonic() + 120
    while not list(checkpoint.rglob("checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not (tmp_path / "killed" / "scores.json").exists()
    again = CliRunner().invoke(main, words(log, tmp_path / "killed", model))
    assert again.exit_code == whole.exit_code, again.output
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_disk_that_fills_is_said_and_the_run_goes_on_later(tmp_path, model):
    log = mixed(tmp_path / "log.jsonl", 24)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    running = start(log, tmp_path / "run", model, preexec_fn=small_files)
    _, said = running.communicate()
    assert running.returncode == 1, said
    assert "cannot be written" in said
    assert "same command again" in said
    assert "Traceback" not in said
    again = CliRunner().invoke(main, words(log, tmp_path / "run", model))
    assert again.exit_code in (0, 3), again.output


def test_nothing_to_train_is_a_success(tmp_path, model):
    log = write(tmp_path / "log.jsonl", [session(n, RIGHT % n) for n in range(1, 6)])
    result = CliRunner().invoke(main, words(log, tmp_path / "run", model))
    assert result.exit_code == 0
    assert "Nothing to train" in result.stdout


def test_a_run_and_a_training_print_json_when_asked(tmp_path, model):
    log = write(tmp_path / "log.jsonl", [session(n, RIGHT % n) for n in range(1, 6)])
    result = CliRunner().invoke(main, [*words(log, tmp_path / "run", model), "--json"])
    assert result.exit_code == 0, result.output
    store.check_row(json.loads(result.stdout), "scores")
    assert json.loads(result.stdout)["verdict"] == "nothing-to-train"
    CliRunner().invoke(main, ["mine", str(log), "-o", str(tmp_path / "m")])
    result = CliRunner().invoke(main, ["train", str(tmp_path / "m"), "--json"])
    assert json.loads(result.stdout)["steps"] == 0, result.output


def test_a_model_that_does_not_exist_is_a_wrong_setup(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 2)
    result = CliRunner().invoke(main, words(log, tmp_path / "run", "./none"))
    assert result.exit_code == 2
    assert "./none: no such model" in result.output


def test_an_unknown_setting_names_the_nearest(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 2)
    result = CliRunner().invoke(
        main, ["run", str(log), "-o", str(tmp_path / "r"), "--set", "dpo.bet=1"]
    )
    assert result.exit_code == 2
    assert "did you mean dpo.beta?" in result.output


def test_mining_prints_its_counts_as_json(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 10)
    words = ["mine", str(log), "-o", str(tmp_path / "m"), "--json", "--set", "mine.min_votes=1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["failed_steps"] == 10
    assert facts["sources"] == {"sibling": facts["pairs"]}
    assert set(facts) >= {"failed_steps", "pairs", "refused", "sources", "codes", "unpaired"}


def test_showing_a_folder_that_is_no_run_says_so(tmp_path):
    result = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert result.exit_code == 2
    assert "not a run folder" in result.output


def test_formats_and_validators_are_listed():
    formats = CliRunner().invoke(main, ["formats"]).stdout
    assert "openai-chat" in formats
    assert "claude-code" in formats
    validators = CliRunner().invoke(main, ["validators"]).stdout
    assert "MISSING_REQUIRED" in validators


def test_the_run_as_a_module_prints_the_version():
    command = [sys.executable, "-m", "misstep", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.startswith("misstep, version ")


def test_a_setting_that_is_no_yaml_is_a_wrong_setup(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 2)
    result = CliRunner().invoke(
        main, ["run", str(log), "-o", str(tmp_path / "r"), "--set", "dpo.beta=[1"]
    )
    assert result.exit_code == 2
    assert "the value is not YAML" in result.output
