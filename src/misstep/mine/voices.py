"""Where a human speaks in a session: votes, calls turned down, and a plain no.

In: a session, a result, a message. Out: yes or no; cheap enough to be asked of every session once.
"""

from __future__ import annotations

import re

from misstep.types import Message, Session, ToolResult
from misstep.validate.error_text import read_fault

HEAD = 400
"""Characters of a message in which a no or a yes is looked for."""
_MACHINE = re.compile(
    r"don't ask mode|\bhook\b|requires? (?:your |user )?(?:approval|permission)|haven't granted|"
    r"auto.?(?:denied|rejected)|non-interactive",
    re.I,
)
"""A denial without a human behind it."""
_NO = re.compile(
    r"\s*(?:no\b(?! (?:problem|worries|need|thanks))|nope\b|wrong\b|that(?:'s| is) (?:not|wrong)|"
    r"not what i\b|i (?:meant|said|asked for)\b|undo\b|revert\b)",
    re.I,
)
_YES = re.compile(
    r"\s*(?:yes\b|thanks\b|thank you|perfect\b|great\b|nice\b|good\b|looks good|lgtm\b|"
    r"(?:that|it) works|exactly\b|awesome\b)",
    re.I,
)


def speaks(message: Message) -> bool:
    """True for a message that a user wrote; a harness's nudge and a bare result are none."""
    return (
        message.role == "user"
        and message.actor != "harness"
        and any(part.kind in ("text", "image") for part in message.parts)
    )


def says_no(text: str) -> bool:
    """Whether a message begins with an objection."""
    return _NO.match(text[:HEAD]) is not None


def says_yes(text: str) -> bool:
    """Whether a message begins with thanks or praise."""
    return _YES.match(text[:HEAD]) is not None and not says_no(text)


def turned_down(result: ToolResult, tool: str) -> bool:
    """Whether a human did not let a call through."""
    if result.is_error is not True and result.cause != "human":
        return False
    fault = read_fault(result, tool)
    return fault is not None and fault.cause == "human" and not _MACHINE.search(result.text)


def voiced(session: Session) -> bool:
    """Whether a human's word in the session may tell a better answer from a worse one."""
    if session.outcome is not None and session.outcome.thumbs is not None:
        return True
    if any(turned_down(r, r.name or "") for message in session.messages for r in message.results):
        return True
    return any(speaks(m) and says_no(m.text) for m in session.messages[1:])
