"""Gold where rows are made: whether an answer says what it says, and what redaction does to it.

In: a prompt of a corpus, the user's references. Out: the gold answer of the prompt (a reference; of
a page that came with its transcription the logged answer), and yes or no. Figures are made against
the gold as it is, while rows are redacted: a page whose gold redaction changes would teach another
text than the one that is asked for, so it stands in no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from misstep import ingest
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft
from misstep.mine.reference import Reference, references_by_key
from misstep.mine.rows import Redactor
from misstep.mine.source import Corpus, meaning, respelled
from misstep.types import Message, Prompt, Session

KEEPS = "mine.redact: false keeps it"
_PLAIN = Redactor(active=False)


def page_gold(corpus: Corpus, prompt: Prompt, given: Sequence[Reference]) -> Message | None:
    """The gold of a prompt that shows an image; None without gold or image.

    Args:
        given: the references for the prompt.
    """
    if not any(p.kind == "image" for m in corpus.messages(prompt) for p in m.parts):
        return None
    if given:
        return given[0].answer
    known = corpus.sessions[prompt.session].format in ingest.PAGES
    return corpus.answer(prompt) if known else None


def redaction_changes(session: Session, gold: Message) -> bool:
    """Whether the gold would stand otherwise in a row of the session."""
    clean = Redactor()
    clean.begin(session)
    return clean.message(gold) != _PLAIN.message(gold)


def gold_redacted(desk: Desk, d: Draft) -> str | None:
    """A page whose gold redaction changes: what is chosen would be held against another text."""
    prompt = d.candidate.prompt
    if not desk.config.redact:
        return None
    gold = page_gold(desk.corpus, prompt, desk.references_for(prompt))
    if gold is None or not redaction_changes(desk.corpus.sessions[prompt.session], gold):
        return None
    return f"redaction would change the gold of the page; {KEEPS}"


def says_the_same(answer: Message, given: Sequence[Reference]) -> bool:
    """Whether an answer means what one of the references says; spelling of JSON aside."""
    return _said(answer) in {_said(each.answer) for each in given}


def _said(answer: Message) -> str:
    if answer.calls:
        return meaning(answer)
    try:
        value = orjson.loads(answer.text)
    except orjson.JSONDecodeError:
        return meaning(answer)
    return respelled(value, meaning(answer))


def references_of(
    known: Mapping[tuple[str, str], tuple[Reference, ...]], corpus: Corpus, prompt: Prompt
) -> tuple[Reference, ...]:
    """The user's gold answers to a prompt."""
    if not known:
        return ()
    return references_by_key(known, corpus.sessions[prompt.session], prompt.step)
