"""Plain text: a record is one line; blank ones too, since they part what they stand between."""

from __future__ import annotations

from collections.abc import Iterator

from misstep.ingest.decode import Fault
from misstep.ingest.item import Item
from misstep.ingest.lines import Broken, Limits, Progress, read_lines
from misstep.ingest.source import Source


def items(source: Source, limits: Limits, progress: Progress | None = None) -> Iterator[Item]:
    """The lines of a file without their ends."""
    for line in read_lines(source, limits, progress):
        if isinstance(line, Broken):
            yield Item(line.number, line.offset, Fault(line.reason, line.said))
        elif line.data is None:
            said = f"a line of {line.size} bytes; the limit is {limits.max_bytes} bytes"
            yield Item(line.number, line.offset, Fault("too-long", said))
        else:
            yield Item(line.number, line.offset, _text(line.data))


def _text(data: bytes) -> str | Fault:
    try:
        return data.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault("encoding", f"invalid UTF-8 at byte {error.start} of the line")
