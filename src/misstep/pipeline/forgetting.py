"""What each file of a folder becomes when sessions are forgotten.

In: a swap and the ids. Out: new files in the swap, names that go, and a `Forgotten` that says what
was done. Tables lose the rows that name the sessions; pairs and unpaired rows are written again
with their other formats and their card; lines go that may quote them; reports go whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from misstep import mine, store, validate
from misstep.config import RunConfig, load_config
from misstep.errors import InputError
from misstep.pipeline.adapternotes import noted_on, trained_on
from misstep.pipeline.forgotten import FILE, Rows, key_without, summary_without
from misstep.pipeline.job import DEPENDENTS, IMAGES, RFT, ROUNDS
from misstep.pipeline.kept import corpus_of
from misstep.pipeline.swap import Swap
from misstep.pipeline.tally import Tally, tally_of
from misstep.types import Session

_REPORTS = ("report.html", "report.md", "scores.json", "timing.json")
_KINDS = ("pairs", "unpaired")
_IMAGE = re.compile(r"\bsha256:([0-9a-f]{64})")


@dataclass(slots=True)
class Forgotten:
    """What was done."""

    sessions: tuple[str, ...]
    """Ids, those of forks among them."""
    forks: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    """Asked for, but forgotten before."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows that left, per file."""
    redo: tuple[str, ...] = ()
    """Stages that the next run does again."""
    adapters: dict[str, int] = field(default_factory=dict)
    """Adapters that were trained on rows that left, and on how many."""


def tables_of(folder: Path) -> list[Path]:
    """Parquet files of the folder; those of a swap under way are none."""
    found = (p for p in folder.rglob("*.parquet") if p.relative_to(folder).parts[0][0] != ".")
    return sorted(found)


def _inside(name: str) -> str:
    """The name of a file in the folder of its round, where it lies in one."""
    first = name.partition("/")[0]
    return name.split("/", {RFT: 1, ROUNDS: 2}.get(first, 0))[-1]


