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
from typing import Any, Literal

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
            client.hang_up()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    client.check_reached()
    return [done.result() for done in places]


@dataclass(frozen=True, slots=True)
class _Way:
    """How an endpoint wants to be asked."""

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name by which it knows the limit of an answer."""
    single: bool = False
    """It gives one answer a request."""

    def instead(self, said: str, asked: int) -> _Way | None:
        """What to try after such a refusal of so many answers; None where there is nothing."""
        if "max_completion_tokens" in said and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        return replace(self, single=True) if asked > 1 else None


@dataclass(slots=True)
class _Asker:
    """Asks one question until it has its answers; may be shared by threads."""

    client: Client
    model: str
    sampling: Sampling
    _way: _Way = field(default_factory=_Way)
    """Of the last request that was answered: what one question finds out, the next ones know."""

    def __call__(self, question: Question) -> Answers:
        found: list[Message] = []
        wanted, why, way = self.sampling.num_generations, "", self._way
        while len(found) < wanted and not why:
            ask = 1 if way.single else wanted - len(found)
            try:
                got = list(_choices(self.client.post(self._body(question, way, ask, len(found)))))
            except Unseen as unseen:
                why = str(unseen)
                continue
            except Refused as refused:
                other = way.instead(refused.said, ask) if refused.read else None
                if other is None:
                    why = refused.said
                way = other or way
                continue
            self._way = way = replace(way, single=way.single or len(got) < ask)
            found += got[: wanted - len(found)]
            why = "" if got else "the endpoint answered without any choice"
        return Answers(answers=tuple(found), why=why)

    def _body(self, question: Question, way: _Way, count: int, done: int) -> bytes:
        """The request for the next `count` answers; the seed moves on with those that are there."""
        context, sampling = question.context, self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": sent(question.messages, question.images),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            way.limit: sampling.max_tokens,
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
