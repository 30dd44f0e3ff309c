"""Trackers: who gets losses and metrics while a stage trains, and where they may write.

Importing this module imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from misstep.errors import ConfigError

_TENSORBOARD = "TENSORBOARD_LOGGING_DIR"
"""Where transformers lets TensorBoard write; without it, beside the checkpoints, which go."""


def trackers(names: Sequence[str]) -> list[str] | str:
    """`report_to` as transformers takes it; `none` is its word for nobody, as is an empty list.

    Raises:
        ConfigError: one of them is not installed.
    """
    wanted = [name for name in names if name != "none"]
    for name in wanted:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"report_to: {name} is not installed; pip install {name}")
    return wanted or "none"


@contextlib.contextmanager
def tracked(out: Path) -> Iterator[None]:
    """TensorBoard writes beside the folder that the stage leaves, into `tensorboard/NAME`.

    A folder that the environment names already is left as it is.
    """
    if _TENSORBOARD in os.environ:
        yield
        return
    os.environ[_TENSORBOARD] = str(out.parent / "tensorboard" / out.name)
    try:
        yield
    finally:
        del os.environ[_TENSORBOARD]
