"""Rows and settings that the training tests share, small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from misstep.config import DpoConfig, KtoConfig, LoraConfig, SftConfig
from misstep.models.template import Encoded
from misstep.train import Row, TrainSettings
from misstep.train.rows import Ids
from misstep.types import Context, Message, Part

LORA = LoraConfig(lora_r=4, lora_alpha=8)
SFT = SftConfig(per_device_train_batch_size=4, save_steps=2, learning_rate=1e-2)
KTO = KtoConfig(per_device_train_batch_size=4, save_steps=2, learning_rate=1e-3)
DPO = DpoConfig(
    per_device_train_batch_size=4, save_steps=2, learning_rate=1e-3, preference_tokens="all"
)


def say(role: Any, text: str) -> Message:
    """A message of one text part."""
    return Message(role=role, parts=(Part(kind="text", text=text),))


def pairs(count: int) -> list[Row]:
    """Pairs of several lengths, two to a prompt."""
    return [
        Row(
            id=f"r{at}",
            prompt=(say("user", f"question {at // 2} " + "why " * (at % 5)),),
            context=Context(),
            chosen=say("assistant", f"good {at}"),
            rejected=say("assistant", f"bad {at} bad"),
            family=f"f{at // 2}",
            codes=("TOOL_UNKNOWN",),
        )
        for at in range(count)
    ]


def labelled(count: int) -> list[Row]:
    """The sides of `pairs`, each with its label."""
    return [
        replace(row, id=f"{row.id}{label}", chosen=side, rejected=None, label=label)
        for row in pairs(count // 2)
        for side, label in ((row.chosen, True), (row.rejected, False))
    ]


def settings(**changes: Any) -> TrainSettings:
    """Float32, whatever the machine can do, so that numbers compare."""
    return TrainSettings(**{"dtype": "float32", **changes})


def pair_trainer_for(tiny: str, out: Path, config: DpoConfig, ids: Sequence[Ids]) -> Any:
    """The trainer of the preference stage over rows that are token ids already."""
    from misstep.models import load
    from misstep.train import stage
    from misstep.train.dpo import pair_trainer

    job = stage.Job(
        name="dpo",
        loaded=load(tiny, dtype="float32"),
        adapter=None,
        out=out / "out",
        config=config,
        lora=LORA,
        run=settings(),
    )
    with stage.quiet():
        return pair_trainer(job, config, ids)


class Letters:
    """A template that gives one token per character, and 0 for end-of-turn."""

    def encode(
        self, messages: Any, context: Context, *, answer: Message, end: bool = True
    ) -> Encoded:
        """Token ids, or a refusal for an answer that begins with `!`."""
        if answer.text.startswith("!"):
            return Encoded(refused="rendered in another way")
        prompt = tuple(ord(c) for message in messages for c in message.text)
        return Encoded(
            prompt_ids=prompt, answer_ids=(*map(ord, answer.text), *((0,) if end else ()))
        )
