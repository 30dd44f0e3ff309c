"""Makes the sample: runs in the form of AgentBench's `runs.jsonl` (no package writes them).

    python sample_logs/agentbench/make.py

The form follows the source of AgentBench (`src/typings/output.py`); the runs are our own.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent / "misstep-sample" / "os-std"
RULE = "Answer with Act: bash and a code block, or with Act: finish."


def run(index: int, status: str, result: object, *talk: str) -> dict:
    roles = ("user", "agent")
    history = [{"role": roles[at % 2], "content": text} for at, text in enumerate(talk)]
    output = {"index": index, "status": status, "result": result, "history": history}
    time = {"timestamp": 1760000000000 + index, "str": "2025-10-09 08:53:20"}
    return {"index": index, "error": None, "info": None, "output": output, "time": time}


LOOK = "Think: I list them.\n\nAct: bash\n\n```bash\nls /notes | wc -l\n```"
RUNS = [
    run(
        0,
        "completed",
        {"result": True},
        f"{RULE} How many notes are there?",
        LOOK,
        "The output is: 3",
        "Act: answer(3)",
    ),
    run(1, "agent validation failed", {"result": False}, f"{RULE} Delete them.", "Sure, done!"),
    run(
        2,
        "task limit reached",
        {"result": False},
        f"{RULE} Count again.",
        LOOK,
        "The output is: 3",
        LOOK,
        "The output is: 3",
        LOOK,
    ),
    {
        "index": 3,
        "error": "NETWORK_ERROR",
        "info": "connection refused",
        "output": None,
        "time": {"timestamp": 1760000000004, "str": "2025-10-09 08:53:20"},
    },
]

if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    (HERE / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in RUNS))
