"""The recipe `ocr` over the two things that people have: a benchmark's folder, and request logs.

A tiny model that sees; the first run is also killed, with SIGKILL, wherever something begins.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("PIL", reason="pages need Pillow")

import ocr_pages as pages
import slain
from misstep import api, store
from misstep.cli import main
from misstep.config import dump_config, load_config
from misstep.errors import ModelError
from misstep.recipes import settings
from tiny import build_tiny
from tiny_vision import build_eyed

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "dtype": "float32",
    "images": {"max_pixels": 2000},
    "ingest": {"workers": 1},
    "mine": {"rejected": ["loops", "failures"]},  # what a random model writes seldom loops
    "sample": {"max_new_tokens": 24, "batch_size": 4, "temperature": 3.0},
    "resample": {"num_generations": 2, "temperature": 3.0},
    "lora": {"lora_r": 2},
    "sft": {"max_steps": 3, "save_steps": 1},
    "dpo": {"max_steps": 3, "save_steps": 1},
    "eval": {"resamples": 200, "control": True},
}
PAGES = [
    {"header": f"Folha {at}", "text": f"Linha {at} do livro de contas da casa."} for at in range(12)
]
ARMS = {"base", "sft", "dpo", "control"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_eyed(tmp_path_factory.mktemp("model") / "llava", "llava"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    """Of one benchmark's folder: `whole`, `slain` and `places.txt` (see `slain`)."""
    folder = tmp_path_factory.mktemp("benchmark")
    rows = [pages.benchmark_row(at, gold) for at, gold in enumerate(PAGES)]
    bench = pages.write_benchmark(folder / "bench", rows)
    (folder / "small.yaml").write_text(json.dumps(SMALL))
    ground = settings("ocr", model=model, preset="cpu")
    config = load_config(folder / "small.yaml", {"model": model}, ground)
    (folder / "settings.yaml").write_text(dump_config(config))
    words = [sys.executable, slain.__file__, folder / "settings.yaml", folder / "runs", bench]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, words)), env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "runs"


def test_a_folder_like_the_benchmark_goes_through_every_stage_to_a_report(runs: Path) -> None:
    run = runs / "whole"
    scores = json.loads((run / "scores.json").read_text())
    store.check_row(scores, "scores")
    assert {row["model"] for row in scores["scores"]} == ARMS
    assert {row["model"] for row in scores["gold"]["scores"]} == ARMS
    assert scores["gold"]["prompts"] > 0
    assert store.read_rows(run / "pairs/train.parquet")
    assert "data:image/" in (run / "report.html").read_text()
    assert "text_score" in (run / "scores.json").read_text()
    kept = {path.name for path in (run / "images").iterdir()}
    assert kept == {hashlib.sha256(pages.image_bytes(gold)).hexdigest() for gold in PAGES}


def test_a_run_that_is_killed_in_every_stage_and_behind_it_comes_to_the_same(runs: Path) -> None:
    answers = [f"{arm}: {kind} answers" for arm in sorted(ARMS) for kind in ("greedy", "sampled")]
    answers += [f"resample: {kind} answers" for kind in ("greedy", "sampled")]
    trained = ["train sft", "train adapter", "train control"]
    ends = ["scan", "sft rows", "mine", *trained, "answers resample"]
    ends += [f"answers {arm}" for arm in ARMS]
    places = {f"in {each}" for each in ("reading", "mining", *trained, *answers)}
    places |= {f"end of {each}" for each in ends}
    assert set((runs / "places.txt").read_text().splitlines()) == places
    same = ["scores.json", "pairs/train.parquet", "refused.jsonl", "heldout.parquet"]
    same += [f"{name}/adapter_model.safetensors" for name in ("sft", "adapter", "control")]
    for name in same:
        assert (runs / "slain" / name).read_bytes() == (runs / "whole" / name).read_bytes(), name


SCHEMA = {"type": "json_schema", "json_schema": {"schema": store.schema("ocr-page")}}


def request(gold: dict[str, str], answer: str) -> dict[str, Any]:
    """One OCR request as an OpenAI-compatible server logs it."""
    image = {"type": "image_url", "image_url": {"url": pages.data_uri(gold)}}
    asked = {"role": "user", "content": [image, {"type": "text", "text": "Read the page."}]}
    message = {"role": "assistant", "content": answer}
    return {
        "request": {"model": "ocr", "messages": [asked], "response_format": SCHEMA},
        "response": {"choices": [{"finish_reason": "stop", "message": message}]},
    }


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    """The run over request logs: every page was read, and read a little wrong."""
    folder = tmp_path_factory.mktemp("logs")
    misread = [pages.gold_text({"text": gold["text"].upper()}) for gold in PAGES]
    log = write_lines(folder / "requests.jsonl", list(map(request, PAGES, misread)))
    (folder / "pages").mkdir()
    golds = []
    for at, gold in enumerate(PAGES):
        (folder / f"pages/{at}.png").write_bytes(pages.image_bytes(gold))
        golds.append({"image": f"pages/{at}.png", "answer": pages.gold_text(gold)})
    gold = write_lines(folder / "gold.jsonl", golds)
    (folder / "small.yaml").write_text(json.dumps(SMALL))
    words = ["run", log, "--recipe", "ocr", "--preset", "cpu", "--model", model, "-o"]
    words += [folder / "run", "--references", gold, "--config", folder / "small.yaml", "--quiet"]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code in (0, 3), done.output
    return folder / "run"


