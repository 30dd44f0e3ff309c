"""The laboratory's questions about forms and about code, in three frozen parts each.

In: nothing. Out: `Question`s, as `lab_arms.Lab` takes them. A family is a form (a JSON Schema), or
a function; a family is in one part, by a hash of its name. A form is demanded by the request's
response schema, code by misstep's setting `answer_code`. Correct is a form whose content is exactly
that of the text, and `fields` counts the scalars of the right form that stand in the answer under
the same JSON pointer; of code see `extraction_code.same_program`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from parts import extraction_code, extraction_texts
from parts.lab_questions import Question, place

from misstep.config import ValidateConfig
from misstep.types import Context, Message, Part, Role

Parts = dict[str, list[Question]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How many families are held out and dev; the others train."""

    held: int
    dev: int
    per_family: Mapping[str, int]
    """Questions of each family, by part."""


FORMS = Split(held=15, dev=5, per_family={"train": 32, "dev": 20, "heldout": 20})
CODE = Split(held=12, dev=4, per_family={"train": 12, "dev": 10, "heldout": 10})


@dataclass(frozen=True, slots=True, kw_only=True)
class FormQuestion(Question):
    """A text and the form that is to be filled in from it."""

    schema: str
    value: dict[str, Any]
    """What the text says, in the form."""

    @property
    def context(self) -> Context:
        """The form as the demanded output."""
        return Context(response_schema=self.schema)

    def is_right(self, answer: Message) -> bool:
        """Whether the answer holds all that the text says, and nothing else."""
        return same(read(answer.text), self.value)

    def fields(self, answer: Message) -> tuple[int, int] | None:
        """How many scalars of the right form the answer has in their place, and of how many."""
        return equal_fields(read(answer.text), self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeQuestion(Question):
    """A function that is to be written."""

    called: str
    program: str

    @property
    def validate(self) -> ValidateConfig:
        """Every answer is to be Python."""
        return ValidateConfig(answer_code="python")

    def is_right(self, answer: Message) -> bool:
        """Whether the answer is the wanted program; a right one of another shape is not."""
        return extraction_code.same_program(answer.text, self.program, called=self.called)


def forms() -> Parts:
    """Texts with forms."""
    return _parts(extraction_texts.names(), _form, FORMS)


def code() -> Parts:
    """Functions."""
    return _parts(extraction_code.names(), _function, CODE)


def split(names: Sequence[str], how: Split) -> dict[str, str]:
    """The part of each family."""
    order = sorted(names, key=place)
    parts = dict.fromkeys(order, "train") | dict.fromkeys(order[: how.held], "heldout")
    return parts | dict.fromkeys(order[how.held : how.held + how.dev], "dev")


def _parts(names: Sequence[str], make: Callable[[str, int, str], Question], how: Split) -> Parts:
    out: Parts = {part: [] for part in how.per_family}
    for name, part in split(names, how).items():
        made = _different(make(name, number, part) for number in count())
        out[part] += (q for q, _ in zip(made, range(how.per_family[part]), strict=False))
    return {part: sorted(found, key=lambda q: place(q.id)) for part, found in out.items()}


def _different(questions: Iterator[Question]) -> Iterator[Question]:
    """None that asks what was asked before."""
    seen = set()
    for question in questions:
        text = question.messages[0].text
        if text not in seen:
            seen.add(text)
            yield question


def _form(name: str, number: int, part: str) -> Question:
    page = extraction_texts.page(name, number)
    return FormQuestion(
        id=f"{name}-{number}",
        family=name,
        part=part,
        messages=(_message("user", page.asked),),
        schema=json.dumps(extraction_texts.schema_of(name), ensure_ascii=False),
        value=page.value,
        reference=_reference(json.dumps(page.value, ensure_ascii=False)),
    )


def _function(name: str, number: int, part: str) -> Question:
    wanted = extraction_code.wanted(name, number)
    return CodeQuestion(
        id=f"{name}-{number}",
        family=name,
        part=part,
        messages=(_message("user", wanted.asked),),
        called=wanted.called,
        program=wanted.program,
        reference=_reference(f"```python\n{wanted.program}\n```"),
    )


def _reference(text: str) -> Message:
    return replace(_message("assistant", text), finish_reason="stop")


def _message(role: Role, text: str) -> Message:
    return Message(role=role, parts=(Part(kind="text", text=text),))


# --- how much of a form is right ---------------------------------------------------------------


def read(text: str) -> Any:
    """The JSON value of an answer; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def scalars(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """JSON pointer and value of every scalar inside."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = str(key).replace("~", "~0").replace("/", "~1")
            yield from scalars(inner, f"{where}/{name}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from scalars(inner, f"{where}/{at}")
    else:
        yield where, value


def equal_fields(given: Any, right: Any) -> tuple[int, int]:
    """How many scalars of `right` stand in `given` under the same pointer, and of how many."""
    had, wanted = dict(scalars(given)), dict(scalars(right))
    return sum(at in had and same(had[at], value) for at, value in wanted.items()), len(wanted)


def same(given: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 3 and 3.0 are, `true` and 1 are not."""
    if isinstance(given, dict) and isinstance(right, dict):
        return given.keys() == right.keys() and all(same(given[key], right[key]) for key in right)
    if isinstance(given, list) and isinstance(right, list):
        return len(given) == len(right) and all(map(same, given, right))
    if isinstance(given, bool) or isinstance(right, bool):
        return given is right
    return bool(given == right)
