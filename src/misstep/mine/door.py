"""The door behind the gate: pairs enter one by one, and prompts and families keep their shares.

In: judged candidates (`entry`), in a fixed order (`order`). Out: `Pair`s and `Refused`s; what came
in is the sum of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from misstep.config import MineConfig
from misstep.mine import caps
from misstep.mine.decisions import REVIEWED_OUT, SAID
from misstep.mine.entry import Drafted, Entry, Judged
from misstep.mine.near import Near, Texts
from misstep.mine.resample import OWN
from misstep.types import Pair, Refused

CRASHED = "CRASHED"
FULL = {
    "DUPLICATE": "the same two sides stand in another pair already",
    "NEAR_DUPLICATE": "prompt and sides are all but those of another pair",
    "PROMPT_FULL": "the prompt has its share of pairs",
    "FAMILY_FULL": "the family has its share of pairs",
    **caps.FULL,
    REVIEWED_OUT: SAID,
    CRASHED: "mining its session ended a process, time and again",
}
"""Reasons that depend on the pairs let in before, or on what a person said."""


@dataclass(slots=True)
class Door:
    """Lets pairs in one by one and keeps the shares of prompts and families.

    Pairs of the model's own failures and pairs of the log have separate shares, because only one
    kind is trained on and neither may crowd out the other.
    """

    config: MineConfig
    pairs: list[Pair] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    paired: set[str] = field(default_factory=set)
    """`answer_id` of every rejected answer that was let in, as it stood before trimming."""
    homes: dict[str, str | None] = field(default_factory=dict)
    """Of each pair the session that its chosen side comes from (`home_of`)."""
    reviewed_out: set[str] = field(default_factory=set)
    """`answer_id` of every rejected answer whose pair a person dropped."""
    _ids: set[str] = field(default_factory=set)
    _caps: caps.Caps = field(init=False)
    _near: dict[bool, Near] = field(init=False)
    _prompts: dict[tuple[bool, str, str], int] = field(default_factory=dict)
    _families: dict[tuple[bool, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._caps = caps.Caps(self.config)
        self._near = {own: Near(self.config.near_duplicate) for own in (False, True)}

    def enter(self, drafts: Iterable[Drafted]) -> None:
        """Let in those that no rule objects to, as far as the shares go."""
        waiting = list(drafts)
        self._caps.passing.update(e.source in OWN for e, _ in waiting if e.passes)
        for entry, load in waiting:
            judged = load()
            refused = judged.refused or self._turned_away(entry, judged)
            if refused is None and judged.pair is not None:
                self.pairs.append(judged.pair)
                self.homes[judged.pair.id] = judged.home
                self.paired.add(entry.rejected)
            elif refused is not None:
                self.refused.append(refused)
                if refused.reason == REVIEWED_OUT:
                    self.reviewed_out.add(entry.rejected)

    def _turned_away(self, entry: Entry, judged: Judged) -> Refused | None:
        pair = judged.pair
        full = None if pair is None else self._full(pair, entry.key, judged.texts)
        if pair is None or full is None:
            return None
        return Refused(
            prompt=pair.prompt, source=pair.source, reason=full[0], said=full[1], codes=pair.codes
        )

    def _full(self, pair: Pair, key: str, texts: Texts | None) -> tuple[str, str] | None:
        config = self.config
        own = pair.source in OWN
        at = (own, pair.family, key)
        if pair.id in self._ids:
            return "DUPLICATE", FULL["DUPLICATE"]
        if texts is not None and (like := self._near[own].like(texts)) is not None:
            return "NEAR_DUPLICATE", f"{FULL['NEAR_DUPLICATE']}: {like}"
        if self._prompts.get(at, 0) >= config.max_pairs_per_prompt:
            return "PROMPT_FULL", f"{FULL['PROMPT_FULL']} ({config.max_pairs_per_prompt})"
        if self._families.get(at[:2], 0) >= config.max_pairs_per_family:
            return "FAMILY_FULL", f"{FULL['FAMILY_FULL']} ({config.max_pairs_per_family})"
        if (capped := self._caps.full(pair, own)) is not None:
            return capped
        self._caps.take(pair, own)
        if texts is not None:
            self._near[own].add(texts)
        self._ids.add(pair.id)
        self._prompts[at] = self._prompts.get(at, 0) + 1
        self._families[at[:2]] = self._families.get(at[:2], 0) + 1
        return None
