"""A linear conversation as a session: what most formats need at the end of their reading."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from misstep.ingest.identity import session_id
from misstep.types import Context, Message, Outcome, Session


def linear(
    format_name: str,
    messages: Sequence[Message],
    *,
    contexts: Sequence[Context | None] | Context | None = None,
    family: str = "",
    outcome: Outcome | None = None,
    parent: str | None = None,
) -> Session:
    """One session; `Message.context` is set here.

    Args:
        contexts: what the request of each message offered, in the order of `messages` (None for
            messages that are no answers, or where nothing is known); or one for all answers.
    """
    offers = contexts if isinstance(contexts, Sequence) else [contexts] * len(messages)
    table: dict[Context, int] = {}
    placed = []
    for message, offer in zip(messages, offers, strict=True):
        answer = message.role == "assistant" and offer is not None
        at = table.setdefault(offer, len(table)) if answer and offer is not None else None
        placed.append(message if message.context == at else replace(message, context=at))
    known = tuple(table)
    return Session(
        id=session_id(placed, known),
        format=format_name,
        messages=tuple(placed),
        contexts=known,
        parent=parent,
        outcome=outcome,
        family=family,
    )
