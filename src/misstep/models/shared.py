"""Decoding with shared prompts: what several answers have in common is computed and kept once.

Imported lazily: needs torch and transformers. The model's own layers run unchanged; only its
attention is replaced, through transformers' attention interface, for the time of one call.

- A stretch that several prompts of a batch begin with (system turn, tools, earlier turns of their
  session) is encoded once (`beginnings`), the rest of each prompt once for its k answers. Rows are
  padded on the right, so no padding is ever seen by a token that counts.
- Keys and values lie in one preallocated buffer per layer, (prompts, kv heads, columns, width):
  the prompt's columns, then k columns per step, one for each answer. A step is one attention call
  per prompt and kv head for all its answers and all query heads of the group at once; a mask keeps
  the answers apart. Nothing is repeated or concatenated.
- Only unfinished answers run through the layers; the buffer drops prompts whose answers all ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from misstep.models.beginnings import Read, reads

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
"""Decoders whose layers attend fully, and whose logits are the output embedding's product."""
_ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings that do not depend on the length seen so far."""
_NAME = "misstep_shared"
_NOTHING = Read(start=0, ends=(), rows=())
_KEEP = 0.75
"""Drop finished prompts from the buffer once fewer than this share is left."""
_STRETCH = 1024
"""Tokens of a read that attend together: a mask of the whole would grow with its square."""


def supports(model: Any) -> bool:
    """Whether this model's attention can be replaced without changing what it computes."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = getattr(config, "layer_types", None) or ()
    sliding = getattr(config, "sliding_window", None) is not None
    return (
        config.model_type in MODEL_TYPES
        and rope.get("rope_type", "default") in _ROPE_TYPES
        and (all(kind == "full_attention" for kind in kinds) if kinds else not sliding)
    )


def prompt_bytes(model: Any, columns: int, answers: int) -> int:
    """Bytes that one prompt takes: the keys and values of so many columns, all answers together.

    Without attention it is one state for each answer, in float32, however much was read.
    """
    config = model.config.get_text_config()
    all_heads = getattr(config, "num_attention_heads", None)
    if all_heads is None:
        inner = getattr(config, "expand", 0) * config.hidden_size
        state = inner * (getattr(config, "state_size", 0) + getattr(config, "conv_kernel", 0))
        return int(answers * config.num_hidden_layers * state * 4)
    heads = getattr(config, "num_key_value_heads", None) or all_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // all_heads
    per_column = 2 * config.num_hidden_layers * heads * width
    return int(columns * per_column * model.dtype.itemsize)


@contextmanager
def replaced_attention(model: Any) -> Iterator[None]:
    """The model attends through `Shared` inside, and as before outside."""
    AttentionInterface.register(_NAME, _attend)
    before = model.config._attn_implementation
    model.config._attn_implementation = _NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **kwargs: Any
) -> tuple[Any, None]:
    shared: Shared = kwargs["shared"]
    return shared.attend(module.layer_idx, query, key, value, kwargs["scaling"]), None


