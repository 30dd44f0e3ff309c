"""What `model_server` sends: one reply, written as each provider's API writes it.

In: a `Reply` and what was asked. Out: a response object, or the pieces of a stream. Argument text
is passed through where the wire has text; `_parsed` says what happens where it has objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

START = 1_760_000_000
"""Unix time of the first answer; each further one comes a second later."""
BAD = object()
"""What `parsed` gives for argument text that is no JSON."""


@dataclass(frozen=True)
class Call:
    """One tool call: its argument text goes out byte for byte where the wire carries text."""

    name: str
    arguments: str = "{}"
    id: str | None = None
    kind: str = "function"
    """`function`, or `custom` (a free-text tool of OpenAI)."""
    namespace: str | None = None
    """For Responses."""


@dataclass(frozen=True)
class Reply:
    """One scripted answer."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    finish: str | None = None
    """The provider's word, sent as it is; None gives the usual one."""
    refusal: str | None = None
    status: int = 200
    error: dict[str, Any] | str | None = None
    """Body for a status of 400 or more; None gives the provider's usual one."""
    cut_after: int | None = None
    """Break the stream off after so many events."""
    usage: tuple[int, int] | None = None
    """Tokens in and out."""
    model: str = "misstep-sample"
    items: tuple[dict[str, Any], ...] = ()
    """Further output items, content blocks or parts in the provider's own form, before the rest."""
    retry: bool = False
    """Whether an error tells the client to try again (`x-should-retry`)."""

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens in and out."""
        size = len(self.text) + sum(len(c.arguments) for c in self.calls)
        return self.usage or (100, 1 + size // 4)


@dataclass(frozen=True)
class Asked:
    """The request that a reply answers."""

    path: str
    body: dict[str, Any]
    number: int
    """Counts the model requests of a server from 1."""

    @property
    def time(self) -> int:
        """When it was answered, in Unix seconds."""
        return START + self.number

    def id(self, prefix: str, index: int = 0) -> str:
        """An id that no other answer has."""
        return f"{prefix}{self.number:04d}{index:02d}"


@dataclass(frozen=True)
class Wire:
    """How one API sends a reply."""

    whole: Callable[[Reply, Asked], Any]
    pieces: Callable[[Reply, Asked], tuple[str, list[bytes]]]
    """Content type and chunks of a stream."""
    error: Callable[[Reply], Any]
    streams: Callable[[Asked], bool] = lambda asked: asked.body.get("stream") is True
    prepare: Callable[[Reply, str, Any], Reply] = lambda reply, path, body: reply


def parsed(call: Call) -> Any:
    """The arguments as an object; `BAD` where they are no JSON object."""
    try:
        value = json.loads(call.arguments)
    except ValueError:
        return BAD
    return value if isinstance(value, dict) else BAD


def sliced(text: str, size: int = 9) -> list[str]:
    """A text as the pieces in which a stream sends it."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode("utf-8", "surrogatepass")


def plain_error(reply: Reply) -> Any:
    """The usual error body of OpenAI."""
    kind = {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(reply.status, "server_error")
    message = f"The server answered with status {reply.status}."
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


def aws_error(status: int) -> str:
    """The error type that Bedrock names in a header."""
    known = {424: "ModelErrorException", 429: "ThrottlingException", 400: "ValidationException"}
    return known.get(status, "InternalServerException")


def wire_of(path: str) -> Wire | None:
    """The API that a path belongs to; None where it is no model request."""
    import wire_google_aws as cloud
    import wire_openai_anthropic as labs

    bare = path.split("?")[0].rstrip("/")
    if bare.endswith("/chat/completions"):
        return labs.CHAT
    if bare.endswith("/responses"):
        return labs.RESPONSES
    if bare.endswith(("/messages", "/invoke")):
        return labs.MESSAGES
    if bare.endswith((":generateContent", ":streamGenerateContent")):
        return cloud.GEMINI
    if bare.endswith(("/converse", "/converse-stream")):
        return cloud.CONVERSE
    return None


def listing(path: str) -> Any:
    """What a GET gives: the list of models, in a form that several clients read."""
    if "/models/" in path:
        return {"id": path.split("/models/")[1].split("?")[0], "object": "model", "created": START}
    if path.split("?")[0].rstrip("/").endswith("/models"):
        model = {"id": "misstep-sample", "object": "model", "created": START, "owned_by": "misstep"}
        named = {"name": "models/misstep-sample", "displayName": "misstep-sample"}
        return {"object": "list", "data": [model], "models": [named], "has_more": False}
    return {"status": "ok"}


def aside(path: str, body: Any) -> Any:
    """What a POST gives that is no model request: token counts, embeddings, telemetry."""
    if path.split("?")[0].endswith("count_tokens"):
        return {"input_tokens": 100}
    if ":countTokens" in path:
        return {"totalTokens": 100}
    if path.split("?")[0].endswith("/embeddings"):
        asked = body.get("input") if isinstance(body, dict) else None
        count = len(asked) if isinstance(asked, list) else 1
        data = [
            {"object": "embedding", "index": i, "embedding": [0.1, 0.2, 0.3]} for i in range(count)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "data": data, "model": "misstep-sample", "usage": usage}
    return {}


def without(reply: Reply, **changes: Any) -> Reply:
    """The reply with some fields changed."""
    return replace(reply, **changes)