def test_sft_imitates_the_references_and_never_the_misread_log(logged: Path) -> None:
    rows = store.read_rows(logged / "sft_rows/train.parquet")
    assert rows
    for row in rows:
        assert row["completion"][0]["content"] == pages.gold_text(shown(row))
    noted = store.RunFolder(logged).noted("sft rows")
    assert (noted["rows"], noted["references"], noted["left_out"]) == (len(rows), len(rows), {})


def shown(row: dict[str, Any]) -> dict[str, str]:
    """The page that a row's image shows."""
    (name,) = row["images"]
    by_name = {store.image_name(pages.image_bytes(gold)): gold for gold in PAGES}
    return by_name[name]


def test_request_logs_with_images_go_through_every_stage_to_a_report(logged: Path) -> None:
    scores = json.loads((logged / "scores.json").read_text())
    assert {row["model"] for row in scores["scores"]} == ARMS
    assert scores["gold"]["prompts"] == len(store.read_rows(logged / "heldout.parquet"))
    assert "data:image/" in (logged / "report.html").read_text()


def test_each_page_of_a_log_has_the_reference_of_its_image_as_gold(logged: Path) -> None:
    golds = {row["gold"] for row in store.read_rows(logged / "heldout.parquet")}
    assert golds <= set(map(pages.gold_text, PAGES))
    rows = [
        row
        for row in store.read_rows(logged / "pairs/train.parquet")
        if row["source"] == "resample+log"
    ]
    assert rows
    for row in rows:
        assert row["chosen"][0]["content"] == pages.gold_text(shown(row))


def test_a_model_that_reads_text_only_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    blind = str(build_tiny(tmp_path / "blind"))
    folder = pages.write_imagefolder(tmp_path / "pages")
    config = load_config(None, {"model": blind}, settings("ocr", model=blind, preset="cpu"))
    said = (
        f"{blind}: reads text only, and each of the 3 sessions shows an image; "
        f"give a model that takes images (docs/models.md)"
    )
    calls = (
        lambda: api.plan([folder], tmp_path / "run", config),
        lambda: api.run([folder], tmp_path / "run", config),
        lambda: api.mine([folder], tmp_path / "mined", config, resample=True),
    )
    for call in calls:
        with pytest.raises(ModelError) as raised:
            call()
        assert str(raised.value) == said
    assert not (tmp_path / "run" / "sft").exists()


def test_text_beside_pages_may_still_be_trained_on_by_a_model_that_reads_text(
    tmp_path: Path,
) -> None:
    blind = str(build_tiny(tmp_path / "blind"))
    folder = pages.write_imagefolder(tmp_path / "pages")
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": '{"a": 1}'}]
    write_lines(folder / "talk.jsonl", [{"messages": talk}])
    config = load_config(None, {"model": blind}, settings("ocr", model=blind, preset="cpu"))
    assert "evaluate" in api.plan([folder], tmp_path / "run", config)


def test_the_plan_and_the_run_say_what_was_set_aside_and_no_pairs_are_shown_where_there_are_none(
    tmp_path: Path, model: str
) -> None:
    config = load_config(None, {"model": model}, settings("ocr", model=model, preset="cpu"))
    rows = [{"file_name": "images/0.png", "caption": "x"}, {"file_name": "images/1.png"}]
    folder = pages.write_imagefolder(tmp_path / "unknown", rows)
    assert api.plan([folder], tmp_path / "run", config).splitlines()[1:] == [
        "  scan       4 files, 0 sessions, 0 steps, 0 failed",
        "  set aside  empty-gold 2, no-gold 1 (misstep scan --set-aside FILE writes each)",
        "Nothing to train: no agent step was found in these logs",
    ]
    assert api.run([folder], tmp_path / "run", config) == "nothing-to-train"
    assert api.scores(tmp_path / "run")["why"] == (
        "no agent step was found in these logs; set aside: empty-gold 2, no-gold 1, each in "
        "set_aside.jsonl"
    )
    whole = api.plan([pages.write_imagefolder(tmp_path / "pages")], tmp_path / "run", config)
    assert "set aside" not in whole
    assert "Logged pairs" not in whole
