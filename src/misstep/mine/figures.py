"""The figures of an export: what the dataset card shows and `mined.json` keeps.

In: the counts of mining, and every row as it is written. Out: plain numbers; never a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_USES = ("chosen from", "rejected from", "passed over", "thumbs up over thumbs down")
EDGES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""Characters at which the classes of the length histograms begin."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """What was mined and written."""

    counts: dict[str, Any]
    """`Mined.counts`."""
    redact: bool
    files: dict[str, int] = field(default_factory=dict)
    """Rows of each file."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of the bytes of each file of rows."""
    redacted: dict[str, int] = field(default_factory=dict)
    """Replacements by kind."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """By format: rows of its files and what it could not carry."""
    sources: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    feedback: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    """By side: rows in each class of `EDGES`."""
    forgotten: dict[str, dict[str, int]] = field(default_factory=dict)
    """By session id that was forgotten: rows that it had, per kind."""

    def see(self, kind: str, row: Mapping[str, Any]) -> None:
        """Count a row of `pairs` or `unpaired`."""
        if kind == "unpaired":
            _add(self.labels, "accepted" if row["label"] else "failed")
            return
        _add(self.sources, row["source"])
        for code in row["codes"]:
            _add(self.codes, code)
        for word in row["feedback"]:
            _add(self.feedback, _use(word))
        for side in ("chosen", "rejected"):
            classes = self.lengths.setdefault(side, [0] * (len(EDGES) + 1))
            size = _size(row[side][0])
            classes[sum(size >= edge for edge in EDGES)] += 1

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Figures:
        """What `to_json` gave."""
        return cls(**data)

    def emptied(self) -> Figures:
        """The same mining before any row was seen."""
        return Figures(
            counts=self.counts,
            redact=self.redact,
            files=dict(self.files),
            redacted=self.redacted,
            outputs=self.outputs,
            forgotten=dict(self.forgotten),
        )

    def to_json(self) -> dict[str, Any]:
        """As a plain value."""
        return asdict(self)


def _use(word: str) -> str:
    """How feedback was used, without what it said: that may be a user's words."""
    head = word.partition(" with ")[0]
    head = re.sub(r"\d+ ", "", head)
    return head if head.startswith(_USES) else "a human's word in the log"


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _size(message: Mapping[str, Any]) -> int:
    """Characters of text and calls."""
    calls = message.get("tool_calls") or ()
    called = sum(len(c["function"]["name"]) + len(c["function"]["arguments"]) for c in calls)
    return len(message["content"]) + called


def largest(names: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and counts, the largest first."""
    return sorted(names.items(), key=lambda item: (-item[1], item[0]))
