"""The cap of a harness: the log says that the session was stopped, not that it came to its end.

In: the last step of a session. Out: LIMIT_STEPS, a note: a cap says nothing about why. Said by the
session's outcome, by the finish reason or the error of the last step, or by what the harness (or a
framework in the agent's name) wrote at the very end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from misstep.redact import clip
from misstep.types import Finding
from misstep.validate.validator import Step, Validator

TAIL = 600
"""Characters of a closing message that are read."""

_FINISH = re.compile(
    r"max_?(?:turns|steps|iterations|rounds)|(?:recursion|iteration|step|turn|cost|call)_?limit|"
    r"exit_cost|limits?_?exceeded"
)
_SAID = re.compile(
    r"stopped due to (?:iteration|step|time|turn|max)|"
    r"(?:reached|exceeded|hit) (?:the |its |your |a )?(?:max(?:imum)?|limit)\b.{0,30}"
    r"(?:steps?|turns?|iterations?|rounds?|calls?|cost)|"
    r"(?:max(?:imum)?|limit)(?: number)?(?: of)? ?(?:\w+ )?(?:steps?|turns?|iterations?|rounds?)"
    r"\b.{0,30}(?:reached|exceeded|hit)|"
    r"recursion limit of \d+ reached|exit_cost|LimitsExceeded|error_max_turns|"
    r"sorry, need more steps to process this request",
    re.I,
)


def _check(step: Step) -> Iterator[Finding]:
    messages = step.session.messages
    if any(m.role == "assistant" for m in messages[step.index + 1 :]):
        return
    said = _outcome(step) or _finish(step) or _closing(step)
    if said:
        yield step.find("LIMIT_STEPS", "transcript", level="info", evidence=clip(said, 200))


def _outcome(step: Step) -> str | None:
    outcome = step.session.outcome
    limit = None if outcome is None else outcome.limit
    return f"the log says that the session was stopped: {limit}" if limit else None


def _finish(step: Step) -> str | None:
    if _FINISH.search(step.finish):
        return f"finish reason {step.message.finish_reason!r}"
    return None


def _closing(step: Step) -> str | None:
    """What the harness said at the end, or a framework in place of the agent."""
    message = step.message
    texts = [message.error or "", message.fault or ""]
    if len(step.text) <= TAIL and not step.calls:
        texts.append(step.text)
    for later in step.session.messages[step.index + 1 :]:
        if later.role in ("system", "tool") or later.actor == "harness":
            texts.extend([later.text, *(result.text for result in later.results)])
    return next((text for text in texts if len(text) <= TAIL and _SAID.search(text)), None)


def _judges(step: Step) -> bool:
    """A note judges nothing."""
    return False


VALIDATOR = Validator(name="limit", codes=("LIMIT_STEPS",), check=_check, judges=_judges)
