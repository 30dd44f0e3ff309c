"""One POST to a chat endpoint, repeated until it is answered or there is no hope.

In: a JSON body. Out: the JSON object that came back. `Refused` says that this body is at fault;
`ModelError` that no body could be answered. Only the standard library is used: one request at a
time and thread, no connection is kept. `Client.hang_up` ends what is under way in any thread.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from threading import Event, Lock
from typing import IO, Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)
from weakref import WeakSet

import orjson

from misstep.config import EndpointConfig
from misstep.errors import ConfigError, ModelError
from misstep.redact import clip, redact

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same request may be answered."""
BUSY = frozenset({429, 503, 529})
"""Those after which no other request is sent either until the pause is over."""
NO_ACCESS = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405})
"""Statuses that every request would get."""
FIRST_PAUSE = 0.5
"""Seconds before the second try; each further pause is twice as long."""
LONGEST_PAUSE = 60.0
"""Seconds of a pause at most, whatever `Retry-After` says."""
MAX_BYTES = 32_000_000
_CHUNK = 65_536


class Refused(Exception):
    """The endpoint turned this request down."""

    def __init__(self, said: str, *, read: bool = True) -> None:
        super().__init__(said)
        self.said = said
        self.read = read
        """False where the request was given up, and nobody said what is wrong with it."""


class _Unanswered(Exception):
    """No answer this time."""

    def __init__(self, said: str, pause: float | None = None, *, busy: bool = False) -> None:
        super().__init__(said)
        self.said = said
        self.pause = pause
        self.busy = busy
        """The endpoint has more to do than it can: everybody is to wait."""


@dataclass(slots=True)
class _Pace:
    """When the next request may go, whichever thread sends it."""

    gap: float
    """Seconds between two requests at least."""
    _next: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def turn(self) -> float:
        """Seconds to wait; 0 gives the turn to the one who asks."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return self._next - now
            self._next = now + self.gap
            return 0.0

    def hold(self, seconds: float) -> None:
        """Let nobody go for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: a key is for the host that it was given for."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(slots=True)
class _Lines:
    """The sockets of the requests under way, so that another thread can end them."""

    _open: WeakSet[socket.socket] = field(default_factory=WeakSet)
    _cut: bool = False
    _lock: Lock = field(default_factory=Lock)

    def dialled(self, line: socket.socket) -> None:
        """A request has its socket.

        Raises:
            ConnectionAbortedError: all lines were cut meanwhile.
        """
        with self._lock:
            if self._cut:
                raise ConnectionAbortedError("the request was given up")
            self._open.add(line)

    def cut(self) -> None:
        """End every request, those that have no socket yet too."""
        with self._lock:
            self._cut = True
            for line in self._open:
                with suppress(OSError):
                    # not SSLSocket's own, which takes the reading thread's object away
                    socket.socket.shutdown(line, socket.SHUT_RDWR)

    def through(self, kind: Any) -> Any:
        """A connection of this class that says when it has its socket."""
        lines = self

        class Connection(kind):
            def connect(self) -> None:
                super().connect()
                lines.dialled(cast(HTTPConnection, self).sock)

        return Connection


