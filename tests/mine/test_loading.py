"""The folder as others load it: `datasets.load_dataset`, TRL's ways, and back into our own rows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from logs import mixed
from misstep import mine, store
from misstep.cli import main
from misstep.mine.rows import Redactor
from scenes import TRAIN_ONLY, called, corpus, mined, result, session, user

datasets = pytest.importorskip("datasets", reason="needs the train extra")

ODD = (
    '{"city": null, "days": 3, "list": [1, "two", null, {"x": []}]}',
    '{"city": 12345678901234567890123456789012345678901234567890}',
    '{"city": 1e400, "low": -1e-400, "long": 0.1234567890123456789012345}',
    '{"city": "a", "city": "b", "city": {"city": "c"}}',
    '{"city": "Zürich 東京 🌦 \u2028 \u202e x"}',
    '{"city": "half \\ud800 a pair", "nul": "\\u0000"}',
    '{ "city" :\t"spaces kept" ,\n "days": 1.0 }',
    '{"city": "Oslo',
    "[1, 2]",
    "",
    "null",
    '{"city": true, "extra": "other members than the rest"}',
)
"""Argument texts that a table, or a JSON library, would like to change."""


def log(number, arguments):
    """A failed call, its correction, and a second failure that has no partner."""
    return session(
        user(f"What is the weather in Oslo on day number {number}?"),
        called("weather", arguments if arguments.strip() else "{"),
        result("Error: invalid arguments", error=True),
        called("weather", {"city": "Oslo"}),
        result("sunny", error=False),
        user(f"And how was it in Bergen on day number {number}?"),
        called("weather", arguments),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("export")
    logs = [log(number, arguments) for number, arguments in enumerate(ODD)]
    known = corpus(*logs)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    config = TRAIN_ONLY.__class__(heldout=0.0, dev=0.0, outputs=("jsonl", "hf"))
    mine.export(mined(*logs), known, split, folder=path, config=config)
    return path, known


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """A cache of its own, and no network to fall back on."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the command leaves, with all that lies beside the rows."""
    path = tmp_path_factory.mktemp("written")
    log = mixed(path / "log.jsonl", 12)
    words = ["mine", str(log), "-o", str(path / "out"), "--format", "hf", "--quiet"]
    got = CliRunner().invoke(main, words)
    assert got.exit_code == 0, got.stderr
    return path / "out"


TEMPLATES = (
    ("qwen3", '"arguments": {"city": "Oslo"}'),
    ("qwen2_5", '"arguments": "{\\"city\\": \\"Oslo\\"}"'),
    ("llama3_1", '"parameters": "{\\"city\\": \\"Oslo\\"}"'),
    ("glm4moe", "refused"),
    ("qwen3_5_nothink", "refused"),
)
"""Chat templates, and what stands in the chosen side where arguments are text."""
WAYS = (((), "pairs"), (("pairs",), "pairs"), (("unpaired",), "unpaired"))
"""Arguments behind the folder, and the rows that they name."""


@pytest.mark.parametrize(("words", "kind"), WAYS)
@pytest.mark.parametrize("relative", [False, True])
def test_what_the_command_writes_is_loaded_as_the_card_says(
    written, monkeypatch, relative, words, kind
):
    monkeypatch.chdir(written.parent)
    name = written.name if relative else str(written)
    for home in (name, os.path.join(name, "hf")):
        loaded = datasets.load_dataset(home, *words)
        rows = {"train": "train", "validation": "dev"}
        assert set(loaded) <= set(rows)
        for split, part in rows.items():
            wanted = [row["id"] for row in store.read_rows(written / f"{kind}/{part}.parquet")]
            assert (loaded[split]["id"] if wanted else []) == wanted
        assert len(loaded["train"]) > 0


@pytest.mark.parametrize("kind", ["pairs", "unpaired"])
def test_what_the_command_writes_is_taken_by_the_scripts_of_trl(written, kind):
    scripts = pytest.importorskip("trl.scripts.utils", reason="needs the train extra")
    config = scripts.DatasetMixtureConfig(
        datasets=[scripts.DatasetConfig(path=str(written), name=kind)]
    )
    rows = scripts.get_dataset(config)["train"]
    assert len(rows) == len(store.read_rows(written / f"{kind}/train.parquet"))
    words = ["--dataset_name", str(written), "--dataset_config", kind]
    (told,) = scripts.TrlParser([scripts.ScriptArguments]).parse_args_and_config(words)
    assert len(datasets.load_dataset(told.dataset_name, name=told.dataset_config)["train"])


@pytest.mark.parametrize("below", [".", "hf"])
@pytest.mark.parametrize("kind", ["pairs", "unpaired"])
def test_rows_that_were_mined_anew_are_loaded_anew(tmp_path, below, kind):
    out, seen = tmp_path / "out", []
    for sessions in (40, 30):
        log = mixed(tmp_path / f"{sessions}.jsonl", sessions)
        words = ["mine", str(log), "-o", str(out), "--format", "hf", "--quiet"]
        assert CliRunner().invoke(main, words).exit_code == 0
        splits = datasets.load_dataset(str(out / below), kind)
        assert set(splits) == {"train", "validation"}
        loaded = splits["train"]["id"]
        assert loaded == [row["id"] for row in store.read_rows(out / f"{kind}/train.parquet")]
        seen.append(loaded)
    assert seen[0] != seen[1]


