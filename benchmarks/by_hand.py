"""What one would write without misstep, and the floor below it: `benchmarks/ingest.py` runs it.

    python benchmarks/by_hand.py script|floor pairs|transcripts|otlp FILE…

`script`: `json.loads` per line, and `jsonschema` with one reused validator a tool on the calls of
each response. `floor`: `msgspec` decodes each line, nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

Call = tuple[str, Any]
Offer = dict[str, Any]


def pairs(line: dict[str, Any]) -> Iterator[tuple[Offer, list[Call]]]:
    """The tools of each request and the calls of its response."""
    offered = {t["function"]["name"]: t["function"] for t in line["request"].get("tools", ())}
    made = [
        (call["function"]["name"], call["function"]["arguments"])
        for choice in line["response"].get("choices", ())
        for call in choice["message"].get("tool_calls") or ()
    ]
    yield offered, made


def transcripts(line: dict[str, Any]) -> Iterator[tuple[Offer, list[Call]]]:
    """Calls without schemas: the format keeps none."""
    if line.get("type") == "assistant":
        blocks = line["message"]["content"]
        yield {}, [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]


def otlp(line: dict[str, Any]) -> Iterator[tuple[Offer, list[Call]]]:
    """The tools and the answer of each span; JSON inside strings is decoded once more."""
    for resource in line["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                fields = {a["key"]: a["value"].get("stringValue") for a in span["attributes"]}
                tools = json.loads(fields["gen_ai.tool.definitions"])
                answers = json.loads(fields["gen_ai.output.messages"])
                yield (
                    {tool["name"]: tool for tool in tools},
                    [
                        (part["name"], part["arguments"])
                        for answer in answers
                        for part in answer["parts"]
                        if part["type"] == "tool_call"
                    ],
                )


KINDS: dict[str, Callable[[dict[str, Any]], Iterator[tuple[Offer, list[Call]]]]] = {
    "pairs": pairs,
    "transcripts": transcripts,
    "otlp": otlp,
}


def script(kind: str, paths: list[str]) -> None:
    """Count calls and broken ones."""
    from jsonschema import Draft202012Validator

    validators: dict[str, Any] = {}
    calls = broken = 0
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                for offered, made in KINDS[kind](json.loads(line)):
                    for name, arguments in made:
                        calls += 1
                        if offered and name not in offered:
                            broken += 1
                            continue
                        try:
                            value = (
                                json.loads(arguments) if isinstance(arguments, str) else arguments
                            )
                        except ValueError:
                            broken += 1
                            continue
                        if not offered:
                            continue
                        validator = validators.get(name)
                        if validator is None:
                            schema = offered[name]["parameters"]
                            validator = validators[name] = Draft202012Validator(schema)
                        broken += next(validator.iter_errors(value), None) is not None
    print(calls, broken)


def floor(paths: list[str]) -> None:
    """Decode and drop."""
    import msgspec

    decode = msgspec.json.Decoder().decode
    for path in paths:
        with open(path, "rb") as lines:
            for line in lines:
                decode(line)


if __name__ == "__main__":
    if sys.argv[1] == "floor":
        floor(sys.argv[3:])
    else:
        script(sys.argv[2], sys.argv[3:])
