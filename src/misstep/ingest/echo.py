"""Requests that repeat the history of the one before, decoded without working it through again.

In: lines of request/response logs. Out: the values that plain decoding gives, in which the messages
are a `History` that says how far it is the same as an earlier one, and an equal list of tools is
the same object. A history seen before is recognised by the bytes of the line up to its end: behind
the same bytes a parser is in the same state, so they are cut out and a mark is put in their place.
Where a mark does not come out where it belongs, the line is left to plain decoding, as is
everything that is unusual.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import orjson

from misstep.ingest.decode import depth

_RECENT = 24
"""Histories that are remembered."""
_MOST_TOOLS = 64
"""Lists of tools that are remembered."""
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NONE = msgspec.Raw(b"[]")


class _Placed(msgspec.Struct):
    """Where the messages of a line stand, in it or in its request."""

    request: _Placed | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw = _NONE


_PLACED = msgspec.json.Decoder(_Placed)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MESSAGES = b'"messages"'
_TOOLS = b'"tools"'
_SYSTEM = ("system", "developer")
_BETWEEN = (b" ", b"\t", b"\r", b"\n", b",")
_GAP = (b" ", b"\t", b"\r", b"\n", b":")
Fields = Mapping[str, msgspec.Raw]


class History(list[Any]):
    """The messages of a request; the first ones may be those of an earlier request."""

    __slots__ = ("base", "mark", "roles")

    def __init__(self, rows: list[Any], base: History | None) -> None:
        super().__init__(rows)
        self.base = base
        """The earlier history that this one goes on from."""
        self.mark: Any = None
        """For the reader: where it stood behind these messages."""
        fresh = rows if base is None else rows[len(base) :]
        self.roles: bool = (base is None or base.roles) and all(map(_has_role, fresh))
        """Whether every message is an object with a role."""


class Tools(list[Any]):
    """A list of tools; the same object wherever the same bytes stood."""

    __slots__ = ()


def _has_role(row: Any) -> bool:
    return type(row) is dict and type(row.get("role")) is str


class _Stretch:
    """A line up to the end of its last message."""

    __slots__ = ("field", "head", "history", "line", "tools")

    def __init__(self, line: bytes, head: bytes, history: History) -> None:
        self.line = line
        self.head = head
        """Up to and with the bracket that opens the messages."""
        self.history = history
        self.tools: Tools | None = None
        """The tools that stood behind the messages."""
        self.field = b""
        """Their bytes with the name of the field; empty where they stood elsewhere."""


class _Unusual(Exception):
    """A line that is left to plain decoding."""


_LEFT = (
    msgspec.DecodeError,
    orjson.JSONDecodeError,
    UnicodeDecodeError,
    RecursionError,
    _Unusual,
)


class Echoes:
    """Decodes the lines of one unit."""

    def __init__(self, max_depth: int) -> None:
        self._deepest = max_depth - 4
        self._recent: list[_Stretch] = []
        self._tools: dict[bytes, Tools] = {}
        self._mark = f"misstep-{secrets.token_hex(8)}"
        self._raw_mark = f'"{self._mark}"'.encode()
        self._cut_field = f'"tools":"{self._mark}"'.encode()

    def __call__(self, line: bytes) -> Any:
        """The value of a line; None leaves it to plain decoding."""
        try:
            for known in self._recent:
                if line.startswith(known.line):
                    return self._again(line, known)
            return self._first(line)
        except _LEFT:
            return None

    def _first(self, line: bytes) -> Any:
        """A line whose history was not seen before."""
        whole, fields = _halves(line)
        messages = bytes(fields["messages"]) if "messages" in fields else b""
        _, start = _field(line, _MESSAGES, messages, 0)
        rows = self._loads(messages) if start >= 0 else None
        if type(rows) is not list:
            raise _Unusual
        end = start + len(messages) - 1
        made = _Stretch(line[:end], line[: start + 1], History(rows, None))
        self._find_tools(line, fields, end, made)
        value = self._built(whole, fields, made)
        self._keep(made)
        return value

    def _again(self, line: bytes, known: _Stretch) -> Any:
        """A line that begins as an earlier one did, up to the end of that one's messages."""
        rest = len(known.line)
        tools = line.find(_TOOLS, rest) if known.field else -1
        if tools < 0 or not line.startswith(known.field, tools):
            text = known.head + self._raw_mark + line[rest:]
            return self._with_tools(text, line, known)
        behind = line[tools + len(known.field) :]
        cut = b"".join((known.head, self._raw_mark, line[rest:tools], self._cut_field, behind))
        placed = _PLACED.decode(cut)
        value = self._loads(cut)
        if type(placed.request) is _Placed:
            placed, request = placed.request, value["request"]
        else:
            request = value
        if type(request) is not dict or request.get("tools") != self._mark:
            raise _Unusual
        made = self._grown(line, known, placed.messages, request.get("messages"))
        made.tools, made.field = known.tools, known.field
        request["messages"], request["tools"] = made.history, known.tools
        self._keep(made, known)
        return value

    def _with_tools(self, text: bytes, line: bytes, known: _Stretch) -> Any:
        """A line whose tools are not those that stood in the earlier line."""
        whole, fields = _halves(text)
        messages = fields.get("messages", _NONE)
        made = self._grown(line, known, messages, self._loads(bytes(messages)))
        self._find_tools(line, fields, len(made.line), made)
        value = self._built(whole, fields, made)
        self._keep(made, known)
        return value

    def _grown(self, line: bytes, known: _Stretch, messages: msgspec.Raw, rows: Any) -> _Stretch:
        """The stretch of a line whose messages, the mark in front, stand in the cut text."""
        if type(rows) is not list or not rows or rows[0] != self._mark:
            raise _Unusual
        base = known.history
        rows[:1] = base
        size = memoryview(messages).nbytes
        end = len(known.line) + size - len(self._raw_mark) - 2
        made = _Stretch(line[:end], known.head, History(rows, base))
        base.base = None  # all readers are past it
        return made

    def _keep(self, made: _Stretch, known: _Stretch | None = None) -> None:
        if known is not None:
            self._recent.remove(known)
        rows = made.history
        if rows and type(rows[-1]) is dict:  # else the bytes may end inside a number
            self._recent.insert(0, made)
            del self._recent[_RECENT:]

    def _find_tools(self, line: bytes, fields: Fields, end: int, made: _Stretch) -> None:
        raw = bytes(fields["tools"]) if "tools" in fields else b""
        if raw[:1] != b"[":
            return
        if raw not in self._tools:
            if len(self._tools) >= _MOST_TOOLS:
                self._tools.clear()
            self._tools[raw] = Tools(self._loads(raw))
        made.tools = self._tools[raw]
        at, start = _field(line, _TOOLS, raw, end)
        if start >= 0:
            made.field = line[at : start + len(raw)]

    def _loads(self, raw: bytes) -> Any:
        if depth(raw, self._deepest) > self._deepest:
            raise _Unusual
        return orjson.loads(raw)

    def _built(self, whole: Fields, fields: Fields, made: _Stretch) -> dict[str, Any]:
        ordered: dict[str, Any] = {}
        for name in fields:
            if name == "messages":
                ordered[name] = made.history
            elif name == "tools" and made.tools is not None:
                ordered[name] = made.tools
            else:
                ordered[name] = self._loads(bytes(fields[name]))
        if whole is fields:
            return ordered
        return {
            name: ordered if name == "request" else self._loads(bytes(raw))
            for name, raw in whole.items()
        }


