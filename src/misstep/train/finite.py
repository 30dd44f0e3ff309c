"""Numbers that are no longer finite: a training ends before the step that would take them in.

One NaN in a gradient makes every weight NaN at the next step, and every loss after it. So the loss,
the gradient and the change of the chosen answers are looked at once a step, before the optimizer
moves anything: the weights are still those of the step before, and so are the checkpoints. Several
processes look together and end at the same step. DeepSpeed moves the weights while the gradient is
worked out; there, as anywhere, weights that are not finite are not written.
Importing this module imports torch and transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from misstep.errors import StageError
from misstep.train import ranks

_KINDS = ("", "the gradient", "the loss", "the log-probability of the chosen answers")
"""What may fail to be finite; of several the last is named, with which it began, by its place."""
_OTHERWISE = {
    "sft": "",
    "dpo": ", take another dpo.loss_type or dpo.f_divergence_type",
    "kto": ", take another kto.loss_type",
}


class NotFinite(Exception):
    """The next step would take in a number that is not finite; the message is for the user."""


class Finite(TrainerCallback):
    """Raises `NotFinite` in place of a step that would be taken with such numbers."""

    def __init__(self, section: str, changes: Callable[[], Sequence[float]]) -> None:
        """`changes` gives the changes of the chosen answers since the last step that was logged."""
        self._section, self._changes = section, changes
        self._loss: Any = 0.0
        self._norm: Any = None

    def met(self, loss: Any) -> None:
        """The loss of a micro-batch; their sum is finite only if all of them are."""
        self._loss = self._loss + loss

    def measuring(self, clip: Callable[..., Any]) -> Callable[..., Any]:
        """`clip`, which gives the norm of the gradient as it was, with that norm kept."""

        def clipped(*given: Any, **named: Any) -> Any:
            self._norm = clip(*given, **named)
            return self._norm

        return clipped

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        self._loss, self._norm = 0.0, None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer, with the gradients of all processes brought together."""
        numbers = (0.0, self._norm, self._loss, sum(self._changes()))
        wrong = [at for at, each in enumerate(numbers) if not _is_finite(each)]
        worst = ranks.most(max(wrong, default=0), args.device)
        if worst:
            done = state.global_step
            left = f"the weights are those of step {done}" if done else "nothing was trained"
            raise NotFinite(
                f"stopped at step {done + 1} of {state.max_steps}: {_KINDS[worst]} is not a finite "
                f"number (NaN or infinite); {left}; {advice(self._section)}"
            )


def advice(section: str) -> str:
    """What to change where numbers overflow."""
    return f"lower {section}.learning_rate{_OTHERWISE[section]} or train with dtype=float32"


def check_weights(
    model: Any, state: Mapping[str, Any] | None, *, place: object, section: str, said: str = ""
) -> None:
    """Whether what is about to be written is finite, asked by all processes together.

    Args:
        state: the weights, where `model` does not hold them whole; else its trained ones count.
        said: what there is to say of how the training went.

    Raises:
        StageError: it is not.
    """
    trained = (each for each in model.parameters() if each.requires_grad)
    every = list(state.values() if state is not None else trained)
    broken = sum(not _all_finite(each) for each in every)
    worst = max(ranks.gathered({ranks.rank(): (broken, len(every))}).values())
    if worst[0]:
        told = f" ({said})" if said else f"; {advice(section)}"
        raise StageError(
            f"{place}: not written, since {worst[0]} of {worst[1]} trained tensors hold numbers "
            f"that are not finite (NaN or infinite){told}"
        )


def _is_finite(number: Any) -> bool:
    if isinstance(number, DTensor):
        number = number.full_tensor()
    return number is None or math.isfinite(float(number))


def _all_finite(weight: Any) -> bool:
    """Whether all of this process's part of a weight is finite, without a copy of it."""
    part = weight.detach()
    if isinstance(part, DTensor):
        part = part.to_local()
    if not part.is_floating_point() or not part.numel():
        return True
    return all(bool(torch.isfinite(each)) for each in torch.aminmax(part))
