"""`hf`: a folder that `datasets.load_dataset` reads into typed columns.

Messages and tools are `List(Json())`, so no null members appear in them, and the arguments of a
call are objects, as the chat templates of transformers want them. Described in the pages "Dataset
formats" of TRL and "Features" of datasets; the types stand in the front matter of `hf/README.md`.

Set aside: arguments that are no JSON object, and those that `datasets` would change on the way (a
key that stands twice, a number beyond 64 bits, 1e400). Everything else of a row is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from misstep.mine.formats_row import (
    SIDES,
    Aside,
    Message,
    Output,
    Row,
    calls_of,
    content,
    fault_of,
    sides_of,
    unsayable,
)

_TEXTS = ("id", "session", "family", "source", "misstep")
_SPLITS = (("train", "train"), ("dev", "validation"))


def _convert(kind: str, row: Row) -> Row | Aside:
    fault = unsayable(kind, row)
    calls = [c for m in (*row["prompt"], *sides_of(kind, row)) for c in calls_of(m)]
    faults = (f for call in calls if (f := fault_of(call["arguments"])) is not None)
    fault = fault or next(faults, None)
    if fault is not None:
        return fault
    made: Row = {"prompt": [_message(message) for message in row["prompt"]]}
    made |= {side: [_message(row[side][0])] for side in SIDES[kind]}
    made |= {"label": row["label"]} if kind == "unpaired" else {"margin": float(row["margin"])}
    made |= {"tools": json.loads(row["tools"]), "codes": row["codes"], "step": row["step"]}
    return made | {name: row[name] for name in _TEXTS}


def _message(message: Message) -> Row:
    if not message.get("tool_calls"):
        return dict(message)
    calls = [
        {**call, "function": {**call["function"], "arguments": _parsed(call["function"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _parsed(function: Mapping[str, Any]) -> Any:
    return json.loads(function["arguments"])


def _beside(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    kinds = [kind for kind in SIDES if any(path.startswith(f"hf/{kind}/") for path in files)]
    front = {
        "configs": [
            {
                "config_name": kind,
                "description": content(
                    [digest for path, digest in files.items() if path.startswith(f"hf/{kind}/")]
                ),
                "data_files": [
                    {"split": split, "path": f"{kind}/{part}.jsonl"}
                    for part, split in _SPLITS
                    if f"hf/{kind}/{part}.jsonl" in files
                ],
                **({"default": True} if kind == kinds[0] else {}),
            }
            for kind in kinds
        ],
        "dataset_info": [{"config_name": kind, "features": _features(kind)} for kind in kinds],
    }
    head = yaml.safe_dump(front, sort_keys=False).rstrip()
    yield (
        "hf/README.md",
        f"---\n{head}\n---\n\n# Pairs with typed columns\n\n"
        "Load with `datasets.load_dataset(FOLDER)`. What the rows mean stands in the card above\n"
        "this folder; what could not be typed stands in `set_aside.jsonl`.\n",
    )


def _features(kind: str) -> list[dict[str, Any]]:
    messages = [{"name": name, "list": "json"} for name in ("prompt", *SIDES[kind])]
    own = {"name": "label", "dtype": "bool"}
    if kind == "pairs":
        own = {"name": "margin", "dtype": "float64"}
    rest = [
        {"name": "tools", "list": "json"},
        {"name": "codes", "list": "string"},
        {"name": "step", "dtype": "int64"},
    ]
    return [*messages, own, *rest, *({"name": name, "dtype": "string"} for name in _TEXTS)]


HF = Output(
    name="hf",
    about="a datasets folder with typed columns and arguments as objects",
    described="https://huggingface.co/docs/trl/dataset_formats",
    path="hf/{kind}/{part}.jsonl",
    kinds=("pairs", "unpaired"),
    convert=_convert,
    beside=_beside,
)
