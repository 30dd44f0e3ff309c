"""What values of sampling, of the adapter and of the training stages may be.

In: their settings. Out: rules, each with the key, whether its value can be used, and what is
expected of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from misstep.tuning import (
    DpoConfig,
    EndpointConfig,
    KtoConfig,
    LoraConfig,
    RftConfig,
    SampleConfig,
    SftConfig,
)

Rule = tuple[str, bool, str]


def of_sampling(sample: SampleConfig, endpoint: EndpointConfig) -> tuple[Rule, ...]:
    """Of `sample` and `endpoint`."""
    return (
        ("sample.temperature", sample.temperature > 0, "above 0 (one answer is greedy anyway)"),
        ("sample.top_p", 0 < sample.top_p <= 1, "above 0, at most 1"),
        ("sample.max_new_tokens", sample.max_new_tokens > 0, "at least 1"),
        ("sample.batch_size", sample.batch_size > 0, "at least 1"),
        ("sample.workers", sample.workers >= 0, "0 or more"),
        ("sample.worker_cpus", sample.worker_cpus >= 0, "0 or more"),
        ("sample.worker_gpus", sample.worker_gpus >= 0, "0 or more"),
        ("endpoint.concurrency", endpoint.concurrency > 0, "at least 1"),
        ("endpoint.requests_per_minute", endpoint.requests_per_minute >= 0, "0 or more"),
        ("endpoint.timeout", endpoint.timeout > 0, "above 0 seconds"),
        ("endpoint.retries", endpoint.retries >= 0, "not negative"),
    )


def of_adapter(lora: LoraConfig, report_to: Sequence[str]) -> tuple[Rule, ...]:
    """Of `lora` and of whom a training reports to."""
    alone = "none" not in report_to or len(report_to) == 1
    return (
        ("lora.lora_r", lora.lora_r > 0, "at least 1"),
        ("lora.lora_alpha", lora.lora_alpha > 0, "at least 1 (with 0 an adapter learns nothing)"),
        ("lora.lora_dropout", 0 <= lora.lora_dropout < 1, "from 0 to below 1"),
        (
            "lora.load_in_4bit",
            lora.enabled or not lora.load_in_4bit,
            "false with lora.enabled: false (weights in 4 bits cannot be trained)",
        ),
        ("report_to", alone, "none, or trackers"),
    )


def of_stages(*, sft: SftConfig, rft: RftConfig, dpo: DpoConfig, kto: KtoConfig) -> Iterator[Rule]:
    """Of `sft`, `rft`, `dpo` and `kto`."""
    yield from _of_losses(dpo)
    each = f"one per loss_type ({', '.join(dpo.loss_type)})"
    yield "dpo.loss_weights", len(dpo.loss_weights) == len(dpo.loss_type), each
    yield "dpo.beta", 0 < dpo.beta < math.inf, "above 0, finite"
    yield "dpo.discopop_tau", 0 < dpo.discopop_tau < math.inf, "above 0, finite"
    yield "dpo.onset_tokens", dpo.onset_tokens >= 0, "0 or more"
    yield "rft.min_votes", rft.min_votes > 0, "at least 1"
    yield "kto.beta", 0 < kto.beta < math.inf, "above 0, finite"
    for side in ("desirable_weight", "undesirable_weight"):
        yield f"kto.{side}", 0 <= getattr(kto, side) < math.inf, "0 or more, finite"
    some = kto.desirable_weight > 0 or kto.undesirable_weight > 0
    yield "kto.desirable_weight", some, "above 0 where kto.undesirable_weight is 0"
    for name, most in (("dpo", dpo.max_chosen_drop), ("kto", kto.max_chosen_drop)):
        yield f"{name}.max_chosen_drop", most >= 0, "0 (never stops) or more"
    yield "kto.per_device_train_batch_size", kto.per_device_train_batch_size >= 4, "at least 4"
    for name, stage in (("sft", sft), ("rft", rft), ("dpo", dpo), ("kto", kto)):
        for key in _ABOVE_ZERO:
            value = getattr(stage, key)
            whole = isinstance(value, int)
            said = "at least 1" if whole else "above 0, finite"
            yield f"{name}.{key}", 0 < value < math.inf, said
        yield f"{name}.warmup_ratio", 0 <= stage.warmup_ratio <= 1, "from 0 to 1"
        size = stage.tokens_per_batch
        good = size == 0 or size >= stage.max_length
        yield f"{name}.tokens_per_batch", good, f"0, or at least {name}.max_length"


def _of_losses(dpo: DpoConfig) -> Iterator[Rule]:
    """What TRL's trainer would refuse when it is built, after all that comes before it."""
    losses = set(dpo.loss_type)
    plain = dpo.f_divergence_type == "reverse_kl"
    smoothed = "exo_pair" not in losses or dpo.label_smoothing > 0
    heeded = not 0 < dpo.label_smoothing < 1 or not losses.isdisjoint(_SMOOTHED)
    sure = "robust" not in losses or dpo.label_smoothing < 0.5
    barred = {"aot", "aot_unpaired", "hinge"}  # TRL: the last one's gradient cannot be worked out
    weighable = not dpo.use_weighting or losses.isdisjoint(barred)
    apart = dpo.ld_alpha is None or 0 <= dpo.ld_alpha <= 1
    usable = all(0 <= weight < math.inf for weight in dpo.loss_weights)
    yield "dpo.loss_type", bool(losses), "at least one"
    yield "dpo.loss_weights", usable, "0 or more, finite"
    yield "dpo.loss_weights", not losses or any(dpo.loss_weights), "one of them above 0"
    yield "dpo.f_divergence_type", plain or losses <= _OF_MARGIN, "reverse_kl with these losses"
    yield "dpo.use_weighting", weighable, "false with aot, aot_unpaired and hinge"
    yield "dpo.label_smoothing", smoothed, "above 0 with exo_pair"
    yield "dpo.label_smoothing", sure, "below 0.5 with robust"
    yield "dpo.label_smoothing", 0 <= dpo.label_smoothing < 1, "from 0 to below 1"
    yield "dpo.label_smoothing", heeded, "0 with these losses (robust is sigmoid with smoothing)"
    yield "dpo.ld_alpha", apart, "null, or from 0 to 1"


_SMOOTHED = frozenset(("robust", "exo_pair", "aot", "aot_unpaired"))
"""Losses that TRL 1.16 smooths; the others pass over the setting."""
_OF_MARGIN = frozenset(
    ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft")
)
"""Losses of the difference between the two sides, in which other divergences are defined (TRL)."""
_ABOVE_ZERO = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_length",
    "save_steps",
    "learning_rate",
    "num_train_epochs",
)
