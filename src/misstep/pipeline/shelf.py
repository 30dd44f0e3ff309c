"""Sessions and findings on disk, read back one at a time: a corpus that does not fill the memory.

In: sessions in their order with their findings, as JSON. Out: mappings that look like dicts of
values. Everything lies compressed in one nameless file that ends with the process; what was used
last stays in memory, up to `ROOM` bytes of JSON.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from misstep import store
from misstep.types import Finding, Session

ROOM = 24_000_000
"""Bytes of JSON whose values stay in memory; as Python values they are about four times that."""
_SESSION = msgspec.json.Decoder(Session)
_FINDINGS = msgspec.json.Decoder(tuple[Finding, ...])


class Shelf:
    """Pieces of JSON by number."""

    def __init__(self, folder: Path) -> None:
        with store.telling(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as self
        self._folder = folder
        self._ends = array("Q", [0])
        self._pack = zstandard.ZstdCompressor(level=1)
        self._unpack = zstandard.ZstdDecompressor()

    def put(self, data: bytes) -> int:
        """Keep a piece; gives its number.

        Raises:
            StageError: the disk is full.
        """
        packed = self._pack.compress(data)
        with store.telling(self._folder):
            self._file.write(packed)
        self._ends.append(self._ends[-1] + len(packed))
        return len(self._ends) - 2

    def get(self, number: int) -> bytes:
        """A piece that was kept; only after `done`."""
        return self._unpack.decompress(self.packed(number))

    def packed(self, number: int) -> bytes:
        """A piece as it lies there; only after `done`."""
        start, end = self._ends[number : number + 2]
        return os.pread(self._file.fileno(), end - start, start)

    def done(self) -> None:
        """Everything is put."""
        with store.telling(self._folder):
            self._file.flush()

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()


class Held:
    """Pieces of JSON by number, packed, in memory."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._unpack = zstandard.ZstdDecompressor()

    def put(self, data: bytes) -> int:
        """Keep a piece that is packed already; gives its number."""
        self._packed.append(data)
        return len(self._packed) - 1

    def get(self, number: int) -> bytes:
        """A piece that was kept."""
        return self._unpack.decompress(self._packed[number])

    def packed(self, number: int) -> bytes:
        """The same, still packed."""
        return self._packed[number]


class Recent:
    """Values that were used last, by number."""

    def __init__(self, shelf: Shelf | Held, decoder: msgspec.json.Decoder[Any], room: int) -> None:
        self._shelf = shelf
        self._decoder = decoder
        self._free = room
        self._values: OrderedDict[int, tuple[Any, int]] = OrderedDict()

    def get(self, number: int) -> Any:
        """The value of a piece."""
        known = self._values.get(number)
        if known is not None:
            self._values.move_to_end(number)
            return known[0]
        data = self._shelf.get(number)
        value = self._decoder.decode(data)
        self._values[number] = value, len(data)
        self._free -= len(data)
        while self._free < 0 and len(self._values) > 1:
            _, (_, size) = self._values.popitem(last=False)
            self._free += size
        return value


class Sessions(Mapping[str, Session]):
    """Sessions by id, in the order in which they were put."""

    def __init__(self, shelf: Shelf | Held, room: int = ROOM) -> None:
        self._shelf = shelf
        self._numbers: dict[str, int] = {}
        self._recent = Recent(shelf, _SESSION, room)

    def put(self, name: str, data: bytes) -> None:
        """Keep the JSON of a session."""
        self._numbers[name] = self._shelf.put(data)

    def packed(self, name: str) -> bytes:
        """The JSON of a session, as it lies on a shelf."""
        return self._shelf.packed(self._numbers[name])

    def __getitem__(self, name: str) -> Session:
        session: Session = self._recent.get(self._numbers[name])
        return session

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers


class Findings(Mapping[tuple[str, int], tuple[Finding, ...]]):
    """Findings by session id and step; only steps about which something was found."""

    def __init__(self, shelf: Shelf | Held, room: int = ROOM // 4) -> None:
        self._shelf = shelf
        self._numbers: dict[str, int] = {}
        self._recent = Recent(shelf, _FINDINGS, room)

    def put(self, name: str, data: bytes) -> None:
        """Keep the JSON list of all findings of a session, which is not empty."""
        self._numbers[name] = self._shelf.put(data)

    def packed(self, name: str) -> bytes | None:
        """The JSON of all findings of a session, as it lies on a shelf; None without any."""
        number = self._numbers.get(name)
        return None if number is None else self._shelf.packed(number)

    def __getitem__(self, at: tuple[str, int]) -> tuple[Finding, ...]:
        found = tuple(f for f in self._of(at[0]) if f.step == at[1])
        if not found:
            raise KeyError(at)
        return found

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for name in self._numbers:
            yield from dict.fromkeys((name, f.step) for f in self._of(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, name: str) -> tuple[Finding, ...]:
        number = self._numbers.get(name)
        found: tuple[Finding, ...] = () if number is None else self._recent.get(number)
        return found