def test_a_folder_of_an_earlier_version_is_loaded_once_it_was_worked_in(tmp_path):
    log, out = mixed(tmp_path / "log.jsonl", 6), tmp_path / "out"
    words = ["mine", str(log), "-o", str(out)]
    assert CliRunner().invoke(main, words).exit_code == 0
    (out / store.STAGES).rename(out / "state.json")
    with pytest.raises(ValueError, match="save_to_disk"):
        datasets.load_dataset(str(out))
    got = CliRunner().invoke(main, words)
    assert "mine: unchanged, kept" in got.stderr
    assert len(datasets.load_dataset(str(out))["train"]) > 0


RESERVED = {
    datasets.config.DATASET_STATE_JSON_FILENAME,
    datasets.config.DATASET_INFO_FILENAME,
    datasets.config.DATASETDICT_INFOS_FILENAME,
    datasets.config.DATASETDICT_JSON_FILENAME,
    datasets.config.REPOYAML_FILENAME,
}


def test_no_file_beside_the_rows_has_a_name_that_datasets_keeps_for_itself(written):
    assert not RESERVED & {path.name for path in written.iterdir()}


def logged(known, row):
    """The argument text of the step that the row is about, as the log has it."""
    return known.sessions[row["session"]].messages[row["step"]].calls[0].arguments


def test_load_dataset_takes_the_folder_as_it_is(folder):
    path, _ = folder
    pairs = datasets.load_dataset(str(path))["train"]
    unpaired = datasets.load_dataset(str(path), "unpaired")["train"]
    assert len(pairs) == len(store.read_rows(path / "pairs/train.parquet"))
    assert {"prompt", "chosen", "rejected", "tools"} <= set(pairs.column_names)
    assert {"prompt", "completion", "label", "tools"} <= set(unpaired.column_names)
    assert set(unpaired["label"]) == {True, False}


def test_every_argument_text_comes_back_byte_for_byte(folder):
    path, known = folder
    checked = set()
    for name, side in (("pairs", "rejected"), ("unpaired", "completion")):
        for row in datasets.load_dataset(str(path), name)["train"]:
            if row.get("label"):
                continue
            text = row[side][0]["tool_calls"][0]["function"]["arguments"]
            assert text == logged(known, row)
            if name == "pairs":
                assert mine.row_to_sides(row).rejected.calls[0].arguments == text
            else:
                assert mine.accepted_to_sides(row).chosen.calls[0].arguments == text
            checked.add(text)
    assert checked >= set(ODD)


def test_the_lines_hold_the_same_rows_as_the_table(folder):
    path, _ = folder
    for name in ("pairs", "unpaired"):
        table = [mine.tidy(row) for row in store.read_rows(path / f"{name}/train.parquet")]
        text = (path / f"{name}/train.jsonl").read_text(encoding="utf-8")
        assert [json.loads(line) for line in text.split("\n") if line] == table


def test_a_lone_surrogate_that_no_table_can_hold_is_replaced_where_it_stands():
    assert Redactor()('{"city": "\ud83d"}') == '{"city": "\ufffd"}'


def test_the_typed_folder_holds_arguments_as_objects_without_null_members(folder):
    path, known = folder
    pairs = datasets.load_dataset(str(path / "hf"), "pairs")["train"]
    assert isinstance(pairs.features["prompt"].feature, datasets.Json)
    for row in pairs:
        call = row["rejected"][0]["tool_calls"][0]["function"]
        assert call["arguments"] == json.loads(logged(known, row))
        assert "tool_calls" not in row["prompt"][0]
    reasons = {row["reason"] for row in _lines(path / "hf/set_aside.jsonl")}
    assert reasons == {"broken-arguments", "inexact-arguments"}


def _lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("name", "as_text"), TEMPLATES)
def test_the_typed_folder_is_what_templates_that_want_objects_take(folder, name, as_text):
    """What the table in docs/export.md says of TRL's copies of chat templates."""
    trl = pytest.importorskip("trl", reason="needs the train extra")
    from transformers.utils.chat_template_utils import render_jinja_template

    template = Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja"
    if not template.exists():
        pytest.skip(f"this TRL has no {name}")

    def rendered(path):
        row = datasets.load_dataset(str(path), "pairs")["train"][0]
        tools = row["tools"] if isinstance(row["tools"], list) else json.loads(row["tools"])
        chat = [[*row["prompt"], *row["chosen"]]]
        given = {"chat_template": template.read_text(encoding="utf-8"), "bos_token": ""}
        return render_jinja_template(chat, tools=tools, **given)[0][0]

    if as_text == "refused":
        with pytest.raises(Exception, match=r"item|mapping"):
            rendered(folder[0])
    else:
        assert as_text in rendered(folder[0])
    assert "Oslo" in rendered(folder[0] / "hf").rpartition("day number")[2]
    assert '"{\\"' not in rendered(folder[0] / "hf")


@pytest.mark.slow
def test_kto_of_trl_takes_the_unpaired_rows_as_they_are(folder, tmp_path):
    pytest.importorskip("trl", reason="needs the train extra")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import KTOConfig, KTOTrainer

    from tiny import build_tiny

    path, _ = folder
    model = str(build_tiny(tmp_path / "tiny"))
    rows = datasets.load_dataset(str(path), "unpaired")["train"]
    config = KTOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=2,
        max_steps=2,
        max_length=4096,
        bf16=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = KTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model),
        args=config,
        processing_class=AutoTokenizer.from_pretrained(model),
        train_dataset=rows,
    )
    taken = trainer.train_dataset
    assert len(taken) == len(rows)
    assert all(row["completion_ids"] for row in taken)
    batches = [set(taken[at : at + 2]["label"]) for at in range(0, len(taken) - 1, 2)]
    assert batches.count({True, False}) >= len(batches) - 1
    assert trainer.train().global_step == 2
