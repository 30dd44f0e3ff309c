"""Log formats from other packages, through the entry-point group `misstep.formats`.

In: installed packages. Out: `Format` values whose functions are guarded: what a plug-in's sniff or
reader throws never ends a scan, and records that its reader does not account for are counted. This
is one of the two places where any exception is caught.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from msgspec.structs import replace

from misstep.errors import SetupError
from misstep.ingest.format import Format, Peek, Reader, Record, Tally
from misstep.types import Session

GROUP = "misstep.formats"


@cache
def plugged_formats() -> tuple[Format, ...]:
    """The formats of installed plug-ins, by name.

    Raises:
        SetupError: a plug-in cannot be loaded or is no `Format`.
    """
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(guarded(_load(point)) for point in found)


def _load(point: EntryPoint) -> Format:
    where = f"plug-in {point.name!r} ({point.value})"
    try:
        loaded = point.load()
    except Exception as error:  # noqa: BLE001  a user's own code
        raise SetupError(f"{where}: cannot be loaded: {error!r}; mend or uninstall it") from None
    if not isinstance(loaded, Format):
        kind = type(loaded).__name__
        raise SetupError(f"{where}: expected a misstep.ingest.Format, got {kind}")
    return loaded


def guarded(known: Format) -> Format:
    """The format with guards around its functions."""

    def sniff(peek: Peek) -> float:
        try:
            return float(known.sniff(peek))
        except Exception:  # noqa: BLE001  a user's own code
            return 0.0

    def reader(tally: Tally) -> Reader:
        return _Guard(known.reader, tally)

    return replace(known, sniff=sniff, reader=reader)


class _Guard:
    """A plug-in's reader whose errors are set aside and whose books always balance."""

    def __init__(self, build: Callable[[Tally], Reader], tally: Tally) -> None:
        self._tally = tally
        self._reader: Reader | None = None
        self._last: Record | None = None
        self._given = 0
        try:
            self._reader = build(tally)
        except Exception as error:  # noqa: BLE001  a user's own code
            self._said = f"the plug-in's reader cannot be made: {error!r}"

    def read(self, record: Record) -> None:
        """Hand one record on."""
        self._given += 1
        self._last = record
        if self._reader is None:
            self._tally.aside(record.origin, "plug-in-error", self._said)
            return
        before = self._told()
        try:
            self._reader.read(record)
        except Exception as error:  # noqa: BLE001  a user's own code
            if self._told() == before:
                said = f"the plug-in's reader failed on this record: {error!r}"
                self._tally.aside(record.origin, "plug-in-error", said)

    def _told(self) -> int:
        """Units accounted for so far, less those beyond one a record."""
        tally = self._tally
        return tally.used + tally.ignored.total() + len(tally.set_aside) - tally.unfolded

    def close_file(self) -> None:
        """Hand the end of a file on."""
        if self._reader is not None:
            with suppress(Exception):  # a user's own code; what it lost is counted at the end
                self._reader.close_file()

    def finish(self) -> Sequence[Session]:
        """The plug-in's sessions; none if it fails now."""
        sessions: Sequence[Session] = ()
        if self._reader is not None:
            try:
                sessions = tuple(self._reader.finish())
            except Exception:  # noqa: BLE001  a user's own code
                self._tally.ignore("plug-in-error", self._tally.used)
                self._tally.used = 0
        lost = self._given - self._told()
        if lost > 0:
            self._tally.ignore("unaccounted", lost)
        return sessions
