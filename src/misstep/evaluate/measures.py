"""What is measured of answers beside failures: loops by two rules, length, and worth against gold.

A `Measure` gives two whole numbers of an answer; its figure is the sum of the first over the sum of
the second, over answers and families. Shares of answers get Wilson's interval where there is one
answer a family; everything else a bootstrap over families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from misstep.evaluate.seen import Seen
from misstep.validate import Worth

UNIT = 1_000_000
"""A score in [0, 1] as a whole number."""
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing to measure."""

    metric: str
    take: Callable[[Seen], Pair | None]
    """Part and whole of one answer; None where it does not count."""
    kind: Literal["share", "score", "mean"]
    """A share of the answers (0 or 1 each), a mean in [0, 1], or a mean of any size."""
    better: Literal["lower", "higher"]


def _counts(metric: str, ask: Callable[[Seen], bool]) -> Measure:
    return Measure(
        metric=metric, take=lambda seen: (int(ask(seen)), 1), kind="share", better="lower"
    )


def _score(metric: str, ask: Callable[[Worth], float]) -> Measure:
    def take(seen: Seen) -> Pair | None:
        return None if seen.worth is None else (round(ask(seen.worth) * UNIT), UNIT)

    return Measure(metric=metric, take=take, kind="score", better="higher")


def _rate(
    metric: str, ask: Callable[[Worth], Pair], kind: Literal["score", "mean"] = "mean"
) -> Measure:
    def take(seen: Seen) -> Pair | None:
        found = None if seen.worth is None else ask(seen.worth)
        return None if found is None or not found[1] else found

    better: Literal["lower", "higher"] = "lower" if kind == "mean" else "higher"
    return Measure(metric=metric, take=take, kind=kind, better=better)


def _holds(metric: str, ask: Callable[[Worth], bool | None]) -> Measure:
    def take(seen: Seen) -> Pair | None:
        said = None if seen.worth is None else ask(seen.worth)
        return None if said is None else (int(said), 1)

    return Measure(metric=metric, take=take, kind="share", better="higher")


def _tokens(seen: Seen) -> Pair | None:
    return None if seen.tokens is None else (seen.tokens, 1)


def _healthy_tokens(seen: Seen) -> Pair | None:
    return None if seen.tokens is None or seen.looped or seen.published else (seen.tokens, 1)


def _loop_tokens(seen: Seen) -> Pair | None:
    return None if not seen.tokens else (seen.tokens * (seen.looped or seen.published), seen.tokens)


LOOPS: tuple[Measure, ...] = (
    _counts("degenerate_published", lambda seen: seen.published),
    _counts("degenerate_codes", lambda seen: seen.looped),
    Measure(metric="tokens", take=_tokens, kind="mean", better="lower"),
    Measure(metric="healthy_tokens", take=_healthy_tokens, kind="mean", better="lower"),
    Measure(metric="loop_tokens", take=_loop_tokens, kind="score", better="lower"),
)
"""Of every answer; `healthy_tokens` are those of answers that loop by neither rule, `loop_tokens`
is the share of all tokens that stand in answers that loop."""
AGAINST_GOLD: tuple[Measure, ...] = (
    _score("text_score", lambda worth: worth.text_score),
    _score("levenshtein", lambda worth: worth.levenshtein),
    _score("bleu4", lambda worth: worth.bleu4),
    _rate("cer", lambda worth: (worth.character_errors, worth.characters)),
    _rate("wer", lambda worth: (worth.word_errors, worth.words)),
    _holds("json_valid", lambda worth: worth.json_valid),
    _holds("schema_valid", lambda worth: worth.schema_valid),
    _rate("field_accuracy", lambda worth: (worth.fields_right, worth.fields), "score"),
    _holds("exact", lambda worth: worth.exact),
)
"""Of answers to prompts with gold."""
