"""Chosen-source `reference`: a gold answer given by the user.

In: a JSONL file, one object a line: the answer, and what it answers.

    {"prompt": "Weather in Oslo?", "answer": {"tool_calls": [{"name": "weather", "arguments": {}}]}}
    {"id": "ticket-17", "answer": "{\\"total\\": 12}"}
    {"session": "4be0643f1d98573b", "step": 3, "tool_calls": [...]}
    {"image": "pages/7.png", "answer": "{\\"text\\": \\"…\\"}"}

`prompt` is text (or chat messages): it stands for every step that directly follows a user message
of this text, compared as tasks are (`split.normalised`). `id` is a session id, the log's own id
of a row, or a family; without `step` it stands for the first step of the session. `image` is a
file, sought beside this one, or `sha256:…` of its bytes: it stands for every step before which this
image, and no other, was shown since the last answer. The answer is text, a chat message, a list of
calls, or `tool_calls` beside the key. Out: `Reference`s. A reference is judged like any other
answer; where one exists for a prompt, every chosen side must call the same tools.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from misstep import store
from misstep.chat import content_text, from_chat
from misstep.errors import InputError
from misstep.mine.source import Candidate, Source, blamable
from misstep.mine.split import normalised, user_text
from misstep.types import Message, Origin, Session

if TYPE_CHECKING:
    from misstep.mine.desk import Desk

_EXPECTED = (
    'expected an object such as {"prompt": "…", "answer": "…"}, with prompt, id, image, or session '
    "and step as the key, and answer or tool_calls"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A gold answer and what it answers."""

    key: tuple[str, str]
    """`("prompt", normalised text)`, `("image", name)`, `("id", id)` or `("id", "id#step")`."""
    answer: Message


def read_references(path: Path) -> tuple[Reference, ...]:
    """The gold answers of a JSONL file.

    Raises:
        InputError: the file cannot be read, or a line is not such a row.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a JSONL file of gold answers"
        ) from None
    return tuple(
        _reference(line, path, number) for number, line in enumerate(lines, 1) if line.strip()
    )


def _reference(line: bytes, path: Path, number: int) -> Reference:
    try:
        row = orjson.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"got {type(row).__name__}")
        answer = _answer(row)
        key = _key(row, path.parent)
    except ValueError as error:
        raise InputError(
            f"{path}, line {number}: not a gold answer ({error}); {_EXPECTED}"
        ) from None
    origin = Origin(file=str(path), format="references", line=number)
    return Reference(
        key=key, answer=Message(role="assistant", parts=answer.parts, origins=(origin,))
    )


def _answer(row: Mapping[str, Any]) -> Message:
    given = row.get("answer", row.get("text"))
    calls = row.get("tool_calls")
    if isinstance(given, list) and not any(isinstance(g, Mapping) and "type" in g for g in given):
        given, calls = None, given
    body = given if isinstance(given, Mapping) else {"content": given}
    chat = {"tool_calls": calls, **body, "role": "assistant"}
    message = from_chat(chat)
    if not message.parts:
        raise ValueError("no answer")
    return message


def _key(row: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    name, step = row.get("session", row.get("id")), row.get("step")
    if isinstance(name, (str, int)) and not isinstance(name, bool):
        if step is not None and not isinstance(step, int):
            raise ValueError(f"step {step!r} is not a message index")
        return "id", str(name) if step is None else f"{name}#{step}"
    image = row.get("image")
    if isinstance(image, str):
        return "image", _image(image, folder)
    prompt = row.get("prompt")
    if isinstance(prompt, Sequence) and not isinstance(prompt, str):
        users = [m for m in prompt if isinstance(m, Mapping) and m.get("role") == "user"]
        prompt = content_text(users[-1].get("content")) if users else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("no prompt, id, image or session")
    return "prompt", normalised(prompt)


def _image(image: str, folder: Path) -> str:
    if store.is_image_name(image):
        return image
    try:
        return store.image_name((folder / image).read_bytes())
    except OSError as error:
        raise ValueError(f"image {image!r} cannot be read: {error.strerror}") from None


def by_key(references: Iterable[Reference]) -> dict[tuple[str, str], tuple[Reference, ...]]:
    """References by what they answer, each key's in their order."""
    found: dict[tuple[str, str], list[Reference]] = defaultdict(list)
    for reference in references:
        found[reference.key].append(reference)
    return {key: tuple(of_key) for key, of_key in found.items()}


def references_by_key(
    known: Mapping[tuple[str, str], tuple[Reference, ...]], session: Session, step: int
) -> tuple[Reference, ...]:
    """The references for one step: those for it by id first, else by image, else by text."""
    if not known:
        return ()
    names = _names(session)
    first = next(session.steps, None) == step
    keys = [("id", f"{name}#{step}") for name in names]
    keys += [("id", name) for name in names if first]
    shown = list(_shown(session, step))
    keys += [("image", name) for name in shown if len(shown) == 1]
    if step and session.messages[step - 1].role == "user":
        keys.append(("prompt", user_text(session.messages[step - 1])))
    return next((known[key] for key in keys if key in known), ())


def _shown(session: Session, step: int) -> Iterator[str]:
    """Images since the answer before this step."""
    for message in reversed(session.messages[:step]):
        if message.role == "assistant":
            return
        yield from (part.text or "" for part in message.parts if part.kind == "image")


def _names(session: Session) -> list[str]:
    """All that a log or a user may call the session by."""
    rows = (origin.row for message in session.messages for origin in message.origins)
    return list(dict.fromkeys(n for n in (session.id, *rows, session.family) if n))


def find(desk: Desk) -> Iterator[Candidate]:
    """A candidate per failed step and gold answer to it."""
    for prompt in desk.failed():
        if blamable(desk.corpus.verdict(prompt).codes):
            for reference in desk.references_for(prompt):
                yield Candidate(
                    prompt=prompt,
                    chosen=reference.answer,
                    rejected=desk.corpus.answer(prompt),
                    source="reference",
                )


REFERENCE = Source(name="reference", about="a gold answer given by the user", find=find)
