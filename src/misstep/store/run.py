"""A run folder: which stages are finished in it, with what key, and what they noted.

In: a folder. Out: its state, one JSON file. The state of versions that named it `state.json` is
read as it is and gets today's name when it is written: that name is the mark of a folder saved by
`datasets`, which then refuses to load the pairs. A `state.json` that is not ours is never touched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from misstep.errors import InputError
from misstep.store.files import is_writer, remove, telling, write_json

STAGES = "stages.json"
"""The state, in a run folder."""
_BEFORE = "state.json"
"""What earlier versions named it. Where both are ours, such a version wrote this one later."""
_REPORTED = ("scores.json", "timing.json", "report.md", "report.html")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder and what is finished in it (`stages.json`)."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def facts(self, stage: str, key: str) -> dict[str, Any] | None:
        """What the stage noted when it finished with this key and its outputs still stand."""
        entry = self.entry(stage)
        if entry is None or entry["key"] != key:
            return None
        if not all((self.path / name).exists() for name in entry["outputs"]):
            return None
        facts: dict[str, Any] = entry["facts"]
        return facts

    def finish(
        self,
        stage: str,
        key: str,
        *,
        outputs: Sequence[str],
        facts: Mapping[str, Any],
        seconds: float | None = None,
    ) -> None:
        """Note that a stage is finished, and how long the call took that finished it."""
        state = self.stages()
        spent = {} if seconds is None else {"seconds": round(seconds, 3)}
        state[stage] = {"key": key, "outputs": list(outputs), "facts": dict(facts), **spent}
        self._write(state)

    def forget(self, stages: Sequence[str]) -> None:
        """Drop the entries and the outputs of stages, and what was reported from them."""
        if not is_writer():
            return
        state = self.stages()
        dropped = [state.pop(stage) for stage in stages if stage in state]
        for name in _REPORTED:
            (self.path / name).unlink(missing_ok=True)
        if dropped:
            self._write(state)
        for entry in dropped:
            for name in entry["outputs"]:
                remove(self.path / name)

    def entry(self, stage: str) -> dict[str, Any] | None:
        """Key, outputs and facts of a finished stage; None where it never finished."""
        found: dict[str, Any] | None = self.stages().get(stage)
        return found

    def noted(self, stage: str) -> dict[str, Any]:
        """The facts of a finished stage whatever its key; empty where it never finished."""
        entry = self.entry(stage)
        return dict(entry["facts"]) if entry else {}

    def foreign(self) -> str | None:
        """A file of a folder that no run began; None in an empty folder or a run's.

        Hidden files do not count: no run writes over them.
        """
        with telling(self.path):
            names = sorted(each.name for each in self.path.iterdir()) if self.path.is_dir() else []
        others = [name for name in names if not name.startswith(".")]
        if not others or self.begun:
            return None
        return next((name for name in (STAGES, _BEFORE) if name in others), others[0])

    @property
    def begun(self) -> bool:
        """Whether a run began here."""
        return self._read() is not None

    def stages(self) -> dict[str, Any]:
        """Key, outputs and facts of every finished stage, by its name.

        Raises:
            InputError: the state is not JSON.
        """
        return self._read() or {}

    def open(self) -> None:
        """Begin the state where there is none."""
        self.adopt()
        if not (self.path / STAGES).exists():
            write_json(self.path / STAGES, {})

    def adopt(self) -> None:
        """Give the state of an earlier version today's name."""
        if is_writer() and _state_in(self.path / _BEFORE) is not None:
            with telling(self.path):
                os.replace(self.path / _BEFORE, self.path / STAGES)

    def _write(self, state: Mapping[str, Any]) -> None:
        self.adopt()
        write_json(self.path / STAGES, state)

    def _read(self) -> dict[str, Any] | None:
        earlier = _state_in(self.path / _BEFORE)
        return _state_in(self.path / STAGES) if earlier is None else earlier


def _state_in(path: Path) -> dict[str, Any] | None:
    """The state that a file holds; None where there is no file, or it holds something else."""
    try:
        state = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and run the stage again") from None
    entries = state.values() if isinstance(state, dict) else [None]
    return state if all(isinstance(each, dict) and "key" in each for each in entries) else None
