"""Many files of a folder changed as one: all of them, or none.

In: new files, written below `Swap.new`, and names that go. Out: the folder with both done. The plan
is on the disk before the first file moves; a swap that was killed is finished by the next one, and
one that was killed before its plan stood left nothing but its own folder, which goes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from misstep import store

_FOLDER = ".forget"
_PLAN = "plan.json"


class Swap:
    """What will be put in place and what will go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.new = folder / _FOLDER / "new"
        self.gone: set[str] = set()
        """Paths below the folder."""

    def remove(self, names: Iterable[str]) -> None:
        """These go, if they are there."""
        self.gone.update(names)


@contextmanager
def swapping(folder: Path) -> Iterator[Swap]:
    """A swap that is carried out when the block ends without an error."""
    finish(folder)
    swap = Swap(folder)
    swap.new.mkdir(parents=True)
    try:
        yield swap
        put = sorted(str(p.relative_to(swap.new)) for p in swap.new.rglob("*") if p.is_file())
        plan = {"put": put, "remove": sorted(swap.gone - set(put))}
        store.write_json(folder / _FOLDER / _PLAN, plan)
    except BaseException:
        shutil.rmtree(folder / _FOLDER, ignore_errors=True)
        raise
    finish(folder)


def finish(folder: Path) -> None:
    """Carry out a plan that an earlier swap left; without a plan, clear away what it wrote."""
    home = folder / _FOLDER
    if (home / _PLAN).exists():
        plan = store.read_json(home / _PLAN)
        for name in plan["put"]:
            if (home / "new" / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(home / "new" / name, folder / name)
        for name in plan["remove"]:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True) if not path.is_dir() else None
    shutil.rmtree(home, ignore_errors=True)
