"""Where the chosen side of a pair comes from: the session whose log holds it.

In: a pair and its corpus. Out: a session id, or None where it stands in no log.
"""

from __future__ import annotations

from misstep.mine.index import Index, index_of
from misstep.mine.source import Corpus, answer_id
from misstep.types import Origin, Pair, Session

_ALIKE = 32
"""Sessions with the same prompt that are opened to find the one that an answer comes from."""


def home_of(pair: Pair, corpus: Corpus) -> str | None:
    """The session whose log holds the chosen side; None where it stands in none.

    That of the prompt, or another with the same prompt and, if possible, the same answer.
    """
    wanted = set(pair.origin_chosen)
    if not wanted:
        return None
    index, own = index_of(corpus), pair.prompt.session
    if _holds(corpus.sessions[own], wanted):
        return own
    alike = _alike(index, pair)
    return next((name for name in alike if _holds(corpus.sessions[name], wanted)), own)


def _alike(index: Index, pair: Pair) -> list[str]:
    """Sessions with the pair's prompt: first those that answer as the chosen side does."""
    key = index.key(index.row(pair.prompt.session, pair.prompt.step))
    rows, same = index.same_prompt(key), answer_id(key, pair.chosen)
    equal = [index.session(row) for row in rows if index.answer(row) == same]
    return equal + [index.session(row) for row in rows if index.answer(row) != same][:_ALIKE]


def _holds(session: Session, wanted: set[Origin]) -> bool:
    return any(not wanted.isdisjoint(message.origins) for message in session.messages)
