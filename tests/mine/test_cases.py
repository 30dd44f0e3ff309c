"""Case files: what is mined of a small log, to the letter. Add one under tests/cases/mine/."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from misstep import mine
from misstep.types import Message, Prompt
from scenes import BOOKING, WEATHER, calls_of, message, mined, session

CASES = sorted((Path(__file__).parents[1] / "cases" / "mine").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_case_gives_exactly_these_pairs(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    sessions = [
        session(
            *s["rows"],
            tools=s.get("tools", (WEATHER, BOOKING)),
            schema=s.get("schema"),
            tool_choice=s.get("tool_choice"),
        )
        for s in case["sessions"]
    ]
    answers = {
        Prompt(session=sessions[a["session"]].id, step=a["step"]): tuple(map(message, a["answers"]))
        for a in case.get("answers", ())
    }
    references = tmp_path / "references.jsonl"
    references.write_text("".join(json.dumps(r) + "\n" for r in case.get("references", ())))
    found = mined(*sessions, answers=answers, references=mine.read_references(references))
    want = case["want"]
    by_step = sorted(found.pairs, key=lambda p: (p.prompt.step, p.source))
    assert [shown(pair, like) for pair, like in zip(by_step, want["pairs"], strict=True)] == want[
        "pairs"
    ]
    assert Counter(refused.reason for refused in found.refused) == want["refused"]
    assert len(found.unpaired) == want["unpaired"]
    assert found.counts["failed_steps"] == want.get("failed", found.counts["failed_steps"])


def shown(pair, like) -> dict:
    return {
        "source": pair.source,
        "step": pair.prompt.step,
        "codes": list(pair.codes),
        "edits": list(pair.edits),
        "chosen": side(pair.chosen, like["chosen"]),
        "rejected": side(pair.rejected, like["rejected"]),
        "cut": pair.cut,
    }


def side(answer: Message, like: dict) -> dict:
    text = {"text": answer.text} if answer.text or "text" in like else {}
    return {**text, "calls": [list(call) for call in calls_of(answer)]}
