"""The pairs of report.html as one packed text that the page's script unpacks and draws from.

In: pair rows. Out: base64 of gzip of JSON lines. A line that begins with `[` is shared by later
pairs (a list of tool names, or one message of a prompt) and is numbered in its order; one that
begins with `{` is a pair; the last line is the index, with what can be filtered by and one row a
pair. Packed, ten thousand pairs fit where five hundred did; the script reads them as data and
builds text nodes, so nothing in them can become markup.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from misstep.report.pairview import Block, PairView, pair_view
from misstep.report.view import Row
from misstep.report.words import visible

MAX_PAIRS = 10_000
"""Pairs in the page; the rest stays in the run folder's Parquet file, and the page says so."""
MAX_PACKED = 11_000_000
"""Bytes of packed pairs; in base64 they are a third more, and a report stays below 20 MB."""
MAX_TEXT = 120_000_000
"""Bytes of unpacked pairs, which a browser holds in memory."""
_GZIP = 31  # zlib's window bits for gzip, whose header carries no time
_LOOKS = {"diff": 1, "mark": 2, "diff mark": 3, "gap": 4}
_SNIPPET = 90
"""Characters of a pair's line in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairData:
    """What the page holds of the pairs."""

    packed: str = ""
    count: int = 0
    lengths: tuple[tuple[int, int], ...] = ()
    """Characters of chosen and rejected, of every pair that was given."""
    first: tuple[PairView, ...] = ()
    """Pairs that are laid out in the page itself, for paper and for readers without scripts."""


@dataclass(slots=True)
class _Packer:
    """Lines on their way into the archive."""

    pack: Any = field(default_factory=lambda: zlib.compressobj(6, zlib.DEFLATED, _GZIP))
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    text: int = 0
    shared: dict[bytes, int] = field(default_factory=dict)

    def line(self, data: bytes) -> None:
        """Add a line."""
        part = self.pack.compress(data + b"\n")
        self.text += len(data) + 1
        self.size += len(part)
        self.parts.append(part)

    def share(self, value: Any) -> int:
        """The number of a shared value; its line is written when it is first met."""
        data = orjson.dumps(value)
        if data not in self.shared:
            self.shared[data] = len(self.shared)
            self.line(data)
        return self.shared[data]

    @property
    def full(self) -> bool:
        """Whether nothing more fits."""
        return self.size > MAX_PACKED or self.text > MAX_TEXT

    def done(self) -> str:
        """The archive as text."""
        return base64.b64encode(b"".join([*self.parts, self.pack.flush()])).decode()


def pair_data(rows: Sequence[Row], *, first: int) -> PairData:
    """Pack the pairs, as many as fit.

    Args:
        first: how many are laid out in the page itself too.
    """
    if not rows:
        return PairData()
    packer, names = _Packer(), _Names()
    index: list[list[Any]] = []
    shown: list[PairView] = []
    lengths: list[tuple[int, int]] = []
    for number, row in enumerate(rows[:MAX_PAIRS], start=1):
        view = pair_view(row, number)
        if len(shown) < first:
            shown.append(view)
        packer.line(orjson.dumps(_pair(view, packer)))
        index.append(_entry(view, names))
        lengths.append((view.chosen_size, view.rejected_size))
        if packer.full:
            break
    packer.line(orjson.dumps({"names": names.known, "pairs": index}))
    return PairData(
        packed=packer.done(), count=len(index), lengths=tuple(lengths), first=tuple(shown)
    )


@dataclass(slots=True)
class _Names:
    """Words that many pairs share, numbered."""

    known: dict[str, list[str]] = field(
        default_factory=lambda: {"codes": [], "tools": [], "sources": []}
    )
    _at: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, kind: str, words: Iterable[str]) -> list[int]:
        """The numbers of some words."""
        found = []
        for word in words:
            if (kind, word) not in self._at:
                self._at[kind, word] = len(self.known[kind])
                self.known[kind].append(word)
            found.append(self._at[kind, word])
        return found


def _entry(view: PairView, names: _Names) -> list[Any]:
    """One row of the index: codes, tools called, source, the line in the list."""
    return [
        names.of("codes", map(visible, view.codes)),
        names.of("tools", map(visible, view.called)),
        names.of("sources", [visible(view.source)])[0],
        _snippet(view),
    ]


def _snippet(view: PairView) -> str:
    """What was wrong, in a few words; else how the rejected side begins."""
    for _, said in view.evidence:
        return _short(said)
    for block in view.rejected:
        if text := "".join(run.text for run in block.runs[:4]):
            return _short(text)
    return ""


def _short(text: str) -> str:
    line = " ".join(text[: 4 * _SNIPPET].split())
    return line if len(line) <= _SNIPPET else line[: _SNIPPET - 1] + "…"


def _pair(view: PairView, packer: _Packer) -> dict[str, Any]:
    return {
        "id": visible(view.id),
        "family": visible(view.family),
        "edits": view.edits,
        "tools": packer.share(view.tools),
        "earlier": view.earlier,
        "tail": [packer.share([turn.role, *_blocks(turn.blocks)]) for turn in view.tail],
        "chosen": list(_blocks(view.chosen)),
        "rejected": list(_blocks(view.rejected)),
        "evidence": [[visible(code), said] for code, said in view.evidence],
        "from": [view.from_chosen, view.from_rejected, view.place],
    }


def _blocks(blocks: Iterable[Block]) -> Iterator[list[Any]]:
    """Kind, title, the runs (a plain one as its text, a marked one with its look), 1 if named."""
    for block in blocks:
        runs = [[r.text, _LOOKS[r.look]] if r.look else r.text for r in block.runs]
        yield [block.kind, block.title, runs, *([1] if block.named else [])]
