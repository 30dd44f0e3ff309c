"""misstep trains an agent on its own missteps.

`misstep.scan`, `mine`, `train`, `evaluate`, `run`, `compare` are the Python API (`calls.py`). Three
of these names are rooms of the package too, `misstep.mine` for one: such a room can be called.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from misstep.calls import compare, run, scan

__all__ = ["compare", "evaluate", "mine", "run", "scan", "train"]
__version__ = "0.1.0"

_CALLS = ("compare", "run", "scan")
_ROOMS = ("evaluate", "mine", "train")


class _Room(ModuleType):
    """A room that is called like the function of its name."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        call = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("misstep.calls"), call)(*args, **named)


class _Package(ModuleType):
    """The package; what it holds is imported when it is first asked for."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ROOMS and type(value) is ModuleType:
            value.__class__ = _Room
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _ROOMS:
            return importlib.import_module(f"misstep.{name}")
        if name in _CALLS:
            return getattr(importlib.import_module("misstep.calls"), name)
        raise AttributeError(f"module 'misstep' has no attribute {name!r}")


sys.modules[__name__].__class__ = _Package
