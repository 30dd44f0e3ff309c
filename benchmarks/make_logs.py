"""Logs of realistic sizes for `benchmarks/ingest.py`; the same seed gives the same bytes.

    python benchmarks/make_logs.py pairs|transcripts|otlp|rows --megabytes N --out FOLDER

`pairs`: OpenAI chat requests with their responses, one a line, about 16 kB, the conversations
interleaved as a proxy sees them; each request repeats the history. `transcripts`: Claude Code, one
file a session, half of the lines bookkeeping. `otlp`: OTLP JSON lines with GenAI spans that hold
the messages of each request. `rows`: one whole conversation a line, as `messages` and `tools`,
which the peers read too. About one call in twelve is wrong: bad JSON, a missing argument, a wrong
type, an unknown tool, or an error that the tool answers with.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_STEMS = """
order ship cache index table query user token batch worker socket parse render schema column
filter build deploy branch commit review ticket invoice account region model prompt answer
session buffer thread memory record field value search update delete insert customer refund
the of and to in is that for with on as by this from not are was be it an at which has
"""
_TOOLS = (
    ("read_file", {"path": "string", "offset": "integer", "limit": "integer"}, ["path"]),
    ("write_file", {"path": "string", "content": "string"}, ["path", "content"]),
    ("run_command", {"command": "string", "timeout": "number"}, ["command"]),
    ("search_code", {"pattern": "string", "path": "string", "case": "boolean"}, ["pattern"]),
    ("list_orders", {"customer": "string", "status": "string", "page": "integer"}, ["customer"]),
    ("refund_order", {"order_id": "string", "amount": "number", "reason": "string"}, ["order_id"]),
    ("update_ticket", {"ticket": "integer", "state": "string", "note": "string"}, ["ticket"]),
    ("fetch_page", {"url": "string", "max_chars": "integer"}, ["url"]),
)
_ROWS = 1_000_000_000
"""Bytes of one file of rows."""


class Writer:
    """Draws texts, calls and results."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.words = [
            w + self.draw.choice(("", "s", "ed", "ing", "_id", "_name", "2"))
            for w in _STEMS.split()
            for _ in range(12)
        ]

    def text(self, size: int) -> str:
        """About `size` characters of sentences, paths and code lines."""
        lines: list[str] = []
        left = size
        while left > 0:
            words = self.draw.choices(self.words, k=self.draw.randint(5, 14))
            kind = self.draw.random()
            if kind < 0.2:
                line = f"    {words[0]} = {words[1]}({', '.join(words[2:5])})  # {words[-1]}"
            elif kind < 0.3:
                line = f'{self.draw.randint(1, 900)}: "{words[0]}": {{"{words[1]}": {left}}},'
            else:
                line = " ".join(words).capitalize() + "."
            lines.append(line)
            left -= len(line) + 1
        return "\n".join(lines)

    def tools(self) -> list[dict[str, Any]]:
        """The offered tools with their schemas, about 4 kB."""
        return [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": self.text(220),
                    "parameters": {
                        "type": "object",
                        "properties": {
                            key: {"type": kind, "description": self.text(40)}
                            for key, kind in fields.items()
                        },
                        "required": required,
                        "additionalProperties": False,
                    },
                },
            }
            for name, fields, required in _TOOLS
        ]

    def call(self) -> tuple[str, dict[str, Any], str]:
        """Name, arguments as an object, arguments as text; now and then something is wrong."""
        name, fields, required = self.draw.choice(_TOOLS)
        made: dict[str, Any] = {}
        for key, kind in fields.items():
            if key in required or self.draw.random() < 0.5:
                made[key] = {
                    "string": lambda: self.text(self.draw.choice((20, 40, 200))).strip(),
                    "integer": lambda: self.draw.randint(1, 999),
                    "number": lambda: round(self.draw.uniform(1, 99), 2),
                    "boolean": lambda: True,
                }[kind]()
        wrong = self.draw.random()
        if wrong < 0.02:
            made.pop(required[0], None)
        elif wrong < 0.04:
            made[required[0]] = None
        elif wrong < 0.05:
            name = name.replace("_", "-")
        text = json.dumps(made)
        return name, made, text[:-1] if 0.05 <= wrong < 0.06 else text

    def result(self) -> tuple[str, bool]:
        """What a tool answers, and whether it is an error."""
        if self.draw.random() < 0.03:
            return f"Error: invalid argument {self.draw.choice(self.words)}: must be a string", True
        return self.text(int(self.draw.lognormvariate(6.6, 0.8))), False

    def id(self, prefix: str = "") -> str:
        """A random id."""
        return prefix + f"{self.draw.getrandbits(96):024x}"

    def uuid(self) -> str:
        """A random UUID."""
        return str(uuid.UUID(int=self.draw.getrandbits(128), version=4))


