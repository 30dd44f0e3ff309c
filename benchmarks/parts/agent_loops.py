"""Agent loops: what is found in real logs, by outcome, and calls judged a second.

The logs are those in MISSTEP_CORPUS (tau-bench logs a reward). Beside misstep, in the same run,
stand two simpler rules: three equal calls on end, and a call made four times anywhere, both without
a look at the results. Every session with a hit is listed.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from misstep.config import IngestConfig
from misstep.ingest import ingest
from misstep.types import Finding, Message, Part, Session, ToolCall, ToolResult
from misstep.validate import (
    Settings,
    agent_cycle,
    agent_loop,
    agent_near,
    limit,
    monologue,
    same_error,
)
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Step

MODULES = (agent_loop, agent_cycle, same_error, monologue, agent_near, limit)
FOLDERS = ("tau-bench", "swe-agent", "toolbench", "inspect-ai", "claude-code", "openhands", "vcr")


def judge(session: Session) -> list[Finding]:
    """What the agent-loop validators say about a session."""
    transcript, settings = Transcript(session), Settings()
    return [
        finding
        for index in session.steps
        for module in MODULES
        for finding in module.VALIDATOR.check(
            Step(session=session, index=index, settings=settings, transcript=transcript)
        )
    ]


def misstep(session: Session) -> bool:
    return any(f.level == "defect" for f in judge(session))


def suspected(session: Session) -> bool:
    return any(f.level in ("defect", "suspect") for f in judge(session))


def calls(session: Session) -> Iterator[tuple[str, str]]:
    for index in session.steps:
        for call in session.messages[index].calls:
            yield call.name, call.arguments


def on_end(session: Session) -> bool:
    """Three equal calls on end, whatever came back."""
    return any(len(list(group)) >= 3 for _, group in groupby(calls(session)))


def anywhere(session: Session) -> bool:
    """One call four times, whatever came back."""
    return max(Counter(calls(session)).values(), default=0) >= 4


ARMS: dict[str, Callable[[Session], bool]] = {
    "misstep, defects": misstep,
    "misstep, suspects too": suspected,
    "3 equal calls on end": on_end,
    "4 equal calls anywhere": anywhere,
}


def logs() -> Iterator[tuple[str, list[Session]]]:
    """The sessions of each folder of real logs."""
    corpus = os.environ.get("MISSTEP_CORPUS")
    for name in FOLDERS if corpus else ():
        folder = Path(str(corpus)) / "logs" / name
        if folder.is_dir():
            yield name, list(ingest([folder], config=IngestConfig(workers=1)).sessions)


def groups(name: str, sessions: list[Session]) -> Iterator[tuple[str, list[Session]]]:
    """Sessions by their reward where the log keeps one, else all of them."""
    rewards = {s.outcome.reward for s in sessions if s.outcome is not None} - {None}
    for reward in sorted(r for r in rewards if r is not None):
        part = [s for s in sessions if s.outcome is not None and s.outcome.reward == reward]
        yield f"{name}, reward {reward:g}", part
    rest = [s for s in sessions if s.outcome is None or s.outcome.reward is None]
    if rest:
        yield name, rest


def run(quick: bool) -> dict[str, Any]:
    """One row for each group of logs and each rule, and the speed."""
    rows: list[dict[str, Any]] = []
    every: list[Session] = []
    for name, sessions in logs():
        every.extend(sessions)
        for work, part in groups(name, sessions):
            for arm, rule in ARMS.items():
                k = sum(map(rule, part))
                rows.append(
                    {"arm": arm, "work": work, "n": len(part), "k": k}
                    | {"rate": round(k / len(part), 4)}
                )
            codes = Counter(f"{f.code}:{f.level}" for s in part for f in judge(s))
            rows[-len(ARMS)]["codes"] = dict(codes)
            rows[-len(ARMS)]["listed"] = [s.id for s in part if suspected(s)]
    for work, sessions in {"real logs": every, "made sessions": made(50 if quick else 400)}.items():
        if sessions:
            rows.append(speed(work, sessions))
    return {"rows": rows, "ratios": {}}


def speed(work: str, sessions: list[Session]) -> dict[str, Any]:
    """Calls a second of one core's time, pairing of calls and results included."""
    number = sum(1 for s in sessions for _ in calls(s))
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for session in sessions:
            judge(session)
        best = min(best, time.process_time() - began)
    return {"arm": "misstep", "work": f"speed: {work}", "n": number, "seconds": round(best, 4)} | {
        "calls_per_second": round(number / best)
    }


def made(count: int) -> list[Session]:
    """Sessions of 60 calls of which a third come again."""
    return [
        Session(
            id=str(n),
            format="bench",
            messages=(Message(role="user", parts=(Part(kind="text", text="go"),)), *_talk(n)),
        )
        for n in range(count)
    ]


def _talk(seed: int) -> Iterator[Message]:
    for at in range(60):
        what = at % 20 if at % 3 else at
        arguments = json.dumps({"path": f"src/module_{what}.py", "lines": [what, what + 50]})
        call = ToolCall(name="read_file", arguments=arguments, id=str(at))
        yield Message(role="assistant", parts=(Part(kind="call", call=call),))
        text = f"{what} {seed}: " + "def work(a, b):\n    return a + b\n" * 8
        result = ToolResult(text=text, call_id=str(at))
        yield Message(role="tool", parts=(Part(kind="result", result=result),))


if __name__ == "__main__":
    import sys

    print(json.dumps(run("--quick" in sys.argv), indent=1))
