"""Request and response in one record, in any of the ways that logs lay them out.

In: a record. Out: an `Exchange` (two fields, wrapped bodies, JSON text or server-sent events, one
merged object, a line of a batch file), for the provider that says what its bodies look like. Also
here: what a record's URL says about its provider, and what it shares with related records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from misstep.ingest.format import Misfit, Record
from misstep.ingest.identity import message_key
from misstep.ingest.messages import int_or_none, text_or_none
from misstep.ingest.stream import events
from misstep.types import Message, Origin

Body = Mapping[str, Any]

_REQUESTS = ("request", "request_body", "requestBody", "req")
_RESPONSES = ("response", "response_body", "responseBody", "resp", "res")
_WRAPS = ("body", "parsed_body", "json", "request", "response")
_STREAM = ("data:", "event:", "id:", "retry:", ":")
_FIELDS = frozenset((*_REQUESTS, *_RESPONSES, *_WRAPS, "custom_id"))
_URLS = ("url", "uri", "path", "endpoint")
_PATHS = (
    (re.compile(r"/chat/completions(?:\?|$)"), "openai-chat"),
    (re.compile(r"/responses(?:\?|$)"), "openai-responses"),
    (re.compile(r"/v1/messages(?:\?|$)"), "anthropic-messages"),
    (re.compile(r":(?:stream)?[gG]enerateContent(?:\?|$)"), "gemini"),
    (re.compile(r"/model/[^?]+/converse(?:-stream)?(?:\?|$)"), "bedrock-converse"),
)


class Exchange(msgspec.Struct, kw_only=True):
    """The two halves of one record, each with its JSON pointer; None for a half that is absent."""

    request: Body | None
    response: Any = None
    request_at: str = ""
    response_at: str = ""
    status: int | None = None
    """HTTP status, where logged."""
    waits: bool = False
    """True where the record has no place for a response: it stands somewhere else."""
    key: str | None = None
    """The id that joins a request and a response of batch files."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """How requests refer to what the provider keeps of earlier responses."""

    before: Callable[[Body], str | None]
    """The id of the response that a request goes on from."""
    ids: Callable[[Exchange], Sequence[str]]
    """All ids by which later requests may refer to a response or to parts of it."""
    refs: Callable[[Any], Sequence[str]]
    """The ids of stored parts that a row of a request stands for."""
    loaded: Callable[[Exchange], list[Any]]
    """Tools that an exchange brought into the conversation beside those of the request."""


def as_it_is(request: Body) -> Body:
    """For providers whose requests `Contexts` reads directly."""
    return request


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider's requests and answers read. All functions may raise `Misfit`."""

    name: str
    is_request: Callable[[Body], bool]
    """Whether an object is a request body."""
    is_answer: Callable[[Body], bool]
    """Whether an object is a response body, an error body included."""
    rows: Callable[[Body], Iterator[tuple[Any, str]]]
    """What stands for messages in a request, each with its pointer."""
    turns: Callable[[Any, str], Sequence[Message]]
    """The messages of one such row, without origins."""
    answers: Callable[[Exchange, Record], list[Message]]
    """The assistant messages of a response; an error body gives one with `error`."""
    join: Callable[[Sequence[Body]], dict[str, Any]]
    """The response that a stream's events add up to."""
    offered: Callable[[Body], Body] = as_it_is
    """A request's tools, schema, choice and limits in a spelling that `Contexts` reads."""
    stored: Stored | None = None
    begins: Callable[[Body], bool] | None = None
    """Whether a request's last message is the beginning of the answer, written by the caller."""
    listed: bool = False
    """True where the rows of a request are the elements of its `messages` and nothing else."""
    repeated: Callable[[Exchange], Sequence[Any]] | None = None
    """For each answer the row that reads to the same message, in whatever request repeats it;
    none of them, where an answer has no such row."""


def split(value: Any, provider: Provider) -> Exchange | None:
    """The halves of one record; None where it is neither request nor response."""
    if not isinstance(value, dict):
        return None
    return _plain_pair(value, provider) or _split(value, provider)


def _plain_pair(value: Body, provider: Provider) -> Exchange | None:
    """The commonest layout, found faster: two fields, nothing around the bodies in them."""
    request, response = value.get("request"), value.get("response")
    if type(request) is not dict or type(response) is not dict or "response" in request:
        return None
    if not provider.is_request(request) or not provider.is_answer(response):
        return None
    code = int_or_none(value.get("status", value.get("status_code")))
    return Exchange(
        request=request,
        response=response,
        request_at="/request",
        response_at="/response",
        status=_status(response) if code is None else code,
    )


def _is_bare(value: Body, provider: Provider) -> bool:
    """Whether neither half can be there; true of most records of other formats, and told fast."""
    bare = _FIELDS.isdisjoint(value) and not provider.is_request(value)
    return bare and not provider.is_answer(value)


