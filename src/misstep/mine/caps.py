"""Caps per failure code and per tool, so that one broken tool does not drown the rest, and on
repairs that only take something away.

In: the pairs that pass the gate, one by one. Out: the reason to turn one away, or None. A cap is a
number of pairs, or, below 1, a share of the candidates that pass the gate (at least one pair). A
pair counts for each of its codes and each tool that its rejected side calls; it is turned away
where any of them is full. Pairs of the model's own failures and pairs of the log count apart.

A repair that only takes an argument or a twin away teaches to end sooner, and where most pairs are
of that kind nothing else is learned: 46 repairs, 30 of them such, raised the failures of SmolLM2
from 34 to 86 %, most of them missing arguments; the other 16 lowered them (design/ablation.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from misstep.config import MineConfig
from misstep.mine.source import tools_of
from misstep.types import Pair

FULL = {
    "CODE_FULL": "the failure code has its share of pairs",
    "TOOL_FULL": "the tool has its share of pairs",
    "SHORTER_FULL": "repairs that only take something away have their share of pairs",
}
"""What a full cap says."""
_AWAY = ("drop-argument", "drop-null", "drop-twin")
"""Edits that only take something away."""


@dataclass(slots=True)
class Caps:
    """Counts the pairs let in by code and by tool."""

    config: MineConfig
    passing: Counter[bool] = field(default_factory=Counter)
    """Candidates that pass the gate, of the model's own failures (True) and of the log."""
    _taken: Counter[tuple[bool, str, str]] = field(default_factory=Counter)

    def full(self, pair: Pair, own: bool) -> tuple[str, str] | None:
        """Code and sentence of the cap that is reached."""
        for code, cap, names in self._asked(pair):
            most = self._most(cap, own)
            name = next((n for n in names if self._taken[own, code, n] >= most), None)
            if most and name is not None:
                return code, ": ".join(filter(None, (FULL[code], name))) + f" ({most})"
        return None

    def take(self, pair: Pair, own: bool) -> None:
        """Count a pair that was let in."""
        for code, _, names in self._asked(pair):
            self._taken.update((own, code, name) for name in names)

    def _asked(self, pair: Pair) -> Iterable[tuple[str, float, Iterable[str]]]:
        yield "CODE_FULL", self.config.max_pairs_per_code, pair.codes
        yield "TOOL_FULL", self.config.max_pairs_per_tool, sorted(tools_of(pair.rejected))
        yield "SHORTER_FULL", self.config.max_shortened, ("",) if _is_shorter(pair) else ()

    def _most(self, cap: float, own: bool) -> int:
        """Pairs at most; 0 where there is no cap."""
        return int(cap) if cap >= 1 or not cap else max(1, int(cap * self.passing[own]))


def _is_shorter(pair: Pair) -> bool:
    """Whether the chosen side is the rejected one with something taken away, and nothing else."""
    away = bool(pair.edits) and all(edit.startswith(_AWAY) for edit in pair.edits)
    return pair.source == "repair" and away
