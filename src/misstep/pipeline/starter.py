"""A starter tools file: what the logs hold of each tool, or what its accepted calls tell.

In: sessions, one by one. Out: `Starter` with one entry a tool, as `--tools` reads it. A schema that
a log (or a given tools file) holds is kept as it is; where logs hold several, the one that most
steps offered is kept and the others are noted. Elsewhere a schema is inferred from the calls whose
result is no error, and marked so: what breaks it is suspect at most.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
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
from misstep.redact import redact
from misstep.types import Session, ToolSpec
from misstep.validate.strict_json import parse
from misstep.validate.transcript import Exchange, Transcript

MAX_POINTERS = 10
"""Places named in which another version of a schema differs."""


@dataclass(slots=True)
class _Seen:
    """One tool while the logs are read."""

    specs: Counter[ToolSpec] = field(default_factory=Counter)
    """Steps that offered each version with a schema."""
    described: ToolSpec | None = None
    """A version without a schema."""
    calls: int = 0
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
    if not book:
        for spec in _listed(paths):
            book.offer(spec, 0)
    made = book.starter()
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
            for spec in session.contexts[at].tools:
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
        call = exchange.call
        if call.kind != "function" or call.syntax != "json":
            return False
        seen = self._tools.setdefault(call.name, _Seen())
        seen.calls += 1
        faulty = call.fault is not None or session.messages[exchange.step].fault is not None
        if faulty or exchange.result is None or transcript.fault(exchange) is not None:
            return False
        parsed = parse(call.arguments if call.arguments.strip() else "{}")
        if not parsed.ok or not isinstance(parsed.value, dict):
            return False
        seen.accepted += 1
        seen.shape.take(parsed.value)
        return True

    def starter(self) -> Starter:
        """What the sessions taken so far come to."""
        entries = {name: _entry(name, seen) for name, seen in sorted(self._tools.items())}
        return Starter(
            tools=tuple(entry for entry in entries.values() if entry is not None),
            bare={n: c for n, e in entries.items() if e is None and (c := self._tools[n].calls)},
            sessions=self._sessions,
        )


def _entry(name: str, seen: _Seen) -> dict[str, Any] | None:
    if not seen.specs:
        return _inferred(name, seen) if seen.accepted and name.strip() else None
    versions = _versions(seen.specs)
    kept, _ = versions[0]
    made = _shown(name, kept, object_of(kept.parameters), kept.source)
    made |= {"calls": seen.calls, "accepted": seen.accepted}
    if len(versions) > 1:
        first = object_of(kept.parameters)
        made["other_versions"] = [
            {"steps": steps, "differs_at": [*_differing(first, object_of(spec.parameters), "")]}
            for spec, steps in versions[1:]
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


def _versions(specs: Counter[ToolSpec]) -> list[tuple[ToolSpec, int]]:
    """Distinct schemas, given ones first, then by the steps that offered them."""
    by_schema: dict[str, list[tuple[ToolSpec, int]]] = {}
    for spec, steps in specs.items():
        value = object_of(spec.parameters)
        key = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        by_schema.setdefault(key, []).append((spec, steps))
    merged = [
        (_best(same), sum(steps for _, steps in same), key) for key, same in by_schema.items()
    ]
    merged.sort(key=lambda one: (one[0].source != "given", -one[1], one[2]))
    return [(spec, steps) for spec, steps, _ in merged]


def _best(same: Sequence[tuple[ToolSpec, int]]) -> ToolSpec:
    """Of equal schemas the one with the most said about it."""
    return max(
        (spec for spec, _ in same),
        key=lambda s: (
            s.source == "given",
            len(s.contract or ""),
            len(s.description or ""),
            repr(s),
        ),
    )


def _differing(one: Any, other: Any, where: str) -> Iterator[str]:
    """JSON pointers at which two schemas differ, `MAX_POINTERS` at most."""
    found = _differences(one, other, where)
    yield from (pointer for pointer, _ in zip(found, range(MAX_POINTERS), strict=False))


def _differences(one: Any, other: Any, where: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            at = f"{where}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key in one and key in other:
                yield from _differences(one[key], other[key], at)
            else:
                yield at
    elif one != other:
        yield where


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
        *(f"  {e['function']['name']:{wide}}  {_behind(e)}" for e in made.tools),
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


def _behind(entry: dict[str, Any]) -> str:
    others = entry.get("other_versions", ())
    calls = f"{entry['accepted']} of {_many(entry['calls'], 'call')} accepted"
    more = f"; {_many(len(others), 'other version')}" if others else ""
    return f"{entry['source']:8}  {calls}{more}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
