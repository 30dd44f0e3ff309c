"""Answers on which the two rules about loops disagree: counted by arm, listed, without secrets.

In: each arm's answers as they were seen. Out: the rows of `degeneration` in scores.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from misstep.evaluate.held import Held
from misstep.evaluate.seen import Seen
from misstep.redact import redact

Kind = Literal["greedy", "sampled"]
_Each = TypeVar("_Each")
MOST_SHOWN = 200
"""Disagreements that are listed, of every arm as many as of the others; all are counted."""
_TAIL = 120
"""Characters of the end of an answer that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An answer that one rule calls a loop and the other does not."""

    model: str
    answers: Kind
    index: int
    """Which of the prompt's answers of this kind, from 0."""
    session: str
    step: int
    family: str
    published: bool
    codes: tuple[str, ...]
    finish_reason: str | None
    characters: int
    tail: str
    """The end of the answer, secrets and people taken out."""

    @property
    def group(self) -> tuple[str, Kind]:
        """Arm and kind of answers."""
        return self.model, self.answers

    def to_json(self) -> dict[str, Any]:
        """As scores.json holds it."""
        return {**asdict(self), "codes": list(self.codes)}


def disagreeing(name: str, rows: Iterable[tuple[Held, Kind, int, Seen]]) -> Iterator[Disagreement]:
    """Those of one arm."""
    for held, kind, index, seen in rows:
        if seen.published != seen.looped:
            yield Disagreement(
                model=name,
                answers=kind,
                index=index,
                session=held.prompt.session,
                step=held.prompt.step,
                family=redact(held.family, personal=True).text,
                published=seen.published,
                codes=seen.codes,
                finish_reason=seen.finish_reason,
                characters=seen.characters,
                tail=redact(seen.tail, personal=True).text[-_TAIL:],
            )


def tallied(rows: Sequence[Disagreement]) -> Iterator[dict[str, Any]]:
    """How many there are of each arm and kind, by the rule that says loop."""
    for model, answers in dict.fromkeys(row.group for row in rows):
        said = [row.published for row in rows if row.group == (model, answers)]
        published = sum(said)
        alone = {"published_alone": published, "codes_alone": len(said) - published}
        yield {"model": model, "answers": answers, **alone}


def dealt(rows: Sequence[_Each], most: int, key: Callable[[_Each], Hashable]) -> list[_Each]:
    """At most so many, in their order: no group hides the others by being large."""
    seen: Counter[Hashable] = Counter()
    ranked = []
    for at, row in enumerate(rows):
        ranked.append((seen[key(row)], at))
        seen[key(row)] += 1
    return [rows[at] for at in sorted(at for _, at in sorted(ranked)[:most])]