def _exchanges(out: Writer, system: str, tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The requests of one agent, each with its response."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": out.text(600)},
    ]
    for turn in range(out.draw.randint(4, 12)):
        name, _, arguments = out.call()
        last = turn > 2 and out.draw.random() < 0.1
        answer: dict[str, Any] = {"role": "assistant", "content": out.text(120)}
        if not last:
            function = {"name": name, "arguments": arguments}
            call = {"id": out.id("call_"), "type": "function", "function": function}
            answer["tool_calls"] = [call]
        yield {
            "request": {
                "model": "gpt-5-mini",
                "messages": messages,
                "tools": tools,
                "temperature": 0.2,
            },
            "response": {
                "id": out.id("chatcmpl-"),
                "object": "chat.completion",
                "created": 1_780_000_000 + turn,
                "model": "gpt-5-mini-2026",
                "choices": [
                    {
                        "index": 0,
                        "message": answer,
                        "finish_reason": "stop" if last else "tool_calls",
                    }
                ],
                "usage": {"prompt_tokens": 4000, "completion_tokens": 90, "total_tokens": 4090},
            },
        }
        messages = [*messages, answer]
        if last:
            messages.append({"role": "user", "content": out.text(200)})
        else:
            text, _ = out.result()
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})


def _conversation(out: Writer, system: str, tools: list[dict[str, Any]]) -> Iterator[bytes]:
    """The same as lines."""
    return (json.dumps(pair).encode() for pair in _exchanges(out, system, tools))


def pairs(out: Writer, folder: Path, size: int) -> None:
    """Eight conversations at a time, in files of at most 64 MB."""
    system, tools = out.text(2500), out.tools()
    live = [_conversation(out, system, tools) for _ in range(8)]
    number = 0
    while size > 0:
        with (folder / f"proxy-{number:03}.jsonl").open("wb") as file:
            while size > 0 and file.tell() < 64_000_000:
                at = out.draw.randrange(len(live))
                line = next(live[at], None)
                if line is None:
                    live[at] = _conversation(out, system, tools)
                else:
                    size -= file.write(line + b"\n")
        number += 1


def _transcript(out: Writer) -> Iterator[dict[str, Any]]:
    session, last, clock = out.uuid(), None, 1_760_000_000
    shared = {
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/ada/shop",
        "sessionId": session,
        "version": "2.0.14",
        "gitBranch": "main",
    }

    def line(kind: str, **more: Any) -> dict[str, Any]:
        nonlocal last, clock
        clock += 7
        row = {"parentUuid": last, **shared, "type": kind, **more, "uuid": out.uuid()}
        row["timestamp"] = f"2026-01-{1 + clock % 28:02}T{clock % 24:02}:21:{clock % 60:02}.040Z"
        last = row["uuid"]
        return row

    def answer(answer_id: str, block: dict[str, Any]) -> dict[str, Any]:
        body = {"model": "claude-sonnet-4-5", "id": answer_id, "type": "message"}
        usage = {"input_tokens": 3, "cache_read_input_tokens": 11040, "output_tokens": 41}
        more = {"stop_reason": None, "stop_sequence": None, "usage": usage}
        said = {**body, "role": "assistant", "content": [block], **more}
        return line("assistant", message=said, requestId=out.id("req_"))

    yield line("user", message={"role": "user", "content": out.text(400)})
    for _ in range(out.draw.randint(10, 60)):
        answer_id, call_id = out.id("msg_"), out.id("toolu_")
        if out.draw.random() < 0.5:
            yield answer(answer_id, {"type": "text", "text": out.text(300)})
        name, made, _ = out.call()
        yield answer(answer_id, {"type": "tool_use", "id": call_id, "name": name, "input": made})
        for _ in range(out.draw.randint(0, 5)):
            data = {"type": "bash_progress", "output": out.text(300), "elapsedTimeSeconds": 3}
            yield line("progress", data=data, toolUseID=call_id)
        text, bad = out.result()
        text = text * out.draw.choice((1, 1, 1, 4))
        block = {"tool_use_id": call_id, "type": "tool_result", "content": text, "is_error": bad}
        said = {"role": "user", "content": [block]}
        yield line("user", message=said, toolUseResult=text if bad else {"stdout": text})
    yield answer(out.id("msg_"), {"type": "text", "text": out.text(500)})


def transcripts(out: Writer, folder: Path, size: int) -> None:
    """One file a session."""
    number = 0
    while size > 0:
        rows = b"".join(json.dumps(row).encode() + b"\n" for row in _transcript(out))
        (folder / f"session-{number:05}.jsonl").write_bytes(rows)
        size -= len(rows)
        number += 1


def _attribute(key: str, value: Any) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {kind: value}}


