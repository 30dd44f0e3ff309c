"""The cap of a harness: the log says that the session was stopped, not that it came to its end.

In: the last step of a session. Out: LIMIT_STEPS, a note: a cap says nothing about why. Said by the
session's outcome, by the finish reason or the error of the last step, or by what the harness (or a
framework in the agent's name) wrote at the very end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from misstep.redact import clip
from misstep.types import Finding, Message, Session
from misstep.validate.transcript import Transcript
from misstep.validate.validator import USUAL, Step, Validator

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
_WORDS = ("max", "limit", "stopped due to", "exit_cost", "need more steps")


def _check(step: Step) -> Iterator[Finding]:
    said = step.transcript.once(_scan).get(step.index)
    if said is not None:
        yield step.find("LIMIT_STEPS", "transcript", level="info", evidence=clip(said, 200))


def _scan(transcript: Transcript) -> dict[int, str]:
    """What says that the session was stopped, at its last step."""
    messages = transcript.session.messages
    last = next(
        (i for i in range(len(messages) - 1, -1, -1) if messages[i].role == "assistant"), None
    )
    if last is None:
        return {}
    said = _outcome(transcript.session) or _finish(messages[last]) or _closing(transcript, last)
    return {last: said} if said else {}


def _outcome(session: Session) -> str | None:
    limit = None if session.outcome is None else session.outcome.limit
    return f"the log says that the session was stopped: {limit}" if limit else None


def _finish(message: Message) -> str | None:
    finish = (message.finish_reason or "").lower()
    if finish not in USUAL and _FINISH.search(finish):
        return f"finish reason {message.finish_reason!r}"
    return None


def _closing(transcript: Transcript, last: int) -> str | None:
    """What the harness said at the end, or a framework in place of the agent."""
    messages = transcript.session.messages
    message, said = messages[last], transcript.said[last]
    texts = [message.error or "", message.fault or ""]
    if len(said.text) <= TAIL and not said.calls:
        texts.append(said.text)
    for at in range(last + 1, len(messages)):
        if messages[at].role in ("system", "tool") or messages[at].actor == "harness":
            said = transcript.said[at]
            texts.extend([said.text, *[result.text for result in said.results]])
    return next((text for text in texts if _says(text)), None)


def _says(text: str) -> bool:
    if not text or len(text) > TAIL:
        return False
    low = text.lower()  # most texts hold none of these words, and each phrase holds one of them
    return any(word in low for word in _WORDS) and _SAID.search(text) is not None


VALIDATOR = Validator(name="limit", codes=("LIMIT_STEPS",), check=_check, scan=_scan)
