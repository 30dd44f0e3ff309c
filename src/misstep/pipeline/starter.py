"""A starter tools file: what the logs hold of each tool, or what its accepted calls tell.

In: sessions, one by one. Out: `Starter` with one entry a tool, as `--tools` reads it. A schema that
a log (or a given tools file) holds is kept as it is; where logs hold several, the one that most
steps offered is kept and the others are noted, unless the calls of logs without a schema do not fit
it (`namesakes`). Then, and where there is none, a schema is inferred from the calls whose result is
no error, and marked so: what breaks it is suspect at most.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from misstep import ingest, store
from misstep.config import RunConfig
from misstep.contracts import KEYS, object_of
from misstep.errors import InputError
from misstep.ingest.infer import SESSIONS_FROM, Shape
from misstep.pipeline.gather import gathered
from misstep.pipeline.job import Progress, silent
from misstep.pipeline.namesakes import (
    Namesake,
    Namesakes,
    arguments_of,
    has_schema,
    is_json,
    turned_down,
)
from misstep.pipeline.schema_versions import differing, versions_of
from misstep.redact import redact
from misstep.types import Session, ToolSpec
from misstep.validate.transcript import Exchange, Transcript


@dataclass(slots=True)
class _Seen:
    """One tool while the logs are read."""

    specs: Counter[ToolSpec] = field(default_factory=Counter)
    """Steps that offered each version with a schema."""
    described: ToolSpec | None = None
    """A version without a schema."""
    calls: int = 0
    """Those with JSON arguments."""
    loose: int = 0
    """Those of them in steps without a logged schema."""
    accepted: int = 0
    sessions: int = 0
    """Sessions with an accepted call."""
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """A tools file and what stands behind it."""

    tools: tuple[dict[str, Any], ...]
    """Entries in OpenAI spelling, with `source`, `calls` and `accepted` beside the function."""
    bare: dict[str, int]
    """Called tools without an entry, as no call of theirs was accepted: name → calls."""
    strange: dict[str, tuple[int, int]]
    """Tools whose logged schema other logs' calls do not fit: name → those calls, how many fit."""
    plain: dict[str, int]
    """Calls whose arguments are no JSON, so that no schema can say anything of them, by tool."""
    sessions: int


def starter(paths: Sequence[Path], config: RunConfig, *, progress: Progress = silent) -> Starter:
    """The tools file that the logs under `paths` give.

    Raises:
        InputError: a path does not exist, or the logs hold neither a schema nor an accepted call.
    """
    book = Book()
    with gathered(paths, config, wants=("session",), progress=progress) as found:
        for data, _ in found.ledger.kept("session"):
            book.take(store.decode(data, Session))
        namesakes = Namesakes(book.unproven())
        for data, _ in found.ledger.kept("session") if namesakes.found else ():
            namesakes.take(store.decode(data, Session))
    if not book:
        for spec in _listed(paths):
            book.offer(spec, 0)
    made = book.starter(namesakes.found)
    if not made.tools:
        raise InputError(
            f"{', '.join(map(str, paths))}: no tool schema and no accepted call in "
            f"{made.sessions} sessions; give logs of an agent that calls tools and got results"
        )
    return made


def _listed(paths: Sequence[Path]) -> Iterator[ToolSpec]:
    """The tools of files that are no logs but tools files, such as an answer to `tools/list`."""
    for path in paths:
        if path.is_file():
            with contextlib.suppress(InputError):
                yield from ingest.read_tools(path)


class Book:
    """Takes sessions in any order."""

    def __init__(self) -> None:
        self._tools: dict[str, _Seen] = {}
        self._plain: Counter[str] = Counter()
        self._unoffered: set[str] = set()
        """Names called in steps whose log tells of no offer."""
        self._sessions = 0

    def __bool__(self) -> bool:
        return bool(self._tools)

    def take(self, session: Session) -> None:
        """Take in what one session offers and calls."""
        self._sessions += 1
        offers: Counter[int] = Counter()
        for step in session.steps:
            at = session.messages[step].context
            if at is not None:
                offers[at] += 1
        for at, steps in offers.items():
            known = session.contexts[at]
            for spec in (*known.tools, *known.promised):
                self.offer(spec, steps)
        transcript = Transcript(session)
        own = set(session.steps)
        made = [e for step, found in transcript.exchanges.items() if step in own for e in found]
        for name in {e.call.name for e in made if self._call(session, e, transcript)}:
            self._tools[name].sessions += 1

    def offer(self, spec: ToolSpec, steps: int) -> None:
        """Take in one tool that so many steps could call."""
        seen = self._tools.setdefault(spec.name, _Seen())
        if spec.parameters is not None and spec.source in ("logged", "given"):
            seen.specs[spec] += steps
        elif seen.described is None or (spec.description or "") > (
            seen.described.description or ""
        ):
            seen.described = spec

    def _call(self, session: Session, exchange: Exchange, transcript: Transcript) -> bool:
        """Take in one call; whether it was accepted."""
        name = exchange.call.name
        if exchange.call.kind != "hosted" and not session.context_of(exchange.step).tools:
            self._unoffered.add(name)
        if not is_json(exchange):
            self._plain[name] += 1
            return False
        seen = self._tools.setdefault(name, _Seen())
        seen.calls += 1
        seen.loose += not has_schema(exchange)
        value = arguments_of(exchange)
        if value is None or exchange.result is None or turned_down(session, exchange, transcript):
            return False
        seen.accepted += 1
        seen.shape.take(value)
        return True

    def unproven(self) -> dict[str, str]:
        """Logged schemas of tools that were called where no log holds one, by name."""
        kept = {
            name: versions_of(s.specs)[0][0]
            for name, s in self._tools.items()
            if s.loose and s.specs
        }
        return {n: s.parameters for n, s in kept.items() if s.source == "logged" and s.parameters}

    def starter(self, namesakes: Mapping[str, Namesake]) -> Starter:
        """What the sessions taken so far come to."""
        strange = {name: each for name, each in namesakes.items() if each.strange}
        entries = {
            name: _entry(name, seen, strange.get(name))
            for name, seen in sorted(self._tools.items())
        }
        made = {name: entry for name, entry in entries.items() if entry is not None}
        if made:  # a file without the rest would say that the rest was not offered
            rest = sorted(name for name in self._unoffered - made.keys() if name.strip())
            made |= {name: _inferred(name, self._tools.get(name, _Seen())) for name in rest}
        for name, entry in made.items():
            entry["calls"] += self._plain[name]
        return Starter(
            tools=tuple(made[name] for name in sorted(made)),
            bare={n: c for n in entries if n not in made and (c := self._tools[n].calls)},
            strange={n: (each.told.total(), each.told[True]) for n, each in strange.items()},
            plain={name: calls for name in made if (calls := self._plain[name])},
            sessions=self._sessions,
        )


