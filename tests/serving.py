"""A chat endpoint on a local port that misbehaves as told, then answers well."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from misstep.config import EndpointConfig

RAW = '{"city": "Oslo", "days": 3.0, "note": "\\u00e5",}'


def choice(arguments: str = RAW, finish: str = "tool_calls") -> dict:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "weather", "arguments": arguments},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"index": 0, "message": message, "finish_reason": finish}


def ok(body: dict, count: int | None = None) -> tuple:
    wanted = body.get("n", 1) if count is None else count
    usage = {"prompt_tokens": 5, "completion_tokens": 9}
    return 200, {}, {"choices": [choice()] * wanted, "usage": usage}


class Server:
    """Answers each request by the next behaviour of its script, then well."""

    def __init__(self, *script) -> None:
        self.script = list(script)
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def handle(self, request) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self.lock:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            act = self.script.pop(0) if self.script else ok
        try:
            reply = act(body) if callable(act) else act
        finally:
            # Before a byte is sent: whoever reads the answer may ask again at once.
            with self.lock:
                self.at_once -= 1
        if reply == "cut before":
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        status, headers, answer = reply
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if "Content-Length" not in headers:
            request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            request.wfile.write(data)


@contextmanager
def serving(*script):
    server = Server(*script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.handle(self)

        def log_message(self, *_) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        port = http_server.server_address[1]
        yield server, EndpointConfig(url=f"http://127.0.0.1:{port}/v1", model="m", timeout=5.0)
    finally:
        http_server.shutdown()
        http_server.server_close()
