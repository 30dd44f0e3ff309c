"""Sessions in which a small agent may go wrong as a whole: what some case files were drawn with.

    python benchmarks/sample_sessions.py OUT.jsonl --adapter runs/demo/sft [--seed N]

The embedded model, after the supervised stage of `make demo` (as shipped it makes no calls), is put
into the desks below. Each answers its calls with the same text every time, and nobody says that
the work is done: the model goes on until its answers are used up. Nothing is put into its mouth.
Sessions of a desk differ by their number in the system prompt, and so by what is drawn.
Each line of OUT is one session row (`schemas/session.json`); `family` names the desk.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 7
SESSIONS = 4
TEMPERATURE = 1.0
MAX_TOKENS = 96


def tool(name: str, told: str, required: Sequence[str], **properties: Any) -> dict[str, Any]:
    """A tool as requests offer it."""
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {
        "type": "function",
        "function": {"name": name, "description": told, "parameters": parameters},
    }


TEXT = {"type": "string"}
COUNT = {"type": "integer"}
BOOK = tool("book_table", "Book a table", ("place", "guests"), place=TEXT, guests=COUNT, date=TEXT)
MAIL = tool("send_email", "Send a mail", ("to", "subject"), to=TEXT, subject=TEXT)
ORDER = tool("order_status", "Where an order is", ("order_id",), order_id=TEXT)
WEATHER = tool("get_weather", "City forecast", ("city", "days"), city=TEXT, days=COUNT)
FILES = tool("find_files", "Search files", ("words",), words=TEXT, limit=COUNT)
PAGE = tool("fetch_page", "Read a web page", ("url",), url=TEXT)
REMIND = tool("set_reminder", "Remind me", ("text", "time"), text=TEXT, time=TEXT)
UNLOCK = tool("unlock_account", "Unlock an account", ("account_id",), account_id=TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A wish, what is offered, and what each tool always says."""

    name: str
    user: str
    tools: tuple[dict[str, Any], ...]
    says: dict[str, str]


DESKS = (
    Desk(
        name="table",
        user="Book a table for four at Luigi's on 2026-03-14.",
        tools=(BOOK, WEATHER),
        says={"book_table": '{"ok": true, "info": "booked"}', "get_weather": "sunny"},
    ),
    Desk(
        name="mail",
        user="Send a mail to ana@example.org with the subject Minutes of Monday.",
        tools=(MAIL, REMIND),
        says={"send_email": '{"ok": true}', "set_reminder": '{"ok": true}'},
    ),
    Desk(
        name="weather",
        user="How is the weather in Bergen over the next days?",
        tools=(WEATHER, FILES),
        says={"get_weather": '{"forecast": []}', "find_files": '{"files": []}'},
    ),
    Desk(
        name="files",
        user="Find the sheet with the numbers of the kitchen.",
        tools=(FILES, WEATHER),
        says={"find_files": '{"files": []}', "get_weather": '{"forecast": []}'},
    ),
    Desk(
        name="page",
        user="Read up on Wikipedia who built the Eiffel Tower.",
        tools=(PAGE, FILES),
        says={"fetch_page": "504 gateway timeout", "find_files": '{"files": []}'},
    ),
    Desk(
        name="order",
        user="Where is my order? Unlock my account if you have to.",
        tools=(ORDER, UNLOCK, MAIL),
        says={
            "order_status": "Error: no such order; account ACC-48213 (mia@example.com) is locked",
            "unlock_account": "Error: not possible now",
            "send_email": '{"ok": true}',
        },
    ),
)


def main() -> None:
    """Play every desk, and write the sessions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = played(given.adapter, given.seed)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    given.out.write_text(text, encoding="utf-8")


def played(adapter: Path, seed: int) -> list[dict[str, Any]]:
    """Session rows, `SESSIONS` of each desk."""
    import torch

    from misstep import models

    torch.set_num_threads(2)
    loaded = models.load("smollm2", adapter=adapter)
    rows = [
        {
            "id": f"{desk.name}-{n}",
            "family": desk.name,
            "model": "smollm2+sft",
            "messages": [
                {"role": "system", "content": f"Session {n} at the {desk.name} desk."},
                {"role": "user", "content": desk.user},
            ],
            "tools": list(desk.tools),
            "tool_choice": "required",
        }
        for desk in DESKS
        for n in range(SESSIONS)
    ]
    desks = {desk.name: desk for desk in DESKS}
    for step in range(STEPS):
        prompts = [prompt(loaded, row) for row in rows]
        drawn = models.sample(
            loaded,
            prompts,
            seed=seed * 1000 + step,
            num_generations=1,
            temperature=TEMPERATURE,
            top_p=1.0,
            max_new_tokens=MAX_TOKENS,
            batch_size=16,
        )
        for number, (row, answers) in enumerate(zip(rows, drawn, strict=True)):
            answered(row, answers[0].text, desks[row["family"]], f"c{number}_{step}")
        print(f"{step + 1}/{STEPS}", file=sys.stderr, flush=True)
    return rows


def prompt(loaded: Any, row: dict[str, Any]) -> list[int]:
    """The token ids of the next request."""
    from misstep.chat import from_chat, tool_from_chat
    from misstep.types import Context

    context = Context(tools=tuple(map(tool_from_chat, row["tools"])), tool_choice="required")
    messages = tuple(map(from_chat, row["messages"]))
    return list(loaded.template.prompt_ids(messages, context))


def answered(row: dict[str, Any], text: str, desk: Desk, id: str) -> None:
    """Put the answer and what came back into the session."""
    from misstep.dialects import parse_answer

    names = tuple(each["function"]["name"] for each in row["tools"])
    parts = parse_answer(text, tools=names)
    calls = [part.call for part in parts if part.call is not None]
    said = "".join(part.text or "" for part in parts if part.kind == "text")
    made = [
        {"id": f"{id}_{n}", "function": {"name": call.name, "arguments": call.arguments}}
        for n, call in enumerate(calls)
    ]
    answer = {"role": "assistant", "content": said or None, "tool_calls": made}
    row["messages"].append(answer | {"finish_reason": "tool_calls" if made else "stop"})
    for call in made:
        back = desk.says.get(call["function"]["name"], "Error: there is no such tool")
        row["messages"].append({"role": "tool", "tool_call_id": call["id"], "content": back})
    if not made:
        ask = {"role": "user", "content": "No tool call was found. Please call one of the tools."}
        row["messages"].append(ask)


if __name__ == "__main__":
    main()
