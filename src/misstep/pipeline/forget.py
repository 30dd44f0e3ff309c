"""Forgetting sessions: everything derived from them leaves a run folder or a folder of pairs.

In: a folder and session ids. Out: the same folder without a row, finding, answer, export, decision
or report that came from these sessions, or from those that fork from them and hold their text. All
files change together or none (`swap`). What stays is ids and counts: `forgotten.json`, the dataset
card, and the card of each adapter that was trained on their rows. Stages that depended on them lose
their entry in `stages.json`, so that the next run does them again; later scans leave them out.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from misstep import store
from misstep.errors import InputError
from misstep.pipeline.forgetting import Forgetting, Forgotten, tables_of
from misstep.pipeline.forgotten import forgotten
from misstep.pipeline.parts import home_of
from misstep.pipeline.swap import finish, swapping
from misstep.report.words import count_of


def forget(folder: Path, names: Sequence[str]) -> Forgotten:
    """Take sessions out of a run folder, or of a folder of pairs.

    Raises:
        InputError: the folder holds no rows, or knows no such session.
        InUse: another process works in it.
        StageError: the folder cannot be written; nothing was changed.
    """
    with store.working(home_of(folder)):
        return _forget(folder, names)


def _forget(folder: Path, names: Sequence[str]) -> Forgotten:
    finish(folder)
    store.RunFolder(folder).adopt()
    known, before = _known(folder), forgotten(folder)
    asked = tuple(dict.fromkeys(name for name in names if name not in before))
    for name in asked:
        if name not in known:
            raise InputError(_unknown(folder, name, known))
    forks = _forks(known, asked)
    done = Forgotten(
        sessions=(*asked, *forks), forks=forks, already=tuple(n for n in names if n in before)
    )
    if done.sessions:
        with swapping(folder) as swap:
            Forgetting(folder, swap, done, before).run()
    return done


def _known(folder: Path) -> dict[str, str | None]:
    """Session ids of the folder, each with the session that it forks from."""
    path = folder / "sessions.parquet"
    if path.exists():
        return dict(store.read_stream(path, ("id", "parent")))
    found: dict[str, str | None] = {}
    for table in tables_of(folder):
        columns = [c for c in ("session", "session_chosen") if c in store.columns_of(table)]
        for row in store.read_stream(table, columns) if columns else ():
            found |= dict.fromkeys(name for name in row if name is not None)
    if not found:
        raise InputError(
            f"{folder}: holds no sessions and no pairs; give a run folder or what "
            f"`misstep mine` wrote"
        )
    return found


def _unknown(folder: Path, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it knows {len(known)} others."
    return f"{folder}: knows no session {name!r}; {hint} Ids stand in the column `session` of pairs"


def _forks(known: Mapping[str, str | None], asked: Sequence[str]) -> tuple[str, ...]:
    """Sessions that begin with the text of these, or were started by them."""
    children: dict[str, list[str]] = {}
    for name, parent in known.items():
        if parent is not None:
            children.setdefault(parent, []).append(name)
    found: dict[str, None] = {}
    waiting = list(asked)
    while waiting:
        for child in sorted(children.get(waiting.pop(), ())):
            if child not in found and child not in asked:
                found[child] = None
                waiting.append(child)
    return tuple(found)


def told(done: Forgotten) -> Iterator[str]:
    """What was done, in lines for a terminal."""
    for name in done.already:
        yield f"{name}: forgotten before"
    if not done.sessions:
        return
    forks = f", {len(done.forks)} of them forks" if done.forks else ""
    yield f"forgot {count_of(len(done.sessions), 'session')}{forks}: {', '.join(done.sessions)}"
    for name, count in sorted(done.rows.items()):
        yield f"  {count:6} rows left {name}"
    for name, count in sorted(done.adapters.items()):
        yield f"  {name} was trained on {count} of their rows; its card says so, train it anew"
    if done.redo:
        yield f"  the next run does again: {', '.join(done.redo)}"
