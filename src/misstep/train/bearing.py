"""Which layers bear an adapter: the ones that cannot are refused before anything is trained.

The output head is read as a plain matrix (`logps`, TRL's fused head), so an adapter on it would
never be asked. Tied to the input embeddings it is the same matrix: an adapter on these would be
trained on the way in and merged into the way out as well.
Importing this module imports PEFT.
"""

from __future__ import annotations

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer

from misstep.errors import ConfigError


def check_layers(model: Any, *, where: str) -> None:
    """Whether head and embeddings of a `PeftModel` are such as can be trained and merged.

    Args:
        where: the setting, or the adapter, that the layers come from.

    Raises:
        ConfigError: the head, or embeddings tied to it, carry an adapter.
    """
    base = model.get_base_model()
    head, words = base.get_output_embeddings(), base.get_input_embeddings()
    tied = head is not None and _weight(head) is _weight(words)
    if isinstance(head, BaseTunerLayer):
        what = f"the output head ({_name(base, head)}), which is read as a plain matrix"
    elif tied and isinstance(words, BaseTunerLayer):
        what = (
            f"the input embeddings ({_name(base, words)}), whose weights are the output head's too "
            "(tied), so that what is merged would not be what was trained"
        )
    else:
        return
    raise ConfigError(
        f"{where}: has an adapter on {what}; expected layers between the two: all-linear, or a "
        "regular expression that leaves these out, such as .*\\.(q|k|v)_proj"
    )


def _weight(layer: Any) -> Any:
    """The layer's own matrix, under whatever adapter."""
    own = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
    return getattr(own, "weight", None)


def _name(base: Any, layer: Any) -> str:
    return next(name for name, each in base.named_modules() if each is layer)
