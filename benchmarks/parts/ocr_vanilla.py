"""The first training of a small family, from random weights, in plain transformers.

    python benchmarks/parts/ocr_vanilla.py FAMILY OUT [--steps N] [--tower-steps N]

Two stages. First the tower: each image token is drawn to the embedding of the character under its
cell (without it a model of this size does not begin to read). Then whole short pages, loss on the
transcription alone. Both write a checkpoint every hundred steps; the same call goes on from it.
OUT is a model folder for `--model` when it is done, with `training.json` beside the weights.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from parts.ocr_families import FAMILIES, build, family
from parts.ocr_layout import LONG, SHORT, Setting, Sheet, scattered, sheet
from parts.ocr_pages import Page, cells, page, pages, render, stream_of
from parts.ocr_tokens import IMAGE

GLYPHS = 5_000_000
"""Numbers of the pages of the tower's stage begin here."""
GAZE_LAYER = 2
"""Of four: the layers before it can find out where the last character was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long and how hard a family is trained."""

    tower_steps: int = 700
    tower_batch: int = 16
    steps: int = 700
    batch: int = 8
    learning_rate: float = 1.5e-3
    gaze: float = 0.5
    """Weight of the loss of one head's gaze."""
    gaze_steps: int = 500
    setting: Setting = SHORT
    glyphs: Setting = LONG
    """Pages of the tower's stage, beside those of `setting`."""
    seed: int = 0
    pool: int = 6000
    """Pages that are drawn; they come again after that."""


def train_family(name: str, out: Path, course: Course) -> Path:
    """The trained model folder; at once where it is there already."""
    if (out / "training.json").exists():
        return out
    model, processor = build(name, course.setting.columns, course.seed)
    print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    started = time.time()
    work = out.with_name(out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    glyphs = _TowerLoss(model, processor, name, course)
    log = _stage(model, work / "tower.pt", course.tower_steps, glyphs)
    log += _stage(model, work / "whole.pt", course.steps, _PageLoss(model, processor, name, course))
    model.save_pretrained(out)
    processor.save_pretrained(out)
    facts = {
        "family": name,
        "like": family(name).like,
        "log": log,
        "seconds": round(time.time() - started),
        "reads": {"short": _reads(model, processor, SHORT), "long": _reads(model, processor, LONG)},
    }
    print(f"{name} reads {facts['reads']}", flush=True)
    (out / "training.json").write_text(json.dumps(facts, indent=1))
    return out


def _reads(model: Any, processor: Any, setting: Setting, count: int = 24) -> float:
    """Mean Levenshtein ratio of greedy transcriptions of dev pages that no run takes."""
    from rapidfuzz.distance import Levenshtein

    made = list(pages("dev", count, setting, start=1_000_000))
    found = read(model, processor, [each.image for each in made], cap=320)
    alike = [Levenshtein.normalized_similarity(m.gold, f) for m, f in zip(made, found, strict=True)]
    return round(sum(alike) / count, 3)


def _stage(model: Any, checkpoint: Path, steps: int, loss_at: Any) -> list[dict[str, Any]]:
    """Train for `steps`, from the checkpoint where there is one."""
    import torch

    rate = loss_at.rate
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    first, log = 0, []
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        first, log = kept["step"], json.loads(kept["log"])
    model.train()
    clock, running = time.time(), []
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 50) * (0.05 + 0.95 * _fall(step, steps))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_at(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        running.append(loss.item())
        if (step + 1) % 50 == 0:
            mean, running = sum(running) / len(running), []
            log.append({"stage": checkpoint.stem, "step": step + 1, "loss": round(mean, 4)})
            took = f"{time.time() - clock:.0f} s, CPU {time.process_time():.0f} s"
            print(f"{checkpoint.stem} {step + 1}/{steps} {mean:.4f} {took}", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            _keep(checkpoint, model, optimizer, step + 1, log)
    return log


def _keep(checkpoint: Path, model: Any, optimizer: Any, step: int, log: Any) -> None:
    import torch

    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "step": step, "log": json.dumps(log)}, checkpoint.with_suffix(".new"))
    os.replace(checkpoint.with_suffix(".new"), checkpoint)


