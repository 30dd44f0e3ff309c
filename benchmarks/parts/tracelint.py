"""`tracelint check` (PyPI `tracelint`, MIT) and misstep on the same traces, finding by finding.

In: the sample logs in the five forms that both read, planted faults (one for each rule, each with a
twin that is right), and, where MISSTEP_CORPUS names them, real logs. Out: rows with the findings of
both by rule, and how many of the planted faults and of the invented values each found. Without the
program `tracelint` (TRACELINT names it, else the PATH) only ours are counted. The differences are
explained in design/tracelint.md.

    python benchmarks/validators.py --only tracelint --json FILE
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts.tracelint_planted import CONTRACT, PLANTED

from misstep.config import IngestConfig, ValidateConfig
from misstep.ingest import ingest
from misstep.validate import settings, validate

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "sample_logs"
RULES = {
    "R1": "MISSING_REQUIRED UNEXPECTED_ARG WRONG_TYPE ENUM FORMAT RANGE SCHEMA_COMBO",
    "R2a": "TOOL_ERROR ENV_ERROR",
    "R2b": "FAILED_VALUE_USED",
    "R3": "HALLUCINATED_ARG",
    "R4": "LOOP_SAME_CALL",
    "R5": "REDUNDANT_CALL",
    "R6": "ARGS_UNPARSABLE ARGS_NOT_OBJECT",
    "R7": "TOOL_UNKNOWN",
    "R8": "DUP_SIDE_EFFECT",
    "R9": "PRECONDITION",
    "R10": "RESULT_CONTRACT",
    "R11": "CONTRACT_DRIFT",
    "R12": "UNRESOLVED_EFFECT",
    "R13": "OFF_LIMITS",
}
RULE_OF = {code: rule for rule, codes in RULES.items() for code in codes.split()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Traces in a file that both read."""

    name: str
    format: str
    """Tracelint's name of the form."""
    theirs: Path
    ours: Path
    tools: Path | None = None


