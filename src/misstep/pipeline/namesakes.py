"""Whether the calls that no log has a schema for keep to the schema that another log has.

In: the names whose schema a starter would hand out, and the sessions once more, one by one. Out:
for each name a `Namesake`. Two agents may each have a tool called `bash`: the schema of the one
makes every call of the other a false defect, so it is handed out only where such calls fit it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from misstep.ingest.infer import Shape
from misstep.types import Session
from misstep.validate.schema import breaches, compiled
from misstep.validate.transcript import Exchange, Transcript

FITS = 0.9
"""Share of the calls without a schema that must fit it for it to be that of their tool too.

No tool turned these calls down, so if it is their tool nearly all fit. In a corpus of 14 kinds of
real logs 17 names have such calls: in 13 all fit, in 3 none of 15, 4 and 1, in one 3 of 4.
"""


@dataclass(slots=True)
class Namesake:
    """The calls of one name."""

    schema: str
    """The logged schema as JSON text."""
    fit: Counter[bool] = field(default_factory=Counter)
    """Calls without a logged schema that no tool turned down, by whether they fit."""
    down: Counter[bool] = field(default_factory=Counter)
    """Those that were turned down."""
    shape: Shape = field(default_factory=Shape)
    """All that no tool turned down, with a logged schema or without."""

    @property
    def told(self) -> Counter[bool]:
        """The calls that tell: what was turned down says little, unless there is nothing else."""
        return self.fit if self.fit.total() else self.down

    @property
    def strange(self) -> bool:
        """Whether the schema is not that of the calls without one."""
        told = self.told
        return told.total() > 0 and told[True] < FITS * told.total()


class Namesakes:
    """Takes sessions in any order."""

    def __init__(self, schemas: Mapping[str, str]) -> None:
        self.found = {name: Namesake(schema) for name, schema in schemas.items()}

    def take(self, session: Session) -> None:
        """Hold the calls of one session against the schemas."""
        own = set(session.steps)
        transcript = Transcript(session)
        for step, made in transcript.exchanges.items():
            for exchange in made if step in own else ():
                if exchange.call.name in self.found:
                    self._call(session, exchange, transcript)

    def _call(self, session: Session, exchange: Exchange, transcript: Transcript) -> None:
        value = arguments_of(exchange)
        if value is None:
            return
        seen = self.found[exchange.call.name]
        down = turned_down(session, exchange, transcript)
        if not down:
            seen.shape.take(value)
        if not has_schema(exchange):
            broken = breaches(compiled(seen.schema), value, len(exchange.call.arguments))
            fits = all(breach.code == "TOOL_SCHEMA_INVALID" for breach in broken)
            (seen.down if down else seen.fit)[fits] += 1


def is_json(exchange: Exchange) -> bool:
    """Whether the arguments of a call are JSON at all, and not code or a provider's own."""
    return exchange.call.kind == "function" and exchange.call.syntax == "json"


def arguments_of(exchange: Exchange) -> dict[str, Any] | None:
    """The arguments of a call; None where they are no JSON object."""
    if not is_json(exchange):
        return None
    if not exchange.call.arguments.strip():
        return {}
    value = exchange.parsed.value if exchange.parsed.ok else None
    return value if isinstance(value, dict) else None


def turned_down(session: Session, exchange: Exchange, transcript: Transcript) -> bool:
    """Whether the tool or its harness said that a call cannot be used."""
    faulty = exchange.call.fault is not None or session.messages[exchange.step].fault is not None
    return faulty or transcript.fault(exchange) is not None


def has_schema(exchange: Exchange) -> bool:
    """Whether the log (or a given file) holds the schema of the very tool that was called."""
    spec = exchange.spec
    return spec is not None and spec.parameters is not None and spec.source in ("logged", "given")
