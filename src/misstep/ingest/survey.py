"""The first look at a file: its format, and which of its records belong together.

In: a file, or a stretch of a large one. Out: a `Surveyed`: strands of lines that belong together by
`Format.joins`, each with its keys, or one strand for the whole file. Keys are 64-bit hashes, places
are numbers in arrays, so that a strand costs little. Nothing is kept of the records themselves.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from misstep.config import IngestConfig
from misstep.ingest.containers import records
from misstep.ingest.decode import Fault, decode
from misstep.ingest.discover import Found
from misstep.ingest.echo import Skimmer
from misstep.ingest.format import Format, alone
from misstep.ingest.item import Item
from misstep.ingest.lines import BOM, GZIP, ZSTD, Limits, fault_of, unpack
from misstep.ingest.recognise import Known, Plan, limits, recognise, route
from misstep.ingest.records import is_lines
from misstep.ingest.source import DAMAGED, Source
from misstep.ingest.stretches import Span, read_stretch

PACKED = 1 << 20
"""Bytes of a compressed file from which on it is unpacked to be read in stretches."""
BLOCK = 1 << 20
"""Bytes after which a strand of records that have nothing to do with each other is cut."""


class Strand(msgspec.Struct):
    """Records of one file that belong together."""

    keys: bytes = b""
    """64-bit keys, shared with the strands that belong to it; see `numbers`."""
    spans: bytes = b""
    """Start, end and line, three numbers a span; none for a whole file."""
    size: int = 0


class Surveyed(msgspec.Struct):
    """What a look at a file, or at a stretch of it, showed."""

    file: int
    """Number of the file."""
    start: int = 0
    """Where the stretch starts."""
    kind: str = "json"
    format: str | None = None
    wrapper: str | None = None
    fault: tuple[str, str] | None = None
    """Why the file cannot be read, and the sentence; there are no strands then."""
    plain: bool = False
    """Whether the lines are those of the unpacked copy of a compressed file."""
    cut: bool = False
    """Whether the strands are of lines; else there is one, the whole file."""
    strands: list[Strand] = []
    lines: int = 0
    """Lines in the stretch."""
    opening: int = 0
    """Bytes at its start that belong with what stands before them."""
    last: int = 0
    """The strand of its last line."""


def numbers(data: bytes) -> array[int]:
    """64-bit numbers as they were packed."""
    unpacked = array("Q")
    unpacked.frombytes(data)
    return unpacked


class Growing(msgspec.Struct):
    """A strand that is being found."""

    keys: set[int] = msgspec.field(default_factory=set)
    spans: array[int] = msgspec.field(default_factory=lambda: array("Q"))
    size: int = 0

    def add(self, offset: int, size: int, line: int) -> None:
        """Take in one more line, its line feed included."""
        self.size += size
        spans = self.spans
        if spans and spans[-2] == offset:
            spans[-2] = offset + size
        else:
            spans.extend((offset, offset + size, line))

    def packed(self) -> Strand:
        """The strand as it travels."""
        keys = array("Q", sorted(self.keys))
        return Strand(keys=keys.tobytes(), spans=self.spans.tobytes(), size=self.size)


def key_of(text: str) -> int:
    """A key as a number; two that fall together only put more into one group."""
    data = text.encode("utf-8", "surrogatepass")
    return zlib.crc32(data) << 32 | zlib.adler32(data)


def plain_name(number: int) -> str:
    """What the unpacked copy of a file is called."""
    return f"plain-{number:06}"


class Looking:
    """What is known while files are looked through, stretch by stretch."""

    def __init__(self, known: Known, config: IngestConfig) -> None:
        self.known = known
        self.config = config
        self._last: tuple[int, Plan | Fault] | None = None

    def plan(self, found: Found, number: int) -> Plan | Fault:
        """What a file is; asked once for all stretches of a file that follow each other."""
        if self._last is None or self._last[0] != number:
            self._last = number, recognise(found, self.known, self.config)
        return self._last[1]


def survey(
    found: Found,
    number: int,
    look: Looking,
    *,
    span: Span | None = None,
    folder: Path | None = None,
) -> Surveyed:
    """Look through a file, or a stretch of its lines.

    Args:
        folder: where large compressed files are unpacked to; None leaves them as they are.
    """
    known, config = look.known, look.config
    start = 0 if span is None else span.start
    try:
        plan = look.plan(found, number)
        if isinstance(plan, Fault):
            return Surveyed(file=number, start=start, fault=(plan.reason, plan.said))
        out = Surveyed(
            file=number,
            start=start,
            kind=plan.kind,
            format=plan.format.name if plan.format else None,
            wrapper=plan.wrapper.name if plan.wrapper else None,
        )
        keys = _Keys(plan, known, found.label, config)
        if _cuttable(found, plan, limits(config)):
            _cut(found.source, out, keys, span or Span(0, None, 1), most=found.size)
        elif folder is not None and _unpackable(found, plan, span):
            _unpacked(found, out, keys, folder / plain_name(number))
            if not out.cut:
                out.strands = [_whole(found, plan, known, config)]
        elif start == 0:
            out.strands = [_whole(found, plan, known, config)]
        return out
    except (OSError, *DAMAGED) as error:
        why = fault_of(error)
        return Surveyed(file=number, start=start, fault=(why.reason, why.said))


def _cuttable(found: Found, plan: Plan, bounds: Limits) -> bool:
    """Whether the file is plain lines whose format says what belongs together."""
    joins = plan.format.joins if plan.format is not None else None
    if plan.kind != "json" or joins is None or found.member is not None:
        return False
    fits = found.size <= bounds.max_file
    return fits and not _is_packed(found.source) and is_lines(found.source, bounds)


def _is_packed(source: Source) -> bool:
    with source.file() as raw:
        return raw.read(4).startswith((GZIP, ZSTD))


def _unpackable(found: Found, plan: Plan, span: Span | None) -> bool:
    """Whether a compressed file is so large that it is better read in stretches."""
    joined = plan.kind == "json" and plan.format is not None and plan.format.joins is not None
    first = span is None or span.start == 0
    large = found.size >= PACKED and found.member is None
    return joined and first and large and _is_packed(found.source)


def _unpacked(found: Found, out: Surveyed, keys: _Keys, plain: Path) -> None:
    """Cut the plain copy of a compressed file; nothing, where it is damaged or no lines."""
    if not unpack(found.source, plain, keys.limits):
        return
    if is_lines(Source(plain), keys.limits):
        out.plain = True
        _cut(Source(plain), out, keys, Span(0, None, 1))
    else:
        plain.unlink()


def _cut(
    source: Source, out: Surveyed, keys: _Keys, span: Span, *, most: int | None = None
) -> None:
    """`most`: no stretch ends behind it, though the file may have grown since it was found."""
    strands: list[Growing] = []
    owner: dict[int, int] = {}
    at = -1
    span = _aligned(source, span)
    if most is not None and span.end is not None:
        span = Span(min(span.start, most), min(span.end, most), 1)
    for place, size, own in keys.lines(source, span):
        out.lines += 1
        if own:
            at = strand_of(own, strands, owner)
        elif keys.free and (at < 0 or strands[at].size >= BLOCK):
            at = len(strands)
            strands.append(Growing())
        elif at < 0:
            out.opening += size
            continue
        strands[at].add(place, size, out.lines)
    out.cut, out.last, out.start = True, max(at, 0), span.start
    out.strands = [strand.packed() for strand in strands]


def _aligned(source: Source, span: Span) -> Span:
    """The stretch of the lines that begin between two bytes."""
    with source.file() as raw:
        start = _line_start(raw, span.start)
        end = None if span.end is None else max(_line_start(raw, span.end), start)
    return Span(start, end, 1)


def _line_start(raw: IO[bytes], at: int) -> int:
    """Where the first line begins that begins at `at` or behind it."""
    if at == 0:
        return 0
    at -= 1
    raw.seek(at)
    while block := raw.read(BLOCK):
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
    return at


def strand_of(own: list[int], strands: list[Growing], owner: dict[int, int]) -> int:
    """The strand that holds one of the keys, or a new one; strands that meet are joined later."""
    at = -1
    for key in own:
        at = owner.get(key, -1)
        if at >= 0:
            break
    else:
        at = len(strands)
        strands.append(Growing())
    keys = strands[at].keys
    for key in own:
        if key not in keys:
            keys.add(key)
            owner.setdefault(key, at)
    return at


class _Keys:
    """Finds the keys of lines."""

    def __init__(self, plan: Plan, known: Known, name: str, config: IngestConfig) -> None:
        self._plan = plan
        self._known = known
        self._name = name
        self.limits = limits(config)
        usual = plan.format
        self.free = usual is not None and usual.joins is alone and usual.kin is None
        self._usual = usual
        self._skim = usual.skim() if usual is not None and usual.skim is not None else None
        self._seen = self._skim.seen if isinstance(self._skim, Skimmer) else None
        self._hashed: dict[str, int] = {}

    def lines(self, source: Source, span: Span) -> Iterator[tuple[int, int, list[int]]]:
        """The offset of each line of a stretch, its size with a line feed, and its keys."""
        most, look = self.limits.max_bytes, None if self.free else self._look
        for block in read_stretch(source, span, self.limits):
            data, at, end = block.data, block.start, block.end
            shift = block.offset - at
            while at < end:
                stop = data.find(b"\n", at, end)
                if stop < 0:
                    stop = end if data else end - 1
                own = look(data, at, stop) if look is not None and stop - at <= most else []
                yield at + shift, stop - at + 1, own
                at = stop + 1

    def _look(self, data: bytes, at: int, stop: int) -> list[int]:
        """The keys of one line; none where it goes with the line before it."""
        usual = self._usual
        if at == stop or usual is None or usual.joins is None:
            return []
        keys: Iterable[str] | None = None if self._seen is None else self._seen(data, at)
        if keys is not None:
            return self.hashed(usual, keys)
        line = data[at:stop].removeprefix(BOM) if at == 0 else data[at:stop]
        keys = None if self._skim is None else self._skim(line)
        if keys is None:
            value = decode(line, max_depth=self.limits.max_depth)
            if isinstance(value, Fault):
                return []
            keys = usual.joins(value, self._name)
        found = self.hashed(usual, keys)
        if found or usual.kin is None:
            return found
        return self._of_kin(line)

    def _of_kin(self, data: bytes) -> list[int]:
        """The keys of a record that may be of another format of the file's kin."""
        value = decode(data, max_depth=self.limits.max_depth)
        if isinstance(value, Fault):
            return []
        found: list[int] = []
        for entry in route(Item(1, 0, value), self._plan, self._known, self._name):
            if entry.format is not None and entry.format is not self._usual:
                found += self.hashed(entry.format, _joins(entry.format, value, self._name))
        return found

    def hashed(self, known: Format, keys: Iterable[str]) -> list[int]:
        scope = known.kin or known.name
        out = []
        for key in keys:
            number = self._hashed.get(key)
            if number is None:
                if len(self._hashed) >= 1000:
                    self._hashed.clear()
                number = self._hashed[key] = key_of(f"{scope}\x00{key}")
            out.append(number)
        return out


