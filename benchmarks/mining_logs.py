"""Logs to mine pairs from, of any size; the same seed gives the same bytes.

    python benchmarks/mining_logs.py --steps N [--wrong SHARE] --out FOLDER

OpenAI chat requests with their responses, one a line, short lines, the conversations interleaved as
a proxy sees them. A task (a user's wish with its own text) is tried by one to four samples. Half of
the conversations have as many steps as those of `sample_logs`, half are agents with 5 to 16. About
one call in ten is wrong, unless another share is asked for: bad JSON, a missing argument, a wrong
type, a value outside an enum, an unknown tool, an error of the tool, a text that repeats itself;
now and then an agent calls the same thing over and over. Most wrong calls are tried again. In six
tasks of ten the samples say and see the same until one of them fails, so that the others are its
siblings.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

STEPS = {1: 593, 2: 166, 3: 357, 4: 14, 5: 13, 6: 12, 7: 4, 8: 6, 9: 3, 10: 2}
"""Steps of a session in `sample_logs`, and how many sessions have so many."""
_SAMPLES = {1: 4, 2: 3, 3: 2, 4: 1}
_ALIKE = 0.6
WRONG = 0.105
"""Share of calls, and of final answers, that go wrong."""
_RETRIED = 0.7
_LIVE = 16
_WORDS = (
    *("order", "ship", "cache", "index", "table", "query", "user", "token", "batch", "worker"),
    *("socket", "parse", "render", "schema", "column", "filter", "build", "deploy", "branch"),
    *("commit", "review", "ticket", "invoice", "account", "region", "model", "prompt", "answer"),
    *("session", "buffer", "thread", "memory", "record", "field", "value", "search", "update"),
    *("delete", "insert", "customer", "refund"),
)
_STATES = ["open", "paid", "shipped", "closed"]
_TOOLS: dict[str, dict[str, Any]] = {
    "find_order": {"order": {"type": "string"}, "limit": {"type": "integer"}},
    "set_state": {"order": {"type": "string"}, "state": {"enum": _STATES}},
    "refund": {"order": {"type": "string"}, "amount": {"type": "number"}},
    "read_file": {"path": {"type": "string"}, "lines": {"type": "integer"}},
    "search": {"pattern": {"type": "string"}, "folder": {"type": "string"}},
    "run": {"command": {"type": "string"}, "seconds": {"type": "integer"}},
}
_SCHEMAS = {
    name: {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            },
        },
    }
    for name, fields in _TOOLS.items()
}


@dataclass(frozen=True)
class Task:
    """A wish, and what an agent that makes no mistake calls for it."""

    wish: str
    tools: tuple[str, ...]
    alike: bool
    plan: tuple[tuple[str, dict[str, Any], str], ...]


class Agent:
    """Draws tasks and tries at them."""

    def __init__(self, seed: int, wrong: float = WRONG) -> None:
        self.draw = random.Random(seed)
        self._wrong = wrong
        self._tasks = 0

    def words(self, least: int, most: int) -> str:
        """So many words."""
        return " ".join(self.draw.choices(_WORDS, k=self.draw.randint(least, most)))

    def task(self) -> Task:
        """A new task."""
        self._tasks += 1
        shape = self.draw.random() < 0.5
        counts, weights = list(STEPS), list(STEPS.values())
        steps = self.draw.choices(counts, weights)[0] if shape else self.draw.randint(5, 16)
        tools = tuple(self.draw.sample(list(_TOOLS), 2))
        return Task(
            wish=f"Please see to case {self._tasks}: {self.words(6, 14)}.",
            tools=tools,
            alike=self.draw.random() < _ALIKE,
            plan=tuple(self._call(self.draw.choice(tools)) for _ in range(steps - 1)),
        )

    def _call(self, name: str) -> tuple[str, dict[str, Any], str]:
        made = {field: self._value(kind) for field, kind in _TOOLS[name].items()}
        return name, made, f"{self.words(4, 30)} {self.draw.randrange(10**6)}"

    def _value(self, kind: dict[str, Any]) -> Any:
        if "enum" in kind:
            return self.draw.choice(kind["enum"])
        if kind["type"] == "integer":
            return self.draw.randint(1, 99)
        if kind["type"] == "number":
            return round(self.draw.uniform(1, 99), 2)
        return self.words(2, 4)

    def broken(self, name: str, made: dict[str, Any]) -> tuple[str, str, str]:
        """A wrong try at a call: the tool's name, the argument text, what the tool says to it."""
        field, kind = self.draw.choice(list(_TOOLS[name].items()))
        fault = self.draw.choice(("missing", "type", "json", "json", "tool", "error", "enum"))
        if fault == "missing":
            wrong = {key: value for key, value in made.items() if key != field}
            return name, _text(wrong), f"Error: '{field}' is a required property"
        if fault == "type" or (fault == "enum" and "enum" not in kind):
            wrong = {**made, field: [made[field]]}
            return name, _text(wrong), f"Error: {field}: a list is not of the right type"
        if fault == "enum":
            return name, _text({**made, field: "unknown"}), f"Error: {field}: not one of {_STATES}"
        if fault == "tool":
            other = f"{name}_{self.draw.choice(_WORDS)}"
            return other, _text(made), f"Error: there is no tool {other}"
        if fault == "error":
            return name, _text(made), f"Error: invalid argument {field}: {made[field]} not found"
        return name, _text(made)[: -self.draw.randint(1, 6)], "Error: arguments are not JSON"

    def id(self) -> str:
        """A random id."""
        return f"{self.draw.getrandbits(48):012x}"

    def conversation(self, task: Task) -> Iterator[bytes]:
        """One try at a task: a line a step."""
        tools = [_SCHEMAS[name] for name in task.tools]
        said: list[dict[str, Any]] = [{"role": "user", "content": task.wish}]
        for name, made, result in self._tries(task):
            if name is None:
                yield self._line(said, tools, {"role": "assistant", "content": result})
                return
            call = {"id": f"call_{self.id()}", "type": "function"}
            call["function"] = {"name": name, "arguments": made}
            content = "" if task.alike else self.words(3, 12)
            answer = {"role": "assistant", "content": content, "tool_calls": [call]}
            yield self._line(said, tools, answer)
            said = [*said, answer, {"role": "tool", "tool_call_id": call["id"], "content": result}]

    def _tries(self, task: Task) -> Iterator[tuple[str | None, str, str]]:
        """What the agent calls, with what the tool says to it; at last its answer."""
        for name, made, result in task.plan:
            if self.draw.random() < self._wrong:
                yield self.broken(name, made)
                if self.draw.random() >= _RETRIED:
                    continue
            yield name, _text(made), result
        if task.plan and self.draw.random() < 0.01:
            name, made, result = task.plan[-1]
            yield from [(name, _text(made), result)] * self.draw.randint(3, 5)
        answer = f"{self.words(8, 30)} {self.id()}"
        if self.draw.random() < self._wrong:
            answer += f" {self.words(8, 16)}." * self.draw.randint(5, 7)
        yield None, "", answer

    def _line(self, said: list[dict[str, Any]], tools: list[Any], answer: dict[str, Any]) -> bytes:
        calls = "tool_calls" in answer
        choice = {"index": 0, "message": answer, "finish_reason": "tool_calls" if calls else "stop"}
        request = {"model": "gpt-5-mini", "messages": said, "tools": tools}
        response = {"id": f"chatcmpl-{self.id()}", "object": "chat.completion"}
        return orjson.dumps({"request": request, "response": {**response, "choices": [choice]}})


