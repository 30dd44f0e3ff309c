"""Reviewing: the pairs of a run folder or a file, shown one by one, and what a person says of each.

In: a run folder, or a Parquet or JSON lines file of its rows. Out: views of the rows
(`report.PairView`, redacted) and lines in the `review.jsonl` of the run, whichever of its parts the
pairs lie in; mining and training respect them. A swap or an edit is judged before it is written.
Rows stay on disk until they are shown.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from misstep import mine, report, store, validate
from misstep.chat import to_chat
from misstep.config import RunConfig, load_config
from misstep.errors import ExtraMissing, InputError, UnknownName
from misstep.mine import Decision, Sides, Word
from misstep.pipeline.editing import editable, edited
from misstep.pipeline.parts import home_of, parts_in
from misstep.pipeline.view import mark
from misstep.redact import redact
from misstep.types import Message, Session, ToolCall

_NEEDED = ("id", "prompt", "chosen", "rejected", "tools", "context", "source", "codes")


@dataclass(frozen=True, slots=True)
class Head:
    """What a list of pairs shows, and where the row stands."""

    id: str
    source: str
    codes: tuple[str, ...]
    file: Path
    at: int


@dataclass(slots=True)
class Review:
    """A sitting: pairs, and what was said of them so far."""

    heads: Sequence[Head]
    file: Path
    """Where decisions are written."""
    config: RunConfig
    reviewer: str = ""
    decisions: dict[str, Decision] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, config: RunConfig | None = None, reviewer: str = "") -> Review:
        """The pairs under `path`: a run folder, or a file of pair rows.

        Raises:
            InputError: there are none, or a row or a decision cannot be read.
        """
        folder, files = _places(path)
        kept = folder / "config.yaml"
        if config is None:
            config = load_config(kept if kept.exists() else None)
        heads = [head for file in files for head in _heads(file)]
        if not heads:
            raise InputError(f"{path}: holds no pairs; mine some first: misstep mine LOGS -o DIR")
        log = folder / mine.DECISIONS
        return cls(heads, log, config, reviewer, mine.read_decisions(log))

    def __len__(self) -> int:
        return len(self.heads)

    def word(self, at: int) -> str:
        """What was decided about a pair; empty where nothing was."""
        decision = self.decisions.get(self.heads[at].id)
        return decision.word if decision is not None else ""

    def words(self, at: int) -> tuple[str, ...]:
        """What a filter may name: source, codes, decision or `undecided`."""
        head = self.heads[at]
        return (head.source, *head.codes, self.word(at) or "undecided")

    def editable(self, at: int) -> str:
        """The chosen side as it stands, as text to edit (`editable`)."""
        return editable(self._chosen(at))

    def edit(self, at: int, text: str) -> str | None:
        """Take an edited chosen side; gives why it cannot stand, None where it is written."""
        try:
            message = edited(text, self._chosen(at))
        except ValueError as error:
            return str(error)
        return self.decide(at, "edit", message)

    def sides(self, at: int) -> Sides:
        """Both sides of a pair as its row holds them, its calls in the syntax of the log."""
        row = self._row(at)
        sides = mine.row_to_sides(row)
        known = self._calls(str(row.get("session") or ""))
        return replace(
            sides,
            prompt=tuple(_typed(message, known) for message in sides.prompt),
            chosen=_typed(sides.chosen, known),
            rejected=sides.rejected and _typed(sides.rejected, known),
        )

    def view(self, at: int) -> report.PairView:
        """A pair made ready to show, with the decision about it carried out."""
        row = self._row(at)
        decision = self.decisions.get(self.heads[at].id)
        if decision is not None and decision.word == "swap":
            row |= {"chosen": row["rejected"], "rejected": row["chosen"], "marks": []}
        else:
            row["marks"] = self._marks(at)
        if decision is not None and decision.edited is not None:
            row["chosen"] = to_chat([decision.edited])
        shown: report.PairView = report.pair_view(_clean(row), at + 1)
        return shown

    def decide(self, at: int, word: Word, edited: Message | None = None) -> str | None:
        """Write a decision down; gives why a swap or an edit cannot stand, None where it is done.

        Raises:
            StageError: the file cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        decision = Decision(
            pair=self.heads[at].id, word=word, edited=edited, time=now, reviewer=self.reviewer
        )
        if word in ("swap", "edit"):
            objection = mine.against(
                self.sides(at), decision, settings=self._settings(), config=self.config.mine
            )
            if objection is not None:
                return f"{objection[0]}: {objection[1]}"
        mine.write_decision(self.file, decision)
        self.decisions.pop(decision.pair, None)
        if word != "undo":
            self.decisions[decision.pair] = decision
        return None

    def _chosen(self, at: int) -> Message:
        """The chosen side as it stands: the edited one, where there is one."""
        decision = self.decisions.get(self.heads[at].id)
        edited = decision.edited if decision is not None else None
        return edited or self.sides(at).chosen

    def _calls(self, session: str) -> dict[str, ToolCall]:
        """A logged call of each tool of the session: chat form cannot say that a call is code."""
        path = self.file.parent / "sessions.parquet"
        if not session or not path.exists():
            return {}
        row = store.find_row(path, "id", session)
        logged = store.decode(row["session"], Session) if row is not None else None
        calls = (c for m in (logged.messages if logged else ()) for c in m.calls)
        return {call.name: call for call in calls}

    def _settings(self) -> validate.Settings:
        return validate.settings(self.config.validate)

    def _marks(self, at: int) -> list[dict[str, Any]]:
        """Where in the rejected side the failures lie: the validators say it again."""
        sides = self.sides(at)
        if sides.rejected is None:
            return []
        findings, _ = validate.judge(
            mine.session_of(sides),
            len(sides.prompt),
            sides.rejected,
            settings=self._settings(),
            demand_call=bool(sides.chosen.calls),
        )
        return [mark(finding, sides.rejected) for finding in findings if finding.level == "defect"]

    def _row(self, at: int) -> dict[str, Any]:
        head = self.heads[at]
        if head.file.suffix == ".parquet":
            return store.read_slice(head.file, head.at, 1)[0]
        with head.file.open("rb") as lines:
            lines.seek(head.at)
            return _loaded(lines.readline(), str(head.file))