def run(quick: bool) -> dict[str, Any]:
    """Rows for every form and rule, and the ratios of the planted faults."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for work in _works(folder, quick):
            rows += _compared(work)
        planted, ratios = _planted(folder)
        rows += planted
        invented, more = _invented(folder, 100 if quick else 400)
    return {"rows": rows + invented, "ratios": ratios | more}


def _program() -> str | None:
    return os.environ.get("TRACELINT") or shutil.which("tracelint")


def theirs(work: Work) -> list[dict[str, Any]] | None:
    """Their findings; None without the program. What they could not check is left out."""
    program = _program()
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out.json"
        given = [] if work.tools is None else ["--tools", str(work.tools)]
        command = [program, "check", str(work.theirs), "--format", work.format, *given]
        done = subprocess.run(
            [*command, "--json", str(out), "--quiet"], cwd=name, capture_output=True, check=False
        )
        if not out.exists():
            raise RuntimeError(f"{work.name}: {done.stderr.decode()[:400]}")
        reports = json.loads(out.read_bytes())["reports"]
    return [
        {**finding, "run": at}
        for at, report in enumerate(reports)
        for finding in report["findings"]
        if finding.get("suppressed_reason") is None
    ]


def ours(work: Work) -> tuple[list[tuple[int, Any]], int]:
    """Our findings, each with the place of its session, and the number of calls."""
    tools = None if work.tools is None else str(work.tools)
    got = ingest([work.ours], config=IngestConfig(workers=1, tools=tools))
    held = settings(ValidateConfig())
    found = [(at, f) for at, s in enumerate(got.sessions) for f in validate(s, held).findings]
    calls = sum(len(s.messages[step].calls) for s in got.sessions for step in s.steps)
    return found, calls


def _compared(work: Work) -> Iterator[dict[str, Any]]:
    started = time.perf_counter()
    mine, calls = ours(work)
    taken = time.perf_counter() - started
    started = time.perf_counter()
    other = theirs(work)
    spent = time.perf_counter() - started
    a = Counter((RULE_OF.get(f.code, f.code), f.level) for _, f in mine)
    for (rule, level), found in sorted(a.items()):
        yield _row("misstep", work.name, calls, taken, rule=rule, level=level, found=found)
    b = Counter((f["rule"], f["tier"]) for f in other or ())
    for (rule, level), found in sorted(b.items()):
        yield _row("tracelint", work.name, calls, spent, rule=rule, level=level, found=found)


def _row(arm: str, work: str, n: int, seconds: float, **more: Any) -> dict[str, Any]:
    return {"arm": arm, "work": work, "n": n, "seconds": round(seconds, 3), **more}


def _works(folder: Path, quick: bool) -> Iterator[Work]:
    """The same traces for both: unpacked and joined as their readers want them, nothing else."""
    yield from _chats(folder)
    for name in ("openai", "agents"):
        path = LOGS / "openinference" / f"{name}.jsonl"
        yield Work(name=f"openinference/{name}", format="openinference", theirs=path, ours=path)
    for name in ("terminus", "terminus-raw"):
        path = LOGS / "atif" / f"{name}.json"
        yield Work(name=f"atif/{name}", format="atif", theirs=path, ours=path)
    runs = LOGS / "langsmith" / "runs.jsonl.gz"
    lines = gzip.decompress(runs.read_bytes()).splitlines()
    path = _written(folder / "langsmith.json", _forest([json.loads(line) for line in lines]))
    yield Work(name="langsmith/runs", format="langsmith", theirs=path, ours=runs)
    traces = LOGS / "langfuse" / "traces.json"
    joined = [_whole(entry) for entry in json.loads(traces.read_bytes())]
    path = _written(folder / "langfuse.json", joined)
    yield Work(name="langfuse/traces", format="langfuse", theirs=path, ours=traces)
    for file in _corpus("langfuse", "*.trace.json"):
        path = _written(folder / file.name, _whole(json.loads(file.read_bytes())))
        yield Work(name=f"langfuse/{file.stem}", format="langfuse", theirs=path, ours=file)
    for file in _corpus("tau-bench", "*.json"):
        talks = [row["traj"] for row in json.loads(file.read_bytes())]
        path = _written(folder / "tau.json", talks[:50] if quick else talks)
        rows = "".join(json.dumps({"messages": t}) + "\n" for t in json.loads(path.read_bytes()))
        mine = folder / "tau.jsonl"
        mine.write_text(rows)
        yield Work(name="openai/tau-bench", format="openai", theirs=path, ours=mine)


def _corpus(name: str, pattern: str) -> list[Path]:
    root = os.environ.get("MISSTEP_CORPUS")
    return sorted((Path(root) / "logs" / name).glob(pattern)) if root else []


def _chats(folder: Path) -> Iterator[Work]:
    """The requests of the OpenAI sample with their answers; every tool of the file is declared."""
    talks, tools = [], {}
    for line in (LOGS / "openai-chat" / "pairs.jsonl").read_text().splitlines():
        row = json.loads(line)
        answer = row["response"]["choices"][0]["message"]
        talks.append([*row["request"]["messages"], answer])
        for tool in row["request"].get("tools", ()):
            tools[tool["function"]["name"]] = {"schema": tool["function"]["parameters"]}
    path = _written(folder / "chats.json", talks)
    mine = folder / "chats.jsonl"
    mine.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    given = _written(folder / "chat-tools.json", {"tools": tools})
    yield Work(name="openai/pairs", format="openai", theirs=path, ours=mine, tools=given)


def _forest(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flat runs as trees of `child_runs`."""
    known = {run["id"]: {**run, "child_runs": []} for run in runs}
    roots = []
    for run in known.values():
        parent = known.get(run.get("parent_run_id"))
        (roots if parent is None else parent["child_runs"]).append(run)
    return roots


def _whole(entry: dict[str, Any]) -> dict[str, Any]:
    """A trace with its observations inside, their texts read as JSON as the API gives them."""
    inner = entry.get("trace", entry)
    rows = entry.get("observations") or inner.get("observations") or []
    return {**inner, "observations": [{**row, **_read(row)} for row in rows]}


