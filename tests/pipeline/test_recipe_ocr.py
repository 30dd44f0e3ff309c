"""The recipe `ocr` from a folder of pages to a verdict, on a tiny model that sees."""

import json

import pytest

pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("PIL", reason="pages need Pillow")

from killing import ends_alike, killed_along
from misstep import api, store
from misstep.config import load_config
from misstep.recipes import settings
from ocr_pages import gold_text, image_bytes
from tiny_vision import build_eyed

pytestmark = pytest.mark.slow

SMALL = {
    "images.max_pixels": 2000,
    "mine.rejected": ["loops", "failures"],  # what a random model writes seldom loops
    "sample.max_new_tokens": 24,
    "resample.num_generations": 2,
    "sft.max_steps": 2,
    "dpo.max_steps": 2,
    "sft.save_steps": 1,
    "dpo.save_steps": 1,
    "lora.lora_r": 2,
    "eval.resamples": 200,
    "dtype": "float32",
    "rounds": 2,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(build_eyed(tmp_path_factory.mktemp("model") / "llava", "llava"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for at in range(12):
        gold = {"header": f"Folha {at}", "text": f"Linha {at} do livro de contas da casa."}
        (folder / f"p{at}.png").write_bytes(image_bytes(gold))
        (folder / f"p{at}.json").write_text(gold_text(gold), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def recipe(model):
    ground = settings("ocr", model=model, preset="cpu")
    return lambda **more: load_config(None, {**SMALL, "model": model, **more}, ground)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pages, recipe):
    run = tmp_path_factory.mktemp("run") / "run"
    api.run([pages], run, recipe())
    return run


def test_pages_go_through_every_stage_to_a_table(finished):
    scores = json.loads((finished / "scores.json").read_text())
    assert {row["model"] for row in scores["scores"]} == {"base", "sft", "dpo"}
    assert (finished / "rounds/2/adapter").exists()
    rows = store.read_rows(finished / "pairs/train.parquet")
    assert {row["source"] for row in rows} <= {"resample", "resample+log"}
    assert rows


def test_the_plan_counts_pages_and_keeps_none(pages, recipe, tmp_path):
    text = api.plan([pages], tmp_path / "run", recipe())
    assert " accepted steps" in text
    assert "sft        0 accepted" not in text
    assert "resample   0 prompts" not in text
    assert "tokens at once" in text
    assert list(tmp_path.iterdir()) == []


def test_rejected_sides_are_the_models_own(finished):
    own = {row["answer"] for row in store.read_rows(finished / "answers/resample.parquet")}
    texts = {json.loads(answer)["parts"][0]["text"] for answer in own}
    for row in store.read_rows(finished / "pairs/train.parquet"):
        assert any(text.startswith(row["rejected"][0]["content"]) for text in texts)


def test_a_run_over_pages_killed_again_and_again_resumes_to_the_same(
    finished, pages, recipe, tmp_path
):
    places = ["train sft", "round 1: train adapter", "round 2: resample", "dpo:"]
    killed_along(pages, tmp_path / "run", recipe(), places)
    assert ends_alike(tmp_path / "run", finished)


def test_pages_are_seen_no_larger_than_the_recipe_says(pages, model, tmp_path):
    from PIL import Image

    from misstep.models.images import scaled

    page = Image.open(pages / "p0.png")
    small = scaled(page, 2000)
    assert small.width * small.height <= 2000
    assert abs(small.width / small.height - page.width / page.height) < 0.05
    assert scaled(page, 0) is page
    assert scaled(small, 2000) is small


def test_pages_without_a_loop_train_sft_alone_and_it_is_measured(pages, recipe, model, tmp_path):
    loops = settings("ocr", model=model, preset="cpu")["mine"]["rejected"]
    short = {"sample.max_new_tokens": 6}  # too short to loop in
    config = recipe(**{"mine.rejected": loops, "rounds": 1, **short})
    run = tmp_path / "run"
    assert loops == ["loops"]
    assert api.run([pages], run, config) == "nothing-to-train"
    scores = api.scores(run)
    assert {row["model"] for row in scores["scores"]} == {"base", "sft"}
    assert (scores["before"], scores["after"], scores["verdict"]) == (
        "base",
        "sft",
        "nothing-to-train",
    )
    sampled = len(store.read_rows(run / "answers/resample.parquet"))
    assert f"of {sampled} sampled answers " in scores["why"]
    assert " failed and 0 looped, none of which made a pair to train on" in scores["why"]
    assert "a higher sample.max_new_tokens or resample.temperature" in scores["why"]
    assert "--references" not in scores["why"]
    report = (run / "report.md").read_text()
    assert "Verdict: **nothing-to-train**" in report
    assert "## Before and after" in report
    assert not (run / "adapter").exists()
    said = []
    assert api.run([pages], run, config, say=said.append) == "nothing-to-train"
    assert [line for line in said if line.endswith("…")] == []
    assert api.scores(run) == scores