def _halves(text: bytes) -> tuple[Fields, Fields]:
    """A line's own fields and those of its request, which may be the line itself."""
    whole = _OBJECT.decode(text)
    if "request" not in whole:
        return whole, whole
    return whole, _OBJECT.decode(whole["request"])


def _field(line: bytes, name: bytes, value: bytes, start: int) -> tuple[int, int]:
    """Where the first field of this name stands, and its value; -1 where it has another value."""
    at = line.find(name, start)
    place = at + len(name)
    while line[place : place + 1] in _GAP:
        place += 1
    found = at >= 0 and bool(value) and line.startswith(value, place)
    return at, place if found else -1


class Skimmer:
    """Finds what the lines of a log are joined by, from the first message that is not the system's.

    A line that begins as an earlier one did, up to the end of that message, has the same keys. Only
    for lines whose `request` or whose own `messages` say it; others are left to decoding.
    """

    def __init__(self, joins: Callable[[Any, str], Iterable[str]]) -> None:
        self._joins = joins
        self._recent: list[tuple[bytes, list[str]]] = []

    def seen(self, data: bytes, at: int = 0) -> list[str] | None:
        """The keys of the line that begins at `at`, if an earlier one began as it does."""
        for place, (head, keys) in enumerate(self._recent):
            if data.startswith(head, at):
                if place > _RECENT // 2:
                    self._recent.insert(0, self._recent.pop(place))
                return keys
        return None

    def __call__(self, line: bytes) -> list[str] | None:
        """The keys of a line; None leaves it to decoding."""
        keys = self.seen(line)
        if keys is not None:
            return keys
        try:
            return self._first(line)
        except _LEFT:
            return None

    def _first(self, line: bytes) -> list[str] | None:
        whole, fields = _halves(line)
        messages = bytes(fields["messages"]) if "messages" in fields else b""
        _, at = _field(line, _MESSAGES, messages, 0)
        if at < 0 or (whole is fields and "custom_id" in whole):
            return None
        rows: list[Any] = []
        at += 1
        for raw in _LIST.decode(messages):
            text = bytes(raw)
            while line[at : at + 1] in _BETWEEN:
                at += 1
            at += len(text)
            rows.append(orjson.loads(text))
            if not (_has_role(rows[-1]) and rows[-1]["role"] in _SYSTEM):
                break
        request = dict.fromkeys(fields) | {"messages": rows}
        keys = list(self._joins(request if whole is fields else {"request": request}, ""))
        if keys and rows and type(rows[-1]) is dict:
            self._recent.insert(0, (line[:at], keys))
            del self._recent[4 * _RECENT :]
        return keys or None
