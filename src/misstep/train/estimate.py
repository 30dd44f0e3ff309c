"""How much memory a training would take, before anything is loaded.

In: the name of a model and the settings. Out: bytes of weights, adapter, optimizer and of the
activations of a token, the most tokens that fit into so much memory, and which settings are more.
Weights are counted on a model without storage. An estimate: what was measured is half
of it to 1.2 times as much (`tests/train/test_estimate.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from misstep.config import DpoConfig, KtoConfig, LoraConfig, RunConfig, SftConfig
from misstep.models import budget_of, resolve, unpacked
from misstep.models.eye import sees
from misstep.models.load import best_dtype
from misstep.models.room import ON_CPU, columns, half_of, read_bytes
from misstep.train.memory import Shape, free_bytes, shape_of, trained_bytes

GB = 1e9
_FOUR_BITS = 0.53
"""Bytes of a weight in NF4 with its scales."""
_RESERVE = 0.1
"""Of a memory that is left free: other processes, fragments, the processor's context."""
_MOST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Memory while the model answers, in bytes."""

    weights: float
    """The adapter merged in, whatever the base is while it is trained."""
    dtype: str
    merging: float
    """Of main memory, while the adapter is merged; 0 where there is none."""
    kept: float
    """Keys and values of a prompt and its answers."""
    read: float
    """Activations of the prompt while it is read; on a GPU the larger of both counts."""
    length: int
    """Tokens of that prompt."""
    answers: int
    """To a prompt."""
    asked: int
    """`sample.batch_size`."""

    def together(self, room: float, *, gpu: bool) -> int:
        """Answers that are generated together where so much memory is."""
        size, each = ON_CPU, self.kept
        if gpu:
            size = half_of(int(max(0.0, room * (1 - _RESERVE) - self.weights)))
            each = max(self.kept, self.read)
        prompts = min(int(size // each), self.asked // self.answers)
        return self.answers * max(1, prompts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of one training step, in bytes."""

    parameters: int
    trained: int
    """Weights that are trained."""
    dtype: str
    """Of the weights: float32, bfloat16, or `4 bits`."""
    weights: float
    adapter: float
    optimizer: float
    """Gradients and moments."""
    shape: Shape
    checkpointing: str
    """`auto`, `always` or `never`, as configured."""
    sampling: Sampling

    def fixed(self) -> float:
        """What is there whatever is read; the reference is measured beforehand and takes none."""
        return self.weights + self.adapter + self.optimizer + self.shape.logits()

    def step(self, tokens: int, *, checkpointing: bool = False) -> float:
        """All of it, at the peak of a step that reads so many tokens at once."""
        return self.fixed() + self.shape.activations(tokens, checkpointing=checkpointing)

    def fits(self, room: float, *, checkpointing: bool) -> int:
        """The most tokens at once for which a step fits into `room` bytes; 0 where none does."""
        free = room * (1 - _RESERVE)
        low, high = 0, _MOST
        while low < high:
            middle = (low + high + 1) // 2
            if self.step(middle, checkpointing=checkpointing) <= free:
                low = middle
            else:
                high = middle - 1
        return low


def estimate(config: RunConfig) -> Estimate:
    """The memory that training `config.model` with these settings takes.

    Raises:
        ModelError: the model cannot be found or has no configuration that is known.
    """
    from transformers import AutoConfig

    folder, _ = unpacked(resolve(config.model))
    settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return estimated(config, settings, images=sees(folder))


def estimated(config: RunConfig, settings: Any, *, images: bool) -> Estimate:
    """The same for a model of this configuration (of transformers), which may lie nowhere."""
    network = _hollow(settings, images=images)
    lora = config.lora
    count = sum(weight.numel() for weight in network.parameters())
    linear = _linear(network)
    trained = _adapter(network, linear, lora) if lora.enabled else count
    dtype = best_dtype() if config.dtype == "auto" else config.dtype
    size = 2 if dtype == "bfloat16" else 4
    weights, name = float(size * count), dtype
    if not lora.enabled:
        weights, name = 4.0 * count, "float32"
    elif lora.load_in_4bit:
        packed = sum(layer.weight.numel() for layer in linear.values())
        # embeddings, norms and head are made float32 for training (PEFT)
        weights, name = _FOUR_BITS * packed + 4.0 * (count - packed), "4 bits"
    return Estimate(
        parameters=count,
        trained=trained,
        dtype=name,
        weights=weights,
        adapter=4.0 * trained if lora.enabled else 0.0,
        optimizer=trained_bytes(trained),
        shape=shape_of(settings, size),
        checkpointing=config.gradient_checkpointing,
        sampling=_sampling(config, network, dtype, images=images),
    )


def _sampling(config: RunConfig, network: Any, dtype: str, *, images: bool) -> Sampling:
    """What answering the longest prompts takes."""
    from misstep.models.shared import prompt_bytes, supports

    count = sum(weight.numel() for weight in network.parameters())
    size = 2 if dtype == "bfloat16" else 4
    resampled = "resample" in config.mine.sources
    k = config.resample.num_generations if resampled else config.eval.num_generations
    answers, length = max(1, k), budget_of(config).max_prompt
    once = supports(network.get_decoder() if images else network)
    wide = columns(length, answers, config.sample.max_new_tokens, once=once)
    return Sampling(
        weights=float(size * count),
        dtype=dtype,
        merging=4.0 * count if config.lora.enabled else 0.0,
        kept=prompt_bytes(network, wide, answers) * size / network.dtype.itemsize,
        read=float(read_bytes(network.config, length, size)),
        length=length,
        answers=answers,
        asked=config.sample.batch_size,
    )


