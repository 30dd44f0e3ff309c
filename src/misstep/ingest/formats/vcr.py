"""VCR cassettes, in YAML or JSON: each interaction is an exchange of any of the provider formats.

In: a cassette of vcrpy, or of a recorder that writes its form (`parsed_body`, a body as object).
Out: for each interaction its pointer and the record in it; None where it holds no JSON request.
Bodies may be text, bytes, base64, gzip or zstd, event streams of text or of AWS frames.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import zstandard

from misstep.ingest.format import Peek, share
from misstep.ingest.formats.har import json_body, readable
from misstep.ingest.messages import int_or_none, text_or_none
from misstep.ingest.recognise import Wrapper

_MAX_BODY = 1 << 28
"""Bytes that a packed body may unfold to."""


def unwrap(value: Any) -> Iterator[tuple[str, Any]]:
    """The interactions of a cassette."""
    name = _listed(value)
    for at, entry in enumerate(value[name] if name else ()):
        yield f"/{name}/{at}", _record(entry) if isinstance(entry, dict) else None


def _listed(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    names = ("interactions", "http_interactions")
    return next((name for name in names if isinstance(value.get(name), list)), None)


def _record(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    asked, told = entry.get("request"), entry.get("response")
    if not isinstance(asked, dict) or not isinstance(told, dict):
        return None
    body = _body(asked)
    request = json_body(body if isinstance(body, (str, bytes)) else _plain(body))
    if request is None:
        return None
    status = told.get("status", told.get("status_code"))
    answer = _body(told)
    return {
        "request": request,
        "response": answer if isinstance(answer, str) else _plain(answer),
        "status": int_or_none(status.get("code") if isinstance(status, dict) else status),
        "url": text_or_none(asked.get("uri", asked.get("url"))),
        "time": text_or_none(entry.get("recorded_at")),
    }


def _body(half: Mapping[str, Any]) -> Any:
    """A body as an object, a list of events, or text."""
    if half.get("parsed_body") is not None:
        return half["parsed_body"]
    body = half.get("body", half.get("content"))
    if isinstance(body, dict):
        if not set(body) & {"string", "base64_string", "encoding"}:
            return body
        packed = body.get("base64_string")
        body = _unbase64(packed) if isinstance(packed, str) else body.get("string")
    if isinstance(body, str) and body[:4] == "H4sI":
        body = _unbase64(body)
    return _unpacked(body) if isinstance(body, bytes) else body


def _plain(value: Any) -> Any:
    """A value as JSON holds it: YAML also has bytes, other keys than text, and endless integers."""
    try:
        return orjson.loads(json.dumps(value, default=str))
    except (TypeError, ValueError):
        return None


def _unbase64(text: str) -> bytes | str:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        return text


def _unpacked(data: bytes) -> Any:
    try:
        if data[:2] == b"\x1f\x8b":
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, _MAX_BODY)
        elif data[:4] == b"\x28\xb5\x2f\xfd":
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BODY)
    except (zlib.error, zstandard.ZstdError):
        return None
    return readable(data)


def _weigh(value: dict[str, Any]) -> float:
    name = _listed(value)
    first = value[name][:3] if name else []
    held = [isinstance(e, dict) and "request" in e and "response" in e for e in first]
    return 1.0 if held and all(held) else 0.0


def sniff(peek: Peek) -> float:
    """`interactions` of requests and responses."""
    return share(peek, _weigh)


WRAPPER = Wrapper(
    name="vcr",
    about="VCR cassettes in YAML or JSON; each interaction is read as its provider's format",
    unit="interaction",
    sniff=sniff,
    unwrap=unwrap,
    kin="traffic",
)