def _joins(known: Format, value: Any, name: str) -> Iterable[str]:
    return (f"file:{known.name}:{name}",) if known.joins is None else known.joins(value, name)


def _whole(found: Found, plan: Plan, known: Known, config: IngestConfig) -> Strand:
    """A file that is read in one piece, with the keys of all its records."""
    keys: set[int] = set()
    for own in _found_keys(found, plan, known, config):
        keys.update(own)
    return Strand(keys=array("Q", sorted(keys)).tobytes(), size=found.size)


def _found_keys(
    found: Found, plan: Plan, known: Known, config: IngestConfig
) -> Iterator[list[int]]:
    if not _has_joins(plan, known):
        return
    hashing = _Keys(plan, known, found.label, config)
    for item in records(found.source, plan.kind, limits(config)):
        if isinstance(item.value, Fault):
            continue
        for entry in route(item, plan, known, found.label):
            one = entry.format
            if one is not None and one.joins is not None:
                yield hashing.hashed(one, one.joins(entry.item.value, found.label))


def _has_joins(plan: Plan, known: Known) -> bool:
    kin = plan.wrapper.kin if plan.wrapper else plan.format.kin if plan.format else None
    used = [one for one in known.formats if kin is not None and one.kin == kin]
    if plan.format is not None:
        used.append(plan.format)
    return any(one.joins is not None and one.joins is not alone for one in used)
