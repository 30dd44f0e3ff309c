"""Accepted steps: what supervised fine-tuning may imitate.

In: a corpus and a split. Out: prompts whose logged answer passed, of the families of one part. Left
out: prompts that hold held-out text or cannot stand in a row, answers with a secret or the mark of
a redaction, and sessions that failed their task.
"""

from __future__ import annotations

from misstep.mine.feedback import of_step
from misstep.mine.held import HeldText
from misstep.mine.index import in_turn, index_of
from misstep.mine.source import Corpus, texts_of
from misstep.mine.split import Split
from misstep.redact import has_placeholder, has_secret
from misstep.types import Prompt, content_id


def accepted_steps(
    corpus: Corpus,
    split: Split,
    max_rows: int,
    seed: int,
    *,
    feedback: bool = True,
    part: str = "train",
) -> tuple[Prompt, ...]:
    """At most `max_rows` accepted steps, drawn evenly over the families.

    Families take turns, in an order that depends on the seed and not on the logs' order; an equal
    answer to an equal prompt counts once. Retries are accepted steps like any other. With
    `feedback`, sessions that failed their task by the log's own word give none, nor do calls that a
    human turned down.
    """
    index = index_of(corpus)
    held = HeldText.of(index, split)
    families: dict[str, list[int]] = {}
    for row in index.in_state("pass"):
        name = index.session(row)
        if split.part[name] == part:
            families.setdefault(split.family[name], []).append(row)
    picked: dict[str, Prompt] = {}
    for row in in_turn(families, seed, lambda row: content_id(index.answer(row), str(seed))):
        if len(picked) >= max_rows:
            break
        prompt = index.prompt(row)
        if feedback and of_step(corpus.sessions[prompt.session], prompt.step).sign < 0:
            continue
        if not held.held(corpus.messages(prompt), index.key(row)) and _fit(corpus, prompt):
            picked.setdefault(index.answer(row), prompt)
    return tuple(picked.values())


def _fit(corpus: Corpus, prompt: Prompt) -> bool:
    if corpus.unfit(prompt) is not None:
        return False
    texts = tuple(texts_of(corpus.answer(prompt)))
    return not any(has_secret(text) or has_placeholder(text) for text in texts)
