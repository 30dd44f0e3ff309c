"""The figures of a scan, session by session and added up.

In: a session with its findings and verdicts. Out: a small `Tally`; tallies add up, in any order, to
what `scan` prints. The books of the records come from the ingest room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from misstep.ingest import Counts
from misstep.pipeline.excerpt import named
from misstep.types import Finding, Message, Session
from misstep.validate import WANTS, Judged

LEVELS = ("defect", "suspect", "info")
_DETAIL = re.compile(r"[;:]| for ")
"""What stands between the reason of an unjudged verdict and its details."""


class Tally(msgspec.Struct, array_like=True):
    """The figures of one session, or of many."""

    steps: int = 0
    tool_calls: int = 0
    failed_steps: int = 0
    suspect_steps: int = 0
    unjudged_steps: int = 0
    codes: dict[str, list[int]] = {}
    """Findings by code, one number a level."""
    tools: dict[str, list[int]] = {}
    """By tool: calls, and failed ones."""
    unchecked: dict[str, int] = {}
    """By check: how often it had nothing to go by."""
    unjudged: dict[str, int] = {}
    """Unjudged steps by reason, up to its first detail."""
    urls: int = 0
    """Images that the log names by an address and does not hold."""
    unseen: int = 0
    """Steps whose prompt shows one of them."""

    def add(self, other: Tally) -> None:
        """Take in another tally."""
        self.steps += other.steps
        self.tool_calls += other.tool_calls
        self.failed_steps += other.failed_steps
        self.suspect_steps += other.suspect_steps
        self.unjudged_steps += other.unjudged_steps
        self.urls += other.urls
        self.unseen += other.unseen
        _add(self.codes, other.codes)
        _add(self.tools, other.tools)
        for name, count in other.unchecked.items():
            self.unchecked[name] = self.unchecked.get(name, 0) + count
        for reason, count in other.unjudged.items():
            self.unjudged[reason] = self.unjudged.get(reason, 0) + count


def _add(into: dict[str, list[int]], counted: dict[str, list[int]]) -> None:
    for name, counts in counted.items():
        known = into.setdefault(name, [0] * len(counts))
        for at, count in enumerate(counts):
            known[at] += count


def tally_of(session: Session, judged: Judged) -> Tally:
    """The figures of one session."""
    made = Tally(steps=len(judged.verdicts), codes={}, tools={}, unjudged={})
    made.unchecked = dict(judged.unchecked)
    for finding in judged.findings:
        made.codes.setdefault(finding.code, [0, 0, 0])[LEVELS.index(finding.level)] += 1
    suspect = {finding.step for finding in judged.findings if finding.level == "suspect"}
    for verdict in judged.verdicts:
        made.failed_steps += verdict.state == "fail"
        if verdict.state == "unjudged":
            reason = _DETAIL.split(verdict.why, maxsplit=1)[0]
            made.unjudged[reason] = made.unjudged.get(reason, 0) + 1
            made.unjudged_steps += 1
        made.suspect_steps += verdict.step in suspect
    failed = {(f.step, f.call) for f in judged.findings if _failed_call(f)}
    for step in session.steps:
        for call in session.messages[step].calls:
            counts = made.tools.setdefault(call.name, [0, 0])
            counts[0] += 1
            counts[1] += (step, call.index) in failed
            made.tool_calls += 1
    made.tools = named(made.tools)
    _count_urls(made, session)
    return made


def _count_urls(made: Tally, session: Session) -> None:
    shown = [(at, n) for at, each in enumerate(session.messages) if (n := _by_url(each))]
    if shown:
        made.urls = sum(n for at, n in shown if at >= session.prefix)
        made.unseen = sum(step > shown[0][0] for step in session.steps)


def _by_url(message: Message) -> int:
    """Images that a message names by an address."""
    return sum(part.kind == "image" and "://" in (part.text or "")[:16] for part in message.parts)


def _failed_call(finding: Finding) -> bool:
    return finding.level == "defect" and finding.cause == "model" and finding.call is not None


def _images(counts: Counts, whole: Tally) -> dict[str, int]:
    by_url = {"url": whole.urls, "unseen_steps": whole.unseen} if whole.urls or whole.unseen else {}
    return {"inline": counts.images, "broken": counts.broken_images, **by_url}


def unseen_said(summary: Mapping[str, Any]) -> str:
    """How many prompts of a scan no model can see, and why; empty where there are none."""
    images = summary.get("images", {})
    if not images.get("unseen_steps"):
        return ""
    return (
        f"{images['unseen_steps']:,} of {summary['steps']:,} prompts cannot be seen by a model: "
        f"their {images['url']:,} images stand in the log as addresses, which are never fetched; "
        f"they give no pair and no row for SFT. Log the bytes of images (data URLs) instead"
    )


def summary_of(counts: Counts, tallies: Iterable[tuple[str, Tally]]) -> dict[str, Any]:
    """What `misstep scan --json` prints, but for the seconds.

    Args:
        tallies: the format and the figures of each session.
    """
    whole = Tally(codes={}, tools={}, unchecked={}, unjudged={})
    formats = {
        name: {"files": c.files, "records": c.records, "set_aside": c.set_aside}
        | {"sessions": 0, "steps": 0, "tool_calls": 0, "failed_steps": 0}
        for name, c in sorted(counts.formats.items())
    }
    sessions = 0
    for name, tally in tallies:
        sessions += 1
        whole.add(tally)
        row = formats[name]
        row["sessions"] += 1
        row["steps"] += tally.steps
        row["tool_calls"] += tally.tool_calls
        row["failed_steps"] += tally.failed_steps
    return {
        "files": counts.files,
        "bytes": counts.bytes,
        "records": counts.records,
        "ignored": dict(counts.ignored),
        "set_aside": dict(counts.set_aside),
        **({"images": images} if any((images := _images(counts, whole)).values()) else {}),
        "formats": formats,
        "sessions": sessions,
        "steps": whole.steps,
        "tool_calls": whole.tool_calls,
        "failed_steps": whole.failed_steps,
        "suspect_steps": whole.suspect_steps,
        "unjudged_steps": whole.unjudged_steps,
        "unjudged": dict(sorted(whole.unjudged.items())),
        "codes": {
            code: dict(zip(LEVELS, levels, strict=True))
            for code, levels in sorted(whole.codes.items())
        },
        "tools": {
            name: {"calls": calls, "failed": failed}
            for name, (calls, failed) in sorted(whole.tools.items())
        },
        "not_judged": {
            name: {"count": whole.unchecked[name], "what": want.said, "add": want.add}
            for name, want in WANTS.items()
            if whole.unchecked.get(name)
        },
    }