def _places(path: Path) -> tuple[Path, list[Path]]:
    """The run folder that decisions are written to, and the files of pairs.

    Of a run that has none of its own yet, or no more, those of its parts.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a folder that `mine` wrote")
    if path.is_dir():
        own = _files(path)
        return home_of(path), own or [f for part in parts_in(path) for f in _files(part.path)]
    inside = path.parent.name == "pairs"
    return home_of(path.parents[1]) if inside else path.parent, [path]


def _files(folder: Path) -> list[Path]:
    files = (folder / "pairs" / f"{part}.parquet" for part in ("train", "dev"))
    return [file for file in files if file.exists()]


def _heads(file: Path) -> list[Head]:
    if file.suffix == ".parquet":
        rows = store.read_stream(file, ("id", "source", "codes"))
        return [Head(str(i), str(s), tuple(c), file, at) for at, (i, s, c) in enumerate(rows)]
    found, offset = [], 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                row = _loaded(line, f"{file}, line {number}")
                found.append(Head(row["id"], row["source"], tuple(row["codes"]), file, offset))
            offset += len(line)
    return found


def _loaded(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}); expected a row of a pairs file") from None
    lacking = [name for name in _NEEDED if not isinstance(row, dict) or name not in row]
    if lacking:
        raise InputError(
            f"{where}: no {lacking[0]}; expected a row as `misstep mine` writes it "
            f"(schemas/pair.json); `misstep lint` reads pairs of any origin"
        )
    return {"exact": None, "cut": False, "family": "", **row}


def _typed(message: Message, known: Mapping[str, ToolCall]) -> Message:
    parts = []
    for part in message.parts:
        like = known.get(part.call.name) if part.call is not None else None
        if part.call is not None and like is not None:
            call = replace(part.call, kind=like.kind, syntax=like.syntax)
            part = replace(part, call=call)
        parts.append(part)
    return replace(message, parts=tuple(parts))


def _clean(value: Any) -> Any:
    """Every text without its secrets."""
    if isinstance(value, str):
        return redact(value).text
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value


def screen(sitting: Review, wanted: str = "") -> None:
    """Show the pairs in the terminal until the person leaves.

    Raises:
        InputError: no pair is `wanted`, or there is no terminal.
        InUse: another process works in the folder, and could replace the pairs that are shown.
        ExtraMissing: Textual is not installed.
    """
    if importlib.util.find_spec("textual") is None:
        raise ExtraMissing("review", "textual")
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise InputError("review needs a terminal to show pairs and read keys; it found none")
    known = {word for at in range(len(sitting)) for word in sitting.words(at)}
    for name in wanted.split():
        if name.casefold() not in {word.casefold() for word in known}:
            raise UnknownName("code, source or decision", name, known)
    from misstep.report.reviewing import review

    with store.working(sitting.file.parent):
        review(sitting, wanted)
