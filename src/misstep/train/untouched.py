"""What TRL writes into a model and its tokenizer while a trainer is made, taken back.

In: a model, its tokenizer or processor. Out: contexts around the making of the trainer.
Importing this module imports PEFT.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from peft import PeftModel


@contextlib.contextmanager
def cap_named(model: Any) -> Iterator[None]:
    """Let TRL's fused head find a cap on the logits under the one name that it knows."""
    config = model.config.get_text_config()
    cap = config.to_dict().get("logits_soft_cap")
    if cap is None:
        yield
        return
    config.final_logit_softcapping = cap
    try:
        yield
    finally:
        del config.final_logit_softcapping


@contextlib.contextmanager
def cache_kept(model: Any) -> Iterator[None]:
    """Keep `use_cache` as the configuration has it: each pass says that it wants no cache.

    `Trainer` writes its own into it, which a full fine-tuning would hand to whoever serves it.
    """
    config = model.config
    before = {key: value for key, value in vars(config).items() if key == "use_cache"}
    yield
    if before:
        config.use_cache = before["use_cache"]
    elif "use_cache" in vars(config):
        del config.use_cache


@contextlib.contextmanager
def padding_kept(model: Any, words: Any) -> Iterator[None]:
    """Keep what the tokenizer and both configurations say of padding.

    Where there is no such token TRL takes the end of the turn and writes it into all three: who
    then trains on leaves every end of a turn out of the loss. A generation configuration that was
    written to is saved only if it is strictly valid; one that came so is saved as it came.
    """
    holder = model.get_base_model() if isinstance(model, PeftModel) else model
    tokenizer, config = getattr(words, "tokenizer", words), holder.config.get_text_config()
    token, number = tokenizer.pad_token, getattr(config, "pad_token_id", None)
    generation = copy.deepcopy(holder.generation_config)
    yield
    if token is None:
        tokenizer.pad_token = None
    config.pad_token_id = number
    holder.generation_config = generation
