"""One log of several agents as one conversation for each: what it said, and what it saw.

In: the lines of a shared conversation, each with its speaker. Out: for each agent the messages up
to its last own line. Its own lines are its own; those of other agents stand as what was shown of
them. So a step is counted once, in the session of the agent that made it, behind a prompt like the
one that it answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.types import Actor, Context, Message, Origin, Outcome, Part, Session

MOST = 64
"""Agents of one log that get a session of their own; what more there are speak with one voice."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a shared conversation."""

    message: Message | None = None
    """As its speaker's own conversation holds it; None where only others see it."""
    agent: str | None = None
    """The agent that said it, or whose tool answered; None where all see it as it is."""
    shown: str | None = None
    """What other agents see of it; None where they see nothing."""
    branch: str = ""
    """Dotted path; an agent sees only lines on the path to its own branch."""
    context: Context | None = None
    origins: tuple[Origin, ...] = ()
    time: float | None = None


def sessions(
    format_name: str,
    lines: Sequence[Line],
    *,
    family: str,
    outcome: Outcome | None = None,
    lead: bool,
) -> list[Session]:
    """The sessions of all agents, in the order in which they first spoke.

    Args:
        lead: whether the first agent leads, so that the others are its sub-agents.
    """
    agents = list(dict.fromkeys(line.agent for line in lines if line.agent is not None))
    voices = {agent: agents[min(at, MOST - 1)] for at, agent in enumerate(agents)}
    made: dict[str, Session] = {}
    for agent in agents[:MOST]:
        first = _first(lines, agent)
        before = next((x.agent for x in reversed(lines[:first]) if x.agent is not None), None)
        parent = made.get(voices[before]) if lead and before is not None else None
        seen = list(_seen(lines, agent, voices))
        actor: Actor = "agent" if not lead or agent == agents[0] else "sub-agent"
        own = [
            replace(m, actor=actor) if m.role == "assistant" and m.actor is None else m
            for m, _ in seen
        ]
        made[agent] = linear(
            format_name,
            own,
            contexts=[context for _, context in seen],
            family=family,
            outcome=outcome,
            parent=None if parent is None else parent.id,
        )
    return list(made.values())


def _first(lines: Sequence[Line], agent: str) -> int:
    return next(at for at, line in enumerate(lines) if line.agent == agent)


def _seen(
    lines: Sequence[Line], agent: str, voices: dict[str, str]
) -> list[tuple[Message, Context | None]]:
    own = [line.agent is not None and voices[line.agent] == agent for line in lines]
    last = max(at for at, mine in enumerate(own) if mine)
    branch = next((line.branch for line, mine in zip(lines, own, strict=True) if mine), "")
    seen: list[tuple[Message, Context | None]] = []
    for line, mine in zip(lines[: last + 1], own, strict=False):
        if mine or line.agent is None:
            if line.message is not None:
                seen.append((line.message, line.context))
        elif line.shown is not None and _visible(line.branch, branch):
            seen.append((_other(line.shown, line.origins, line.time), None))
    return seen


def _visible(line: str, branch: str) -> bool:
    return not line or not branch or branch == line or branch.startswith(f"{line}.")


def _other(shown: str, origins: tuple[Origin, ...], time: float | None) -> Message:
    parts = (Part(kind="text", text=shown),)
    return Message(role="user", parts=parts, actor="harness", time=time, origins=origins)
