"""What a stage has finished of its pieces, kept beside its output until the stage is done.

In: pieces under content keys. Out: the same after a kill, whatever asked for them, and in whatever
order. One line each is added to a hidden file; a line that was cut short is as if it had not been.
The file goes when the stage is done, and with `misstep forget`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from misstep import store


class Halfway:
    """The pieces in one file; use `halfway`, which opens it."""

    def __init__(self, path: Path, file: BinaryIO, found: dict[str, bytes]) -> None:
        self._path, self._file = path, file
        self.found = found
        """What was finished before, by key."""

    def add(self, key: str, value: bytes) -> None:
        """Keep a piece: JSON of one line.

        Raises:
            StageError: the disk is full.
        """
        if store.is_writer():
            with store.telling(self._path):
                self._file.write(b"%s %s\n" % (key.encode(), value))
                self._file.flush()


def path_of(output: Path) -> Path:
    """Where the pieces stand that an output is made of."""
    return output.with_name(f".{output.name}.halfway.part")


@contextmanager
def halfway(output: Path) -> Iterator[Halfway]:
    """The pieces of an output; they stay until `finished` is told that it is whole.

    Raises:
        StageError: the folder cannot be written.
    """
    path = path_of(output)
    with store.telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    with file:
        found, size = _read(file)
        if store.is_writer():
            file.truncate(size)
        yield Halfway(path, file, found)


def finished(output: Path) -> None:
    """The output is whole: its pieces go."""
    if store.is_writer():
        path_of(output).unlink(missing_ok=True)


def _read(file: BinaryIO) -> tuple[dict[str, bytes], int]:
    """The whole lines of a file, and where they end."""
    found: dict[str, bytes] = {}
    file.seek(0)
    size = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        key, _, value = line.rstrip(b"\n").partition(b" ")
        found[key.decode("ascii", "replace")] = value
        size += len(line)
    return found, size
