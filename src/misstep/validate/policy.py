"""The user's say on levels: one table for codes, one for tools, applied in one place.

In: the settled findings of one step (`precedence`). Out: those that remain, at the levels that
`validate.levels` sets, without those that `validate.exempt` lets the called tool off. A level may
be raised: that is the user's choice, and a raised finding fails its step and trains. What the model
did not cause, what another finding explains already, and what only an inferred schema says is never
raised: those cannot become training signal by a setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from misstep.codes import CODES
from misstep.config import LevelSetting, ValidateConfig
from misstep.errors import ConfigError
from misstep.fitting import nearest
from misstep.types import Finding
from misstep.validate.validator import GUESSED, Step

EVERY = "*"
"""In `validate.exempt`: all codes."""
NOT_THE_MODELS = frozenset({"ENV_ERROR", "TOOL_SCHEMA_INVALID", "VALIDATOR_ERROR"})
"""Codes that never speak of the model; they can be switched off, not raised."""
_RANK = {"off": 0, "info": 1, "suspect": 2, "defect": 3}
_KEPT_DOWN = frozenset({"explained", GUESSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Levels by code and exemptions by tool; the empty one changes nothing."""

    levels: Mapping[str, LevelSetting] = field(default_factory=dict)
    exempt: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def apply(self, step: Step, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """The findings that remain, at the user's levels."""
        if not findings or not (self.levels or self.exempt):
            return findings
        placed = (self._placed(f) for f in findings if not self._let_off(step, f))
        return tuple(finding for finding in placed if finding is not None)

    def can_fail(self, codes: Iterable[str], step: Step) -> bool:
        """Whether one of the codes could still fail this step."""
        left = {c for c in codes if self.levels.get(c, CODES[c].level) == "defect"}
        if self.exempt and step.calls:
            off = [self.exempt.get(call.name, frozenset()) for call in step.calls]
            if all(EVERY in each for each in off):
                return False
            left -= frozenset.intersection(*off)
        return bool(left)

    def _let_off(self, step: Step, finding: Finding) -> bool:
        if finding.call is None or finding.call >= len(step.calls):
            return False
        off = self.exempt.get(step.calls[finding.call].name, frozenset())
        return finding.code in off or EVERY in off

    def _placed(self, finding: Finding) -> Finding | None:
        wanted = self.levels.get(finding.code)
        if wanted is None or wanted == finding.level:
            return finding
        if wanted == "off":
            return None
        raised = _RANK[wanted] > _RANK[finding.level]
        if raised and (finding.cause != "model" or not _KEPT_DOWN.isdisjoint(finding.tags)):
            return finding
        return replace(finding, level=wanted, tags=(*finding.tags, "policy"))


def policy_of(config: ValidateConfig, *, strict: bool = True) -> Policy:
    """The policy of the settings; the codes of the user's validators must be registered before.

    Args:
        strict: False lets codes pass that nobody declared.

    Raises:
        ConfigError: a code is not known, or a level would blame the model for its surroundings.
    """
    faults = [*_unknown("validate.levels", config.levels)]
    for tool, codes in config.exempt.items():
        faults += _unknown(f"validate.exempt.{tool}", [c for c in codes if c != EVERY])
    faults += [
        f"validate.levels.{code}: expected 'info' or 'off', since the model never causes it; "
        f"got {level!r}"
        for code, level in config.levels.items()
        if code in NOT_THE_MODELS and _RANK[level] > _RANK["info"]
    ]
    if faults and strict:
        raise ConfigError("; ".join(faults))
    exempt = {tool: frozenset(codes) for tool, codes in config.exempt.items()}
    return Policy(levels=dict(config.levels), exempt=exempt)


def _unknown(where: str, codes: Iterable[str]) -> Sequence[str]:
    return [f"{where}: unknown code {c!r}, {nearest(c, CODES)}" for c in codes if c not in CODES]
