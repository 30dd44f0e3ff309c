"""What stands where on a generated page: a grid of characters and the transcription of it.

In: a random stream, a `Setting` (grid, which kinds of page, how many lines). Out: a `Sheet`: rows
of characters with the gold fields {header, text, footer, margin}; a field that the page does not
have is left out. Kinds: prose, list, table, ledger, contents (dotted leaders), form (blank lines),
register (the same entry again and again). Nothing here draws.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parts import ocr_text as text


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the pages of one set are made."""

    columns: int = 16
    rows: int = 16
    kinds: tuple[str, ...] = ("prose", "list", "table", "ledger", "contents", "form", "register")
    lines: tuple[int, int] = (3, 12)
    """Lines of the body, least and most."""
    noise: float = 1.0
    """0 draws clean pages; 1 is a worn copy."""
    header: float = 0.6
    """Share of pages with a header line; footer alike, margin half of it."""
    loose: bool = False
    """The body stands in rows and at a column drawn at random, so that no line is found by
    counting: what comes next has to be looked for, and where lines are alike that goes wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page before it is drawn."""

    kind: str
    grid: tuple[str, ...]
    """`rows` strings of `columns` characters."""
    gold: Mapping[str, str]
    places: Mapping[str, tuple[int, ...]]
    """By field: the cell of each of its characters, -1 for line breaks."""


SHORT = Setting(kinds=("prose", "list", "table", "form"), lines=(2, 7), noise=0.4, loose=True)
"""What a model that has not met the documents of the recipe has read."""
LONG = Setting()
"""Every kind of page on worn paper."""
FULL = Setting(kinds=(*("contents",) * 4, "form", "ledger"), lines=(11, 14), loose=True)
"""The documents of the recipe: full pages of leaders and blank lines. Chosen on dev pages, since
that is where the small families loop (design/ocr-families.md)."""

MARGIN = 3
"""Columns at the left that only a margin note uses."""


def sheet(draw: random.Random, setting: Setting) -> Sheet:
    """A page drawn from the stream."""
    kind = draw.choice(setting.kinds)
    width = setting.columns - MARGIN
    count = draw.randint(*setting.lines)
    body = [line[:width].rstrip() for line in KINDS[kind](draw, width, count)][:count]
    body = [line for line in body if line]
    grid = [" " * setting.columns for _ in range(setting.rows)]
    gold: dict[str, str] = {}
    places: dict[str, tuple[int, ...]] = {}
    if draw.random() < setting.header:
        gold["header"] = head = _head(draw)[: setting.columns - MARGIN].strip()
        at = draw.choice((0, MARGIN))
        grid[0], places["header"] = _put(head, at, setting.columns), _run(at, head)
    gold["text"] = "\n".join(body)
    rows, left = _places(draw, body, setting)
    cells: list[int] = []
    for row, line in zip(rows, body, strict=True):
        grid[row] = _put(line, left, setting.columns)
        cells += [*([-1] if cells else []), *_run(row * setting.columns + left, line)]
    places["text"] = tuple(cells)
    if draw.random() < setting.header:
        gold["footer"] = foot = _foot(draw)[: setting.columns - MARGIN].strip()
        grid[-1] = _put(foot, MARGIN, setting.columns)
        places["footer"] = _run((setting.rows - 1) * setting.columns + MARGIN, foot)
    if draw.random() < setting.header / 2:
        note = draw.choice(("fl", "n.", "v.", "ok", "1a", "2a", "cf", "A.", "B."))
        gold["margin"] = note
        at = draw.choice(rows)
        grid[at] = note + grid[at][len(note) :]
        places["margin"] = _run(at * setting.columns, note)
    return Sheet(kind=kind, grid=tuple(grid), gold=gold, places=places)


def _places(draw: random.Random, body: Sequence[str], setting: Setting) -> tuple[list[int], int]:
    """The row of each line of the body, and the column in which they begin."""
    if setting.loose:
        widest = max(map(len, body))
        rows = sorted(draw.sample(range(1, setting.rows - 1), len(body)))
        return rows, draw.randint(MARGIN, setting.columns - widest)
    top = 2 if len(body) + 2 <= setting.rows - 2 else 1
    return list(range(top, top + len(body))), MARGIN


