"""What an adapter gives is added to the base's product before that is rounded.

PEFT adds the two when both are numbers of the training's format already. In bfloat16, with 8 bits
of mantissa, whatever is less than half a step of the base's value, 0.2 to 0.4 % of it, is lost
then, the same way at every pass, and a young adapter gives little more than that; what it costs
stands in `design/reading-once.md`. A matrix product adds up in float32 (on CUDA parts of a long sum
may be rounded) and can begin at the adapter's share, so nothing has to be kept for it. A bias comes
after, as a second rounding, which loses nothing in the mean: the sum before it is on no grid.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import torch
from peft.tuners.lora import Linear


def round_once(model: Any) -> Any:
    """Let the plain LoRA layers of a model, which is returned, add before they round.

    PEFT's way stays for bases that are no `torch.nn.Linear` (quantised, fused experts, subclasses)
    or whose forward pass somebody else has replaced (offloading), for DoRA and other variants, for
    float32, and where DeepSpeed parts the weights (stage 3): there they are whole only inside the
    layers that own them.
    """
    if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3":
        return model
    for layer in model.modules():
        if type(layer) is Linear and _is_plain(layer.base_layer):
            _wrap(layer.base_layer, _product)
            _wrap(layer, _adapted)
    return model


def _is_plain(base: Any) -> bool:
    return type(base) is torch.nn.Linear and not _is_replaced(base, _product)


def _is_replaced(module: Any, ours: Any) -> bool:
    """Whether a module's forward pass is that of another."""
    own = vars(module).get("forward")
    return own is not None and not _is_by(own, ours)


def _is_by(forward: Any, ours: Any) -> bool:
    return isinstance(forward, functools.partial) and forward.func is ours


def _wrap(module: Any, ours: Any) -> None:
    if not _is_by(vars(module).get("forward"), ours):
        module.forward = functools.partial(ours, module, module.forward)


def _product(base: Any, plain: Any, input: Any, *, added: Any = None) -> Any:
    """`base(input) + added`.

    The layer's own call, so that what brings sharded weights together sees it.
    """
    if added is None:
        return plain(input)
    rows = torch.addmm(added.flatten(0, -2), input.flatten(0, -2), base.weight.t())
    result = rows.view(added.shape)
    return result if base.bias is None else result + base.bias.to(result.dtype)


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
        and layer.lora_B[names[0]].bias is None
        and x.dim() > 1
        and _format(layer, x).itemsize < 4
    )


def _format(layer: Any, x: Any) -> Any:
    """The number format of the base's product."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return layer.base_layer.weight.dtype
