"""Makes the sample: two runs in the form of tau-bench's result files (no package writes them).

    python sample_logs/tau-bench/make.py

The form follows the published result files; the runs are our own.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
WISH = "You are Ada. You want to cancel order A17 because it comes too late."


def call(id: str, name: str, arguments: str) -> dict:
    function = {"arguments": arguments, "name": name}
    calls = [{"id": id, "function": function, "type": "function"}]
    return {"content": None, "role": "assistant", "tool_calls": calls, "function_call": None}


def result(id: str, name: str, content: str) -> dict:
    return {"role": "tool", "tool_call_id": id, "name": name, "content": content}


def said(text: str) -> dict:
    return {"content": text, "role": "assistant", "tool_calls": None, "function_call": None}


def user(text: str) -> dict:
    return {"role": "user", "content": text}


SYSTEM = {"role": "system", "content": "Help with orders. Cancel only what is not shipped yet."}
GOOD = [
    SYSTEM,
    user("Please cancel order A17."),
    call("c1", "find_order", '{"order_id":"A17"}'),
    result("c1", "find_order", '{"status": "packed"}'),
    call("c2", "cancel_order", '{"order_id":"A17","reason":"too late"}'),
    result("c2", "cancel_order", "done"),
    said("Order A17 is cancelled."),
    user("###STOP###"),
]
BAD = [
    SYSTEM,
    user("Please cancel order A17."),
    call("c1", "find_order", '{"order":"A17"}'),
    result("c1", "find_order", "Error: find_order() got an unexpected keyword argument 'order'"),
    call("c2", "find_order", '{"order_id":"A17"'),
    result("c2", "find_order", "Error: Expecting ',' delimiter: line 1 column 18 (char 17)"),
    call("c3", "drop_order", '{"order_id":"A17"}'),
    result("c3", "drop_order", "Unknown action drop_order"),
    said("I could not cancel it."),
    user("###STOP###"),
]


def run(trial: int, reward: float, traj: list[dict]) -> dict:
    task = {"user_id": "ada", "actions": [], "instruction": WISH, "outputs": []}
    info = {"task": task, "source": "user", "user_cost": 0.0}
    return {"task_id": 3, "reward": reward, "info": info, "traj": traj, "trial": trial}


if __name__ == "__main__":
    runs = [run(0, 1.0, GOOD), run(1, 0.0, BAD)]
    (HERE / "results.json").write_text(json.dumps(runs, indent=2) + "\n")
