"""Accepted steps: what supervised fine-tuning may imitate.

In: a corpus and a split. Out: prompts whose logged answer passed, of train families alone. Left
out: prompts that hold held-out text or cannot stand in a row, and answers with a secret or the
mark of a redaction.
"""

from __future__ import annotations

from misstep.chat import prompt_keys
from misstep.mine.held import HeldText
from misstep.mine.resample import in_turn
from misstep.mine.source import Corpus, answer_id, texts_of, unfit
from misstep.mine.split import Split
from misstep.redact import has_placeholder, has_secret
from misstep.types import Prompt, content_id


def accepted_steps(corpus: Corpus, split: Split, max_rows: int, seed: int) -> tuple[Prompt, ...]:
    """At most `max_rows` accepted steps, drawn evenly over the families.

    Families take turns, in an order that depends on the seed and not on the logs' order; an equal
    answer to an equal prompt counts once. Retries are accepted steps like any other.
    """
    keys = {name: prompt_keys(session) for name, session in corpus.sessions.items()}
    held = HeldText.of(corpus, split, keys)
    queues: dict[str, list[tuple[str, Prompt]]] = {}
    for (name, step), verdict in corpus.verdicts.items():
        prompt = Prompt(session=name, step=step)
        if verdict.state == "pass" and split.part[name] == "train":
            order = content_id(answer_id(keys[name][step], corpus.answer(prompt)), str(seed))
            queues.setdefault(split.family[name], []).append((order, prompt))
    picked: dict[str, Prompt] = {}
    for prompt in in_turn(queues, seed):
        if len(picked) >= max_rows:
            break
        key = keys[prompt.session][prompt.step]
        if not held.held(corpus.messages(prompt), key) and _fit(corpus, prompt):
            picked.setdefault(answer_id(key, corpus.answer(prompt)), prompt)
    return tuple(picked.values())


def _fit(corpus: Corpus, prompt: Prompt) -> bool:
    if unfit(corpus.messages(prompt)) is not None:
        return False
    texts = tuple(texts_of(corpus.answer(prompt)))
    return not any(has_secret(text) or has_placeholder(text) for text in texts)