def _hollow(settings: Any, *, images: bool) -> Any:
    """The network without storage."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if images else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(settings, trust_remote_code=False)


def _linear(network: Any) -> dict[str, Any]:
    """The linear layers of the language model, by name, without its head."""
    import torch

    decoder, head = network.get_decoder(), network.get_output_embeddings()
    return {
        name: layer
        for name, layer in decoder.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer is not head
    }


def _adapter(network: Any, linear: dict[str, Any], lora: LoraConfig) -> int:
    """Weights of an adapter: on the `linear` layers, or wherever its regular expression matches.

    PEFT matches names of the whole network, the head, a vision tower and embeddings included.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    kinds, wanted = (torch.nn.Linear, torch.nn.Embedding, Conv1D), lora.lora_target_modules
    layers = list(linear.values())
    if wanted != "all-linear":
        named = network.named_modules()
        layers = [each for name, each in named if re.fullmatch(wanted, name)]
    total = 0
    for layer in layers:
        if isinstance(layer, kinds):
            total += lora.lora_r * sum(layer.weight.shape)
            # of DoRA: one length for each output
            plain = isinstance(layer, torch.nn.Linear)
            total += layer.weight.shape[0 if plain else 1] if lora.use_dora else 0
    return total


def table(found: Estimate, config: RunConfig, *, device: str = "cpu") -> list[str]:
    """The estimate in lines: what fits here, in 24 GB and in 80 GB, and which settings do not."""
    shape, answering = found.shape, found.sampling
    rooms = (("here", free_bytes(device)), ("24 GB", 24 * GB), ("80 GB", 80 * GB))
    each = shape.activations(1000, checkpointing=False) / 1000
    less = shape.activations(1000, checkpointing=True) / 1000
    lines = [
        "Memory of a training step (an estimate, docs/training.md)",
        f"  weights      {_gb(found.weights)}  {found.parameters / 1e6:,.0f} M in {found.dtype}",
        f"  adapter      {_gb(found.adapter)}  {found.trained / 1e6:,.1f} M trained, float32",
        f"  optimizer    {_gb(found.optimizer)}  gradients and AdamW's moments",
        f"  logits       {_gb(shape.logits())}  of 128 positions at a time",
        f"  reference    {_gb(0.0)}  measured once before the first step",
        f"  activations  {each / 1e6:.2f} MB a token, {less / 1e6:.2f} MB with checkpointing",
        f"  sampling     {_gb(answering.weights)}  in {answering.dtype}{_merging(answering)}",
        "  what fits    tokens at once; in pairs of the longest rows; the same with checkpointing; "
        f"answers at once to prompts of {answering.length:,} tokens",
    ]
    for name, room in rooms:
        title = f"{name} ({room / GB:.1f} GB free)" if name == "here" else name
        counts = (found.fits(room, checkpointing=on) for on in (False, True))
        cells = [f"{tokens:9,} {tokens // _pair(config):6,} pairs" for tokens in counts]
        together = answering.together(room, gpu=name != "here" or device == "cuda")
        lines.append(f"    {title:22} {'  '.join(cells)}  {together:5,} answers")
    over = [f"  configured   {said}" for said in _over(found, config, rooms)]
    return [*lines, *(over or ["  configured   all of it fits here, in 24 GB and in 80 GB"])]


def _merging(answering: Sampling) -> str:
    if not answering.merging:
        return ""
    return f"; merging the adapter takes {answering.merging / GB:.2f} GB of main memory"


def _pair(config: RunConfig) -> int:
    """Tokens of a pair of the longest rows; the two sides share their prompt unless told not to."""
    stage = config.kto if config.kto.enabled else config.dpo
    if not (config.kto.enabled or config.dpo.share_prompts):
        return 2 * stage.max_length
    return stage.max_length + min(config.sample.max_new_tokens, stage.max_length)


def _over(found: Estimate, config: RunConfig, rooms: Sequence[tuple[str, float]]) -> Iterator[str]:
    """What is set and does not fit, each with where and how much would."""
    checkpointing = found.checkpointing != "never"
    for name, room in rooms:
        most = found.fits(room, checkpointing=checkpointing)
        stages: dict[tuple[str, int], list[str]] = {}
        for stage, *setting in _sizes(config):
            key, value, _ = next((each for each in setting if each[2] > most), ("", 0, 0))
            if key:
                stages.setdefault((key, value), []).append(f"{stage}.{key}")
        for (_, value), keys in stages.items():
            yield f"{', '.join(keys)} {value} does not fit {name}; at most {most:,} tokens"
        if found.sampling.weights > room * (1 - _RESERVE):
            yield f"the model that answers does not fit {name}"


_Size = tuple[str, int, int]
"""A key, its value, and the tokens that it lets be read at once."""


def _sizes(config: RunConfig) -> Iterator[tuple[str, _Size, _Size]]:
    """Of each stage that is trained: its name, what the longest row takes, what a batch takes."""
    stages: dict[str, SftConfig | DpoConfig | KtoConfig] = {"sft": config.sft, "rft": config.rft}
    if config.kto.enabled:
        stages["kto"] = config.kto
    else:
        stages["dpo"] = config.dpo
    for name, stage in stages.items():
        if not stage.enabled:
            continue
        size = stage.tokens_per_batch
        whole: _Size = ("tokens_per_batch", size, size)
        if not size:
            rows = stage.per_device_train_batch_size
            each = _pair(config) if name == "dpo" else stage.max_length
            whole = ("per_device_train_batch_size", rows, rows * each)
        yield name, ("max_length", stage.max_length, stage.max_length), whole


def _gb(size: float) -> str:
    return f"{size / 1e6:7.2f} MB" if 0 < size < GB / 100 else f"{size / GB:7.2f} GB"