def _parts(message: dict[str, Any]) -> dict[str, Any]:
    """A chat message in the parts form of the GenAI conventions."""
    parts: list[dict[str, Any]] = []
    if message["role"] == "tool":
        reply = {"type": "tool_call_response", "id": message["tool_call_id"]}
        return {"role": "tool", "parts": [{**reply, "response": message["content"]}]}
    if message.get("content"):
        parts.append({"type": "text", "content": message["content"]})
    for call in message.get("tool_calls", ()):
        function = call["function"]
        named = {"type": "tool_call", "id": call["id"], "name": function["name"]}
        parts.append({**named, "arguments": function["arguments"]})
    return {"role": message["role"], "parts": parts}


def _spans(out: Writer, system: str, tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    trace, conversation, clock = out.id()[:32].ljust(32, "0"), out.uuid(), 1_780_000_000
    flat = [{"type": "function", **tool["function"]} for tool in tools]
    for pair in _exchanges(out, system, tools):
        clock += 3
        choice = pair["response"]["choices"][0]
        made = {**_parts(choice["message"]), "finish_reason": choice["finish_reason"]}
        asked = [_parts(m) for m in pair["request"]["messages"] if m["role"] != "system"]
        yield {
            "traceId": trace,
            "spanId": out.id()[:16],
            "name": "chat gpt-5-mini",
            "kind": 3,
            "startTimeUnixNano": f"{clock}000000000",
            "endTimeUnixNano": f"{clock + 2}000000000",
            "attributes": [
                _attribute("gen_ai.operation.name", "chat"),
                _attribute("gen_ai.provider.name", "openai"),
                _attribute("gen_ai.conversation.id", conversation),
                _attribute("gen_ai.request.model", "gpt-5-mini"),
                _attribute("gen_ai.response.model", "gpt-5-mini-2026"),
                _attribute("gen_ai.response.id", pair["response"]["id"]),
                _attribute("gen_ai.usage.input_tokens", 4000),
                _attribute("gen_ai.usage.output_tokens", 90),
                _attribute(
                    "gen_ai.system_instructions", json.dumps([{"type": "text", "content": system}])
                ),
                _attribute("gen_ai.tool.definitions", json.dumps(flat)),
                _attribute("gen_ai.input.messages", json.dumps(asked)),
                _attribute("gen_ai.output.messages", json.dumps([made])),
            ],
            "status": {},
        }


def otlp(out: Writer, folder: Path, size: int) -> None:
    """Up to four spans of one agent's process a line, in files of at most 64 MB."""
    system, tools = out.text(2500), out.tools()
    named = {"attributes": [_attribute("service.name", "shop-agent")]}
    live = [_spans(out, system, tools) for _ in range(6)]
    number = 0
    while size > 0:
        with (folder / f"export-{number:03}.jsonl").open("wb") as file:
            while size > 0 and file.tell() < 64_000_000:
                at = out.draw.randrange(len(live))
                spans = list(itertools.islice(live[at], out.draw.randint(1, 4)))
                if not spans:
                    live[at] = _spans(out, system, tools)
                if spans:
                    scope = {"scope": {"name": "genai"}, "spans": spans}
                    line = {"resourceSpans": [{"resource": named, "scopeSpans": [scope]}]}
                    size -= file.write(json.dumps(line).encode() + b"\n")
        number += 1


def rows(out: Writer, folder: Path, size: int, part: int = 0) -> None:
    """One file; the last request of each conversation with its answer."""
    system, tools = out.text(2500), out.tools()
    number, more = 0, f"-{part}" if part else ""
    with (folder / f"conversations{more}.jsonl").open("wb") as file:
        while file.tell() < size:
            *_, pair = _exchanges(out, system, tools)
            answer = pair["response"]["choices"][0]["message"]
            row = {
                "id": f"conversation{more}-{number}",
                "messages": [*pair["request"]["messages"], answer],
            }
            file.write(json.dumps({**row, "tools": tools}).encode() + b"\n")
            number += 1


def _part(folder: Path, part: int, size: int, seed: int) -> None:
    rows(Writer(seed + part), folder, size, part)


def many_rows(folder: Path, size: int, seed: int) -> None:
    """Files of a gigabyte, each with tools and texts of its own, written side by side."""
    sizes = [min(_ROWS, size - at) for at in range(0, size, _ROWS)]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        made = [pool.submit(_part, folder, n, part, seed) for n, part in enumerate(sizes)]
        for one in made:
            one.result()


KINDS = {"rows": rows, "pairs": pairs, "transcripts": transcripts, "otlp": otlp}


def make(kind: str, folder: Path, megabytes: float, seed: int = 0) -> None:
    """Fill a new folder."""
    folder.mkdir(parents=True)
    if kind == "rows" and megabytes * 1e6 > _ROWS:
        many_rows(folder, int(megabytes * 1e6), seed)
        return
    KINDS[kind](Writer(seed), folder, int(megabytes * 1e6))


def main() -> None:
    """Write logs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--megabytes", type=float, default=64)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make(given.kind, given.out, given.megabytes, given.seed)


if __name__ == "__main__":
    main()
