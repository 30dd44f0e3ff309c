"""The funnel of a mining run, from failed steps to pairs: the text of `misstep mine --explain`.

In: the counts of mining and the folder that it wrote. Out: lines: what came in, what left at each
stage and why, with the first examples of every reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from misstep.errors import InputError
from misstep.mine.door import CRASHED, FULL
from misstep.mine.gate import RULES

EXAMPLES = 3
"""Refused candidates shown for each reason."""
_ABOUT = {**{rule.code: rule.about for rule in RULES}, **FULL}


def funnel(facts: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Lines from failed steps to pairs.

    Raises:
        InputError: the folder holds no `refused.jsonl`.
    """
    yield f"{facts['failed_steps']:7} failed steps"
    for name, what in (
        ("heldout_failed", "in held-out families"),
        ("repeated_failures", "an equal answer to an equal prompt again"),
        ("left_out", "the prompt cannot stand in a row, or an equal answer to it passed"),
        ("unpaired_failures", "nothing better was found or let in: unpaired rows"),
    ):
        yield f"{-facts[name]:7}   {what}"
    if facts.get("unasked_failures"):
        yield f"{-facts['unasked_failures']:7}   mine.rejected has not their kind"
    if facts.get("crashed_failures"):
        yield f"{-facts['crashed_failures']:7}   {FULL[CRASHED]}"
    yield f"{facts['paired_failures']:7} failed steps with a pair"
    yield ""
    yield f"{facts['candidates']:7} candidates"
    examples = _examples(folder / "refused.jsonl")
    for code, count in sorted(facts["refused"].items(), key=lambda item: (-item[1], item[0])):
        yield f"{-count:7}   {code}: {_ABOUT.get(code, '')}"
        yield from (f"{'':11}{line}" for line in examples[code])
    sources = ", ".join(f"{name} {count}" for name, count in facts["sources"].items())
    yield f"{facts['pairs']:7} pairs{f' ({sources})' if sources else ''}"


def _examples(path: Path) -> Mapping[str, list[str]]:
    """The first refused candidates of each reason."""
    if not path.exists():
        raise InputError(f"{path}: missing; mine into this folder first")
    found: dict[str, list[str]] = defaultdict(list)
    with path.open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            if len(found[row["reason"]]) < EXAMPLES:
                at, failed = row["prompt"], " ".join(row["codes"])
                found[row["reason"]].append(
                    f"{at['session']} step {at['step']} ({row['source']}, {failed}): {row['said']}"
                )
    return found
