"""The recipe `ocr` on Qwen2.5-VL and SmolVLM, made tiny, with what the recipe sets for them.

Their processors need torchvision (`pip install 'misstep[vision]'`, with a torch that it fits); the
tests are skipped where it does not import.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("PIL", reason="pages need Pillow")
pytest.importorskip("torchvision", reason="needs the vision extra", exc_type=ImportError)
pytest.importorskip("num2words", reason="needs the vision extra")

import ocr_pages as pages
from misstep import store
from misstep.cli import main
from misstep.recipes import settings
from tiny_vision import WITH_VIDEO, build_eyed

pytestmark = pytest.mark.slow

NAMES = {"qwen2_5_vl": "Qwen2.5-VL-3B-tiny", "smolvlm": "SmolVLM-tiny"}
"""Names of folders by which the recipe knows the models."""
SMALL = [
    "dtype=float32",
    "ingest.workers=1",
    "mine.rejected=[loops, failures]",  # what a random model writes seldom loops
    "sample.max_new_tokens=16",
    "resample.num_generations=2",
    "lora.lora_r=2",
    "sft.max_steps=2",
    "dpo.max_steps=2",
    "eval.resamples=200",
    "eval.control=true",
]


@dataclass(frozen=True)
class Ran:
    """A finished run."""

    model: str
    run: Path
    exit_code: int


@pytest.fixture(scope="module", params=WITH_VIDEO)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("run")
    model = str(build_eyed(folder / NAMES[request.param], request.param))
    golds = [{"header": f"Folha {n}", "text": f"Linha {n} do livro."} for n in range(12)]
    rows = [pages.benchmark_row(at, gold) for at, gold in enumerate(golds)]
    bench = pages.write_benchmark(folder / "bench", rows)
    words = ["run", str(bench), "--recipe", "ocr", "--preset", "cpu", "--model", model, "--quiet"]
    words += [word for each in SMALL for word in ("--set", each)]
    done = CliRunner().invoke(main, [*words, "-o", str(folder / "run")])
    assert done.exit_code in (0, 3), done.output
    return Ran(model, folder / "run", done.exit_code)


def test_the_run_has_the_sizes_that_the_recipe_knows_for_the_model(ran: Ran) -> None:
    got: dict[str, Any] = yaml.safe_load((ran.run / "config.yaml").read_text())
    wanted = settings("ocr", model=ran.model, preset="cpu")
    anybody = settings("ocr", model="tiny", preset="cpu")
    assert got["images"] == wanted["images"] != anybody["images"]


def test_every_stage_ends_in_a_table_of_four_arms(ran: Ran) -> None:
    scores = json.loads((ran.run / "scores.json").read_text())
    store.check_row(scores, "scores")
    for section in (scores["scores"], scores["gold"]["scores"]):
        assert {row["model"] for row in section} == {"base", "sft", "dpo", "control"}
    assert store.read_rows(ran.run / "pairs/train.parquet")
    assert (ran.run / "report.html").exists()
    assert scores["verdict"] == ("do-not-ship" if ran.exit_code == 3 else "ship")


def test_images_went_into_the_rows_that_were_trained_on(ran: Ran) -> None:
    kept = {f"sha256:{path.name}" for path in (ran.run / "images").iterdir()}
    rows = store.read_rows(ran.run / "pairs/train.parquet")
    assert {name for row in rows for name in row["images"]} <= kept
    assert all(len(row["images"]) == 1 for row in rows)
