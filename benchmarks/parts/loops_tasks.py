"""Long structured outputs with known answers: JSON arrays, tables, transcripts.

In: a number and a seed. Out: `Task`s, each a page of notes to be written in another form, with the
one right output. Every task is a family of its own, and parts are drawn from different seeds.
`is_valid` says whether an output has the form it should have, `recall` how much of it is right.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from misstep.types import Context, Message, Part, Session

ROWS = (8, 16)
"""Lines of a page, least and most; 16 JSON objects are some 450 tokens."""
_FIRST = "Ada Bela Cleo Davi Emre Fara Gita Hugo Ines Jona Kaya Lena Milo Nura Otto Pia Rafi Sora"
_LAST = "Abbas Brandt Costa Dvorak Eriksen Fontana Garcia Haas Ito Jensen Kovac Lind Moreau Novak"
_TOWNS = (
    "Aveiro Bergen Cork Delft Evora Fano Ghent Hull Izmir Jena Kiel Linz Metz Nantes Oulu Porto"
)
_THINGS = (
    "lamp kettle chair mirror blanket ladder radio bucket clock pillow basket stove carpet candle "
    "drawer hammer bottle helmet"
)
_COLOURS = "red green blue white black yellow brown grey orange violet"
_SAID = (
    "the roof over the hall leaks|the bus comes too late|we need more chairs|the bill is not paid|"
    "the garden wants water|the school closes on Friday|somebody lost a key|the bridge is shut|"
    "prices went up again|the choir sings on Sunday|the road needs new signs|nobody cleaned the "
    "stairs|the market moves to the square|the lights stay on all night|the well is dry|the "
    "library opens earlier|the fence fell over|we thank the firemen"
)
_KEYS = ("name", "town", "item", "count")
_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "town": {"type": "string"},
            "item": {"type": "string"},
            "count": {"type": "integer"},
        },
        "required": list(_KEYS),
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One page of notes and what is to be written of it."""

    id: str
    kind: str
    asked: str
    right: str
    context: Context

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt."""
        return (_message("user", self.asked),)

    @property
    def reference(self) -> Message:
        """The right output as the model should end it."""
        return replace(_message("assistant", self.right), finish_reason="stop")

    @property
    def session(self) -> Session:
        """The prompt with the right output behind it."""
        answer = replace(self.reference, context=0)
        messages = (*self.messages, answer)
        return Session(id=self.id, format="tasks", messages=messages, contexts=(self.context,))


def _message(role: Any, text: str) -> Message:
    return Message(role=role, parts=(Part(kind="text", text=text),))


def tasks(count: int, seed: int) -> list[Task]:
    """`count` tasks, the three kinds in turn."""
    kinds = sorted(_KINDS)
    return [_task(kinds[at % len(kinds)], f"{seed}-{at}") for at in range(count)]


def _task(kind: str, name: str) -> Task:
    dice = random.Random(f"loops/{name}")
    wanted, lines, right = _KINDS[kind](dice, dice.randint(*ROWS))
    schema = json.dumps(_SCHEMA) if kind == "json" else None
    return Task(
        id=f"{kind}-{name}",
        kind=kind,
        asked="\n".join((wanted, "", *lines)),
        right=right,
        context=Context(response_schema=schema),
    )


_Page = tuple[str, list[str], str]


def _orders(dice: random.Random, rows: int) -> _Page:
    found = [
        {"name": name, "town": town, "item": item, "count": dice.randint(2, 60)}
        for name, town, item in zip(
            _names(dice, rows), _draws(dice, _TOWNS, rows), _draws(dice, _THINGS, rows), strict=True
        )
    ]
    lines = [f"{r['name']} of {r['town']} ordered {r['item']}, {r['count']} pieces." for r in found]
    right = "[\n" + ",\n".join(json.dumps(row) for row in found) + "\n]"
    return "Return these orders as a JSON array, one object an order.", lines, right


def _stock(dice: random.Random, rows: int) -> _Page:
    found = [
        (item, colour, f"{dice.choice('ABCDEF')}{dice.randint(1, 40)}", f"{dice.randint(2, 99)}.50")
        for item, colour in zip(
            _draws(dice, _THINGS, rows), _draws(dice, _COLOURS, rows), strict=True
        )
    ]
    lines = [f"Shelf {s} holds a {c} {i} that costs {p}." for i, c, s, p in found]
    head = ["| item | colour | shelf | price |", "|---|---|---|---|"]
    right = "\n".join([*head, *(f"| {' | '.join(row)} |" for row in found)])
    return "Write this stock list as a Markdown table: item, colour, shelf, price.", lines, right


def _minutes(dice: random.Random, rows: int) -> _Page:
    at = 0
    lines, right = [], []
    for name, words in zip(_names(dice, rows), _draws(dice, _SAID, rows, "|"), strict=True):
        at += dice.randint(1, 4)
        lines.append(f"After {at} minutes {name} said that {words}.")
        right.append(f"[{at:02}] {name.upper()}: {words}")
    wanted = "Write these notes as a transcript, one line each: [minutes] SPEAKER: words"
    return wanted, lines, "\n".join(right)


_KINDS: dict[str, Callable[[random.Random, int], _Page]] = {
    "json": _orders,
    "table": _stock,
    "transcript": _minutes,
}


def _names(dice: random.Random, rows: int) -> list[str]:
    pairs = zip(_draws(dice, _FIRST, rows), _draws(dice, _LAST, rows), strict=True)
    return [" ".join(pair) for pair in pairs]


def _draws(dice: random.Random, words: str, rows: int, apart: str = " ") -> list[str]:
    """Words in a random order, none again before all were drawn."""
    pool = words.split(apart)
    out: list[str] = []
    while len(out) < rows:
        out += dice.sample(pool, len(pool))
    return out[:rows]


# --- what an output is worth -------------------------------------------------------------------


def is_valid(task: Task, text: str) -> bool:
    """Whether an output has the form that was asked for, whatever it says."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if task.kind == "json":
        return _is_orders(text)
    if task.kind == "table":
        return len(lines) > 2 and all(
            line.startswith("|") and line.endswith("|") and line.count("|") == 5 for line in lines
        )
    return bool(lines) and all(_is_speech(line) for line in lines)


def _is_orders(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, list) and all(
        isinstance(row, dict) and set(row) == set(_KEYS) and isinstance(row["count"], int)
        for row in found
    )


def _is_speech(line: str) -> bool:
    minute, closed, rest = line.partition("] ")
    speaker, colon, words = rest.partition(": ")
    timed = minute.startswith("[") and minute[1:].isdigit()
    return bool(timed and closed and colon and words) and speaker == speaker.upper()


def recall(task: Task, text: str) -> float:
    """Share of the right lines that stand in an output."""
    wanted = list(_lines(task.right))
    got = set(_lines(text))
    return sum(line in got for line in wanted) / len(wanted)


def _lines(text: str) -> Iterator[str]:
    """Lines without what a form puts around them."""
    for line in text.splitlines():
        bare = line.strip().rstrip(",").strip()
        if bare and bare not in ("[", "]") and not set(bare) <= set("|- "):
            yield bare
