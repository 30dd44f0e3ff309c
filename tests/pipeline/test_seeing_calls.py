"""An image and a tool in one prompt, a call as the answer: from a request log to a step of DPO."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("PIL", reason="pages need Pillow")

import ocr_pages as pages
from misstep import api, models, store
from misstep.config import RunConfig, load_config
from misstep.models.eye import STAND_IN
from misstep.pipeline import mining
from misstep.pipeline.job import Job
from misstep.train import trainers
from misstep.types import Context
from tiny_vision import build_eyed

BILLS = [{"text": f"Rechnung {at}\nSumme {17 * at} EUR"} for at in range(1, 5)]
TOOL = {
    "type": "function",
    "function": {
        "name": "book_invoice",
        "description": "Books the total of a scanned invoice.",
        "parameters": {
            "type": "object",
            "properties": {"total": {"type": "integer"}},
            "required": ["total"],
            "additionalProperties": False,
        },
    },
}


def request(bill: dict[str, str], arguments: str) -> dict[str, Any]:
    """One request with a page and a tool, as an OpenAI-compatible server logs it."""
    image = {"type": "image_url", "image_url": {"url": pages.data_uri(bill)}}
    asked = {"role": "user", "content": [image, {"type": "text", "text": "Book this."}]}
    function = {"name": "book_invoice", "arguments": arguments}
    call = {"id": "c1", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "request": {"model": "clerk", "messages": [asked], "tools": [TOOL]},
        "response": {"choices": [{"finish_reason": "tool_calls", "message": message}]},
    }


@dataclass(frozen=True)
class Clerk:
    """Mined request logs: every page was booked once right, once wrong."""

    run: Path
    config: RunConfig
    pairs: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def clerk(tmp_path_factory: pytest.TempPathFactory) -> Clerk:
    folder = tmp_path_factory.mktemp("clerk")
    model = str(build_eyed(folder / "llava", "llava"))
    lines = [
        request(bill, json.dumps({name: 17 * at}))
        for at, bill in enumerate(BILLS, 1)
        for name in ("total", "sum")
    ]
    log = folder / "requests.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    small = {
        "model": model,
        "dtype": "float32",
        "ingest.workers": 1,
        "mine.off_policy": True,
        "mine.heldout": 0.01,
        "mine.dev": 0.0,
        "mine.min_votes": 1,
        "sft.enabled": False,
        "lora.lora_r": 2,
        "dpo.max_steps": 1,
        "dpo.per_device_train_batch_size": 4,
    }
    config = load_config(None, small)
    api.mine([log], folder / "run", config, resample=False)
    return Clerk(folder / "run", config, store.read_rows(folder / "run/pairs/train.parquet"))


def test_a_right_and_a_wrong_call_about_one_image_are_a_pair(clerk: Clerk) -> None:
    assert len(clerk.pairs) >= 3
    for row in clerk.pairs:
        called = [row[side][0]["tool_calls"][0]["function"] for side in ("chosen", "rejected")]
        assert [list(json.loads(each["arguments"])) for each in called] == [["total"], ["sum"]]
        assert [tool["function"]["name"] for tool in json.loads(row["tools"])] == ["book_invoice"]
        (name,) = row["images"]
        data = store.image_path(clerk.run / "images", name).read_bytes()
        total = json.loads(called[0]["arguments"])["total"]
        assert data == pages.image_bytes(BILLS[total // 17 - 1])


def test_a_step_of_dpo_reads_the_image_the_tool_and_the_call(
    clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    plain = trainers.PairTrainer.compute_loss

    def looked(self: Any, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
        seen.extend(inputs["input_ids"].tolist())
        return plain(self, model, inputs, *rest, **more)

    monkeypatch.setattr(trainers.PairTrainer, "compute_loss", looked)
    facts = api.train(clerk.run, clerk.config)
    assert facts["steps"] == 1
    assert (clerk.run / "adapter/adapter_model.safetensors").exists()
    words = models.load_tokenizer(clerk.config.model, images=clerk.run / "images")[0]
    texts = [words.decode([i for i in ids if i < STAND_IN]) for ids in seen]
    assert len(seen) == 2 * len(clerk.pairs)
    assert {sum(i >= STAND_IN for i in ids) for ids in seen} == {16}
    for text in texts:
        prompt, answer = text.split("<|im_start|>assistant\n")
        assert "Books the total of a scanned invoice." in prompt
        assert "Book this." in prompt
        assert answer.startswith("<tool_call>")
        assert '"name": "book_invoice"' in answer
    assert {'"total"' in text.split("assistant\n")[1] for text in texts} == {True, False}


def test_without_its_tool_the_same_prompt_is_another_text(clerk: Clerk) -> None:
    """What the test above would see if the tools were dropped on the way."""
    row = mining.pair_rows(Job(store.RunFolder(clerk.run), clerk.config))[0]
    template = models.load_tokenizer(clerk.config.model, images=clerk.run / "images")[1]
    assert "Books the total" in template.prompt_text(row.prompt, row.context)
    assert "Books the total" not in template.prompt_text(row.prompt, Context())
