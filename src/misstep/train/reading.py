"""How the rows of a batch are read: what is right for a model, found out before it is trained.

In: a model, perhaps with an adapter. Out: a `Reading`, which says whether what rows have in common
is read once (`tree`) and whether our own head scores the vocabulary, and if not, why. Most of it
stands in the model's config. What no config says (an attention of its own kind, heads of two sizes)
is found out by a try: two short rows are read through the tree and plainly, and both must give the
same. Importing this module imports torch and PEFT.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel

from misstep.errors import ModelError
from misstep.train import attention
from misstep.train.logps import score

_TRANSFORMS = (
    "final_logit_softcapping",
    "logits_soft_cap",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
)
"""Fields of a config that say that logits are capped or scaled."""
_FIXED_ROPE = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary positions that do not depend on the length of the input."""
_SEEN = {
    "rows": "it reads images otherwise than text; images themselves are looked at once",
    "whole": "it reads images otherwise than text; each row with its images",
}
"""Of a model that takes images, by `Sight.way`."""
_HEAD = "its head is no plain matrix, or its logits are capped or scaled"
_START, _SIDE = 8, 16
"""Tokens of the try: what its two rows have in common, and what follows in each."""
_ALIKE, _ALIKE_HALF = 1e-3, 0.1
"""Largest difference of two readings (root mean square, in standard deviations of the
log-probabilities), in float32 and elsewhere. Of SmolLM2-135M: 1e-6 and 0.015 where the tree is
right, 0.43 where a row sees its neighbour."""
_CANNOT = (TypeError, ValueError, RuntimeError, LookupError, AttributeError, AssertionError)
"""What models and kernels raise that are given a mask which they do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a model's rows are read."""

    own_head: bool
    """Score completion positions only; False leaves everything to TRL."""
    shared: bool
    """Read what the rows of a batch have in common once."""
    budget: int = 0
    """Tokens of one sequence at most; 0 reads all rows of a batch together."""
    sight: Any = None
    """A `models.sight.Sight` where rows may hold images."""
    why: str = ""
    """What keeps the model from reading what is common once; empty where nothing does."""

    @property
    def said(self) -> str:
        """The same as a sentence for the user; empty where there is nothing to say."""
        if not self.why:
            return ""
        return (
            f"this model is read row by row ({self.why}), so what rows have in common is read "
            "again for each; slower, same result"
        )


def reading(model: Any, *, shared: bool, budget: int = 0, sight: Any = None) -> Reading:
    """What is right for this model.

    The tree needs full attention in every layer, through PyTorch's SDPA, and rotary positions
    that do not depend on the length of the input. Weights that DeepSpeed parts (stage 3) are whole
    only inside the layers that own them, which TRL's path knows how to wait for.

    With a `sight` the rows hold stand-ins for images, which TRL's path does not know; the tree is
    taken where the language model alone reads as the whole does (`Sight.way`).

    Raises:
        ModelError: such a model caps or scales its logits, or has a head of its own kind, or its
            weights are parted.
    """
    parted = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    if sight is not None and (parted or sharded):
        # how often the tower is asked depends on the images that a process meets
        raise ModelError(
            "models that take images cannot be trained with weights that processes share (FSDP, "
            "DeepSpeed stage 3): the processes would wait for each other; give each the whole "
            "model, with accelerate launch --multi_gpu"
        )
    own_head = _plain_head(model) and not parted
    if sight is not None and not own_head:
        raise ModelError(
            "models that take images and cap or scale their logits, or whose head is no plain "
            "matrix, cannot be trained; give another model with --model"
        )
    why = ""
    if shared and not own_head:
        why = "DeepSpeed parts its weights" if parted else _HEAD
    elif shared:
        why = _known_fault(model, sight) or _tried(model, sight)
    together = shared and not why
    return Reading(own_head=own_head, shared=together, budget=budget, sight=sight, why=why)


def _plain_head(model: Any) -> bool:
    config = model.config.get_text_config().to_dict()
    head = model.get_output_embeddings()
    plain = all(config.get(name) in (None, 1.0) for name in _TRANSFORMS)
    return plain and type(head) is torch.nn.Linear and head.bias is None


def _known_fault(model: Any, sight: Any) -> str:
    """Why the tree would be wrong for it, as its class and its config say; empty for most."""
    config = model.config.get_text_config().to_dict()
    base, reader = _base(model), _reader(model, sight)
    faults = {
        # a state is carried from token to token, whatever attention masks say
        "its layers are recurrent": type(base)._is_stateful or type(reader)._is_stateful,
        "not every layer of it sees all tokens before": not _full_attention(config),
        "its positions depend on the length of a text": not _fixed_positions(config),
        "its attention is not PyTorch's": reader.config._attn_implementation
        not in ("sdpa", attention.NAME),
    }
    known = next((why for why, wrong in faults.items() if wrong), "")
    return known or (_SEEN.get(sight.way, "") if sight is not None else "")


def _full_attention(config: dict[str, Any]) -> bool:
    if "layer_types" in config and config["layer_types"] is not None:
        return set(config["layer_types"]) == {"full_attention"}
    return config.get("sliding_window") is None or config.get("use_sliding_window") is False


def _fixed_positions(config: dict[str, Any]) -> bool:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return rope.get("rope_type", "default") in _FIXED_ROPE


def _base(model: Any) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _reader(model: Any, sight: Any) -> Any:
    """What reads token ids: the model, of one that takes images its language model."""
    return _base(model) if sight is None else sight.decoder


# --- the try -----------------------------------------------------------------------------------


@torch.no_grad()
def _tried(model: Any, sight: Any) -> str:
    """What is wrong with the tree for this model; empty where it gives what plain reading gives."""
    reader = _reader(model, sight)
    ids = torch.tensor(_rows(model, sight), device=reader.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with _evaluating(model):
        plain = score(model, inputs, ids, shared=False, sight=sight).log_probs
        try:
            tree = score(model, inputs, ids, shared=True, sight=sight).log_probs
        except _CANNOT:
            return "its attention takes no tree"
        finally:
            attention.switch(reader, on=False)
    apart = float((tree - plain).square().mean().sqrt())
    same = apart <= _limit(model) * float(plain.std())
    return "" if same else "its attention does not follow a tree"


def _limit(model: Any) -> float:
    """Weights in 4 bits are multiplied in half the bits, whatever the others are kept in."""
    base = _base(model)
    packed = "quantization_config" in base.config.to_dict()
    return _ALIKE if base.dtype == torch.float32 and not packed else _ALIKE_HALF


def _rows(model: Any, sight: Any) -> list[list[int]]:
    """Two rows of any words, the same ones each time, with a common beginning."""
    barred: set[int] = set()
    if sight is not None:
        processor = sight.eye.processor
        barred = {*processor.image_token_ids, *processor.tokenizer.all_special_ids}
    size = model.config.get_text_config().vocab_size
    dice = random.Random("reading")
    count = _START + 2 * _SIDE
    drawn = [token for token in dice.choices(range(size), k=4 * count) if token not in barred]
    start, one, other = drawn[:_START], drawn[_START:][:_SIDE], drawn[_START + _SIDE :][:_SIDE]
    return [start + one, start + other]


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Without dropout; afterwards each module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
