"""Recorders for SDK traffic: an httpx transport, and hooks on a boto3 client.

Out: one object a call, `{"url", "status", "request", "response"}`, written as JSON lines. A JSON
response is kept as an object; a stream as the text of its events, as far as it came; the events of
an AWS stream as the list that boto3 hands on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx


class Recorder(httpx.BaseTransport):
    """Passes requests on and keeps both bodies."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One call; a stream is read whole, and a cut one fails only after it was kept."""
        asked = json.loads(request.read())
        response = self._inner.handle_request(request)
        pieces: list[bytes] = []
        broken: Exception | None = None
        try:
            for piece in response.stream:  # type: ignore[union-attr]
                pieces.append(piece)
        except httpx.RemoteProtocolError as error:
            broken = error
        data = b"".join(pieces)
        self.rows.append(
            {
                "url": str(request.url),
                "status": response.status_code,
                "request": asked,
                "response": _read(data),
            }
        )
        if broken is not None:
            raise broken
        return httpx.Response(response.status_code, headers=response.headers, content=data)


def _read(data: bytes) -> Any:
    text = data.decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"{path.name}: {len(rows)} calls, {path.stat().st_size} bytes")


def record_boto(client: Any) -> list[dict[str, Any]]:
    """Rows that grow with every call of a boto3 bedrock-runtime client."""
    rows: list[dict[str, Any]] = []

    def sent(request: Any, **_: Any) -> None:
        rows.append({"url": request.url, "status": None, "request": json.loads(request.body)})

    def came(response_dict: Any, parsed_response: Any, **_: Any) -> None:
        if response_dict is None:
            return
        rows[-1]["status"] = response_dict["status_code"]
        body = response_dict.get("body")
        if isinstance(body, bytes):
            rows[-1]["response"] = json.loads(body)
            return
        events = rows[-1]["response"] = []
        parsed_response["stream"] = _kept(parsed_response["stream"], events)

    client.meta.events.register("before-send.bedrock-runtime", sent)
    client.meta.events.register("response-received.bedrock-runtime", came)
    return rows


def _kept(stream: Any, events: list[Any]) -> Any:
    for event in stream:
        events.append(json.loads(json.dumps(event)))
        yield event
