"""By how much failures became rarer in each arm, and how sure that is.

In: rows of results, as `lab_arms` records them, pooled ones too. Out: ratios by name: of all
failures against the first SFT and against a control (0.594 is down by 59.4 %), with p; and of the
code that became rarest, of those with `FREQUENT` failures after the first SFT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
FREQUENT = 30
"""Failures that a code needs, before its drop says anything."""


def ratios(rows: Sequence[Row], controls: Mapping[str, str]) -> dict[str, float]:
    """Of all rows.

    Args:
        controls: names of arms, and what the ratios call them.
    """
    out = dict(_best_codes(rows))
    for row in rows:
        for other, short in {"sft": "sft", **controls}.items():
            for t, change in row.get("against", {}).get(other, {}).items():
                out[f"p_vs_{short}, {_where(row, t)}"] = change["failed"]["p"]
                if "fewer_failures" in change:
                    out[f"drop_vs_{short}, {_where(row, t)}"] = change["fewer_failures"]
    return out


def _where(row: Row, t: str) -> str:
    seeds = row.get("seeds", [row.get("seed")])
    words = "seed" if len(seeds) == 1 else "seeds"
    at = "both temperatures" if t == "both" else f"temperature {t}"
    return f"{row['arm']}, {words} {' '.join(map(str, seeds))}, {at}"


def _best_codes(rows: Sequence[Row]) -> Iterator[tuple[str, float]]:
    begun = {_key(row): row["at"] for row in rows if row["arm"] == "sft"}
    for row in rows:
        if "against" not in row or row["arm"] == "sft":
            continue
        for t, before in begun.get(_key(row), {}).items():
            after = row["at"][t]["codes"]
            often = {code: n for code, n in before["codes"].items() if n >= FREQUENT}
            if often:
                drop = max(1 - after.get(code, 0) / n for code, n in often.items())
                yield f"best_code_drop, {_where(row, t)}", round(drop, 4)


def _key(row: Row) -> tuple[str, str]:
    return str(row.get("seeds", [row.get("seed")])), str(row["part"])
