"""A monologue: answer after answer without a call, a result or a human between, saying the same.

In: a step with its session. Out: LOOP_MONOLOGUE on the third such answer and on each later one: a
defect where it says nearly what the one before said, and that one nearly what the one before it
said (word trigrams, numbers masked); suspect otherwise. What a harness puts in between ("please go
on") is no reply, as long as it says the same each time: an agent that acts by plain text gets its
results that way. Answers without text, and those of several agents in turn, are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from misstep.redact import clip
from misstep.types import Finding, Loop, Message
from misstep.validate.agent_loop import fingerprint
from misstep.validate.transcript import Transcript, is_human
from misstep.validate.validator import Step, Validator

ANSWERS = 3
"""Answers on end (detectors.md 2.2)."""
ALIKE = 0.55
"""Jaccard index of masked word trigrams from which two answers say the same (detectors.md 2.2)."""
WORDS = 5000
"""Words of an answer that are compared."""

_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+|#")


def _check(step: Step) -> Iterator[Finding]:
    found = step.transcript.once(_scan).get(step.index)
    if found is not None:
        sure, evidence, loop = found
        yield step.find(
            "LOOP_MONOLOGUE",
            "transcript",
            level="defect" if sure else "suspect",
            evidence=evidence,
            loop=loop,
        )


def _scan(transcript: Transcript) -> dict[int, tuple[bool, str, Loop]]:
    hits: dict[int, tuple[bool, str, Loop]] = {}
    messages = transcript.session.messages
    stretch: list[int] = []
    for at, message in enumerate(messages):
        role = message.role
        if role == "tool":
            stretch = []
        elif role == "user":
            if is_human(message, transcript.said[at]):
                stretch = []
        elif role == "assistant":
            said = transcript.said[at]
            if said.calls or not said.text or said.text.isspace():
                stretch = []
                continue
            if stretch and _speaker(messages[stretch[-1]]) != _speaker(message):
                stretch = []
            stretch.append(at)
            if len(stretch) >= ANSWERS and _nothing_new(messages, stretch[-ANSWERS:]):
                hits[at] = _hit(messages, stretch)
    return hits


def _nothing_new(messages: tuple[Message, ...], stretch: list[int]) -> bool:
    """True where what stands between the answers is the same each time, or nothing."""
    between = {
        _NUMBER.sub("#", fingerprint("\n".join(m.text for m in messages[a + 1 : b])))
        for a, b in pairwise(stretch)
    }
    return len(between) == 1


def _speaker(message: Message) -> tuple[str | None, str | None]:
    return message.actor, message.model


def _hit(messages: tuple[Message, ...], stretch: list[int]) -> tuple[bool, str, Loop]:
    texts = [messages[at].text for at in stretch[-ANSWERS:]]
    least = min(alike(a, b) for a, b in pairwise(texts))
    said = f"{len(stretch)} answers without a call or a reply, alike by {least:.2f}: "
    return (
        least >= ALIKE,
        said + clip(texts[-1], 160),
        Loop(
            onset=stretch[0],
            period=1,
            count=len(stretch),
            share=round(len(stretch) / len(messages), 4),
            unit=clip(texts[-1], 200),
        ),
    )


def alike(one: str, other: str) -> float:
    """Jaccard index of the word trigrams of two texts with numbers masked; in [0, 1]."""
    left, right = _trigrams(one), _trigrams(other)
    return len(left & right) / len(left | right) if left or right else 0.0


def _trigrams(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(_NUMBER.sub("#", text.lower()[: WORDS * 12]))[:WORDS]
    return set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)}


VALIDATOR = Validator(name="monologue", codes=("LOOP_MONOLOGUE",), check=_check, scan=_scan)
