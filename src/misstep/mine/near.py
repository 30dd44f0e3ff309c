"""Near-duplicates: pairs whose prompts and sides are all but the same.

In: the text of a pair (what was said before it, chosen, rejected), one pair after the other. Out:
the earlier pair that this one repeats, or None. Two pairs are near-duplicates where each of the
three texts is at least `least` alike (Levenshtein similarity, white space and case aside): so a
shared system prompt does not make two tasks alike, nor a shared task two failures.

No pair is compared with all others. Pairs meet in buckets of MinHash bands (Broder 1997; one
permutation with rotation, Shrivastava & Li 2014) over runs of three words, and a pair is compared
with at most `_MOST` others, so the time grows with the number of pairs alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from zlib import crc32

from rapidfuzz.distance import Levenshtein

from misstep.mine.source import canonical, texts_of
from misstep.types import Message

_COMPARED = 2_000
"""Characters of each text that are compared: the last of the prompt, the first of the sides."""
_SKETCHED = 1_000
"""Characters of each text that decide in which buckets the pair lies."""
_ROWS, _BANDS = 3, 8
"""Pairs that share three quarters of their runs of words meet in 99 cases of 100."""
_BINS = _ROWS * _BANDS
_MOST = 100
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What is compared of a pair."""

    id: str
    prompt: str
    chosen: str
    rejected: str
    bands: tuple[int, ...] = ()
    """Its buckets, where they are worked out already."""


@dataclass(slots=True)
class Near:
    """The pairs seen so far."""

    least: float
    """Similarity of each text from which two pairs are one, in [0, 1]; from 1 on none are."""
    _buckets: dict[int, list[Texts]] = field(default_factory=dict)

    def like(self, texts: Texts) -> str | None:
        """Id of an earlier pair that this one repeats."""
        if self.least >= 1:
            return None
        return next((o.id for o in self._met(texts) if self._alike(texts, o)), None)

    def add(self, texts: Texts) -> None:
        """Remember the pair."""
        if self.least < 1:
            for band in texts.bands or _bands(texts):
                self._buckets.setdefault(band, []).append(texts)

    def _met(self, texts: Texts) -> Sequence[Texts]:
        met: dict[str, Texts] = {}
        for band in texts.bands or _bands(texts):
            for other in self._buckets.get(band, ()):
                met.setdefault(other.id, other)
                if len(met) == _MOST:
                    return list(met.values())
        return list(met.values())

    def _alike(self, left: Texts, right: Texts) -> bool:
        sides = ((left.chosen, right.chosen), (left.rejected, right.rejected))
        return all(
            Levenshtein.normalized_similarity(a, b, score_cutoff=self.least) > 0 or a == b
            for a, b in (*sides, (left.prompt, right.prompt))
        )


def texts_of_pair(
    name: str, prompt: Sequence[Message], chosen: Message, rejected: Message
) -> Texts:
    """The texts of a pair as they are compared; leading system messages are left out."""
    texts = Texts(
        id=name,
        prompt=_told(prompt),
        chosen=_plain(canonical(chosen)[:_COMPARED]),
        rejected=_plain(canonical(rejected)[:_COMPARED]),
    )
    return replace(texts, bands=tuple(_bands(texts)))


def _told(prompt: Sequence[Message]) -> str:
    """The last characters of a prompt, gathered from its end."""
    texts: list[str] = []
    room = _COMPARED
    for message in reversed(prompt):
        if message.role == "system" or room <= 0:
            continue
        said = [message.role, *texts_of(message), *(result.text for result in message.results)]
        text = "\n".join(said)[-room:]
        texts.append(text)
        room -= len(text)
    return _plain("\n".join(reversed(texts)))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _bands(texts: Texts) -> Iterator[int]:
    """The buckets of a pair, one of each band."""
    sides = f"{texts.chosen[:_SKETCHED]} {texts.rejected[:_SKETCHED]}"
    bins = _bins(f"{texts.prompt[-_SKETCHED:]} {sides}")
    return (hash((at, *bins[at : at + _ROWS])) for at in range(0, _BINS, _ROWS))


def _bins(text: str) -> list[int]:
    """The least hash in each of the bins that the hashes fall into; an empty bin takes the next."""
    words = _WORD.findall(text)
    bins = [-1] * _BINS
    coded = [word.encode("utf-8", "replace") for word in words]
    for at in range(max(1, len(words) - 2)):
        rest, place = divmod(crc32(b" ".join(coded[at : at + 3])), _BINS)
        if bins[place] < 0 or rest < bins[place]:
            bins[place] = rest
    filled = list(bins)
    for at in range(_BINS):
        step = next(step for step in range(_BINS) if bins[(at + step) % _BINS] >= 0)
        filled[at] = bins[(at + step) % _BINS] + (step << 32)
    return filled
