"""Answers from an OpenAI-compatible endpoint: a model that is served instead of loaded.

In: prompts as messages with what their requests offered. Out: for each, its answers, or why there
are none. `POST …/chat/completions`, not streamed; arguments are kept verbatim. The key is read from
an environment variable, sent as a bearer token, and stands nowhere else; redirects are not
followed, so it goes to no other host.

429, 5xx, slow and cut answers are asked again with growing pauses, or after what `Retry-After`
says; while an endpoint says that it is busy, nothing is sent to it. A prompt that the endpoint
turns down (too long, filtered) has no answers and a reason; what no prompt could mend (no such
model, no access) raises. torch is never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import orjson

from misstep.chat import from_chat, tool_to_chat
from misstep.config import EndpointConfig
from misstep.models.eye import Unseen
from misstep.models.http import Client, Refused
from misstep.models.sent import sent
from misstep.types import Context, Message, Usage

_KNOWN = ("auto", "none", "required")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One prompt."""

    messages: tuple[Message, ...]
    context: Context
    images: Path | None = None
    """Folder of the images that the messages name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How each prompt is answered."""

    num_generations: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came back for one prompt."""

    answers: tuple[Message, ...] = ()
    why: str = ""
    """Why there are fewer answers than asked for; empty where there are not."""


def ask_endpoint(
    config: EndpointConfig,
    questions: Sequence[Question],
    *,
    model: str,
    sampling: Sampling,
    heard: Callable[[int, Answers], None] | None = None,
) -> list[Answers]:
    """The answers to each question, in order; `concurrency` questions are asked at a time.

    Args:
        heard: called with each question's place and its answers, as they come.

    Raises:
        ModelError: the endpoint cannot be used at all: no access, no such model, nobody there.
    """
    stop = Event()
    client = Client(config, stop)
    asker = _Asker(client, config.model or model, sampling)
    with ThreadPoolExecutor(max_workers=config.concurrency) as pool:
        places = {pool.submit(asker, question): at for at, question in enumerate(questions)}
        try:
            for done in as_completed(places):
                answers = done.result()
                if heard is not None:
                    heard(places[done], answers)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    client.check_reached()
    return [done.result() for done in places]


@dataclass(slots=True)
class _Asker:
    """Asks one question until it has its answers."""

    client: Client
    model: str
    sampling: Sampling
    _fields: dict[str, str] = field(default_factory=lambda: {"limit": "max_tokens"})
    _single: bool = False
    """True once the endpoint has shown that it gives one answer a request."""

    def __call__(self, question: Question) -> Answers:
        found: list[Message] = []
        wanted, why = self.sampling.num_generations, ""
        while len(found) < wanted and not why:
            ask = 1 if self._single else wanted - len(found)
            try:
                got = list(_choices(self.client.post(self._body(question, ask, len(found)))))
            except Unseen as unseen:
                why = str(unseen)
                continue
            except Refused as refused:
                if not refused.read or not self._adapted(refused.said, ask):
                    why = refused.said
                continue
            self._single = self._single or len(got) < ask
            found += got[: wanted - len(found)]
            why = "" if got else "the endpoint answered without any choice"
        return Answers(answers=tuple(found), why=why)

    def _adapted(self, said: str, asked: int) -> bool:
        """Whether the next request can differ in what this endpoint does not know."""
        if "max_completion_tokens" in said and self._fields["limit"] == "max_tokens":
            self._fields["limit"] = "max_completion_tokens"
            return True
        if asked > 1 and not self._single:
            self._single = True
            return True
        return False

    def _body(self, question: Question, count: int, done: int) -> bytes:
        """The request for the next `count` answers; the seed moves on with those that are there."""
        context, sampling = question.context, self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": sent(question.messages, question.images),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._fields["limit"]: sampling.max_tokens,
            "seed": sampling.seed + done,
            **({"n": count} if count > 1 else {}),
            **_offer(context),
        }
        return orjson.dumps(body)


def _offer(context: Context) -> dict[str, Any]:
    """Tools and demanded output in the words of the API."""
    offer: dict[str, Any] = {}
    if context.tools:
        offer["tools"] = [tool_to_chat(tool) for tool in context.tools]
        choice = "required" if context.tool_choice == "any" else context.tool_choice
        if choice in _KNOWN:
            offer["tool_choice"] = choice
        elif choice is not None:
            offer["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if context.response_schema is not None:
        schema = {"name": "answer", "schema": orjson.loads(context.response_schema)}
        offer["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif context.json_mode:
        offer["response_format"] = {"type": "json_object"}
    return offer


def _choices(answer: Mapping[str, Any]) -> Iterator[Message]:
    """The choices of a response that are messages."""
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        given = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(given, dict):
            continue
        try:
            message = from_chat({**given, "role": "assistant"})
        except ValueError:
            continue
        finish = choice.get("finish_reason")
        yield replace(
            message,
            finish_reason=finish if isinstance(finish, str) else None,
            usage=_usage(answer) if len(answer["choices"]) == 1 else None,
        )


def _usage(answer: Mapping[str, Any]) -> Usage | None:
    """Token counts, which a response gives for all its choices together."""
    told = answer.get("usage")
    counts = told if isinstance(told, dict) else {}
    asked, made = (counts.get(k) for k in ("prompt_tokens", "completion_tokens"))
    if not isinstance(asked, int) or not isinstance(made, int):
        return None
    return Usage(input_tokens=asked, output_tokens=made)
