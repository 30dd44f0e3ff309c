"""The failure page: digests of sessions added up to what `misstep scan --html` shows.

In: digests in the order of the logs, records that were set aside, the books. Out: plain rows with
rates and Wilson intervals. What is kept is bounded by what is shown, but for a counter each for
names of tools, models and days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from misstep.ingest import Book
from misstep.pipeline.digest import Digest, signatures
from misstep.pipeline.tally import LEVELS
from misstep.redact import clean

EXAMPLES = 3
"""Examples of a code: of the gravest level, the first in the order of the logs, one a session."""
SESSIONS = 12
"""Sessions with the most failed steps."""
NAMED = 8
"""Tools named as wanting a schema."""

Row = dict[str, Any]


class Page:
    """What many sessions come to."""

    def __init__(self) -> None:
        self._count = 0
        self._bases = [0] * len(signatures())
        self._judged = 0
        self._answered = 0
        self._codes: dict[str, list[int]] = {}
        self._tables: dict[str, dict[str, list[int]]] = {"tools": {}, "models": {}, "days": {}}
        self._unknown: dict[str, int] = {}
        self._worst: list[tuple[int, int, Row]] = []
        self._examples: dict[str, list[tuple[int, int, Row]]] = {}
        self._aside: dict[tuple[str, str], Row] = {}

    def add(self, digest: Digest, copies: int = 1) -> None:
        """Take in the next session."""
        self._count += 1
        self._judged += digest.judged
        self._answered += digest.answered
        self._bases = [a + b for a, b in zip(self._bases, digest.bases, strict=True)]
        _sum(self._codes, digest.codes)
        _sum(self._tables["tools"], digest.tools)
        _sum(self._tables["models"], digest.models)
        _sum(self._tables["days"], digest.days)
        for name, count in digest.unknown.items():
            self._unknown[name] = self._unknown.get(name, 0) + count
        for row in digest.examples:
            known = self._examples.setdefault(row["code"], [])
            known.append((LEVELS.index(row["level"]), self._count, row))
            known.sort(key=_order)
            del known[EXAMPLES:]
        if digest.failed:
            self._worst.append((-digest.failed, self._count, _session(digest, copies)))
            self._worst.sort(key=_order)
            del self._worst[SESSIONS:]

    def set_aside(self, row: Mapping[str, Any]) -> None:
        """Take in a record that was set aside (schemas/set-aside.json)."""
        origin = row["origin"]
        key = (str(origin.get("format") or ""), str(row["reason"]))
        if key not in self._aside:
            said = clean(str(row["said"]))
            self._aside[key] = {"count": 0, "said": said, "origin": origin}
        self._aside[key]["count"] += 1

    def rows(self, books: Mapping[str, Book] | None = None) -> Row:
        """The page as plain rows."""
        return {
            "judged": self._judged,
            "codes": list(self._code_rows()),
            **{name: [_rate_row(n, c) for n, c in t.items()] for name, t in self._tables.items()},
            "months": [_rate_row(n, c) for n, c in _months(self._tables["days"]).items()],
            "unknown": dict(islice(_most(self._unknown), NAMED)),
            "unknown_total": len(self._unknown),
            "sessions": [row for _, _, row in self._worst],
            "examples": {
                code: [row for _, _, row in known] for code, known in sorted(self._examples.items())
            },
            "set_aside": [
                {"format": form, "reason": reason, **row}
                for (form, reason), row in sorted(self._aside.items())
            ],
            "ignored": [
                {"format": name, "reason": kind, "count": count}
                for name, book in sorted((books or {}).items())
                for kind, count in sorted(book.ignored.items())
            ],
        }

    def _code_rows(self) -> Iterable[Row]:
        """One row a code and level: steps with it, of the steps that count for it."""
        base = {
            code: count
            for count, codes in zip(self._bases, signatures().values(), strict=True)
            for code in codes
        }
        for code, counts in sorted(self._codes.items()):
            n = base.get(code, 0) + counts[3] if base.get(code) else self._answered
            for level, k in zip(LEVELS, counts, strict=False):
                if k:
                    yield {"code": code, "level": level, **_rate(k, max(n, k))}


def _order(entry: tuple[int, int, Row]) -> tuple[int, int]:
    return entry[0], entry[1]


def _most(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _sum(into: dict[str, list[int]], counted: Mapping[str, list[int]]) -> None:
    for name, counts in counted.items():
        known = into.setdefault(name, [0] * len(counts))
        for at, count in enumerate(counts):
            known[at] += count


def _session(digest: Digest, copies: int) -> Row:
    return {
        "session": digest.id,
        "place": digest.place,
        "steps": digest.steps,
        "judged": digest.judged,
        "failed": digest.failed,
        "strip": digest.strip,
        "share": digest.share,
        "copies": copies,
        "codes": {code: counts[0] for code, counts in digest.codes.items() if counts[0]},
    }


def _rate(k: int, n: int) -> Row:
    from misstep.evaluate.metrics import wilson  # loads polars; a scan without a page does not

    interval = wilson(k, n)
    value = k / n if n else 0.0
    return {"k": k, "n": n, "value": value, "low": interval.low, "high": interval.high}


def _rate_row(name: str, counts: list[int]) -> Row:
    """All, those that count, failed."""
    whole, counted, failed = counts
    return {"name": name, "all": whole, **_rate(failed, max(counted, failed))}


def _months(days: Mapping[str, list[int]]) -> dict[str, list[int]]:
    months: dict[str, list[int]] = {}
    for day, counts in days.items():
        if day:
            _sum(months, {day[:7]: counts})
    return months
