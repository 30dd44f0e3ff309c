"""What arms found, in a results file: written as an arm ends, in the place of an older row.

In: rows with their arm, seed and part. Out: the file, with what all arms share beside them.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from misstep import store


def record(path: Path, row: dict[str, Any], common: Mapping[str, Any]) -> None:
    """Put an arm's row into the results, in the place of an earlier one of the same arm.

    Args:
        common: what stands beside the rows: the questions, the settings.
    """
    rows = [each for each in known(path) if not is_row(each, row)]
    whole = {
        **(store.read_json(path) if path.exists() else {}),
        "name": path.stem,
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": str(datetime.date.today()),
        **common,
        "rows": [*rows, row],
    }
    store.write_json(path, whole)


def known(path: Path) -> list[dict[str, Any]]:
    """The rows of the results so far."""
    return list(store.read_json(path)["rows"]) if path.exists() else []


def has(path: Path, wanted: dict[str, Any]) -> bool:
    """Whether the results hold this arm."""
    return any(is_row(row, wanted) for row in known(path))


def is_row(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a row is that of this arm, seed and part."""
    return all(row[key] == other[key] for key in ("arm", "seed", "part"))


def short(row: dict[str, Any]) -> str:
    """The figures of an arm in a line."""
    at = row.get("at", {}).items()
    figures = (
        f"{t}: failed {one['failed']['rate']:.1%}, correct {one['correct']['rate']:.1%}"
        for t, one in at
    )
    return "; ".join(figures) or str(row.get("said"))
