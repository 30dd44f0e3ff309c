"""A group that is too large to hold, parted by how its conversations go on.

In: a group, for example of ten thousand conversations that all begin with "hi". Out: smaller groups
by one more message each, or the group as it was where its formats cannot tell. What is parted loses
one thing: that its sessions branch off from one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from misstep.config import IngestConfig
from misstep.ingest.decode import Fault
from misstep.ingest.discover import Found
from misstep.ingest.item import Item
from misstep.ingest.lines import Line
from misstep.ingest.recognise import Known, Plan, limits, route
from misstep.ingest.records import item_of
from misstep.ingest.source import Source
from misstep.ingest.stretches import Span, read_spans
from misstep.ingest.survey import Growing, Surveyed, key_of, numbers, plain_name, strand_of
from misstep.ingest.units import Share, units

LEVELS = 3
"""How many messages behind the first are looked at, one after the other."""


class _Unclear(Exception):
    """A format cannot tell how a record goes on."""


class Parting:
    """Parts groups of one run."""

    def __init__(
        self, found: Sequence[Found], *, known: Known, config: IngestConfig, folder: Path
    ) -> None:
        self._found = found
        self._known = known
        self._config = config
        self._folder = folder

    def parted(self, group: Sequence[Share], level: int) -> list[list[Share]]:
        """The group in parts whose conversations share `level` messages behind the first."""
        try:
            surveyed = [self._look(share, level) for share in group]
        except _Unclear:
            return [list(group)]
        return [unit.groups[0] for unit in units(surveyed, size=0)]

    def _look(self, share: Share, level: int) -> Surveyed:
        formats = {one.name: one for one in self._known.formats}
        plan = Plan(kind="json", format=formats.get(share.format or ""))
        if not share.spans or plan.format is None or plan.format.deeper is None:
            raise _Unclear
        out = Surveyed(file=share.file, format=share.format, plain=share.plain, cut=True)
        strands: list[Growing] = []
        owner: dict[int, int] = {}
        at = -1
        for line, item in self._items(share):
            own = [key_of(key) for key in self._keys(item, plan, share, level)]
            if own or at < 0:
                at = strand_of(own, strands, owner)
            strands[at].add(line.offset, line.size + 1, line.number)
        out.strands = [strand.packed() for strand in strands]
        return out

    def _items(self, share: Share) -> Iterator[tuple[Line, Item]]:
        bounds, flat = limits(self._config), numbers(share.spans)
        spans = (Span(*flat[i : i + 3]) for i in range(0, len(flat), 3))
        source = self._found[share.file].source
        if share.plain:
            source = Source(self._folder / plain_name(share.file))
        for line in read_spans(source, spans, bounds):
            if isinstance(line, Line):
                yield line, item_of(line, bounds)

    def _keys(self, item: Item, plan: Plan, share: Share, level: int) -> list[str]:
        if isinstance(item.value, Fault):
            return []
        found: list[str] = []
        for entry in route(item, plan, self._known, self._found[share.file].label):
            deeper: Any = entry.format.deeper if entry.format is not None else None
            keys = None if deeper is None else deeper(entry.item.value, level)
            if keys is None:
                raise _Unclear
            found += keys
        return found
