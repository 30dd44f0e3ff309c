"""The sample logs: what the harness counted while it wrote them is what misstep reads from them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from misstep.config import IngestConfig, ValidateConfig
from misstep.ingest import Ingested, ingest
from misstep.types import Session, Verdict
from misstep.validate import settings, validate

LOGS = Path(__file__).parents[1] / "sample_logs"
FORMATS = ("openai-chat", "anthropic-messages", "claude-code", "chat-rows")
EXPECTED: dict[str, dict[str, int]] = json.loads((LOGS / "expected.json").read_text("utf-8"))
by_folder = pytest.mark.parametrize("folder", FORMATS)


@cache
def read(folder: str) -> Ingested:
    tools = str(LOGS / "tools.json") if folder == "claude-code" else None
    return ingest([LOGS / folder], config=IngestConfig(tools=tools))


@cache
def verdicts(folder: str) -> tuple[tuple[Session, tuple[Verdict, ...]], ...]:
    rules = settings(ValidateConfig())
    return tuple((s, validate(s, rules).verdicts) for s in read(folder).sessions)


def first_user(session: Session) -> str:
    return next(m.text for m in session.messages if m.role == "user")


@by_folder
def test_each_folder_is_recognised_as_its_format(folder: str) -> None:
    assert set(read(folder).counts.formats) == {folder}


@by_folder
def test_nothing_is_set_aside(folder: str) -> None:
    assert read(folder).set_aside == ()


@by_folder
def test_sessions_steps_and_calls_are_those_that_the_harness_counted(folder: str) -> None:
    sessions = read(folder).sessions
    steps = [s.messages[i] for s in sessions for i in s.steps]
    assert {
        "tasks": len({first_user(s) for s in sessions}),
        "sessions": sum(s.copies for s in sessions),
        "steps": len(steps),
        "tool_calls": sum(len(m.calls) for m in steps),
    } == {key: EXPECTED[folder][key] for key in ("tasks", "sessions", "steps", "tool_calls")}


@by_folder
def test_failed_steps_are_those_that_the_harness_rejected_but_for_a_few(folder: str) -> None:
    # text without a call fails only where one was demanded; a tool may refuse what its schema takes
    failed = sum(v.state == "fail" for _, judged in verdicts(folder) for v in judged)
    rejected = EXPECTED[folder]["rejected_steps"]
    assert abs(failed - rejected) <= max(4, 0.03 * rejected)


@by_folder
def test_hardly_a_step_is_left_unjudged(folder: str) -> None:
    states = [v.state for _, judged in verdicts(folder) for v in judged]
    assert states.count("unjudged") <= 0.03 * len(states)


def test_no_task_stands_in_two_formats() -> None:
    texts = [t for f in FORMATS for t in {first_user(s) for s in read(f).sessions}]
    assert len(texts) == len(set(texts))


def test_many_kinds_of_failure_are_common() -> None:
    codes = Counter(
        c for f in FORMATS for _, judged in verdicts(f) for v in judged for c in v.codes
    )
    common = {code for code, count in codes.items() if count >= 30}
    assert common >= {
        "ARGS_UNPARSABLE",
        "ENUM",
        "FORMAT",
        "MISSING_REQUIRED",
        "TOOL_UNKNOWN",
        "UNEXPECTED_ARG",
        "WRONG_TYPE",
    }


def test_enough_tasks_have_a_good_and_a_bad_first_answer_or_a_mended_one() -> None:
    both = sum(EXPECTED[f]["tasks_with_both"] for f in FORMATS)
    mended = sum(EXPECTED[f]["mended_sessions"] for f in FORMATS)
    assert both >= 140
    assert mended >= 100


def test_siblings_share_their_prompt() -> None:
    firsts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for folder in FORMATS:
        for session in read(folder).sessions:
            first = next(i for i, m in enumerate(session.messages) if m.role == "assistant")
            key = tuple(m.text for m in session.messages[:first])
            firsts[first_user(session)].add(key)
    assert {len(prompts) for prompts in firsts.values()} == {1}


def test_the_logs_are_small() -> None:
    files = [p for p in LOGS.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) < 6_000_000
