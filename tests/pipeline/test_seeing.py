"""A whole run over logs with images: the model that is trained and measured sees them."""

from __future__ import annotations

import base64
import io
import json

import pytest

pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("PIL", reason="needs the ocr extra")

from misstep import api, models, store
from misstep.errors import ModelError
from misstep.models.eye import STAND_IN
from misstep.pipeline.loop import run
from tiny_vision import build_eyed

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
COUNT = 16


def url(at):
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (48, 32), "white")
    ImageDraw.Draw(picture).text((3, 8), f"p{at}", fill="black")
    data = io.BytesIO()
    picture.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def request(at, answer, finish):
    page = [{"type": "image_url", "image_url": {"url": url(at)}}, {"type": "text", "text": "JSON"}]
    messages = [
        {"role": "system", "content": "Transcribe the page."},
        {"role": "user", "content": page},
        {"role": "assistant", "content": answer, "finish_reason": finish},
    ]
    return {"messages": messages, "response_schema": SCHEMA, "family": f"page{at}"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    rows = []
    for at in range(COUNT):
        rows.append(request(at, json.dumps({"text": f"page {at}"}), "stop"))
        rows.append(request(at, '{"text": "' + f"pa {at} " * 40, "length"))
    file = tmp_path_factory.mktemp("logs") / "requests.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return str(build_eyed(tmp_path_factory.mktemp("model") / "llava", "llava"))


def test_a_run_trains_and_measures_on_the_images_of_the_logs(
    logs, llava, small, tmp_path, monkeypatch
):
    asked = []
    batches = models.batches
    monkeypatch.setattr(
        models,
        "batches",
        lambda prompts, *rest, **how: asked.extend(prompts) or batches(prompts, *rest, **how),
    )
    config = small(model=llava)
    folder = tmp_path / "run"
    assert run([logs], folder, config) in ("ship", "do-not-ship")
    assert asked
    assert all(sum(token >= STAND_IN for token in prompt) == 16 for prompt in asked)
    assert len(list((folder / "images").iterdir())) == COUNT
    rows = list(store.read_rows(folder / "pairs" / "train.parquet"))
    assert rows
    assert all(store.is_image_name(name) for row in rows for name in row["images"])
    linted = api.lint(folder / "pairs", config, tokens=True)
    assert "UNFIT_PROMPT" not in json.dumps(linted)
    assert linted["pairs"] > 0
    notes = store.read_json(folder / "stages.json")
    facts = json.dumps(notes)
    assert '"refused_by_template": 0' in facts
    for stage in ("sft", "adapter"):
        note = store.read_json(folder / stage / "misstep_adapter.json")
        assert note["images"] == "decoder"
        assert note["rows"] > 0
    before = store.weights_digest(folder / "adapter")
    run([logs], folder, config)
    assert store.weights_digest(folder / "adapter") == before
    loaded = models.load(llava, adapter=folder / "adapter", images=folder / "images")
    assert loaded.eye is not None


def test_a_model_that_reads_text_is_refused_where_all_show_images_and_sets_pairs_aside_else(
    logs, small, tmp_path
):
    with pytest.raises(ModelError, match=r"reads text only, and each of the 32 sessions shows"):
        run([logs], tmp_path / "refused", small())
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
    text = tmp_path / "text.jsonl"
    text.write_text(json.dumps({"messages": talk}) + "\n", encoding="utf-8")
    assert run([logs, text], tmp_path / "run", small()) == "nothing-to-train"
