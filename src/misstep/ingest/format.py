"""What a log format must provide, and the books in which its reader accounts for every record.

A `Format` is a name, a sentence for the user, the unit that it counts in, a `sniff` over the first
records of a file, and a `reader`. One reader reads all files of its format in one run, so that it
can join what stands in several files. For each record that it is given, a reader tells the `Tally`
exactly once what became of it: used, ignored by kind, or set aside with a reason. It may do so at
once, at the end of the file (`close_file`) or at the end of the run (`finish`). It never raises on
the content of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from misstep.types import Origin, Session, SetAside


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decoded record of a log file."""

    value: Any
    """What JSON decoding gave: an object, but also a bare string, number or list."""
    origin: Origin

    def at(self, pointer: str, row: str | None = None) -> Origin:
        """The origin of something inside this record."""
        here = self.origin
        return Origin(
            file=here.file,
            format=here.format,
            line=here.line,
            offset=here.offset,
            member=here.member,
            row=row,
            pointer=pointer or None,
        )


@dataclass(slots=True)
class Tally:
    """The books of one format: records = used + ignored + set aside."""

    used: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    set_aside: list[SetAside] = field(default_factory=list)

    def use(self, count: int = 1) -> None:
        """Records that went into sessions."""
        self.used += count

    def ignore(self, kind: str, count: int = 1) -> None:
        """Records of the format's own bookkeeping."""
        self.ignored[kind] += count

    def aside(self, origin: Origin, reason: str, said: str) -> None:
        """One record that cannot be used, with a reason code and one sentence."""
        self.set_aside.append(SetAside(origin=origin, reason=reason, said=said))


class Reader(Protocol):
    """Reads all files of one format in one run."""

    def read(self, record: Record) -> None:
        """Take one record."""

    def close_file(self) -> None:
        """The file ends here."""

    def finish(self) -> Sequence[Session]:
        """The run ends here: the sessions, in the order of their first record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One log format."""

    name: str
    about: str
    """One sentence for `misstep formats`: what it is and what it cannot tell."""
    unit: str
    """What one record is: `line` or `row`."""
    sniff: Callable[[Sequence[Any]], float]
    """How sure the format is, in [0, 1], that these first records of a file are its own."""
    reader: Callable[[Tally], Reader]
    keeps_tools: bool
    """True where a request without tools in the log offered none; False where the log is silent."""


def share(values: Sequence[Any], weigh: Callable[[dict[str, Any]], float]) -> float:
    """The mean of `weigh` over the values; a value that is no object weighs nothing."""
    if not values:
        return 0.0
    return sum(weigh(value) for value in values if isinstance(value, dict)) / len(values)


class Misfit(Exception):
    """A record that fits no message shape; caught by the reader that raised it, never passed on."""

    def __init__(self, pointer: str, said: str, reason: str = "bad-message") -> None:
        super().__init__(said)
        self.pointer = pointer
        self.said = said
        self.reason = reason
