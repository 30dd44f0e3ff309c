"""What our trainers take from TRL's by overriding it, and with which versions that was tried.

Most of it is private, so a release of TRL may rename it. A method of ours that nothing calls any
more would be silent: trained would be in another way, or something would be sent. So it is checked
when a trainer is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from misstep.errors import ConfigError

TESTED = ("1.16.0",)
"""Versions of TRL with which the tests were run."""


def check(trainer: type, names: Sequence[str]) -> None:
    """Whether the TRL trainer that `trainer` goes back to still has these methods.

    Raises:
        ConfigError: it lacks one of them.
    """
    theirs = next(kind for kind in trainer.__mro__ if kind.__module__.startswith("trl."))
    missing = [name for name in names if not hasattr(theirs, name)]
    if missing:
        raise ConfigError(
            f"trl {version('trl')}: its {theirs.__name__} has no {' or '.join(missing)}, which "
            f"misstep builds on; tested with trl {', '.join(TESTED)}: "
            f"pip install 'trl=={TESTED[-1]}'"
        )
