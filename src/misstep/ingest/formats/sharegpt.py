"""ShareGPT rows with tools, and the two data sets in that shape that write calls as text.

In: `{"conversations": [{"from", "value"}], "tools": JSON text, "system"}`, one row a session. In
`sharegpt` a call is a turn of its own (`function_call`, JSON with name and arguments, or a list of
them) and a result is one too (`observation`). In `hermes` calls stand as `<tool_call>` text in the
turns of `gpt`, results as `<tool_response>`. In `toolace` a turn that is all `[Name(a="x")]` is
calls, and the tools stand in the system text. Kept: argument text as it is written (where a data
set wrote code or a Python literal, our rendering). Not told: error flags, finish reasons, models.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from misstep.dialects import read_answer
from misstep.dialects.found import Given
from misstep.dialects.json_calls import keyed_calls
from misstep.ingest.format import Format, Misfit, Peek, Reader, Record, Tally, alone, share
from misstep.ingest.formats.chat_rows import RowReader
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.oneby import OneByOne
from misstep.types import Part, Session, ToolCall

Turns = Callable[[str, str], list[dict[str, Any]]]
"""The chat dicts of one turn, from its speaker and its text."""

_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "function_call": "call",
    "tool_call": "call",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
    "function": "tool",
}
_REPR = re.compile(r"<tool_call>\s*(?P<body>\{\s*'.*?\})\s*</tool_call>", re.S)
_MAX_LITERAL = 100_000
_MAX_BRACKETS = 200
_RESPONSE = re.compile(r"<tool_response>\s*(.*?)\s*(?:</tool_response>|\Z)", re.S)
_TOOLS = re.compile(r"<tools>\s*(.*?)\s*</tools>", re.S)
_CALLS = re.compile(r"\s*\[\s*[A-Za-z][^\[\]{}\"'()=]{0,200}\(")


class _Rows:
    """One row to its session, in one of the three formats."""

    def __init__(self, tally: Tally, name: str, turns: Turns) -> None:
        self._turns = turns
        self._rows = RowReader(tally, name)

    def make(self, record: Record, tally: Tally) -> list[Session]:
        """The session of one row.

        Raises:
            Misfit: a part of it has no known shape.
        """
        return [self._session(record)]

    def _session(self, record: Record) -> Session:
        row = record.value
        if not isinstance(row, dict):
            raise Misfit("", f"expected a row object, got {kind_of(row)}", "unknown-record")
        listed = row.get("conversations")
        if not isinstance(listed, list) or not listed:
            said = f"expected a list of turns, got {kind_of(listed) if listed != [] else 'none'}"
            raise Misfit("/conversations", said)
        chat: list[dict[str, Any]] = []
        system = text_or_none(row.get("system"))
        if system is not None:
            chat.append({"role": "system", "content": system})
        for index, turn in enumerate(listed):
            chat.extend(self._read(turn, f"/conversations/{index}"))
        tools = row.get("tools") or _tools_in(chat)
        offer = {"id": row.get("id"), "tools": tools, "family": row.get("family")}
        return self._rows.session(offer, chat, record, "/conversations")

    def _read(self, turn: Any, pointer: str) -> list[dict[str, Any]]:
        if not isinstance(turn, dict):
            raise Misfit(pointer, f"expected a turn object, got {kind_of(turn)}")
        who = turn.get("from", turn.get("role"))
        role = _ROLES.get(who) if isinstance(who, str) else None
        if role is None:
            raise Misfit(f"{pointer}/from", f"unknown speaker {who!r}")
        value = turn.get("value", turn.get("content"))
        if not isinstance(value, str):
            raise Misfit(f"{pointer}/value", f"expected text, got {kind_of(value)}")
        return self._turns(role, value)


def _turn(role: str, text: str) -> list[dict[str, Any]]:
    if role != "call":
        return [{"role": role, "content": text}]
    calls = keyed_calls(text, Given())
    if not calls:  # a call that nobody can read is still what the model wrote
        return [{"role": "assistant", "content": text}]
    return [{"role": "assistant", "content": "", "tool_calls": [_call(c) for c in calls]}]


def _hermes(role: str, text: str) -> list[dict[str, Any]]:
    if role == "assistant":
        return [_answer(read_answer(_REPR.sub(_as_json, text), dialect="hermes"), text)]
    if role == "tool":
        results = _RESPONSE.findall(text) or [text]
        return [{"role": "tool", "content": result} for result in results]
    return _turn(role, text)


def _as_json(block: re.Match[str]) -> str:
    """A call that the data set wrote as a Python literal, as JSON; any other as it is."""
    body = block["body"]
    if len(body) > _MAX_LITERAL or body.count("{") + body.count("[") > _MAX_BRACKETS:
        return block[0]
    try:
        value = ast.literal_eval(body)
        return f"<tool_call>\n{json.dumps(value)}\n</tool_call>"
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return block[0]


def _toolace(role: str, text: str) -> list[dict[str, Any]]:
    if role == "assistant" and _CALLS.match(text):
        return [_answer(read_answer(text, dialect="toolace"))]
    return _turn(role, text)


def _answer(parts: Sequence[Part], written: str | None = None) -> dict[str, Any]:
    """A chat dict; `written` is the turn's own text, which a call's arguments may not stand in."""
    row: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(p.text or "" for p in parts if p.kind == "text").strip(),
        "tool_calls": [_call(p.call, written) for p in parts if p.call is not None],
    }
    thought = "".join(p.text or "" for p in parts if p.kind == "reasoning")
    return row | ({"reasoning_content": thought} if thought else {})


def _call(call: ToolCall, written: str | None = None) -> dict[str, Any]:
    arguments: Any = call.arguments
    if not call.verbatim or (
        written is not None and call.arguments not in written
    ):  # an object tells the reader of rows that the text is not the model's
        arguments = orjson.loads(call.arguments)
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _tools_in(chat: Sequence[Mapping[str, Any]]) -> Any:
    """The tools that stand in the system text: in `<tools>`, or as the one JSON list in it."""
    text = str(chat[0]["content"]) if chat and chat[0]["role"] == "system" else ""
    marked = [_json(found) for found in _TOOLS.findall(text)]
    if any(marked):
        return next(found for found in marked if found)
    at = text.find("[{")
    while at >= 0:
        end = text.rfind("}]") + 2
        listed = _json(text[at:end])
        if listed is not None:
            return listed
        at = text.find("[{", at + 1)
        if text.count("[{", 0, max(at, 0)) > 20:
            return None
    return None


def _json(text: str) -> list[Any] | None:
    """A JSON list of objects, or objects one a line."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            return None
    listed = value if isinstance(value, list) else [value]
    fit = bool(listed) and all(isinstance(t, dict) and _named(t) for t in listed)
    return listed if fit else None


