"""`sharegpt`: preference and KTO rows of LLaMA-Factory, with their `dataset_info.json`.

    {"conversations": [{"from": "human", "value": "…"}, …], "chosen": {"from": "gpt", "value": "…"},
     "rejected": {"from": "function_call", "value": "{\\"name\\": …, \\"arguments\\": {…}}"},
     "system": "…", "tools": "[…]"}

Described in `data/README.md` of the LLaMA-Factory repository: `human` and `observation` stand in
odd places, `gpt` and `function_call` in even ones. A call is JSON text, several calls are a list of
them; KTO rows hold the answer as the last turn and a `kto_tag`.

Set aside: broken or inexact arguments (its reader parses them), text beside a call, reasoning in a
side, several results in a row, turns that do not alternate. Arguments keep their own spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from misstep.mine.formats_row import (
    Aside,
    Message,
    Output,
    Row,
    calls_of,
    fault_of,
    sides_of,
    unsayable,
)

_ODD = ("human", "observation")
_FILE = "sharegpt/dataset_info.json"


def _convert(kind: str, row: Row) -> Row | Aside:
    fault = unsayable(kind, row)
    if fault is not None:
        return fault
    prompt = list(row["prompt"])
    system = prompt.pop(0)["content"] if prompt and prompt[0]["role"] == "system" else ""
    turns = [_turn(message) for message in prompt]
    sides = [_turn(side, side=True) for side in sides_of(kind, row)]
    fault = next((turn for turn in (*turns, *sides) if isinstance(turn, Aside)), None)
    fault = fault or _order([turn for turn in turns if not isinstance(turn, Aside)])
    if fault is not None:
        return fault
    made: Row = {"system": system, "tools": _tools(row["tools"])}
    if kind == "unpaired":
        return {"conversations": [*turns, *sides], "kto_tag": row["label"], **made}
    chosen, rejected = sides
    return {"conversations": turns, "chosen": chosen, "rejected": rejected, **made}


def _turn(message: Message, *, side: bool = False) -> Row | Aside:
    role, calls = message["role"], calls_of(message)
    if role == "system":
        return Aside("system", "a system message stands in the middle")
    if side and message.get("reasoning_content"):
        return Aside("reasoning", "a side holds reasoning")
    if not calls:
        names = {"user": "human", "assistant": "gpt", "tool": "observation"}
        return {"from": names[role], "value": message["content"]}
    if message["content"].strip():
        return Aside("text-and-call", "a message holds text beside a call")
    fault = next((f for call in calls if (f := fault_of(call["arguments"])) is not None), None)
    if fault is not None:
        return fault
    said = [
        f'{{"name": {json.dumps(call["name"], ensure_ascii=False)}, '
        f'"arguments": {call["arguments"].strip()}}}'
        for call in calls
    ]
    value = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    return {"from": "function_call", "value": value}


def _order(turns: Sequence[Row]) -> Aside | None:
    """Human and observation in odd places, and one of them last."""
    for before, turn in pairwise(turns):
        if before["from"] == turn["from"] == "observation":
            return Aside("several-results", "several results stand in a row")
    odd = [turn["from"] in _ODD for turn in turns]
    if not odd or odd != [at % 2 == 0 for at in range(len(odd))] or not odd[-1]:
        return Aside("order", "the turns of user and assistant do not alternate")
    return None


def _tools(text: str) -> str:
    """Bare functions as JSON text; empty where none are offered."""
    functions = [tool["function"] for tool in json.loads(text)]
    return json.dumps(functions, ensure_ascii=False) if functions else ""


def _beside(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    info: dict[str, Any] = {}
    for path in files:
        name = path.rpartition("/")[2].removesuffix(".jsonl")
        pairs = name.startswith("pairs")
        more = {"chosen": "chosen", "rejected": "rejected"} if pairs else {"kto_tag": "kto_tag"}
        info[f"misstep_{name}"] = {
            "file_name": f"{name}.jsonl",
            "formatting": "sharegpt",
            **({"ranking": True} if pairs else {}),
            "columns": {**columns, **more},
        }
    yield _FILE, json.dumps(info, indent=2) + "\n"


SHAREGPT = Output(
    name="sharegpt",
    about="LLaMA-Factory: preference and KTO rows with dataset_info.json",
    described="https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md",
    path="sharegpt/{kind}_{part}.jsonl",
    kinds=("pairs", "unpaired"),
    convert=_convert,
    beside=_beside,
)