def _text(made: dict[str, Any]) -> str:
    return orjson.dumps(made).decode()


def failing(wrong: float) -> float:
    """About which share of the steps fails: most wrong calls are followed by a right one."""
    return wrong / (1 + wrong * _RETRIED)


def lines(steps: int, seed: int, wrong: float = WRONG) -> Iterator[bytes]:
    """So many lines, of several conversations at a time."""
    agent = Agent(seed, wrong)

    def fresh() -> Iterator[Iterator[bytes]]:
        while True:
            task = agent.task()
            counts, weights = list(_SAMPLES), list(_SAMPLES.values())
            for _ in range(agent.draw.choices(counts, weights)[0]):
                yield agent.conversation(task)

    waiting = fresh()
    live = [next(waiting) for _ in range(_LIVE)]
    while steps:
        at = agent.draw.randrange(_LIVE)
        line = next(live[at], None)
        if line is None:
            live[at] = next(waiting)
            continue
        yield line
        steps -= 1


def make(folder: Path, steps: int, seed: int = 0, wrong: float = WRONG) -> int:
    """Fill a new folder with files of at most 64 MB; gives the bytes."""
    folder.mkdir(parents=True)
    made, number = lines(steps, seed, wrong), 0
    line = next(made, None)
    while line is not None:
        with (folder / f"proxy-{number:03}.jsonl").open("wb") as file:
            while line is not None and file.tell() < 64_000_000:
                file.write(line + b"\n")
                line = next(made, None)
        number += 1
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    """Write logs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong", type=float, default=WRONG, help="share of calls that go wrong")
    given = parser.parse_args()
    print(f"{make(given.out, given.steps, given.seed, given.wrong):,} bytes")


if __name__ == "__main__":
    main()
