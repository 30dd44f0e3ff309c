"""Decisions of a person about pairs, in a file that later runs respect.

In: `review.jsonl` in a run folder, a line a decision, the last about a pair counts. Out:
`Decision`s by pair id, and what they make of pairs that are mined (`reviewed`) or read back for
training (`decided`). A dropped pair stays out (`REVIEWED_OUT`); a swapped or edited one is judged
again like any other, but for what a person decides (`signed`), and takes another id once it is
mined: decisions about that id come after.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import orjson

from misstep import store
from misstep.chat import from_chat, to_chat
from misstep.errors import InputError
from misstep.types import Message

Word = Literal["keep", "drop", "swap", "edit", "undo"]
FILE = "review.jsonl"
REVIEWED_OUT = "REVIEWED_OUT"
SAID = "a person who reviewed the pair dropped it"
_WORDS = get_args(Word)
_EXPECTED = 'expected {"pair": "…", "decision": "' + " | ".join(_WORDS) + '"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person said of one pair."""

    pair: str
    """Id of the pair as it was shown."""
    word: Word
    """`undo` takes back what was said before."""
    edited: Message | None = None
    """For `edit`: the new chosen side."""
    time: str = ""
    """When, ISO 8601 with the zone."""
    reviewer: str = ""


def write_decision(path: Path, decision: Decision) -> None:
    """Add a decision to the file; it is on the disk when this returns.

    Raises:
        StageError: the file cannot be written.
    """
    row: dict[str, Any] = {"pair": decision.pair, "decision": decision.word}
    if decision.edited is not None:
        row["edited"] = to_chat([decision.edited])[0]
    if decision.time:
        row["time"] = decision.time
    if decision.reviewer:
        row["reviewer"] = decision.reviewer
    store.check_row(row, "review")
    with store.telling(path), path.open("ab") as out:
        out.write(orjson.dumps(row) + b"\n")
        out.flush()
        os.fsync(out.fileno())


def read_decisions(path: Path, after: int = 0) -> dict[str, Decision]:
    """The decisions that stand, by pair id; none where there is no file.

    Args:
        after: lines at the beginning that are passed over.

    Raises:
        InputError: a line is no decision.
    """
    found: dict[str, Decision] = {}
    if not path.exists():
        return found
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip() and number > after:
            decision = _read(line, f"{path}, line {number}")
            found.pop(decision.pair, None)
            if decision.word != "undo":
                found[decision.pair] = decision
    return found


def _read(line: bytes, where: str) -> Decision:
    try:
        row = orjson.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"got {type(row).__name__}")
        word, pair, edited = row.get("decision"), row.get("pair"), row.get("edited")
        if word not in _WORDS or not isinstance(pair, str):
            raise ValueError(f"pair {pair!r}, decision {word!r}")
        if (word == "edit") != isinstance(edited, dict):
            raise ValueError("an edit, and nothing else, has `edited`: one chat message")
        message = from_chat({**edited, "role": "assistant"}) if edited else None
    except ValueError as error:
        raise InputError(
            f"{where}: not a decision ({error}); {_EXPECTED}; remove the line"
        ) from None
    time, reviewer = (str(row.get(name) or "") for name in ("time", "reviewer"))
    return Decision(pair=pair, word=cast(Word, word), edited=message, time=time, reviewer=reviewer)


def count_decisions(path: Path) -> int:
    """Lines in the file of decisions; 0 where there is none."""
    return len(path.read_bytes().splitlines()) if path.exists() else 0
