"""What validation costs on one core: each validator alone, schema checks by the call, a whole scan.

`run` needs MISSTEP_CORPUS (a folder with logs). Rows: every validator in MB/s and steps/s over the
sessions of the corpus (MB of the text that models wrote; what validators share is computed in the
first that needs it, so each gets fresh steps), schema validation of 220-byte calls (valid; all
invalid with every error told), and the share of a scan that judging takes. Best of several runs;
the ratios are speeds over what the issue asks for, bigger is better.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from misstep.config import IngestConfig
from misstep.ingest import ingest
from misstep.types import Session
from misstep.validate import VALIDATORS, Settings, Validator, validate
from misstep.validate.schema import breaches, compiled
from misstep.validate.strict_json import parse
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Step

WANTED = {"valid": 300_000, "invalid": 100_000}
"""Calls per second that schema validation must reach."""


def run(quick: bool) -> dict[str, Any]:
    """All logs of the corpus; `quick` reads them once and times each arm three times."""
    repeats = 3 if quick else 7
    logs = Path(os.environ["MISSTEP_CORPUS"]) / "logs"
    reading, sessions = _timed(lambda: ingest([logs], config=IngestConfig(workers=1)).sessions, 1)
    size, steps = _written(sessions), sum(1 for s in sessions for _ in s.steps)
    rows = [_arm(v, sessions, size, steps, repeats) for v in VALIDATORS]
    judging, _ = _timed(lambda: [validate(s, Settings()) for s in sessions], repeats)
    rows.append(
        {
            "arm": "all validators",
            "work": "the corpus",
            "n": steps,
            "mb_per_second": round(size / judging / 1e6, 2),
            "steps_per_second": round(steps / judging),
            "seconds": round(judging, 3),
            "share_of_scan": round(judging / (judging + reading), 3),
        }
    )
    calls = [_schema_row(kind, repeats) for kind in WANTED]
    ratios = {
        f"schema_{row['work']}_calls": row["calls_per_second"] / WANTED[row["work"]]
        for row in calls
    }
    return {
        "rows": [*rows, *calls],
        "ratios": ratios | {"reading_over_judging": reading / judging},
    }


def _timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    best, value = float("inf"), None
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        value = work()
        best = min(best, time.process_time() - start)
    return best, value


def _written(sessions: Sequence[Session]) -> int:
    """Bytes of text, reasoning and arguments that the models of the sessions' own steps wrote."""
    return sum(
        len(message.text.encode("utf-8", "replace"))
        + len(message.reasoning.encode("utf-8", "replace"))
        + sum(len(call.arguments.encode("utf-8", "replace")) for call in message.calls)
        for session in sessions
        for message in (session.messages[step] for step in session.steps)
    )


def _arm(
    validator: Validator, sessions: Sequence[Session], size: int, steps: int, repeats: int
) -> dict[str, Any]:
    def work() -> int:
        found = 0
        for session in sessions:
            transcript = Transcript(session)
            for index in session.steps:
                step = Step(session=session, index=index, transcript=transcript)
                found += sum(1 for _ in validator.check(step))
        return found

    seconds, found = _timed(work, repeats)
    return {
        "arm": validator.name,
        "work": "the corpus",
        "n": steps,
        "findings": found,
        "mb_per_second": round(size / seconds / 1e6, 2),
        "steps_per_second": round(steps / seconds),
        "seconds": round(seconds, 4),
    }


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "date": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "detail": {"type": "boolean"},
        "place": {
            "type": "object",
            "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
            "required": ["lat", "lon"],
        },
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
GOOD = {
    "city": "Oslo",
    "unit": "celsius",
    "days": 3,
    "date": "2025-03-01",
    "code": "NO-1234",
    "tags": ["rain", "wind", "snow"],
    "detail": True,
    "place": {"lat": 59.91, "lon": 10.75},
}
SPOILT: tuple[dict[str, Any], ...] = (
    {"unit": "kelvin"},
    {"days": "3"},
    {"date": "tomorrow"},
    {"extra": 1},
    {"place": {"lat": 59.91}},
)


def _schema_row(kind: str, repeats: int) -> dict[str, Any]:
    known = compiled(json.dumps(SCHEMA))
    texts = [
        json.dumps(GOOD | {"city": f"Oslo {at}"} | ({} if kind == "valid" else SPOILT[at % 5]))
        for at in range(20_000)
    ]
    values = [parse(text).value for text in texts]
    seconds, errors = _timed(lambda: sum(1 for v in values for _ in breaches(known, v)), repeats)
    return {
        "arm": "schema",
        "work": kind,
        "n": len(texts),
        "errors": errors,
        "bytes_per_call": sum(map(len, texts)) // len(texts),
        "calls_per_second": round(len(texts) / seconds),
        "seconds": round(seconds, 4),
    }
