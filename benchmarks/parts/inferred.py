"""How often a schema that was inferred from some accepted calls is broken by others.

In: real logs (`$MISSTEP_CORPUS/logs`). Out, for each folder: sessions in five parts by hash,
schemas inferred from one part (few calls) or from four (many), held against the accepted calls of
the rest. Accepted calls that break one are false alarms. Run: python benchmarks/parts/inferred.py
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from misstep import ingest
from misstep.ingest.infer import SESSIONS_FROM, Shape
from misstep.types import Session, content_id
from misstep.validate.schema import breaches, compiled, undeclared
from misstep.validate.strict_json import parse
from misstep.validate.transcript import Transcript

FOLDS = 5
Call = tuple[str, dict[str, Any]]


def accepted(session: Session) -> list[Call]:
    """Tool and arguments of each accepted call."""
    transcript = Transcript(session)
    found = []
    for exchanges in transcript.exchanges.values():
        for exchange in exchanges:
            call = exchange.call
            if call.kind != "function" or call.syntax != "json" or exchange.result is None:
                continue
            parsed = parse(call.arguments)
            if transcript.fault(exchange) is None and parsed.ok and isinstance(parsed.value, dict):
                found.append((call.name, parsed.value))
    return found


def held_out(sessions: list[list[Call]], parts: list[int], *, many: bool) -> dict[str, Any]:
    """False alarms on the calls that no schema was inferred from."""
    codes: Counter[str] = Counter()
    tested = broken = 0
    seen: list[str] = []
    for fold in range(FOLDS):
        shapes: dict[str, Shape] = {}
        among: Counter[str] = Counter()
        for calls, part in zip(sessions, parts, strict=True):
            if (part == fold) is not many:
                among.update({name for name, _ in calls})
                for name, value in calls:
                    shapes.setdefault(name, Shape()).take(value)
        schemas = {
            n: compiled(json.dumps(s.schema(firm=among[n] >= SESSIONS_FROM)))
            for n, s in shapes.items()
        }
        for calls, part in zip(sessions, parts, strict=True):
            for name, value in calls if (part == fold) is many else ():
                if name not in schemas:
                    continue
                tested += 1
                found = {b.code for b in breaches(schemas[name], value)}
                broken += bool(found)
                codes.update(found)
                codes["new name"] += any(True for _ in undeclared(schemas[name], value))
                if found and len(seen) < 8:
                    seen += [
                        f"{name}: {b.code} {b.where} {b.said}"
                        for b in breaches(schemas[name], value)
                    ][:2]
    return {"tested": tested, "broken": broken, "codes": dict(codes), "seen": seen}


def run(quick: bool = False) -> dict[str, Any]:
    """Rows for each folder of logs; the ratio is the share of accepted calls without an alarm."""
    corpus = os.environ.get("MISSTEP_CORPUS")
    rows = []
    for folder in sorted(Path(corpus, "logs").iterdir()) if corpus else []:
        if not folder.is_dir():
            continue
        sessions = [accepted(s) for s in ingest.ingest([folder]).sessions]
        calls = sum(map(len, sessions))
        if calls < 50:
            continue
        parts = [int(content_id(folder.name, str(i)), 16) % FOLDS for i in range(len(sessions))]
        for many in (False, True):
            got = held_out(sessions, parts, many=many)
            arm = "4/5 of sessions" if many else "1/5 of sessions"
            rows.append({"arm": arm, "work": folder.name, "n": got["tested"], **got})
    total = {m: sum(r["tested"] for r in rows if r["arm"][0] == m) for m in "14"}
    wrong = {m: sum(r["broken"] for r in rows if r["arm"][0] == m) for m in "14"}
    ratios = {
        name: 1 - wrong[m] / total[m]
        for m, name in (("1", "clean_from_few"), ("4", "clean_from_many"))
        if total[m]
    }
    return {"rows": rows, "ratios": ratios}


if __name__ == "__main__":
    json.dump(run("--quick" in sys.argv), sys.stdout, indent=1)