class _Calls(HTTPHandler, HTTPSHandler):
    """Opens http and https with lines that can be cut."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def do_open(self, http_class: Any, req: Request, **more: Any) -> HTTPResponse:
        return super().do_open(self._lines.through(http_class), req, **more)


def completions_url(url: str) -> str:
    """The address that is posted to, from a base address or the whole one.

    Raises:
        ConfigError: the address is not http or https.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(
            f"endpoint.url {url!r}: expected an address such as http://localhost:8000/v1"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return parts._replace(path=path, fragment="").geturl()


@dataclass(slots=True)
class Client:
    """Posts to one endpoint; may be shared by threads."""

    config: EndpointConfig
    stop: Event
    """Set, it ends every wait: the next thing that happens is an error."""
    _url: str = field(init=False)
    _opener: OpenerDirector = field(init=False)
    _pace: _Pace = field(init=False)
    _lines: _Lines = field(default_factory=_Lines, init=False)
    _reached: bool = False
    _last: str = ""

    def __post_init__(self) -> None:
        most = self.config.requests_per_minute
        self._pace = _Pace(60 / most if most else 0.0)
        self._url = completions_url(self.config.url or "")
        self._opener = build_opener(_Stay(), _Calls(self._lines))

    def post(self, body: bytes) -> Mapping[str, Any]:
        """The answer to one request.

        Raises:
            Refused: the endpoint turned it down, or did not answer any of the tries.
            ModelError: it would turn down every request.
        """
        said = "the endpoint was not asked"
        for attempt in range(self.config.retries + 1):
            while (left := self._pace.turn()) and not self.stop.wait(left):
                pass
            if self.stop.is_set():
                break
            try:
                answer = self._once(body)
            except _Unanswered as failure:
                said = self._last = failure.said
                pause = _pause(attempt, failure.pause)
                if failure.busy:
                    self._pace.hold(pause)
                if attempt < self.config.retries:
                    self.stop.wait(pause)
            else:
                self._reached = True
                return answer
        tries = f"no answer after {self.config.retries + 1} tries: {said}"
        raise Refused(tries, read=False)

    def hang_up(self) -> None:
        """End all waits and all requests under way, in whichever thread."""
        self.stop.set()
        self._lines.cut()

    def check_reached(self) -> None:
        """Raise where not one request was answered and the reason is not in the requests.

        Raises:
            ModelError: nobody answered.
        """
        if not self._reached and self._last:
            raise ModelError(
                f"{self._url}: no request was answered ({self._last}); "
                f"see that the endpoint is up, or raise endpoint.timeout or endpoint.retries"
            )

    def _once(self, body: bytes) -> Mapping[str, Any]:
        # completions_url has seen to the scheme
        request = Request(self._url, data=body, headers=self._headers(), method="POST")  # noqa: S310
        deadline = time.monotonic() + self.config.timeout
        try:
            with self._opener.open(request, timeout=self.config.timeout) as response:
                data = _read(response, deadline)
        except HTTPError as error:
            raise self._failure(error) from None
        except (URLError, HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise _Unanswered(f"{type(reason).__name__}: {clip(str(reason), 200)}") from None
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise _Unanswered(
                f"not JSON: {clip(data[:200].decode('utf-8', 'replace'), 120)!r}"
            ) from None
        if not isinstance(answer, dict):
            raise _Unanswered(f"expected an object, got {type(answer).__name__}")
        return answer

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.config.api_key_env, "")
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers

    def _failure(self, error: HTTPError) -> Exception:
        """What a status means for this request, and for all."""
        said = f"status {error.code}: {_said(error)}"
        if error.code in AGAIN:
            pause = _retry_after(error.headers.get("Retry-After"))
            return _Unanswered(said, pause, busy=error.code in BUSY)
        if error.code in NO_ACCESS:
            self.stop.set()
            return ModelError(
                f"{self._url}: {said}; give an address and a model that this endpoint serves "
                f"(--endpoint, --endpoint-model) and a key that it takes in "
                f"${self.config.api_key_env}"
            )
        self._reached = True
        return Refused(said)


def _read(response: HTTPResponse, deadline: float) -> bytes:
    """The whole body, within the time that the whole answer may take."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_CHUNK):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise _Unanswered(f"the answer is longer than {MAX_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer took too long")
    expected = response.headers.get("Content-Length")
    if expected is not None and expected.isdigit() and size < int(expected):
        raise ConnectionResetError(f"the answer was cut after {size} of {expected} bytes")
    return b"".join(pieces)


def _said(error: HTTPError) -> str:
    """What the endpoint gives as its reason, on one line."""
    try:
        raw = cast(IO[bytes], error).read(4_000)
    except (HTTPException, OSError):
        raw = b""
    text = raw.decode("utf-8", "replace")
    try:
        told = orjson.loads(raw)["error"]
        text = str(told.get("message", told)) if isinstance(told, dict) else str(told)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    return clip(redact(" ".join(text.split())).text or error.reason, 300)


def _retry_after(value: str | None) -> float | None:
    """Seconds that the endpoint asks to wait: a number, or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds to wait; what the endpoint asked for, else twice as long each time, with jitter.

    "After 0 seconds" asks for nothing: at once, all tries would be gone before anything changes.
    """
    if asked:
        return min(asked, LONGEST_PAUSE)
    pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
    return pause * random.uniform(0.5, 1.0)
