"""What `misstep compare` prints, from the rows that it gives as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from misstep.evaluate import Tried, contrasts
from misstep.report.contrast import comparison_text


def compared(first: list[Tried], second: list[Tried]) -> dict[str, Any]:
    sides = {
        name: {"path": name, "sessions": len(side), "steps": len(side), "unjudged": 0}
        for name, side in (("first", first), ("second", second))
    }
    return {**sides, "contrasts": [asdict(each) for each in contrasts(first, second)]}


def test_the_last_line_holds_for_one_code_and_for_any_confidence() -> None:
    first = [
        Tried(task="", judged=1, failed=1, codes={"ENUM": 1}),
        Tried(task="", judged=1, failed=0),
    ]
    text = comparison_text(compared(first, first[1:]))
    assert text.endswith(
        "\nSome intervals mislead by chance; with 1 code, trust the total first.\n"
    )
