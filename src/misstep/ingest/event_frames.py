"""AWS event streams: the binary frames in which Bedrock sends a streamed answer.

In: the bytes of a response body. Out: one object an event, `{event type: payload}`, as the AWS
clients hand it on; an exception frame gives `{"error": …}`. A frame that breaks off ends the list.
Frame: total length, header length and a checksum (4 bytes each), headers, payload, checksum.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any

import orjson

_STRING = 7
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Size of a header value by its type; types 6 and 7 carry a length."""


def frames(data: bytes) -> list[dict[str, Any]] | None:
    """The events of a stream; None where the bytes are no event stream."""
    found: list[dict[str, Any]] = []
    at = 0
    while at + 16 <= len(data):
        total, size = struct.unpack_from(">II", data, at)
        if total < 16 + size or total > len(data) - at:
            break
        headers = _headers(data[at + 12 : at + 12 + size])
        event = None if headers is None else _event(headers, data[at + 12 + size : at + total - 4])
        if event is None:
            break
        found.append(event)
        at += total
    return found or None


def _headers(data: bytes) -> dict[str, str] | None:
    named: dict[str, str] = {}
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if end >= len(data):
            return None
        name, kind = data[at + 1 : end].decode("utf-8", "replace"), data[end]
        if kind in (6, _STRING):
            size = int.from_bytes(data[end + 1 : end + 3], "big")
            if kind == _STRING:
                named[name] = data[end + 3 : end + 3 + size].decode("utf-8", "replace")
            at = end + 3 + size
        elif kind in _FIXED:
            at = end + 1 + _FIXED[kind]
        else:
            return None
    return named


def _event(headers: dict[str, str], payload: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(payload) if payload else {}
    except orjson.JSONDecodeError:
        return None
    if headers.get(":message-type") in ("exception", "error"):
        kind = headers.get(":exception-type") or headers.get(":error-code")
        return {"error": {"type": kind, "detail": value}}
    name = headers.get(":event-type")
    if name is None:
        return None
    return _inner(value) if name == "chunk" else {name: value}


def _inner(value: Any) -> dict[str, Any] | None:
    """The provider's own event inside a `chunk` of InvokeModel."""
    packed = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(packed, str):
        return None
    try:
        event = orjson.loads(base64.b64decode(packed))
    except (binascii.Error, ValueError):
        return None
    return event if isinstance(event, dict) else None
