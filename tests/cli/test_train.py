"""`misstep train` and `misstep merge` as a newcomer meets them: what is refused, said and kept."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from logs import mixed
from misstep import api
from misstep.cli import main
from misstep.config import load_config

pytest.importorskip("torch", reason="training needs the train extra")

from tiny import build_tiny

QUICK = {
    "mine.off_policy": True,
    "mine.supported_values": False,
    "mine.min_votes": 1,
    "mine.sources": ["sibling", "retry", "repair"],
    "dpo.max_steps": 1,
    "sft.max_steps": 1,
    "lora.lora_r": 2,
    "dtype": "float32",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(build_tiny(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def pairs(tmp_path, model):
    log = mixed(tmp_path / "log.jsonl", 6)
    config = load_config(None, {**QUICK, "model": model})
    assert api.mine([log], tmp_path / "pairs", config, resample=False)["pairs"]
    return tmp_path / "pairs"


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_flags_of_dpo_are_refused_where_kto_is_trained(pairs):
    got = call("train", pairs, "--kto", "--beta", "0.9", "--max_steps", "3")
    assert got.exit_code == 2
    assert "--beta, --max_steps: of the DPO stage" in got.stderr
    assert "give --set kto.beta=0.9 --set kto.max_steps=3" in got.stderr
    assert call("train", pairs, "--kto", "--dry-run").exit_code == 0


def test_settings_that_were_refused_do_not_stay_in_the_folder(pairs):
    before = (pairs / "config.yaml").read_text()
    got = call("train", pairs, "--no-sft", "--set", "lora.lora_target_modules=nothing")
    assert got.exit_code == 2, got.output
    assert "lora.lora_target_modules: 'nothing'" in got.stderr
    assert (pairs / "config.yaml").read_text() == before
    got = call("train", pairs, "--no-sft", "--quiet")
    assert got.stdout == f"{pairs / 'adapter'}: 1 pair, 1 step\n", got.output


def test_the_plan_of_a_training_names_the_stage_with_its_settings(pairs):
    said = call("train", pairs, "--dry-run", "--beta", "0.25", "--set", "sft.max_rows=1").stdout
    assert "  sft        1 of " in said
    assert "  dpo        at most 200 pairs, loss sigmoid+sft, beta 0.25, " in said
    assert "; 1 row in the folder\n" in said
    said = call("train", pairs, "--dry-run", "--set", "dpo.enabled=false").stdout
    assert "  dpo        off; " in said
    said = call("train", pairs, "--dry-run", "--set", "dpo.max_pairs=-1").stdout
    assert "  dpo        all pairs, " in said


def test_a_plan_as_json_is_one_object(pairs):
    text = call("train", pairs, "--dry-run").stdout
    got = json.loads(call("train", pairs, "--dry-run", "--json").stdout)
    assert got["verdict"] == "planned"
    free = re.compile(r"\d+\.\d GB free.*")  # what is free changes from one call to the next
    assert [free.sub("", line) for line in got["plan"]] == free.sub("", text).splitlines()


def test_a_dry_run_counts_the_rows_that_cannot_be_used(pairs):
    def said(*words):
        return call("train", pairs, "--dry-run", *words).stdout.splitlines()

    assert not any("can be used" in line for line in said())
    none = said("--no-sft", "--set", "dpo.max_length=20")
    assert none[3:] == [
        "             0 can be used, set aside: too-long 1; dpo.max_length is 20",
        "Nothing to train: no row of dpo can be used",
    ]
    assert "too-long 4; kto." in said("--kto", "--no-sft", "--set", "kto.max_length=20")[3]
    some = said("--set", "sft.max_length=20", "--set", "budget.max_prompt=400")
    assert some[2].endswith(" 0 can be used, set aside: too-long 2; sft.max_length is 20")
    assert any("weights" in line for line in some)  # DPO goes on from the base


def test_a_training_without_a_preference_stage_names_what_sft_left(pairs):
    got = call("train", pairs, "--set", "dpo.enabled=false", "--quiet")
    assert got.stdout == (
        f"{pairs}: the preference stage trained nothing: dpo and kto are off; "
        f"SFT left {pairs / 'sft'}\n"
    )
    words = ("--set", "dpo.enabled=true", "--set", "dpo.max_length=3", "--quiet")
    got = call("train", pairs, "--no-sft", *words)
    assert got.stdout.endswith("see the rows set aside in stages.json\n")


def test_a_file_of_rows_is_no_folder_of_pairs(tmp_path):
    for place in (mixed(tmp_path / "own.jsonl", 2), tmp_path):
        got = call("train", place)
        assert got.exit_code == 2
        assert "pairs/train.parquet: no such file; `misstep train` takes a folder" in got.stderr
        assert "`misstep mine LOGS -o DIR`" in got.stderr


def test_a_model_whose_weights_were_all_trained_needs_no_merging(tmp_path, pairs):
    assert call("train", pairs, "--no-sft", "--set", "lora.enabled=false", "--quiet").exit_code == 0
    for place in (pairs, pairs / "adapter"):
        got = call("merge", place, "-o", tmp_path / "merged")
        assert got.exit_code == 2
        assert f"{pairs / 'adapter'}: is a model folder already" in got.stderr
    assert not (tmp_path / "merged").exists()
