"""What misstep raises. Bad data is a value (`SetAside`, `Finding`, `Refused`); only these raise.

    MisstepError
    ├── SetupError          the user's set-up is wrong: exit code 2
    │   ├── UnknownName     a name that is not in its table
    │   ├── ConfigError     a config file or option
    │   ├── InputError      a path to logs, tools, schemas, references
    │   └── ModelError      a model or adapter that cannot be used
    ├── StageError          a stage failed: exit code 1
    │   └── LeakError       an evaluation prompt was trained on
    └── ExtraMissing        an optional dependency is not installed: exit code 2

They are caught in one place, `cli/`. A message says where, what, what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MisstepError(Exception):
    """Anything that misstep raises on purpose."""

    exit_code = 1


class SetupError(MisstepError):
    """The user's set-up is wrong; nothing was done."""

    exit_code = 2


class UnknownName(SetupError):
    """A name that its table does not hold; the message offers the nearest ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {what} {name!r}; {near(name, sorted(known))}")


def near(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as a question; all of them where none is near."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(found)}?" if found else f"known: {', '.join(names)}"


class InUse(SetupError):
    """Another process of misstep has the folder for now."""


class ConfigError(SetupError):
    """A config file or an option that cannot be used."""


class InputError(SetupError):
    """A path that the user gave does not hold what it should."""


class ModelError(SetupError):
    """A model or an adapter that cannot be loaded or does not fit."""


class ExtraMissing(SetupError):
    """An optional dependency is missing; the message holds the install command."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"this command needs {module}, which is not installed; "
            f"install it with: pip install 'misstep[{extra}]'"
        )


class StageError(MisstepError):
    """A stage could not finish; what was finished before stays and is resumed."""


class LeakError(StageError):
    """A prompt that was trained on was about to be used as held-out."""
