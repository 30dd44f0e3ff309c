"""What keeps a repeated call from being a loop: waiting, being asked for it, another's failure.

In: a tool's name, canonical arguments, a message. Out: plain answers. Names and shell commands are
read by their words, since logs rarely say what a tool does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from misstep.types import Session

if TYPE_CHECKING:
    from misstep.validate.validator import Step

NOT_A_LOOP = frozenset({"infrastructure", "human", "knock-on"})
"""Causes of a failed result for which trying again is no fault of the model."""
MANY = 100
"""What "many times" allows (our decision)."""

_READS = re.compile(
    r"(?:get|list|read|search|find|view|show|check|query|fetch|look_?up|describe|count|glob|grep|"
    r"ls|cat|open|think|calculate|status|browse|web|inspect|retrieve|poll)",
    re.I,
)
_SHELL = re.compile(r"(?:^|[._-])(?:bash|shell|sh|terminal|exec\w*|run_?command|console)$", re.I)
_COMMAND = re.compile(
    r'\{"\w+": "(?:ls|cat|head|tail|grep|rg|find|pwd|wc|file|stat|which|tree|'
    r"git (?:status|log|diff|show))\b"
)
_CHANGES = re.compile(r"[>;]|\btee\b|\s-(?:exec|delete)\b|&&|\$\(")
_POLLS = re.compile(r"poll|wait|status|scroll|sleep|monitor|tail|progress|refresh|output", re.I)
_WAITS = re.compile(r"(?:\w+[._])?(?:wait|sleep|pause)", re.I)
_SHELL_POLLS = re.compile(r"\b(?:sleep\s+[\d.$]|tail\s+-\w*f|watch\s+-n)")
_SHELL_WAITS = re.compile(r'\{"\w+": "sleep [\d.]+[smh]?"(?:, "\w+": [\d.]+)?\}')
_OFTEN = re.compile(
    r"\b(?:repeat|say|write|print|type|output)\b[^.\n]{0,120}"
    r"\b(?:many times|over and over|again and again|forever)\b",
    re.I,
)
_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "ten": 10}
_TIMES = re.compile(
    rf"(?<![\w.,-])(\d{{1,4}}|{'|'.join(_WORDS)})\s+(?:more\s+|separate\s+|single\s+)?"
    r"(?:times|repetitions|iterations|rounds)\b",
    re.I,
)


def reads(name: str, arguments: str = "") -> bool:
    """True for a call that only looks; a shell command by its first word, if it is a plain one."""
    if not _SHELL.search(name):
        return _READS.match(name) is not None
    command = _COMMAND.match(arguments[:2000])
    return command is not None and _CHANGES.search(arguments[:2000]) is None


def polls(name: str, arguments: str = "") -> bool:
    """True for a call that waits or looks whether something has changed."""
    return _POLLS.search(name) is not None or _SHELL_POLLS.search(arguments[:2000]) is not None


def waits(name: str, arguments: str = "") -> bool:
    """True for a call that only lets time pass: its own result never changes."""
    return _WAITS.match(name) is not None or _SHELL_WAITS.fullmatch(arguments[:200]) is not None


def asked_for(step: Step) -> int:
    """How often the last message of the user asks for something to be said again; 0 if not."""
    return asked_of(step.session, step.index)


def asked_of(session: Session, step: int) -> int:
    """`asked_for` of a step that may not be answered yet."""
    messages = session.messages
    users = (at for at in range(step - 1, -1, -1) if messages[at].role == "user")
    last = next(users, -1)
    if last >= 0 and _OFTEN.search(messages[last].text[-20_000:]):
        return MANY
    return asked_times(session, last)


def asked_times(session: Session, turn: int) -> int:
    """How often the message that opened a turn asks for something ("five times"); 0 if not."""
    text = session.messages[turn].text if turn >= 0 else ""
    found = (_WORDS.get(n.lower()) or int(n) for n in _TIMES.findall(text[-20_000:]))
    return max(found, default=0)
