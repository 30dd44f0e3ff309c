"""The comparison of two sets of logs as text of at most 40 lines and 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from misstep.report.terminal import WIDTH, new_table, rendered
from misstep.report.words import many, number, percent, points, spell_p, visible

_CODES = 14
_FAILS = {
    "less": "The second fails less",
    "more": "The second fails more",
    "no difference shown": "No difference is shown",
}


def comparison_text(row: dict[str, Any], *, colour: bool = False, width: int = WIDTH) -> str:
    """What `misstep compare` prints; `row` is what it gives as JSON."""
    return rendered(_parts(row), colour=colour, width=width)


def _parts(row: dict[str, Any]) -> Iterator[RenderableType]:
    nothing = nothing_compared(row)
    if nothing:
        yield Text(f"{nothing[0].upper()}{nothing[1:]}.", style="bold")
        yield from _sides(row)
        yield "What was recognised in a file: misstep scan --explain FILE"
        return
    total, codes = row["contrasts"][0], row["contrasts"][1:]
    first, second = total["first"], total["second"]
    moved = f"{points(total['difference'])} [{points(total['low'])}, {points(total['high'])}]"
    said = f"{_FAILS[total['word']]}: {percent(second['value'])} of its {number(second['n'])} "
    said += f"judged steps against {percent(first['value'])} of {number(first['n'])}, "
    yield Text(f"{said}{moved} points.", style="bold")
    yield from _sides(row)
    yield from _matched(total["matched"])
    if codes:
        grid = new_table("code", "first", "second", "change, points", "better/worse")
        for line in codes[:_CODES]:
            change = f"{points(line['difference'])} [{points(line['low'])}, {points(line['high'])}]"
            matched = line["matched"]
            grid.add_row(
                visible(line["code"]),
                percent(line["first"]["value"]),
                percent(line["second"]["value"]),
                Text(change, style=_STYLE[line["word"]]),
                f"{matched['fixed']}/{matched['broken']}",
            )
        yield ""
        yield grid
        if len(codes) > _CODES:
            yield f"… and {len(codes) - _CODES} rarer codes, see --json"
        told = many(len(codes), "code")
        yield f"Some intervals mislead by chance; with {told}, trust the total first."


def nothing_compared(row: dict[str, Any]) -> str:
    """Which side has no judged step; empty where both have some."""
    sides = (row["first"], row["second"])
    bare = [visible(side["path"]) for side in sides if side["steps"] == side["unjudged"]]
    if not bare:
        return ""
    has = "has" if len(bare) == 1 else "have"
    return f"nothing to compare: {' and '.join(dict.fromkeys(bare))} {has} no judged step"


def _sides(row: dict[str, Any]) -> Iterator[str]:
    for name in ("first", "second"):
        side = row[name]
        yield (
            f"{name:6} {visible(side['path'])}: {many(side['sessions'], 'session')}, "
            f"{many(side['steps'], 'step')}, {number(side['unjudged'])} unjudged"
        )


_STYLE = {"less": "green", "more": "red", "no difference shown": ""}


def _matched(matched: dict[str, Any]) -> Iterator[str]:
    if not matched["sessions"]:
        yield "No session of the two opens with the same user message: the work may differ."
        return
    one = matched["sessions"] == 1
    yield (
        f"{many(matched['sessions'], 'session')} {'matches' if one else 'match'} by "
        f"{'its' if one else 'their'} first user message: "
        f"{number(matched['fixed'])} failed in the first alone, {number(matched['broken'])} in the "
        f"second alone (p {spell_p(matched['p'])})"
    )