def scattered(draw: random.Random, setting: Setting) -> Sheet:
    """A page of single characters, sparse or dense, each of the alphabet as often."""
    letters, filled = text.ALPHABET.replace(" ", ""), draw.uniform(0.1, 0.9)
    grid = tuple(
        "".join(draw.choice(letters) if draw.random() < filled else " " for _ in range(columns))
        for columns in [setting.columns] * setting.rows
    )
    return Sheet(kind="scattered", grid=grid, gold={}, places={})


def _run(start: int, line: str) -> tuple[int, ...]:
    """The cells of a line that begins in cell `start`."""
    return tuple(range(start, start + len(line)))


def _put(line: str, at: int, columns: int) -> str:
    return (" " * at + line).ljust(columns)[:columns]


def _head(draw: random.Random) -> str:
    return f"{draw.choice(text.TITLES)} {draw.randrange(1, 999)}"


def _foot(draw: random.Random) -> str:
    return draw.choice(("p. {}", "fl. {}", "- {} -", "{}/20", "pág. {}")).format(
        draw.randrange(1, 99)
    )


def _prose(draw: random.Random, width: int, count: int) -> list[str]:
    return wrap(text.words(draw, count * 3), width)


def _list(draw: random.Random, width: int, count: int) -> list[str]:
    mark = draw.choice(("- {}", "* {}", "{n}. {}", "{n}) {}"))
    items = (draw.choice(text.ITEMS) for _ in range(count))
    return [mark.format(item, n=n)[:width] for n, item in enumerate(items, 1)]


def _table(draw: random.Random, width: int, count: int) -> list[str]:
    cells = draw.choice((3, 4))
    size = width // cells
    value = draw.choice(("0", "-", "1", "")) or None
    rows = []
    for _ in range(count):
        row = [value or str(draw.randrange(100)) for _ in range(cells)]
        if draw.random() < 0.5:
            row[draw.randrange(cells)] = str(draw.randrange(100))
        rows.append("".join(each.ljust(size) for each in row))
    return rows


def _ledger(draw: random.Random, width: int, count: int) -> list[str]:
    same = draw.choice(text.ITEMS) if draw.random() < 0.4 else None
    rows = []
    for _ in range(count):
        cost = draw.choice(("0,00", text.amount(draw)))
        item = (same or draw.choice(text.ITEMS))[: width - len(cost) - 1]
        rows.append(item.ljust(width - len(cost)) + cost)
    return rows


def _contents(draw: random.Random, width: int, count: int) -> list[str]:
    rows, page = [], draw.randrange(1, 30)
    for _ in range(count):
        word, page = draw.choice(text.FIELDS + text.TITLES)[: width - 5], page + draw.randrange(3)
        rows.append(word + "." * (width - len(word) - len(str(page))) + str(page))
    return rows


def _form(draw: random.Random, width: int, count: int) -> list[str]:
    blank = draw.choice("__.-")
    rows = []
    for _ in range(count):
        label = draw.choice(text.FIELDS)[: width - 4]
        empty = draw.random() < 0.4
        rows.append(blank * width if empty else f"{label}:" + blank * (width - len(label) - 1))
    return rows


def _register(draw: random.Random, width: int, count: int) -> list[str]:
    entry = f"{draw.choice(text.NAMES)} {draw.choice(('idem', 'id.', 'ok', 'sim', '---'))}"
    odd = f"{draw.choice(text.NAMES)} {draw.choice(('não', 'sim', '12', 'ok'))}"
    return [(odd if draw.random() < 0.15 else entry)[:width] for _ in range(count)]


def wrap(words: Sequence[str], width: int) -> list[str]:
    """The words in lines of at most `width` characters."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word[:width])
    return lines


KINDS: dict[str, Callable[[random.Random, int, int], list[str]]] = {
    "prose": _prose,
    "list": _list,
    "table": _table,
    "ledger": _ledger,
    "contents": _contents,
    "form": _form,
    "register": _register,
}
