"""A second opinion on ATIF: what `tracelint` sees in the same trajectories.

Its adapter turns a trajectory into messages, calls and results of its own. Both are compared fact
by fact; the differences that `design/second-opinion.md` explains are undone here, by rule.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from misstep.ingest import ingest
from misstep.types import Session
from samples import LOGS

adapters = pytest.importorskip("tracelint.adapters")
trace = pytest.importorskip("tracelint.trace")

FILES = sorted(p for p in (LOGS / "atif").glob("*.json") if p.name != "expected.json")


def plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def seen_there(one: Any) -> list[tuple[str, ...]]:
    seen = []
    for step in one.steps:
        if isinstance(step, trace.ToolCall):
            seen.append(("call", step.call_id, step.name, plain(step.args)))
        elif isinstance(step, trace.ToolResult):
            seen.append(("result", step.call_id, text_of(step.content), flag(step)))
        else:
            seen.append(("text", step.content))
    return seen


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else plain(content)


def flag(result: Any) -> str:
    known = {trace.ResultStatus.ERROR: "error", trace.ResultStatus.OK: "ok"}
    return known.get(result.status, "unknown")


def seen_here(session: Session) -> list[tuple[str, ...]]:
    seen: list[tuple[str, ...]] = []
    for message in session.messages:
        for part in message.parts:
            if part.call is not None:
                arguments = plain(json.loads(part.call.arguments))
                seen.append(("call", str(part.call.id), part.call.name, arguments))
            elif part.result is not None:
                told = {True: "error", False: "ok", None: "unknown"}[part.result.is_error]
                if told == "unknown" and part.result.exit_code == 0:
                    told = "ok"
                seen.append(("result", str(part.result.call_id), part.result.text, told))
            else:
                seen.append(("text", part.text or ""))
    return seen


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_both_see_the_same_messages_calls_and_results(path: Path) -> None:
    there = adapters.from_atif_trajectories(json.loads(path.read_bytes()))
    here = ingest([path]).sessions
    assert len(here) == len(there)
    for session, one in zip(here, there, strict=True):
        assert Counter(seen_here(session)) == Counter(seen_there(one))
        assert seen_here(session) == seen_there(one)
