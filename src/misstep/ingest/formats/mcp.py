"""MCP traffic: JSON-RPC 2.0 messages, one a line, bare, wrapped, or behind a time in a text log.

Kept: the calls that an agent made over one connection with their results, the tools that the server
listed at that time (schemas and result contracts), `isError`, and who caused a protocol error
(-32602 is the model's). Calls that were under way together are one step. What the protocol cannot
tell: what the agent was asked and what else it said, the model, and the argument text (the client
parsed it), so a prompt holds earlier calls only. Handshakes, notifications, prompts and resources
are ignored by method; lines without a message are ignored as `text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.contracts import contract_text
from misstep.ingest.build import linear
from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally
from misstep.ingest.jsontext import object_in
from misstep.ingest.messages import int_or_none, kind_of, place, text_or_none, unix_time
from misstep.ingest.oneby import set_aside
from misstep.types import Cause, Context, Message, Part, Session, ToolCall, ToolResult, ToolSpec

NAME = "mcp"
Body = Mapping[str, Any]
_WRAPS = ("message", "payload", "data", "body", "msg", "request", "response")
_TIMES = ("timestamp", "time", "ts", "@timestamp")
_LABELS = ("server", "server_name", "session_id", "sessionId", "connection")
_KNOWN = re.compile(
    r"(?:initialize|ping|tools/\w+|prompts/\w+|resources/[\w/]+|roots/\w+|sampling/\w+|"
    r"logging/\w+|completion/\w+|elicitation/\w+|tasks/\w+|notifications/[\w/]+)\Z"
)
_CAUSES: dict[int, Cause] = {
    -32602: "model",
    -32603: "tool",
    -32000: "infrastructure",
    -32001: "infrastructure",
}
"""Error codes: bad params or no such tool; internal; connection closed; timeout."""
_LABEL = re.compile(r"\[([^\[\]]{1,80})\]")


class _Wire(msgspec.Struct):
    """One connection while it is read."""

    messages: list[Message] = msgspec.field(default_factory=list)
    contexts: list[Context | None] = msgspec.field(default_factory=list)
    listed: list[ToolSpec] = msgspec.field(default_factory=list)
    known: bool = False
    """Whether the server's tools are known."""
    waiting: dict[str, tuple[str, Any]] = msgspec.field(default_factory=dict)
    """Requests without a response: method, and the cursor of a list or the name of a tool."""

    def call(self, params: Body, id: str, at: Message) -> None:
        """The agent calls a tool."""
        name = params.get("name")
        if not isinstance(name, str):
            raise Misfit("/params/name", f"a tool call without a name: {kind_of(name)}")
        last = self.messages[-1] if self.messages else None
        together = last is not None and last.role == "assistant"
        index = len(last.calls) if last is not None and together else 0
        call = ToolCall(
            name=name,
            arguments=orjson.dumps(params.get("arguments") or {}).decode(),
            index=index,
            id=id,
            verbatim=False,
        )
        part = Part(kind="call", call=call)
        self.waiting[id] = ("tools/call", name)
        if last is not None and together:
            origins = last.origins + at.origins
            self.messages[-1] = replace(last, parts=(*last.parts, part), origins=origins)
            return
        self.messages.append(replace(at, role="assistant", parts=(part,), actor="agent"))
        self.contexts.append(Context(tools=tuple(self.listed)) if self.known else None)

    def answer(self, result: ToolResult, at: Message) -> None:
        """The server answers; answers to calls of one step stand in one message."""
        part = Part(kind="result", result=result)
        last = self.messages[-1]
        if last.role == "tool":
            origins = last.origins + at.origins
            self.messages[-1] = replace(last, parts=(*last.parts, part), origins=origins)
        else:
            self.messages.append(replace(at, role="tool", parts=(part,)))
            self.contexts.append(None)