def _named(tool: Mapping[str, Any]) -> bool:
    inner = tool.get("function")
    return isinstance((inner if isinstance(inner, dict) else tool).get("name"), str)


def _weigh(value: dict[str, Any]) -> float:
    turns = value.get("conversations")
    if not isinstance(turns, list) or not turns:
        return 0.0
    known = sum(
        isinstance(t, dict)
        and isinstance(t.get("value", t.get("content")), str)
        and t.get("from", t.get("role")) in _ROLES
        for t in turns
        if isinstance(t, dict) and isinstance(t.get("from", t.get("role")), str)
    )
    return 0.8 * known / len(turns)


def _texts(peek: Peek, speakers: Sequence[str]) -> list[str]:
    return [
        turn["value"]
        for row in peek.values
        if isinstance(row, dict) and isinstance(row.get("conversations"), list)
        for turn in row["conversations"]
        if isinstance(turn, dict)
        and turn.get("from") in speakers
        and isinstance(turn.get("value"), str)
    ]


def sniff(peek: Peek) -> float:
    """Objects with `conversations` of known speakers."""
    return share(peek, _weigh)


def sniff_hermes(peek: Peek) -> float:
    """The same, and some answer holds a `<tool_call>` block."""
    marked = any("<tool_call>" in text for text in _texts(peek, ("gpt", "assistant")))
    return share(peek, _weigh) + 0.1 if marked else 0.0


def sniff_toolace(peek: Peek) -> float:
    """The same, and some answer is all `[Name(...)]`."""
    marked = any(_CALLS.match(text) for text in _texts(peek, ("gpt", "assistant")))
    return share(peek, _weigh) + 0.1 if marked else 0.0


def _reader(name: str, turns: Turns) -> Callable[[Tally], Reader]:
    return lambda tally: OneByOne(tally, _Rows(tally, name, turns).make)


FORMAT = Format(
    name="sharegpt",
    about="ShareGPT rows with tools; no error flags, no finish reasons, no models",
    unit="row",
    sniff=sniff,
    reader=_reader("sharegpt", _turn),
    keeps_tools=False,
    joins=alone,
    evidence="files",
)
HERMES = Format(
    name="hermes",
    about="Hermes function-calling rows, calls as <tool_call> text; no error flags",
    unit="row",
    sniff=sniff_hermes,
    reader=_reader("hermes", _hermes),
    keeps_tools=False,
    joins=alone,
    evidence="documentation",
)
TOOLACE = Format(
    name="toolace",
    about="ToolACE rows, calls as [Name(a=1)] text, tools in the system text; no argument text",
    unit="row",
    sniff=sniff_toolace,
    reader=_reader("toolace", _toolace),
    keeps_tools=False,
    joins=alone,
    evidence="documentation",
)
