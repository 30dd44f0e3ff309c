"""Gold: what should have been answered to a held-out prompt, where anybody said so.

In: a corpus, held-out prompts, settings. Out: gold text by prompt: the transcription of a page that
came with its gold, or the text of a reference (`mine.references`). A reference goes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from misstep import evaluate, ingest, mine
from misstep.config import RunConfig
from misstep.types import Prompt


def golds_of(
    corpus: mine.Corpus, held: Iterable[evaluate.Held], config: RunConfig
) -> dict[Prompt, str]:
    """The gold of each of these prompts that has any; prompts that should be called upon have none.

    Raises:
        InputError: the file of references cannot be used.
    """
    path = config.mine.references
    known = mine.by_key(mine.read_references(Path(path)) if path else ())
    found: dict[Prompt, str] = {}
    for each in held:
        session = corpus.sessions[each.prompt.session]
        given = mine.references_by_key(known, session, each.prompt.step)
        answers = [reference.answer for reference in given]
        if not answers and session.format in ingest.PAGES:
            answers = [session.messages[each.prompt.step]]
        if answers and answers[0].text and not answers[0].calls:
            found[each.prompt] = answers[0].text
    return found