def _fall(step: int, steps: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(frozen=True, slots=True)
class Taught:
    """A page of the first training with the characters of its cells."""

    page: Page
    cells: str
    places: tuple[int, ...]
    """The cell that each token of the transcription is read from, -1 for separators and the end."""

    @property
    def image(self) -> Any:
        """The picture."""
        return self.page.image.convert("RGB")

    @property
    def gold(self) -> str:
        """The transcription."""
        return self.page.gold


@functools.cache
def _taught(number: int, setting: Setting) -> Taught:
    made = sheet(stream_of("vanilla", number), setting)
    places = [place for field in made.gold for place in (-1, *made.places[field])]
    drawn = page("vanilla", number, setting)
    grey = replace(drawn, image=drawn.image.convert("L"))
    return Taught(grey, cells(made), (*places, -1, -1))


class _TowerLoss:
    """Loss of the tower's stage: distance of each image token to its character's embedding."""

    def __init__(self, model: Any, processor: Any, name: str, course: Course) -> None:
        self.model, self.processor, self.course = model, processor, course
        self.rate, self.tiles = family(name).tower_rate, family(name).tiles

    def __call__(self, step: int) -> Any:
        import torch

        course, words = self.course, self.processor.tokenizer
        numbers = range(step * course.tower_batch, (step + 1) * course.tower_batch)
        both = [_glyphs(GLYPHS + each, course) for each in numbers]
        made, images = [each for each, _ in both], [each for _, each in both]
        pictures = self.processor.image_processor(images, return_tensors="pt")
        pictures.pop("rows", None), pictures.pop("cols", None)
        found = self.model.model.get_image_features(**pictures).pooler_output
        features = torch.stack(list(found))
        side = course.setting.columns
        if self.tiles:
            features = features[:, (side // self.tiles) ** 2 :].unflatten(1, (side, side + 1))
            features = features[:, :, :side].flatten(1, 2)
        wanted = torch.tensor([words.convert_tokens_to_ids(list(cells(each))) for each in made])
        known = torch.unique(wanted)
        table = self.model.get_input_embeddings()(known).detach()
        norms = (table**2).sum(-1)
        apart = (features**2).sum(-1, keepdim=True) - 2 * features @ table.T + norms
        apart = apart / (0.1 * norms.mean())
        target = torch.searchsorted(known, wanted)
        entropy = torch.nn.functional.cross_entropy
        loss = entropy(-apart.flatten(0, 1), target.flatten(), reduction="none")
        inked = (wanted != words.convert_tokens_to_ids(" ")).flatten()
        return loss[inked].mean() + 0.3 * loss[~inked].mean()


def _glyphs(number: int, course: Course) -> tuple[Sheet, Any]:
    """A page of the tower's stage: every second one of single characters, the others of text."""
    stream = stream_of("vanilla", number)
    setting = (course.setting, course.glyphs)[number // 2 % 2]
    made = (scattered if number % 2 else sheet)(stream, setting)
    return made, render(made, stream, setting)


class _PageLoss:
    """Loss of the second stage: the transcription's tokens, given the page.

    And of one head's gaze: where it looks while a character is written, against the cell of that
    character. It points a small model at copying, which it finds late by itself; the second half
    of the stage goes without.
    """

    def __init__(self, model: Any, processor: Any, name: str, course: Course) -> None:
        self.model, self.processor, self.course = model, processor, course
        self.rate = course.learning_rate
        self.tiles = family(name).tiles

    def __call__(self, step: int) -> Any:
        course = self.course
        batch = _batch(step, course.batch, course.pool, course.setting)
        inputs = encoded(self.processor, batch)
        guided = step < course.gaze_steps
        self.model.set_attn_implementation("eager" if guided else "sdpa")
        out = self.model(**inputs, output_attentions=guided)
        if not guided:
            return out.loss
        gaze = out.attentions[GAZE_LAYER][:, 0].float()
        return out.loss + course.gaze * self._astray(gaze, inputs, batch)

    def _astray(self, gaze: Any, inputs: Any, batch: Sequence[Taught]) -> Any:
        """Mean surprise at the cell that is written next, over all characters."""
        import torch

        side, losses = self.course.setting.columns, []
        shown = inputs["input_ids"] == self.model.config.image_token_id
        for row, each in enumerate(batch):
            first = int((inputs["labels"][row] != -100).nonzero()[0])
            cell = torch.tensor(each.places)
            written = (cell >= 0).nonzero()[:, 0]
            at = cell[written]
            if self.tiles:
                at = (side // self.tiles) ** 2 + at // side * (side + 1) + at % side
            keys = shown[row].nonzero()[:, 0][at]
            losses.append(-(gaze[row, first - 1 + written, keys] + 1e-4).log())
        return torch.cat(losses).mean()


def encoded(processor: Any, batch: Sequence[Page]) -> dict[str, Any]:
    """Model inputs of whole pages with labels on the transcription and its end alone."""
    import torch

    words = processor.tokenizer
    inputs = asked(processor, [each.image for each in batch])
    prompt = inputs.pop("input_ids")
    inputs.pop("attention_mask")
    answers = [[*words.encode(each.gold, add_special_tokens=False), 2] for each in batch]
    longest = max(map(len, answers))
    ids = torch.tensor([each + [0] * (longest - len(each)) for each in answers])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in answers])
    types = {
        key: torch.cat([inputs.pop(key), mask * int(_prefixed(processor))], 1)
        for key in ("token_type_ids", "mm_token_type_ids")
        if key in inputs
    }
    whole = torch.cat([prompt, ids], 1)
    labels = torch.cat([torch.full_like(prompt, -100), ids.masked_fill(mask == 0, -100)], 1)
    attention = torch.cat([torch.ones_like(prompt), mask], 1)
    return {**inputs, **types, "input_ids": whole, "attention_mask": attention, "labels": labels}


ASK = [{"role": "user", "content": [{"type": "image"}]}]


def _batch(step: int, size: int, pool: int, setting: Setting) -> list[Any]:
    places = range(step * size, (step + 1) * size)
    return [_taught(place % pool, setting) for place in places]


def asked(processor: Any, images: Sequence[Any]) -> Any:
    """Model inputs that ask for the transcription of each image."""
    import torch

    words = processor.tokenizer
    text = words.apply_chat_template([ASK], tokenize=False, add_generation_prompt=True)[0]
    inputs = processor(
        text=[text] * len(images),
        images=[[each] for each in images],
        return_tensors="pt",
        add_special_tokens=False,
    )
    inputs.pop("labels", None)
    if _prefixed(processor):
        # its processor moves the image in front of the template; here it stays where it was put
        ids = words.encode(text.replace(IMAGE, IMAGE * processor.image_seq_length))
        whole = torch.tensor([ids] * len(images))
        same = {"attention_mask": torch.ones_like(whole), "token_type_ids": whole * 0}
        inputs = {**inputs, "input_ids": whole, **same}
    return dict(inputs)


def _prefixed(processor: Any) -> bool:
    """Whether types of tokens tell the prompt from the answer, as PaliGemma's do."""
    return type(processor).__name__ == "PaliGemmaProcessor"


def read(model: Any, processor: Any, images: Sequence[Any], *, cap: int) -> list[str]:
    """The model's greedy transcriptions; special tokens left out."""
    import torch

    model.eval()
    inputs = asked(processor, images)
    with torch.no_grad():
        out = model.generate(
            **inputs, max_new_tokens=cap, do_sample=False, eos_token_id=2, pad_token_id=0
        )
    answers = out[:, inputs["input_ids"].shape[1] :]
    return [processor.tokenizer.decode(each, skip_special_tokens=True) for each in answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=[each.name for each in FAMILIES])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--tower-steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    course = Course(steps=args.steps, tower_steps=args.tower_steps, seed=args.seed)
    train_family(args.family, args.out, course)


if __name__ == "__main__":
    main()
