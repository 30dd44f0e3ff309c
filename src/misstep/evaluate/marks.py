"""What one answer to one held-out prompt is worth: a `Mark`, made by the validators.

In: a held-out prompt with its session, and an answer. Out: a `Mark` of plain facts that every
figure is counted from. The answer takes the place of the logged step and is judged there by
`validate.judge`, the same validators that judged the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from misstep import validate
from misstep.codes import CODES
from misstep.evaluate.held import Held
from misstep.types import Message, Session, ToolCall, Verdict

_LOOPS = frozenset({"LOOP_SAME_CALL", "LOOP_CYCLE", "LOOP_ERROR"})


class AnswersLike(Protocol):
    """What one model said to one prompt: anything with these two fields."""

    @property
    def greedy(self) -> Message | None: ...
    @property
    def sampled(self) -> Sequence[Message]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAnswers:
    """What one model said to one prompt."""

    greedy: Message | None
    """The answer at temperature 0; None where greedy answers are not drawn."""
    sampled: tuple[Message, ...] = ()
    """Answers at the configured temperature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One judged answer. None means that the question does not arise for this prompt."""

    judged: bool
    codes: frozenset[str]
    """Defects of the model that replaying one step can show."""
    called: bool | None
    """Made a call; None where no tools were offered."""
    demanded: bool
    """The accepted step, or the request's tool_choice, demands a call."""
    same_tool: bool | None
    """Calls the tools that the accepted step calls; None where that one calls none."""
    same_arguments: bool | None
    """And with equal arguments, as canonical JSON."""
    same_json: bool | None
    """Equals the accepted JSON answer; None where there is none."""
    same_loop: bool | None
    """Makes the logged looping call again; None where the logged step did not loop."""

    @property
    def failed(self) -> bool:
        """At least one defect."""
        return bool(self.codes)


def mark(session: Session, held: Held, answer: Message, *, settings: Any) -> Mark:
    """Judge one answer in the place of the held-out step."""
    step = held.prompt.step
    _, verdict = validate.judge(
        session, step, answer, settings=settings, demand_call=held.demand_call
    )
    context = session.context_of(step)
    accepted = held.accepted.calls if held.accepted is not None else ()
    wanted = None if held.accepted is None or accepted else canonical(held.accepted.text)
    return Mark(
        judged=verdict.state != "unjudged",
        codes=_measurable(verdict),
        called=bool(answer.calls) if context.tools else None,
        demanded=held.demand_call or context.tool_choice not in (None, "auto", "none"),
        same_tool=_names(answer.calls) == _names(accepted) if accepted else None,
        same_arguments=_shapes(answer.calls) == _shapes(accepted) if accepted else None,
        same_json=None if wanted is None else canonical(answer.text) == wanted,
        same_loop=_repeats(session, held, answer),
    )


def _measurable(verdict: Verdict) -> frozenset[str]:
    """The verdict's codes that count in the total; a plug-in's own codes count."""
    if verdict.state != "fail":
        return frozenset()
    return frozenset(c for c in verdict.codes if c not in CODES or CODES[c].offline)


def _names(calls: Sequence[ToolCall]) -> Counter[str]:
    return Counter(call.name for call in calls)


def _shapes(calls: Sequence[ToolCall]) -> Counter[tuple[str, str]]:
    return Counter(_shape(call) for call in calls)


def _shape(call: ToolCall) -> tuple[str, str]:
    return call.name, canonical(call.arguments) or call.arguments


def _repeats(session: Session, held: Held, answer: Message) -> bool | None:
    if not _LOOPS & set(held.logged.codes):
        return None
    logged = {_shape(call) for call in session.messages[held.prompt.step].calls}
    return any(_shape(call) in logged for call in answer.calls)


def canonical(text: str) -> str | None:
    """JSON text with sorted keys, no white space and 1.0 written 1; None where it is no JSON.

    A bare number, string or literal is no JSON answer: None as well.
    """
    try:
        value = orjson.loads(text)
        if not isinstance(value, (dict, list)):
            return None
        return orjson.dumps(_whole(value), option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError, UnicodeEncodeError):
        return None


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
