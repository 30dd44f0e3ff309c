"""Sampling answers from a loaded model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from misstep.models.load import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One sampled answer."""

    text: str
    """What the model wrote, without the end-of-turn token."""
    ids: tuple[int, ...]
    """Its token ids, the end-of-turn token included where it came."""
    finish_reason: Literal["stop", "length"]


def sample(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    *,
    num_generations: int = 1,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_new_tokens: int = 128,
    batch_size: int = 32,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Answer]]:
    import torch

    stop = sorted(stop_ids(loaded))
    out = []
    torch.manual_seed(seed)
    for at, prompt in enumerate(prompts):
        got = loaded.model.generate(
            torch.tensor([list(prompt)]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=temperature > 0,
            num_return_sequences=num_generations,
            max_new_tokens=max_new_tokens,
            eos_token_id=stop,
            pad_token_id=stop[0],
            **({"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature > 0 else {}),
        )[:, len(prompt) :].tolist()
        row = []
        for ids in got:
            end = next((i for i, t in enumerate(ids) if t in stop), None)
            kept = ids if end is None else ids[: end + 1]
            text = loaded.tokenizer.decode(ids if end is None else ids[:end])
            row.append(
                Answer(
                    text=text, ids=tuple(kept), finish_reason="length" if end is None else "stop"
                )
            )
        out.append(row)
        if progress:
            progress(at + 1, len(prompts))
    return out


def stop_ids(loaded: Loaded) -> frozenset[int]:
    """The tokens that end an answer: the template's end of turn and the model's own."""
    own = loaded.model.generation_config.eos_token_id
    more = own if isinstance(own, list) else [own]
    ids = (loaded.template.end_id, loaded.tokenizer.eos_token_id, *more)
    return frozenset(int(i) for i in ids if i is not None)