class Shared:
    """The state of one batch: `start`, then `step` until all answers ended.

    Rows are answers, prompt by prompt: row r is answer r % k of prompt r // k.
    """

    def __init__(self, model: Any, *, answers: int, max_new_tokens: int) -> None:
        self._model = model
        self._answers = answers
        self._room = answers * max_new_tokens
        self._read = _NOTHING
        self._buffers: list[tuple[Any, Any]] = []
        self._mask: Any = None
        self._prompts = self._used = 0
        self._phase = self._attend_prompt
        self._lengths: Any = None
        self._slot_of: Any = None
        self._places: Any = None
        self._steps = count()

    # --- the model's side ----------------------------------------------------------------------

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Part of what transformers expects of a cache; positions are always given."""
        return 0

    def update(self, key: Any, value: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Part of what transformers expects of a cache; `attend` stores."""
        return key, value

    def attend(self, layer: int, query: Any, key: Any, value: Any, scaling: float) -> Any:
        """Attention of one layer, (rows, heads, new, width) to (rows, new, heads, width)."""
        return self._phase(layer, query, key, value, scaling)

    def _attend_prompt(self, layer: int, query: Any, key: Any, value: Any, scaling: float) -> Any:
        read, (_, heads, _, width) = self._read, key.shape
        if layer == len(self._buffers):
            size = (self._prompts, heads, self._used + self._room, width)
            self._buffers.append((key.new_zeros(size), value.new_zeros(size)))
        keys, values = self._buffers[layer]
        start = read.start
        for at, (places, end) in enumerate(zip(read.rows, read.ends, strict=True)):
            keys[list(places), :, start:end] = key[at, :, : end - start]
            values[list(places), :, start:end] = value[at, :, : end - start]
        if start:
            first = [places[0] for places in read.rows]
            key = torch.cat([keys[first, :, :start], key], 2)
            value = torch.cat([values[first, :, :start], value], 2)
        return _causal(query, key, value, scaling)

    def _attend_step(self, layer: int, query: Any, key: Any, value: Any, scaling: float) -> Any:
        keys, values = self._buffers[layer]
        prompts, heads, _, width = keys.shape
        k, first = self._answers, self._used - self._answers
        new = slice(first, self._used)
        slots = prompts * k
        groups = query.shape[1] // heads
        all_live = self._places is None
        if not all_live:
            query, key, value = (_spread(t, self._places, slots) for t in (query, key, value))
        keys[:, :, new] = key.view(prompts, k, heads, width).transpose(1, 2)
        values[:, :, new] = value.view(prompts, k, heads, width).transpose(1, 2)
        query = query.view(prompts, k, heads, groups, width).transpose(1, 2)
        out = scaled_dot_product_attention(
            query.reshape(prompts, heads, k * groups, width),
            keys[:, :, : self._used],
            values[:, :, : self._used],
            attn_mask=self._mask[..., : self._used],
            scale=scaling,
        )
        out = out.view(prompts, heads, k, groups, width).transpose(1, 2)
        out = out.reshape(slots, 1, heads * groups, width)
        return out if all_live else out[self._places]

    # --- the caller's side ---------------------------------------------------------------------

    def start(self, prompts: Sequence[Sequence[int]]) -> Any:
        """Encode the prompts; logits of each one's next token, (prompts, vocabulary)."""
        self._prompts, self._used = len(prompts), max(map(len, prompts))
        last: list[Any] = [None] * len(prompts)
        for read in reads(prompts):
            hidden = self._run_read(read, prompts)
            for at, (places, end) in enumerate(zip(read.rows, read.ends, strict=True)):
                if end == len(prompts[places[0]]):
                    last[places[0]] = hidden[at, end - read.start - 1]
        found = torch.stack(last)
        self._lengths = torch.tensor([len(prompt) for prompt in prompts], device=found.device)
        self._slot_of = torch.arange(len(prompts), device=found.device)
        self._mask = self._answer_mask(self._lengths)
        self._phase = self._attend_step
        return self._model.get_output_embeddings()(found)

    def step(self, tokens: Any, rows: Any) -> Any:
        """Logits behind `tokens` of the answers `rows` (ascending), (len(rows), vocabulary)."""
        places = self._places_of(rows)
        slots = self._mask.shape[0] * self._answers
        self._places = None if len(rows) == slots else places
        self._used += self._answers
        positions = self._lengths[rows // self._answers] + next(self._steps)
        hidden = self._run(tokens[:, None], positions[:, None])
        return self._model.get_output_embeddings()(hidden[:, -1])

    def _run_read(self, read: Read, prompts: Sequence[Sequence[int]]) -> Any:
        """Hidden states of rows padded on the right, behind the columns that they build on."""
        device, start = self._model.device, read.start
        length = max(read.ends) - start
        ids = torch.zeros(len(read.rows), length, dtype=torch.long)
        for at, (places, end) in enumerate(zip(read.rows, read.ends, strict=True)):
            ids[at, : end - start] = torch.tensor(prompts[places[0]][start:end])
        self._read = read
        positions = torch.arange(start, start + length, device=device).expand(len(ids), -1)
        return self._run(ids.to(device), positions)

    def _run(self, ids: Any, positions: Any) -> Any:
        out = self._model.base_model(
            input_ids=ids,
            position_ids=positions,
            past_key_values=self,
            use_cache=True,
            shared=self,
        )
        return out.last_hidden_state

    def _answer_mask(self, lengths: Any) -> Any:
        """(prompts, 1, k × group, columns) to add: 0 where an answer may look, else -inf."""
        config, k = self._model.config, self._answers
        groups = config.num_attention_heads // config.num_key_value_heads
        columns = torch.arange(self._used + self._room, device=lengths.device)
        in_prompt = columns[None] < lengths[:, None]
        own = (columns - self._used) % k == torch.arange(k, device=lengths.device)[:, None]
        own &= columns >= self._used
        seen = in_prompt[:, None, :] | own[None]
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=lengths.device)
        mask.masked_fill_(~seen, float("-inf"))
        return mask.repeat_interleave(groups, dim=1)[:, None]

    def _places_of(self, rows: Any) -> Any:
        """Where the rows lie in the buffers; prompts without a live row are dropped if many."""
        prompts = rows // self._answers
        live = torch.unique_consecutive(prompts)
        if len(live) < _KEEP * self._mask.shape[0]:
            kept = self._slot_of[live]
            self._mask = self._mask[kept]
            for layer, (keys, values) in enumerate(self._buffers):
                self._buffers[layer] = (keys[kept], values[kept])
            self._slot_of = torch.full_like(self._slot_of, -1)
            self._slot_of[live] = torch.arange(len(live), device=live.device)
        return self._slot_of[prompts] * self._answers + rows % self._answers


def _causal(query: Any, key: Any, value: Any, scaling: float) -> Any:
    """The last tokens of some rows attend to what stands before them, and to themselves.

    The query heads of a group are stacked as rows of their kv head, a stretch of tokens at a time.
    """
    rows, all_heads, new, width = query.shape
    heads, before = key.shape[1], key.shape[2] - new
    groups = all_heads // heads
    found = []
    for first in range(0, new, _STRETCH):
        last = min(first + _STRETCH, new)
        size, seen = last - first, before + last
        mask = torch.ones(size, seen, dtype=torch.bool, device=query.device).tril(before + first)
        out = scaled_dot_product_attention(
            query[:, :, first:last].reshape(rows, heads, groups * size, width),
            key[:, :, :seen],
            value[:, :, :seen],
            attn_mask=mask.repeat(groups, 1),
            scale=scaling,
        )
        found.append(out.view(rows, all_heads, size, width))
    return torch.cat(found, 2).transpose(1, 2)


def _spread(tensor: Any, places: Any, slots: int) -> Any:
    """Rows of live answers put at their places among all slots, zeros elsewhere."""
    out = tensor.new_zeros((slots, *tensor.shape[1:]))
    out[places] = tensor
    return out