def _read(row: dict[str, Any]) -> dict[str, Any]:
    told = {}
    for key in ("input", "output", "metadata"):
        if isinstance(row.get(key), str):
            try:
                told[key] = json.loads(row[key])
            except ValueError:
                continue
    return told


def _written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def _planted(folder: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """One fault for each rule and its right twins: who says what."""
    given = _written(folder / "planted-tools.json", CONTRACT)
    rows: list[dict[str, Any]] = []
    told = {"misstep": Counter[str](), "tracelint": Counter[str]()}
    for at, (rule, faulty, said, talk) in enumerate(PLANTED):
        theirs_path = _written(folder / f"planted-{at}.json", talk)
        mine = folder / f"planted-{at}.jsonl"
        mine.write_text(json.dumps(_logged(talk)) + "\n")
        work = Work(
            name=f"planted/{said}", format="openai", theirs=theirs_path, ours=mine, tools=given
        )
        arms = {"misstep": {RULE_OF.get(f.code) for _, f in ours(work)[0]}}
        if (other := theirs(work)) is not None:
            arms["tracelint"] = {f["rule"] for f in other}
        for arm, rules in arms.items():
            told[arm]["right" if (rule in rules) is faulty else "wrong"] += 1
            rows.append(_row(arm, work.name, 1, 0.0, rule=rule, fault=faulty, found=rule in rules))
    return rows, {
        f"planted_right_{arm}": round(n["right"] / n.total(), 4) for arm, n in told.items() if n
    }


def _logged(talk: Any) -> dict[str, Any]:
    return talk if isinstance(talk, dict) else {"messages": talk}


def _invented(folder: Path, most: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Ids of real calls with other digits: nothing supplied them. Needs the corpus."""
    files = _corpus("tau-bench", "*.json")
    if not files:
        return [], {}
    draw = random.Random(7)
    talks = [row["traj"] for row in json.loads(files[0].read_bytes())]
    draw.shuffle(talks)
    made = [m for talk in talks if (m := _mutated(talk, draw)) is not None][:most]
    path = _written(folder / "invented.json", [talk for talk, _ in made])
    mine = folder / "invented.jsonl"
    mine.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk, _ in made))
    work = Work(name="invented/tau-bench", format="openai", theirs=path, ours=mine)
    values = {value for _, value in made}
    hits = {"misstep": {v for _, f in ours(work)[0] if RULE_OF.get(f.code) == "R3"
                        for v in values if repr(v) in f.evidence}}  # fmt: skip
    if (other := theirs(work)) is not None:
        hits["tracelint"] = {v for f in other if f["rule"] == "R3" for v in values if v in str(f)}
    rows = [
        _row(arm, work.name, len(values), 0.0, rule="R3", found=len(found))
        for arm, found in hits.items()
    ]
    return rows, {f"invented_found_{a}": round(len(f) / len(values), 4) for a, f in hits.items()}


def _mutated(talk: list[Any], draw: random.Random) -> tuple[list[Any], str] | None:
    """The talk up to one call with an id, whose digits or letters were changed."""
    spots = [
        (at, key, value)
        for at, message in enumerate(talk)
        for call in (message.get("tool_calls") or ())[:1]
        for key, value in json.loads(call["function"]["arguments"]).items()
        if key.endswith("_id") and isinstance(value, str) and re.search(r"\d", value)
    ]
    if not spots:
        return None
    at, key, value = draw.choice(spots)
    other = "".join(_other(c, draw) if c.isdigit() else c for c in value)
    text = json.dumps(talk[: at + 1])
    if other == value or other in text:
        return None
    message = json.loads(json.dumps(talk[at]))
    call = message["tool_calls"][0]["function"]
    call["arguments"] = json.dumps({**json.loads(call["arguments"]), key: other})
    return [*talk[:at], message], other


def _other(digit: str, draw: random.Random) -> str:
    return draw.choice([c for c in "0123456789" if c != digit])
