"""Failure rates that a build may not exceed: `misstep scan --max-rate`.

In: words such as `0.05`, `5%` and `TOOL_UNKNOWN=0.02`, and what a scan found. Out: the limits that
are exceeded, each with its rate and interval, or why there was nothing to judge. The whole rate is
that of the failed steps among those that were judged; a code's is that of the failure page: the
steps with a defect of that code among those in which it could have been seen. A rate over nothing
is none and exceeds nothing; logs without any judged step pass no gate.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misstep import ingest
from misstep.codes import CODES
from misstep.errors import ConfigError, UnknownName


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest rate that is let through."""

    code: str | None
    """None for all failures together."""
    most: float
    """In [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """A limit that the logs exceed, with the 95 % interval of the rate (Wilson)."""

    limit: Limit
    k: int
    n: int
    value: float
    low: float
    high: float


def limits_of(words: Sequence[str]) -> tuple[Limit, ...]:
    """What `--max-rate` was given.

    Raises:
        ConfigError: a rate is none.
        UnknownName: there is no such code.
    """
    return tuple(map(_limit, words))


def _limit(word: str) -> Limit:
    name, equals, rate = word.rpartition("=")
    code = name.strip() if equals else None
    if code is not None and code not in CODES:
        raise UnknownName("failure code", code, CODES)
    text = rate.strip()
    try:
        most = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        most = -1.0
    if not 0 <= most <= 1:
        raise ConfigError(
            f"--max-rate {word}: expected a rate from 0 to 1, such as 0.05, 5% or TOOL_UNKNOWN=0.02"
        )
    return Limit(code, most)


def exceeded(
    limits: Sequence[Limit], summary: Mapping[str, Any], page: Mapping[str, Any] | None
) -> Iterator[Excess]:
    """The limits that a scan exceeds; limits of codes are held against its page."""
    for limit in limits:
        k, n = _figures(limit, summary, page or {})
        if n and k / n > limit.most:
            from misstep.evaluate.metrics import wilson  # loads polars

            between = wilson(k, n)
            yield Excess(limit=limit, k=k, n=n, value=k / n, low=between.low, high=between.high)


def nothing_judged(summary: Mapping[str, Any], paths: Sequence[Path]) -> str | None:
    """Why a scan of `paths` can pass no gate, and what to do; None where a step was judged."""
    steps = summary["steps"]
    if steps > summary["unjudged_steps"]:
        return None
    if steps:
        from misstep.report.words import many

        return (
            f"nothing to judge: none of {many(steps, 'step')} could be judged; add what the "
            "`unjudged` lines of the summary name, such as --tools FILE"
        )
    return f"nothing to judge: no agent steps were found; {look_closer(paths)}"


def look_closer(paths: Sequence[Path]) -> str:
    """How to see what was recognised in `paths`."""
    from misstep.report import visible

    named = visible(shlex.join(ingest.printed(path) for path in paths))
    return f"to see what was recognised: misstep scan --explain {named}"


def _figures(limit: Limit, summary: Mapping[str, Any], page: Mapping[str, Any]) -> tuple[int, int]:
    if limit.code is None:
        return summary["failed_steps"], summary["steps"] - summary["unjudged_steps"]
    for row in page.get("codes", ()):
        if (row["code"], row["level"]) == (limit.code, "defect"):
            return row["k"], row["n"]
    return 0, 0
