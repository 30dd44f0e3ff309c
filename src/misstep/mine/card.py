"""The dataset card: a README.md with the front matter that dataset hubs and viewers read.

In: the counts of mining and the files that were written. Out: Markdown. It holds figures and the
meaning of columns, never a text from the logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from misstep import store
from misstep.codes import CODES
from misstep.mine.door import FULL
from misstep.mine.gate import RULES

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_COLUMNS = (
    ("prompt", "the messages before the step, as the agent saw them"),
    ("chosen", "one assistant message that every validator found clean on this prompt"),
    ("rejected", "one assistant message with at least one defect that the model caused"),
    ("tools", "the offered tools, as JSON text"),
    ("context", "what else the request demanded, as JSON text of misstep's `Context`"),
    ("exact", "the messages in misstep's own form where chat form loses the order of parts"),
    ("id, session, step, family", "content hashes; what shares a family shares a split"),
    ("source", "where the chosen side comes from"),
    ("codes", "what the rejected side failed by"),
    ("edits", "what was changed on a side: `trim`, `splice`, `calls-only`"),
    ("margin", "score of chosen minus score of rejected"),
    ("cut", "the rejected side never ended its turn, so it carries no end-of-turn"),
    ("model_chosen, model_rejected", "the models that wrote the sides, as logged"),
    ("origin_chosen, origin_rejected", "file and line in the logs"),
)


def write_card(path: Path, counts: Mapping[str, Any], *, files: Mapping[str, int]) -> None:
    """Write the card.

    Args:
        counts: `Mined.counts`.
        files: rows per file below the card's folder, and `secrets`, as `export` gives them.
    """
    store.write_text(path, card(counts, files=files))


def card(counts: Mapping[str, Any], *, files: Mapping[str, int]) -> str:
    """The text of the card."""
    lines = [
        "---",
        yaml.safe_dump(_front(counts, files), sort_keys=False).rstrip(),
        "---",
        "",
        "# Preference pairs mined from agent logs",
        "",
        f"Failed steps: {counts['failed_steps']}, of them {counts['heldout_failed']} in held-out "
        f"families, which are not in these files. Pairs: {counts['pairs']}. Failures without a "
        f"partner: {counts['unpaired']}. Secrets replaced by `[REDACTED:kind]`: "
        f"{files.get('secrets', 0)}.",
        "",
        *_table("Pairs by source", ("source", "pairs"), counts["sources"]),
        *_table("Failures in the pairs", ("code", "pairs", "meaning"), counts["codes"], _meaning),
        *_table("Refused candidates", ("reason", "count", "meaning"), counts["refused"], _reason),
        *_table("Length of chosen over rejected", ("source", "ratio"), counts["length_ratio"]),
        "## Columns",
        "",
        "| column | what it holds |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in _COLUMNS),
        "",
        "Argument text in `tool_calls` is the text that the model wrote, valid JSON or not. The",
        "files in `unpaired/` hold `completion` and `label` (always false) instead of two sides.",
        "",
    ]
    return "\n".join(lines)


def _front(counts: Mapping[str, Any], files: Mapping[str, int]) -> dict[str, Any]:
    total = counts["pairs"]
    configs: list[dict[str, Any]] = [
        {"config_name": name, "data_files": splits}
        for name in ("pairs", "unpaired")
        if (splits := list(_splits(name, files)))
    ]
    if configs:
        configs[0]["default"] = True
    return {
        "pretty_name": "Preference pairs mined from agent logs",
        "task_categories": ["text-generation"],
        "tags": ["dpo", "preference", "tool-use", "agent-traces", "misstep"],
        "size_categories": [next((name for top, name in _SIZES if total < top), "n>1M")],
        "configs": configs,
    }


def _splits(name: str, files: Mapping[str, int]) -> Iterator[dict[str, str]]:
    for part, split in (("train", "train"), ("dev", "validation")):
        path = f"{name}/{part}.parquet"
        if files.get(path):
            yield {"split": split, "path": path}


def _meaning(code: str) -> str:
    return CODES[code].meaning if code in CODES else "a plug-in's code"


def _reason(code: str) -> str:
    return FULL.get(code) or next((rule.about for rule in RULES if rule.code == code), "")


def _table(
    title: str, head: tuple[str, ...], rows: Mapping[str, Any], about: Any = None
) -> Iterator[str]:
    if not rows:
        return
    yield from (f"## {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|")
    for name, value in sorted(rows.items(), key=lambda row: (-row[1], row[0])):
        yield f"| {name} | {value} |" + (f" {about(name)} |" if about else "")
    yield ""
