"""HAR recordings (browsers, proxies): each entry is an exchange of any of the provider formats.

In: a HAR document. Out: for each entry its pointer and the record in it, as the provider formats
read it; None where the entry is no POST with a JSON body. Bodies in base64 and in AWS event streams
are unpacked. Nothing but request, response, status, URL and start time is kept.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from misstep.ingest.event_frames import frames
from misstep.ingest.format import Peek, share
from misstep.ingest.recognise import Wrapper


def unwrap(value: Any) -> Iterator[tuple[str, Any]]:
    """The entries of a document."""
    log = value.get("log") if isinstance(value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    for at, entry in enumerate(entries if isinstance(entries, list) else ()):
        yield f"/log/entries/{at}", _record(entry) if isinstance(entry, dict) else None


def _record(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    asked, told = entry.get("request"), entry.get("response")
    if not isinstance(asked, dict) or not isinstance(told, dict):
        return None
    posted = asked.get("postData")
    request = json_body(posted.get("text") if isinstance(posted, dict) else None)
    if request is None:
        return None
    content = told.get("content")
    return {
        "request": request,
        "response": _content(content) if isinstance(content, dict) else None,
        "status": told.get("status"),
        "url": asked.get("url"),
        "time": entry.get("startedDateTime"),
    }


def _content(content: Mapping[str, Any]) -> Any:
    text = content.get("text")
    if not isinstance(text, str):
        return None
    try:
        if content.get("encoding") == "base64":
            return readable(base64.b64decode(text))
        if "eventstream" in str(content.get("mimeType")):
            # proxies write bytes as text, one character a byte, where most of them are readable
            return frames(text.encode("latin-1"))
    except (binascii.Error, ValueError):
        return None
    return text


def json_body(body: Any) -> dict[str, Any] | None:
    """A request body as an object; None where it is none."""
    if isinstance(body, dict):
        return body
    if not isinstance(body, (str, bytes)):
        return None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def readable(data: bytes) -> Any:
    """A response body as text, or as the list of events of an AWS event stream."""
    return frames(data) or data.decode("utf-8", "replace")


def _weigh(value: dict[str, Any]) -> float:
    log = value.get("log")
    return 1.0 if isinstance(log, dict) and isinstance(log.get("entries"), list) else 0.0


def sniff(peek: Peek) -> float:
    """A `log` with `entries`."""
    return share(peek, _weigh)


WRAPPER = Wrapper(
    name="har",
    about="HAR recordings of browsers and proxies; each entry is read as its provider's format",
    unit="entry",
    sniff=sniff,
    unwrap=unwrap,
    kin="traffic",
)