class _Reader:
    """Reads the connections of one file at a time."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._tools = Contexts()
        self._wires: dict[str, _Wire] = {}
        self._sessions: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one line."""
        found = list(_bodies(record.value))
        if not found:
            if isinstance(record.value, str):
                self._tally.ignore("text")
            else:
                misfit = Misfit("", "no JSON-RPC message", "unknown-record")
                set_aside(self._tally, record, misfit)
            return
        kinds = []
        for body, pointer in found:
            try:
                kinds.append(self._take(body, record, pointer))
            except Misfit as misfit:
                at = Misfit(pointer + misfit.pointer, misfit.said, misfit.reason)
                set_aside(self._tally, record, at)
                return
        ignored = next((kind for kind in kinds if kind is not None), None)
        if ignored is None or None in kinds:
            self._tally.use()
        else:
            self._tally.ignore(ignored)

    def _take(self, body: Body, record: Record, pointer: str) -> str | None:
        """Why a message is ignored; None where it is used."""
        label = _label(record.value)
        wire = self._wires.setdefault(label, _Wire())
        method, id = body.get("method"), body.get("id")
        key = f"{id}" if isinstance(id, (str, int)) else ""
        origins = (record.at(place(record, pointer), key or None),)
        at = Message(role="tool", time=_time(record.value), origins=origins)
        if not isinstance(method, str):
            return self._answer(wire, body, key, at)
        params = body.get("params")
        params = params if isinstance(params, dict) else {}
        if method == "tools/call":
            wire.call(params, key, at)
            return None
        if method == "tools/list" and key:
            wire.waiting[key] = (method, params.get("cursor"))
            return None
        if method == "initialize" and wire.messages:
            self._close(wire)
            self._wires[label] = _Wire()
        return method if _KNOWN.match(method) else "other-method"

    def _answer(self, wire: _Wire, body: Body, key: str, at: Message) -> str | None:
        method, told = wire.waiting.get(key, ("", None))
        result, error = body.get("result"), body.get("error")
        whole = result if isinstance(result, dict) else {}
        if method == "tools/list" and isinstance(whole.get("tools"), list):
            specs = self._tools.tools([_spec(tool) for tool in whole["tools"]])
            wire.listed = [*(wire.listed if told else ()), *_promised(specs, whole["tools"])]
            wire.known = True
        elif method == "tools/call" and _is_result(whole, error):
            wire.answer(_result(whole, error, key, told), at)
        else:
            return "response"
        del wire.waiting[key]
        return None

    def _close(self, wire: _Wire) -> None:
        if wire.messages:
            self._sessions.append(linear(NAME, wire.messages, contexts=wire.contexts))

    def close_file(self) -> None:
        """A connection does not outlive its file."""
        for wire in self._wires.values():
            self._close(wire)
        self._wires.clear()

    def finish(self) -> tuple[Session, ...]:
        """One session for each connection with a call."""
        return tuple(self._sessions)


def _spec(tool: Any) -> Any:
    """The tool without its result contract, in the spelling that `context` reads."""
    told = ("name", "description", "inputSchema")
    return {k: tool.get(k) for k in told} if isinstance(tool, dict) else tool


def _promised(specs: tuple[ToolSpec, ...], tools: list[Any]) -> Iterator[ToolSpec]:
    for spec, tool in zip(specs, tools, strict=True):
        try:
            yield replace(spec, contract=contract_text(tool))
        except ValueError:
            yield spec


def _is_result(result: Body, error: Any) -> bool:
    told = ("content", "structuredContent", "isError", "toolResult")
    return isinstance(error, dict) or any(key in result for key in told)


def _result(result: Body, error: Any, id: str, name: Any) -> ToolResult:
    if isinstance(error, dict):
        code, data = int_or_none(error.get("code")), error.get("data")
        told = [str(error.get("message") or ""), content_text(data) if data else ""]
        return ToolResult(
            text="\n".join(text for text in told if text),
            call_id=id,
            name=text_or_none(name),
            is_error=True,
            cause=_CAUSES.get(code) if code is not None else None,
            hint=f"error {code}",
        )
    content = result.get("content") or result.get("structuredContent", result.get("toolResult"))
    return ToolResult(
        text=content_text(content),
        call_id=id,
        name=text_or_none(name),
        is_error=result.get("isError") is True,
    )


def _bodies(value: Any) -> Iterator[tuple[Body, str]]:
    """The JSON-RPC messages in a line, each with its pointer."""
    if isinstance(value, str):
        value = object_in(value)
    if isinstance(value, list):
        for index, one in enumerate(value):
            if _is_rpc(one):
                yield one, f"/{index}"
    elif _is_rpc(value):
        yield value, ""
    elif isinstance(value, dict):
        for key in _WRAPS:
            inner = value.get(key)
            inner = object_in(inner) if isinstance(inner, str) else inner
            if isinstance(inner, dict) and _is_rpc(inner):
                yield inner, f"/{key}"


def _is_rpc(value: Any) -> bool:
    return isinstance(value, dict) and value.get("jsonrpc") == "2.0"


def _label(value: Any) -> str:
    """Which connection of a file a line belongs to, where it says so."""
    if isinstance(value, str):
        found = _LABEL.search(value[: max(value.find("{"), 0)])
        return found[1] if found is not None else ""
    if isinstance(value, dict):
        return next((str(value[k])[:200] for k in _LABELS if isinstance(value.get(k), str)), "")
    return ""


def _time(value: Any) -> float | None:
    if isinstance(value, str):
        return unix_time(value[:40].split(" ")[0])
    if isinstance(value, dict):
        return next((t for k in _TIMES if (t := unix_time(value.get(k))) is not None), None)
    return None


def sniff(peek: Peek) -> float:
    """JSON-RPC messages of which one is MCP's; other protocols speak JSON-RPC too."""
    if peek.kind not in ("json", "text") or not peek.values:
        return 0.0
    found = [body for value in peek.values for body, _ in _bodies(value)]
    methods = [body.get("method") for body in found]
    known = any(isinstance(m, str) and m != "initialize" and _KNOWN.match(m) for m in methods)
    share = min(1.0, len(found) / len(peek.values))
    if not known:
        return 0.2 * share
    return 0.9 if peek.kind == "text" else share


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="MCP JSON-RPC logs: calls, results and listed tools; no prompts, no model",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
