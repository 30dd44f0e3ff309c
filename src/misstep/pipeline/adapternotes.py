"""Adapters and forgotten sessions: which were trained on their rows, and the note on their cards.

In: the state of a run, the ids of rows that left, the text of a card. Out: counts, and the card
with a note of ids and counts only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_ADAPTERS = {
    "sft": ("sft_rows",),
    "adapter": ("sft_rows", "pairs"),
    "control": ("sft_rows", "pairs"),
}
"""Adapter folders, and whose rows they may have been trained on."""
_START, _END = "<!-- forgotten -->", "<!-- /forgotten -->"


def trained_on(state: Mapping[str, Any], left: Mapping[str, Collection[str]]) -> Counter[str]:
    """Adapters by how many of the rows that left they were trained on."""
    found: Counter[str] = Counter()
    last = state.get("train adapter", {"facts": {}})["facts"].get("stage")
    for name, tables in _ADAPTERS.items():
        entry = state.get(f"train {name}")
        if entry is None or (name == "sft" and "train sft" not in state):
            continue
        unused = set(entry["facts"].get("left_out", ()))
        if name != "sft" and last == "kto":  # it may learn one side of a pair
            tables = (*tables, "unpaired")
            unused -= {f"{row}-{side}" for row in unused for side in ("accepted", "failed")}
        for table in tables:
            if table == "sft_rows" and "train sft" not in state:
                continue
            count = len(set(left.get(f"{table}/train.parquet", ())) - unused)
            if count:
                found[name] += count
    return found


def noted_on(card: str, names: Sequence[str], count: int) -> str:
    """The card of an adapter with a note of what was forgotten after its training."""
    head, _, rest = card.partition(_START)
    known, _, tail = rest.partition(_END)
    rows = [line for line in known.splitlines() if line.startswith("| ") and "session" not in line]
    rows.append(f"| {', '.join(names)} | {count} |")
    lines = [
        _START,
        "## Trained on forgotten sessions",
        "",
        "These weights were trained on rows of sessions that left the run since. Only training",
        "anew without them takes out what the weights learned.",
        "",
        "| session | rows |",
        "|---|---:|",
        *rows,
        _END,
    ]
    return f"{head.rstrip()}\n\n" + "\n".join(lines) + f"\n{tail.lstrip()}"
