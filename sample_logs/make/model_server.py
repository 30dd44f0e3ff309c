"""A small local HTTP server that plays scripted model answers, for making sample logs.

    with serve([Reply(calls=(Call("search", '{"q": 1}'),)), Reply("Done.")]) as server:
        client = OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)

In: replies, taken in order, one for each model request (the last one repeats), or a function of
path and body that gives one. Out: answers as the provider's API would send them, streamed or not,
by the request's path:

    OpenAI chat       …/chat/completions (also Azure's /openai/deployments/NAME/chat/completions)
    OpenAI Responses  …/responses
    Anthropic         …/v1/messages (+ count_tokens), Bedrock's /model/ID/invoke
    Gemini            …/models/NAME:generateContent, :streamGenerateContent (alt=sse or JSON array)
    Bedrock           /model/ID/converse, /model/ID/converse-stream

`server.requests` holds (path, parsed body) of every model request. Argument text goes out byte for
byte where the wire carries text; where it carries objects, text that is no JSON becomes what the
real API makes of it (`model_wires`). Ids and times count up from fixed values, so that the same
script gives the same log. Nothing here leaves the machine; only the standard library is used.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import model_wires as wires
from model_wires import Call, Reply

__all__ = ["Call", "Reply", "Server", "serve"]

Replies = Sequence[Reply] | Callable[[str, Any], Reply]


@dataclass
class Server:
    """A running server."""

    url: str
    """`http://127.0.0.1:PORT`, without a slash at the end."""
    replies: Replies
    requests: list[tuple[str, Any]] = field(default_factory=list)
    """(path with query, parsed body) of each model request, in the order of arrival."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, path: str, body: Any) -> tuple[Reply, int]:
        """The reply to a request, and the request's number from 1."""
        with self.lock:
            self.requests.append((path, body))
            number = len(self.requests)
            if callable(self.replies):
                return self.replies(path, body), number
            return self.replies[min(number, len(self.replies)) - 1], number


@contextmanager
def serve(replies: Replies, *, port: int = 0) -> Iterator[Server]:
    """Serve the replies on a local port until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_address[1]}", replies)
    http.script = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.daemon = True
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._send(200, b"", "application/json")

    def do_GET(self) -> None:
        self._json(200, wires.listing(self.path))

    def do_POST(self) -> None:
        body = self._body()
        wire = wires.wire_of(self.path)
        if wire is None:
            self._json(200, wires.aside(self.path, body))
            return
        reply, number = self.server.script.next(self.path, body)  # type: ignore[attr-defined]
        reply = wire.prepare(reply, self.path, body)
        asked = wires.Asked(self.path, body if isinstance(body, dict) else {}, number)
        if reply.status >= 400:
            self._error(reply, wire)
        elif wire.streams(asked):
            self._stream(reply, wire, asked)
        else:
            self._json(200, wire.whole(reply, asked))

    def _body(self) -> Any:
        data = self._chunked() if self.headers.get("Transfer-Encoding") else self._sized()
        coding = (self.headers.get("Content-Encoding") or "").lower()
        if coding == "gzip":
            data = gzip.decompress(data)
        elif coding == "zstd":
            import zstandard

            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        try:
            return json.loads(data)
        except ValueError:
            return data.decode("utf-8", "replace")

    def _sized(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunked(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _json(self, status: int, value: Any) -> None:
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self._send(status, data, "application/json")

    def _error(self, reply: Reply, wire: wires.Wire) -> None:
        body = wire.error(reply) if reply.error is None else reply.error
        headers = {"x-amzn-ErrorType": wires.aws_error(reply.status)}
        headers["x-should-retry"] = "true" if reply.retry else "false"
        if isinstance(body, str):
            self._send(reply.status, body.encode(), "text/plain; charset=utf-8", headers)
        else:
            data = json.dumps(body, ensure_ascii=False).encode()
            self._send(reply.status, data, "application/json", headers)

    def _send(
        self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _stream(self, reply: Reply, wire: wires.Wire, asked: wires.Asked) -> None:
        kind, pieces = wire.pieces(reply, asked)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        cut = reply.cut_after
        for piece in pieces if cut is None else pieces[:cut]:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        if cut is None:
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