class Forgetting:
    """One swap: what each file becomes."""

    def __init__(self, folder: Path, swap: Swap, done: Forgotten, before: Rows) -> None:
        self._folder, self._swap, self._done = folder, swap, done
        self._gone = set(done.sessions)
        self._noted: Rows = {name: {} for name in done.sessions}
        self._before = before
        self._ids: dict[str, set[str]] = {}
        """Ids of the rows that left, per table."""

    def run(self) -> None:
        tallies = list(self._tallies())
        prompts = self._prompts()
        for path in tables_of(self._folder):
            self._table(path)
        self._lines("refused.jsonl", lambda row: self._refused(row, prompts))
        self._lines("set_aside.jsonl", self._stray())
        self._lines("review.jsonl", self._decided())
        self._rows()
        self._state(tallies)
        self._cards()
        self._swap.remove((*_REPORTS, RFT, ROUNDS))
        self._swap.remove(self._unseen())
        self._swap.remove(str(p.relative_to(self._folder)) for p in _leftovers(self._folder))
        noted = {"sessions": {**self._before, **self._noted}}
        store.write_json(self._swap.new / FILE, noted)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _count(self, table: str, session: str) -> None:
        rows = self._noted[session]
        rows[table] = rows.get(table, 0) + 1

    # --- tables ------------------------------------------------------------------------------

    def _table(self, path: Path) -> None:
        """A table without the rows of these sessions; unchanged if it has none."""
        import polars

        name, columns = self._name(path), store.columns_of(path)
        named = ("id",) if name == "sessions.parquet" else ("session", "session_chosen")
        keys = [column for column in named if column in columns]
        if not keys:
            return
        table = polars.scan_parquet(path)
        hit = polars.any_horizontal(polars.col(key).is_in(list(self._gone)) for key in keys)
        wanted = [*keys, *(["id"] if "id" in columns and "id" not in keys else [])]
        with store.reading(path):
            left = table.filter(hit.fill_null(False)).select(wanted).collect()
        if not len(left):
            return
        self._done.rows[name] = len(left)
        inside = _inside(name)
        ids = self._ids.setdefault(inside, set())
        ids.update(left["id"] if "id" in left.columns else ())
        if inside != name:
            return  # rounds go whole: the last one stands in the run folder
        for row in left.select(keys).iter_rows():
            self._count(name.partition("/")[0].removesuffix(".parquet"), self._owner(row))
        if name.partition("/")[0] in _KINDS:
            return  # written again with its other formats
        target = self._swap.new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        table.filter(~hit.fill_null(False)).sink_parquet(target, row_group_size=2048)

    def _owner(self, row: Sequence[str | None]) -> str:
        return next(name for name in row if name is not None and name in self._gone)

    # --- lines -------------------------------------------------------------------------------

    def _lines(self, name: str, goes: Callable[[dict[str, Any]], bool]) -> None:
        """A file of lines without those that go."""
        path = self._folder / name
        if not path.exists():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not (line.strip() and goes(orjson.loads(line)))]
        if len(kept) < len(lines):
            self._done.rows[name] = len(lines) - len(kept)
            store.write_pieces(self._swap.new / name, kept)

    def _refused(self, row: Mapping[str, Any], prompts: Collection[tuple[str, int]]) -> bool:
        at = row["prompt"]["session"], row["prompt"]["step"]
        return at[0] in self._gone or at in prompts

    def _prompts(self) -> set[tuple[str, int]]:
        """Steps with a prompt that these sessions had too: what is said there may quote them."""
        if not (self._folder / "sessions.parquet").exists():
            return set()
        index = mine.index_of(corpus_of(store.RunFolder(self._folder)))
        keys = {index.key(row) for name in self._gone for row in index.rows(name)}
        found = (index.prompt(row) for key in keys for row in index.same_prompt(key))
        return {(prompt.session, prompt.step) for prompt in found}

    def _stray(self) -> Callable[[dict[str, Any]], bool]:
        """Records set aside from files that only these sessions were read from."""
        files = {origin.file for s in self._sessions() for m in s.messages for origin in m.origins}
        if files:
            wanted = {name: orjson.dumps({"file": name})[1:-1].decode() for name in files}
            path = self._folder / "sessions.parquet"
            for name, data in store.read_stream(path, ("id", "session")):
                if name not in self._gone:
                    files -= {file for file in files if wanted[file] in data}
        return lambda row: row["origin"]["file"] in files

    def _unseen(self) -> Iterator[str]:
        """Images that only these sessions show."""
        own = (store.encode(session).decode() for session in self._sessions())
        shown = {name for text in own for name in _IMAGE.findall(text)}
        if shown:
            path = self._folder / "sessions.parquet"
            for name, data in store.read_stream(path, ("id", "session")):
                if name not in self._gone:
                    shown.difference_update(_IMAGE.findall(data))
        yield from (f"{IMAGES}/{name}" for name in sorted(shown))

    def _decided(self) -> Callable[[dict[str, Any]], bool]:
        """Decisions about rows that left, and edits that no remaining row knows."""
        left = set().union(*(ids for ids in self._ids.values())) if self._ids else set()
        stays, sides = set(), set()
        for part in ("train", "dev"):
            for row in self._remaining("pairs", part):
                stays.add(row["id"])
                sides.add(store.encode(row["chosen"][0]))

        def goes(row: dict[str, Any]) -> bool:
            edited = row.get("edited")
            known = row["pair"] in stays or edited is None or store.encode(edited) in sides
            return row["pair"] in left or not known

        return goes

    # --- pairs, unpaired, their formats and the card ------------------------------------------

    def _remaining(self, kind: str, part: str) -> Iterator[dict[str, Any]]:
        path = self._folder / kind / f"{part}.parquet"
        if not path.exists():
            return
        columns = store.columns_of(path)
        for values in store.read_stream(path, columns):
            row = mine.tidy(dict(zip(columns, values, strict=True)))
            if row["session"] not in self._gone and row.get("session_chosen") not in self._gone:
                yield row

    def _rows(self) -> None:
        if not (self._folder / "pairs").exists():
            return
        figures = self._figures()
        outputs = tuple(figures.outputs)
        sources = {kind: partial(self._remaining, kind) for kind in _KINDS}
        mine.write_parts(self._swap.new, sources, outputs, figures=figures)
        for name, rows in self._noted.items():
            figures.forgotten[name] = {kind: rows.get(kind, 0) for kind in _KINDS}
        store.write_json(self._swap.new / mine.FIGURES, figures.to_json())
        mine.write_card(self._swap.new / "README.md", figures)
        self._swap.remove(mine.every_file())

    def _figures(self) -> mine.Figures:
        """Those of the mining, with everything that the rows say to be counted anew."""
        path = self._folder / mine.FIGURES
        if not path.exists():
            raise InputError(f"{path}: missing, so the card cannot be made; mine the logs again")
        return mine.Figures.of_json(store.read_json(path)).emptied()

    # --- state and adapters ------------------------------------------------------------------

    def _sessions(self) -> Iterator[Session]:
        path = self._folder / "sessions.parquet"
        for name, data in store.read_stream(path, ("id", "session")) if path.exists() else ():
            if name in self._gone:
                yield store.decode(data, Session)

    def _tallies(self) -> Iterator[tuple[str, Tally]]:
        settings = validate.settings(_config(self._folder).validate, own=False)
        for session in self._sessions():
            yield session.format, tally_of(session, validate.validate(session, settings))

    def _state(self, tallies: Sequence[tuple[str, Tally]]) -> None:
        run = store.RunFolder(self._folder)
        if not run.begun:
            return
        state = run.stages()
        for name, stages in trained_on(state, self._ids).items():
            self._done.adapters[name] = stages
        redo = [stage for stage in DEPENDENTS["scan"] if stage in state and self._stale(stage)]
        for stage in redo:
            del state[stage]
        self._done.redo = tuple(redo)
        if "scan" in state:
            facts = summary_without(state["scan"]["facts"], tallies)
            facts["base"] = facts.get("base", facts["key"])
            facts["key"] = key_without(facts["base"], {*self._before, *self._gone})
            state["scan"] = {**state["scan"], "key": facts["key"], "facts": facts}
        store.write_json(self._swap.new / store.STAGES, state)

    def _stale(self, stage: str) -> bool:
        """Whether a stage took in a row that left."""
        kind, _, name = stage.partition(" ")
        if kind == "train":
            return name in self._done.adapters
        if kind == "answers":
            return f"answers/{name}.parquet" in self._done.rows
        return True

    def _cards(self) -> None:
        """A note on every adapter that was trained on what left."""
        for name, count in self._done.adapters.items():
            path = self._folder / name / "README.md"
            if path.exists():
                text = noted_on(path.read_text(encoding="utf-8"), self._done.sessions, count)
                store.write_text(self._swap.new / name / "README.md", text)


def _leftovers(folder: Path) -> Iterator[Path]:
    """What a killed stage left half written."""
    for path in folder.rglob(".*"):
        if path.name.endswith(".part") or path.name.startswith(".part-"):
            yield path


def _config(folder: Path) -> RunConfig:
    path = folder / "config.yaml"
    return load_config(path if path.exists() else None)
