"""What an adapter gives is added to the base's product before that is rounded.

PEFT adds the two when both are numbers of the training's format already. In bfloat16, with 8 bits
of mantissa, whatever is less than half a step of the base's value, 0.2 to 0.4 % of it, is lost
then, and a young adapter gives little more than that: see "Number format" in
`design/reading-once.md` for what it costs. A matrix product adds up in float32 and may begin its
sums at the adapter's share, so one rounding is enough and nothing has to be kept for it.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from peft.tuners.lora import Linear


def round_once(model: Any) -> Any:
    """Let the plain LoRA layers of a model, which is returned, round once.

    Those with a quantised or offloaded base, DoRA and other variants stay as PEFT has them, and so
    does every layer whose products are float32.
    """
    for layer in model.modules():
        if type(layer) is Linear and _is_plain(layer.base_layer):
            base = layer.base_layer
            base.forward = functools.partial(_product, base, base.forward)
            layer.forward = functools.partial(_adapted, layer, layer.forward)
    return model


def _is_plain(base: Any) -> bool:
    """Whether a base layer's weight is there, as numbers, when its forward pass begins."""
    return type(base) is torch.nn.Linear and not hasattr(base, "_hf_hook")


def _product(base: Any, plain: Any, x: Any, *, added: Any = None) -> Any:
    """`base(x) + added`, rounded once; the bias, if there is one, comes after.

    The layer's own call, so that what brings sharded or offloaded weights together sees it.
    """
    if added is None:
        return plain(x)
    rows = torch.addmm(added.flatten(0, -2), x.flatten(0, -2), base.weight.t())
    result = rows.view(added.shape)
    return result if base.bias is None else result + base.bias


def _adapted(layer: Any, plain: Any, x: Any, *given: Any, **named: Any) -> Any:
    if given or named or not _applies(layer, x):
        return plain(x, *given, **named)
    name = layer.active_adapters[0]
    fed = layer._cast_input_dtype(x, layer.lora_A[name].weight.dtype)
    fed = layer.lora_A[name](layer.lora_dropout[name](fed))
    added = layer.lora_B[name](fed * layer.scaling[name])
    return layer.base_layer(x, added=added.to(_format(layer, x)))


def _applies(layer: Any, x: Any) -> bool:
    """Whether one plain adapter is on, and products are rounded."""
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    return (
        not layer.disable_adapters
        and not layer.merged
        and len(names) == len(layer.active_adapters) == 1
        and names[0] not in layer.lora_variant
        and _format(layer, x).itemsize < 4
    )


def _format(layer: Any, x: Any) -> Any:
    """The number format of the base's product."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return layer.base_layer.weight.dtype
