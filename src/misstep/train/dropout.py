"""Dropout of the base is off while it is trained, whatever form it has.

A reference is measured without dropout, and what rows have in common is read once or again for each
of them: with dropout the policy would differ from its reference before the first step, and the two
ways to read would not agree. TRL switches off modules of `torch.nn.Dropout`; most architectures
keep a number (`attention_dropout`, `activation_dropout`, `layerdrop`) beside their weights or in
the configuration and hand it to a function. The dropout of an adapter is another matter and stays.
Importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.nn.modules.dropout import _DropoutNd

_ADAPTER = "lora_dropout"


def without_dropout(model: Any) -> Callable[[], None]:
    """Switch it off in every module; what is given puts the configuration back as it was."""
    configs: dict[int, Any] = {}
    for name, module in model.named_modules():
        if _ADAPTER in name.split("."):
            continue
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for key, _ in _shares(module):
            setattr(module, key, 0.0)
        config = getattr(module, "config", None)
        if hasattr(config, "to_dict"):
            configs[id(config)] = config
    # Falcon asks its configuration at every pass; all modules share one, which is saved with them
    before = [(config, *share) for config in configs.values() for share in _shares(config)]
    for config, key, _ in before:
        setattr(config, key, 0.0)

    def restore() -> None:
        for config, key, value in before:
            setattr(config, key, value)

    return restore


def _shares(holder: Any) -> Iterator[tuple[str, float]]:
    """Its numbers that say how much is dropped, by name."""
    for key, value in list(vars(holder).items()):
        if "drop" in key and isinstance(value, float) and value > 0:
            yield key, value
