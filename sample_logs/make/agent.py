"""The agent: SmolLM2-135M-Instruct after a short fine-tuning on right calls.

In: runs of tasks that never come into the logs. Out: an adapter, and an `Agent` for the harness
that samples at temperature 1.0. As shipped, the model makes no tool call at all; after one pass
over a few hundred right ones it does, and about half of them are wrong. Prompts are what
`misstep.models` renders, so that a later training run on the logs meets the model's own text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness import Run, Sampled

from misstep import models
from misstep.config import LoraConfig, SftConfig
from misstep.train import Row, TrainSettings, train_sft
from misstep.types import Message, Part, ToolCall, content_id

BASE = "smollm2"
TEMPERATURE = 1.0
MAX_TOKENS = 96


def fine_tune(rows: Sequence[Row], out: Path, *, seed: int, adapter: Path | None = None) -> Path:
    """One pass of supervised fine-tuning on right calls; the adapter folder."""
    trained = train_sft(
        rows,
        base=BASE,
        adapter=adapter,
        out=out,
        config=SftConfig(learning_rate=1e-3),
        lora=LoraConfig(),
        run=TrainSettings(seed=seed),
    )
    print(f"{out}: {trained.rows} rows, {trained.steps} steps", file=sys.stderr)
    return trained.adapter


def lesson(run: Run) -> Row:
    """The gold call as the next answer of a run, after whatever went wrong in it before."""
    call = ToolCall(name=run.task.tool, arguments=run.task.gold)
    return Row(
        id=content_id(run.id, run.task.user),
        prompt=tuple(run.messages),
        context=run.context,
        chosen=Message(role="assistant", parts=(Part(kind="call", call=call),)),
        family=content_id(run.task.user),
    )


class Sampler:
    """Answers runs with a fine-tuned model; every call draws with the next seed."""

    def __init__(self, adapter: Path, *, seed: int) -> None:
        self._loaded = models.load(BASE, adapter=adapter)
        self._seed = seed

    def __call__(self, runs: Sequence[Run], count: int) -> list[list[Sampled]]:
        self._seed += 1
        template = self._loaded.template
        prompts = [template.prompt_ids(run.messages, run.context) for run in runs]
        drawn = models.sample(
            self._loaded,
            prompts,
            num_generations=count,
            temperature=TEMPERATURE,
            top_p=1.0,
            max_new_tokens=MAX_TOKENS,
            seed=self._seed,
            progress=_progress,
        )
        return [
            [
                Sampled(
                    text=answer.text,
                    cut=answer.finish_reason == "length",
                    prompt_tokens=len(prompt),
                    answer_tokens=len(answer.ids),
                )
                for answer in answers
            ]
            for prompt, answers in zip(prompts, drawn, strict=True)
        ]


def _progress(done: int, total: int) -> None:
    print(f"\rsampled {done}/{total}", end="\n" if done == total else "", file=sys.stderr)
