"""Answers of a served model: each kept as it comes, so that an interrupted stage asks for the rest.

In: questions, and what was kept. Out: the answers to all of them. A prompt that has not got all its
answers is asked again by the next command, unless the stage ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from misstep import models, store
from misstep.pipeline.halfway import Halfway
from misstep.pipeline.job import Job
from misstep.types import Message, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One stage that an endpoint answers for."""

    job: Job
    stage: str
    model: str
    prompts: Sequence[Prompt]
    questions: Sequence[models.Question]
    kept: Halfway

    def answers(self, kind: str, sampling: models.Sampling) -> list[models.Answers]:
        """What each prompt has got.

        Raises:
            ModelError: the endpoint cannot be used at all.
        """
        endpoint, total = self.job.config.endpoint, len(self.questions)
        keys = [self._key(at, sampling) for at in range(total)]
        found = {
            at: _known(self.kept.found[k]) for at, k in enumerate(keys) if k in self.kept.found
        }
        todo = [at for at in range(total) if at not in found]
        progress = self.job.counting(f"{self.stage}: {kind} answers of {endpoint.url}")

        def heard(number: int, answers: models.Answers) -> None:
            at = todo[number]
            found[at] = answers
            if not answers.why:
                self.kept.add(keys[at], store.encode(answers.answers))
            progress(len(found), total)

        models.ask_endpoint(
            endpoint,
            [self.questions[at] for at in todo],
            model=self.model,
            sampling=sampling,
            heard=heard,
        )
        return [found[at] for at in range(total)]

    def _key(self, at: int, sampling: models.Sampling) -> str:
        """Of all that the answers to a prompt depend on."""
        endpoint, asked = self.job.config.endpoint, self.questions[at]
        return store.key_of(
            "served",
            [endpoint.url, endpoint.model or self.model],
            sampling,
            [self.prompts[at].session, self.prompts[at].step],
            [asked.messages, asked.context],
        )


def _known(kept: bytes) -> models.Answers:
    return models.Answers(answers=store.decode(kept, tuple[Message, ...]))
