"""What all findings about one step come to: pass, fail or unjudged, and a score.

In: the settled findings of one step and the names of the validators that judged it. Out: a
`Verdict`. A step fails by a defect that the model caused, passes if some validator could have
failed it and none did, and is unjudged otherwise: unjudged is never pass and never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from misstep.codes import CODES
from misstep.types import Finding, Verdict
from misstep.validate.validator import Step

WEIGHTS = {
    "TOOL_UNKNOWN": 3.0,
    "ARGS_UNPARSABLE": 3.0,
    "ARGS_NOT_OBJECT": 2.0,
    "NO_CALL": 3.0,
    "EMPTY_OUTPUT": 4.0,
    "TOOL_AS_TEXT": 2.0,
}
"""How far a defect is from a usable answer; one fault in a readable answer weighs 1."""
_GROUPS = {"text-loop": 4.0, "agent-loop": 2.0, "json": 2.0}
_LIGHT = frozenset({"coercible", "case_variant", "null_for_optional"})
LIGHT = 0.5
"""Weight of a defect that a lenient reader would forgive."""


def is_defect(finding: Finding) -> bool:
    """True for a finding that fails its step."""
    return finding.level == "defect" and finding.cause == "model"


SUSPECTED = 0.25
"""Share of its weight that a suspect takes from the score of its group; from the total, none."""


def decide(
    step: Step,
    findings: Sequence[Finding],
    judges: Sequence[str],
    *,
    groups: Iterable[str] = (),
    broken: Sequence[str] = (),
) -> Verdict:
    """The verdict of one step; its score is 1 / (1 + weight of its defects).

    Args:
        judges: names of the validators that could have failed it and looked at it.
        groups: the groups of codes that they looked for.
        broken: what the user's own validators failed with; a step that could pass is unjudged then.
    """
    scores = group_scores(findings, groups)
    judges = () if step.misbegun else judges
    if not findings and judges and not broken:
        return Verdict(
            session=step.session.id,
            step=step.index,
            state="pass",
            score=1.0,
            judges=tuple(judges),
            scores=scores,
        )
    defects = [finding for finding in findings if is_defect(finding)]
    if not defects and (broken or not judges):
        why = f"a validator failed: {broken[0]}" if broken else _why(step)
        return Verdict(
            session=step.session.id, step=step.index, state="unjudged", why=why, scores=scores
        )
    return Verdict(
        scores=scores,
        session=step.session.id,
        step=step.index,
        state="fail" if defects else "pass",
        score=1.0 / (1.0 + sum(map(weight, defects))),
        judges=tuple(judges),
        codes=tuple(sorted({finding.code for finding in defects})),
    )


def group_scores(
    findings: Sequence[Finding], groups: Iterable[str]
) -> tuple[tuple[str, float], ...]:
    """1 / (1 + weight of the defects + `SUSPECTED` times that of the suspects) for each group.

    Only what the model caused counts; groups with such findings stand beside those looked for.
    """
    if not findings:
        return _clean(tuple(groups))
    taken = dict.fromkeys(groups, 0.0)
    for finding in findings:
        if finding.level != "info" and finding.cause == "model":
            group = CODES[finding.code].group
            share = 1.0 if finding.level == "defect" else SUSPECTED
            taken[group] = taken.get(group, 0.0) + share * weight(finding)
    return tuple(sorted((group, 1.0 / (1.0 + loss)) for group, loss in taken.items()))


@lru_cache(maxsize=256)
def _clean(groups: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    return tuple((group, 1.0) for group in sorted(set(groups)))


def weight(finding: Finding) -> float:
    """How much one defect takes from the score."""
    if not _LIGHT.isdisjoint(finding.tags):
        return LIGHT
    return WEIGHTS.get(finding.code, _GROUPS.get(CODES[finding.code].group, 1.0))


def _why(step: Step) -> str:
    if step.withheld:
        return "there is no answer: an error or a refusal of the provider"
    if step.misbegun:
        return "the caller began the answer, and not with JSON"
    if not step.calls:
        return "plain text, and nothing was demanded of it"
    guessed = sorted({c.name for c in step.calls if c.name in step.guessed})
    if guessed:
        return f"only an inferred schema is known for {', '.join(guessed)}"
    names = sorted({c.name for c in step.calls if c.name not in step.tools})
    if names:
        return f"no tools are known; called: {', '.join(names)}"
    return f"no usable schema for {', '.join(sorted({c.name for c in step.calls}))}"
