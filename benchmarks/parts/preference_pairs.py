"""Preference pairs as token ids for the trainer benchmark: steps of sessions, and lone questions.

In: tau-bench logs (`MISSTEP_CORPUS`) or BFCL questions (`BFCL_EVAL`), and SmolLM2. Out: rows of
`group`, `prompt_ids`, `chosen_ids`, `rejected_ids`; rejected sides are what the model answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SIDE = 48
"""Tokens of an answer, at most."""
_LONGEST = 1_900
"""Tokens of a prompt, at most."""
_STEPS = 6
"""Pairs taken from one session: its first steps."""


def made(work: str, count: int, *, most: int = 8) -> list[dict[str, Any]]:
    """The pairs of `count` groups as token ids, at most so many of a group."""
    from misstep import models

    loaded = models.load("smollm2", dtype="bfloat16")
    rows = list((_sessions if work == "multi_turn" else _questions)(loaded, count, most))
    answers = models.sample(
        loaded,
        [row["prompt_ids"] for row in rows],
        num_generations=1,
        temperature=1.0,
        top_p=1.0,
        max_new_tokens=_SIDE,
        batch_size=8,
        seed=0,
    )
    for row, given in zip(rows, answers, strict=True):
        row["rejected_ids"] = list(given[0].ids)[:_SIDE]
    return rows


def _sessions(loaded: Any, count: int, most: int) -> Iterator[dict[str, Any]]:
    from misstep.config import IngestConfig
    from misstep.ingest import ingest

    logs = Path(os.environ["MISSTEP_CORPUS"]) / "logs" / "tau-bench"
    group = 0
    for session in ingest([logs], config=IngestConfig(workers=1)).sessions:
        found = []
        for step in session.steps:
            context, answer = session.context_of(step), session.messages[step]
            row = loaded.template.encode(session.messages[:step], context, answer=answer)
            if row.refused is None and len(row.prompt_ids) <= _LONGEST:
                found.append((list(row.prompt_ids), list(row.answer_ids)[:_SIDE]))
        if len(found) >= _STEPS and group < count:
            for prompt, answer_ids in found[: min(most, _STEPS)]:
                yield {"group": group, "prompt_ids": prompt, "chosen_ids": answer_ids}
            group += 1


def _questions(loaded: Any, count: int, most: int) -> Iterator[dict[str, Any]]:
    from parts import lab_questions

    done = 0
    for question in lab_questions.questions()["train"]:
        row = loaded.template.encode(question.messages, question.context, answer=question.reference)
        if row.refused is None and done < most * count:
            answer = list(row.answer_ids)[:_SIDE]
            yield {"group": done // most, "prompt_ids": list(row.prompt_ids), "chosen_ids": answer}
            done += 1