def _entry(name: str, seen: _Seen, namesake: Namesake | None) -> dict[str, Any] | None:
    if not seen.specs:
        return _inferred(name, seen) if seen.accepted and name.strip() else None
    versions = versions_of(seen.specs)
    if namesake is None:
        kept, _ = versions[0]
        shown = object_of(kept.parameters)
        made = _shown(name, kept, shown, kept.source)
        versions = versions[1:]
    else:  # what any of them was called with, and nothing required: no call breaks it
        shown = {"type": "object"} | namesake.shape.schema(firm=False)
        made = _shown(name, seen.described or ToolSpec(name=name), shown, "inferred")
    made |= {"calls": seen.calls, "accepted": seen.accepted}
    if versions:
        made["other_versions"] = [
            {"steps": steps, "differs_at": [*differing(shown, object_of(spec.parameters), "")]}
            for spec, steps in versions
        ]
    return made


def _inferred(name: str, seen: _Seen) -> dict[str, Any]:
    known = seen.described or ToolSpec(name=name)
    schema = {"type": "object"} | seen.shape.schema(firm=seen.sessions >= SESSIONS_FROM)
    made = _shown(name, known, schema, "inferred")
    return made | {"calls": seen.calls, "accepted": seen.accepted}


def _shown(name: str, spec: ToolSpec, schema: Any, source: str) -> dict[str, Any]:
    """One entry; secrets in the texts of the log are taken out."""
    function: dict[str, Any] = {"name": name}
    if spec.description:
        function["description"] = redact(spec.description).text
    function["parameters"] = _clean(schema)
    if spec.strict is not None:
        function["strict"] = spec.strict
    told = object_of(spec.contract)
    contract = {key: _clean(told[key]) for key in KEYS if key in told}
    return {"type": "function", "function": function, **contract, "source": source}


def _clean(schema: Any) -> Any:
    text = orjson.dumps(schema).decode()
    return orjson.loads(redact(text).text)


def starter_json(made: Starter) -> str:
    """The tools file as indented JSON."""
    return orjson.dumps({"tools": made.tools}, option=orjson.OPT_INDENT_2).decode()


def write_starter(made: Starter, path: Path) -> None:
    """Write the tools file (schemas/tools.json).

    Raises:
        StageError: it cannot be written.
    """
    value = {"tools": list(made.tools)}
    store.check_row(value, "tools")
    store.write_json(path, value)


def starter_text(made: Starter, path: Path | None = None) -> str:
    """What a tools file holds and what stands behind it, for a terminal."""
    where = "the tools file" if path is None else str(path)
    wide = max(len(entry["function"]["name"]) for entry in made.tools)
    lines = [
        f"{where}: {_many(len(made.tools), 'tool')} from {_many(made.sessions, 'session')}",
        *(f"  {e['function']['name']:{wide}}  {_behind(e, made)}" for e in made.tools),
    ]
    if made.bare:
        names = ", ".join(f"{name} ({calls})" for name, calls in made.bare.items())
        lines.append(f"no schema and no accepted call: {names}")
    if any(entry["source"] == "inferred" for entry in made.tools):
        lines.append(
            "breaking an inferred schema is suspect at most; read it through, "
            'then take "source": "inferred" away to make it count'
        )
    return "\n".join(lines)


def _behind(entry: dict[str, Any], made: Starter) -> str:
    name, others = entry["function"]["name"], entry.get("other_versions", ())
    told = [f"{entry['accepted']} of {_many(entry['calls'], 'call')} accepted"]
    if name in made.plain:
        told.append(f"{made.plain[name]:,} without JSON arguments")
    if name in made.strange:
        calls, fit = made.strange[name]
        told.append(
            f"2 tools of that name: the logged schema fits {fit:,} of {_many(calls, 'call')} of "
            "logs without one; give each its own --tools file"
        )
    elif others:
        told.append(_many(len(others), "other version"))
    return f"{entry['source']:8}  {'; '.join(told)}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
