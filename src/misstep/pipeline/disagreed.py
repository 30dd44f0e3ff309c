"""Answers on which the two rules about loops disagree, as the reports list them.

In: a run folder and its scores. Out: rows of `degeneration.disagreements` with the place of the
prompt in the logs; of every arm as many as of the others, at most `MOST` in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from misstep import store
from misstep.evaluate import dealt
from misstep.pipeline.pageview import place_of
from misstep.types import Session

MOST = 24
"""Answers listed in a report."""
Row = Mapping[str, Any]


def disagreed(folder: Path, scores: Row | None) -> list[dict[str, Any]]:
    """The rows that a report lists; none where the rules agree."""
    rows = () if scores is None else scores.get("degeneration", {}).get("disagreements", ())
    shown = dealt(rows, MOST, lambda row: (row["model"], row["answers"]))
    places = _places(folder, {(row["session"], row["step"]) for row in shown})
    return [{**row, "place": places.get((row["session"], row["step"]), "")} for row in shown]


def _places(folder: Path, wanted: Set[tuple[str, int]]) -> dict[tuple[str, int], str]:
    path = folder / "sessions.parquet"
    names = {name for name, _ in wanted}
    if not names or not path.exists():
        return {}
    found: dict[tuple[str, int], str] = {}
    for name, data in store.read_stream(path, ("id", "session")):
        if name in names:
            session = store.decode(data, Session)
            found |= {each: place_of(session, each[1]) for each in wanted if each[0] == name}
    return found