def _split(value: Body, provider: Provider) -> Exchange | None:
    if _is_bare(value, provider):
        return None
    code = int_or_none(value.get("status", value.get("status_code")))
    key = text_or_none(value.get("custom_id"))
    asked = next((name for name in _REQUESTS if name in value), None)
    told = next((name for name in _RESPONSES if name in value), None)
    if asked is not None:
        request = body_of(value[asked], provider)
        if not isinstance(request, dict) or not provider.is_request(request):
            return None
    elif provider.is_request(value):
        request, asked = value, ""
    elif key is not None:
        return _of_batch(value, key, provider)
    else:
        answer = body_of(value[told] if told else value, provider)
        if not isinstance(answer, dict) or not provider.is_answer(answer):
            return None
        return Exchange(
            request=None, response=answer, response_at=f"/{told}" if told else "", status=code
        )
    whole = told is None and asked == "" and provider.is_answer(value)
    return Exchange(
        request=request,
        response=value if whole else None if told is None else body_of(value[told], provider),
        request_at=f"/{asked}" if asked else "",
        response_at=f"/{told}" if told else "",
        status=code if code is not None or told is None else _status(value[told]),
        waits=told is None and not whole,
    )


def _status(half: Any) -> int | None:
    if not isinstance(half, dict):
        return None
    return int_or_none(half.get("status_code", half.get("status")))


def _of_batch(value: Body, key: str, provider: Provider) -> Exchange | None:
    """A line of a batch: the request's `body` or `params`; the result's `response` or `result`."""
    for name in ("body", "params"):
        request = value.get(name)
        if isinstance(request, dict) and provider.is_request(request):
            return Exchange(request=request, request_at=f"/{name}", waits=True, key=key)
    name = "response" if isinstance(value.get("response"), dict) else "result"
    half = value.get(name)
    if not isinstance(half, dict):
        half, name = value, "error"
    inner = half.get("message", half.get("error")) if name == "result" else None
    answer = inner if inner is not None else body_of(half, provider)
    if not isinstance(answer, dict) or not provider.is_answer(answer):
        return None
    status = _status(half)
    return Exchange(request=None, response=answer, response_at=f"/{name}", status=status, key=key)


def body_of(half: Any, provider: Provider) -> Any:
    """A half without the wrapping that proxies and recorders put around it."""
    for _ in range(2):
        if isinstance(half, dict) and not provider.is_request(half):
            inner = next((n for n in _WRAPS if n in half), None)
            if inner is not None and not provider.is_answer(half):
                half = half[inner]
    if isinstance(half, str):
        half = _decoded(half)
    if isinstance(half, list) and half and all(isinstance(piece, dict) for piece in half):
        return provider.join(half)
    if isinstance(half, dict) and not provider.is_answer(half):
        inside = half.get("response")
        if isinstance(inside, dict) and provider.is_answer(inside):
            return inside
    return half


def _decoded(half: str) -> Any:
    text = half.lstrip()
    if text.startswith(_STREAM):
        return list(events(text))
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return half


def url_of(value: Body) -> str | None:
    """The URL or path that a record names, on itself or on its request."""
    for place in (value, value.get("request")):
        if isinstance(place, dict):
            for name in _URLS:
                url = place.get(name)
                if isinstance(url, str) and "/" in url:
                    return url
    return None


def named_by(value: Body) -> str | None:
    """The provider format that a record's URL stands for; None where it says nothing."""
    url = url_of(value)
    if url is None:
        return None
    return next((name for pattern, name in _PATHS if pattern.search(url)), None)


def weigh(value: Body, provider: Provider, guess: Callable[[Exchange], float]) -> float:
    """How sure it is that a record is this provider's: by its URL, else by what `guess` says."""
    if _is_bare(value, provider):
        return 0.0
    named = named_by(value)
    if named is not None and named != provider.name:
        return 0.0
    halves = split(value, provider)
    if halves is None:
        return 0.0
    return 1.0 if named is not None else guess(halves)


def joined_by(value: Any, provider: Provider) -> Iterator[str]:
    """Keys that records of one conversation share: its first message, and ids that name others."""
    if not isinstance(value, dict):
        return
    key = text_or_none(value.get("custom_id"))
    if key is not None:
        yield f"batch:{key}"
    halves = split(value, provider)
    if halves is None:
        return
    stored, request = provider.stored, halves.request
    if stored is not None:
        before = None if request is None else stored.before(request)
        if before is not None:
            yield f"id:{before}"
        yield from (f"id:{known}" for known in stored.ids(halves)[:1])
    if request is not None:
        opening = _opening(request, provider)
        if opening is not None:
            yield f"first:{opening}"


def path_keys(value: Any, provider: Provider, level: int) -> list[str] | None:
    """Keys by the first messages but the system's, `level` behind the first one, answers included.

    None where a record does not hold both halves, or its caller began the answer: its own
    conversation then cannot be told.
    """
    halves = split(value, provider) if isinstance(value, dict) else None
    if halves is None:
        return []
    if halves.request is None or halves.response is None or provider.stored is not None:
        return None
    if provider.begins is not None and provider.begins(halves.request):
        return None
    path: list[str] = []
    try:
        for row, pointer in provider.rows(halves.request):
            spoken = (m for m in provider.turns(row, pointer) if m.role != "system")
            path.extend(message_key(message).hex() for message in spoken)
            if len(path) > level:
                return ["path:" + "".join(path[: level + 1])]
        record = Record(value=value, origin=Origin(file="", format=provider.name))
        answers = provider.answers(halves, record)
    except Misfit:
        return []
    return ["path:" + "".join((*path, message_key(answer).hex())) for answer in answers]


def _opening(request: Body, provider: Provider) -> str | None:
    """A hash of the first message that is not the system's."""
    try:
        for row, pointer in provider.rows(request):
            for message in provider.turns(row, pointer):
                if message.role != "system":
                    return message_key(message).hex()
    except Misfit:
        return None
    return None
