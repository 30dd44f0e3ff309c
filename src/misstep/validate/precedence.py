"""Which finding explains which: one cause is counted once, its consequences are kept as info.

In: all findings of one step. Out: the same findings; those that another one explains have level
`info` and the tag `explained`. Only a defect of the model explains a defect of the model, so that
a step never loses its last one here, unless the answer itself was cut on its way.

    REP_* at the end of a channel   explains  TRUNCATED, EMPTY_OUTPUT, NO_CALL and the JSON that
                                              stops in that channel
    TOOL_AS_TEXT                    explains  NO_CALL, EMPTY_OUTPUT and JSON findings on the content
    TRUNCATED                       explains  CODE_SYNTAX, FENCE_UNCLOSED
    what the harness said           explains  EMPTY_OUTPUT
    LOOP_CYCLE                      explains  LOOP_SAME_CALL and LOOP_NEAR_CALL
    LOOP_SAME_CALL, LOOP_ERROR      explain   LOOP_NEAR_CALL
    a cut stream (ENV_ERROR)        explains  TRUNCATED, EMPTY_OUTPUT, NO_CALL and JSON that stops
                                              or never began

ARGS_UNPARSABLE keeps the schema codes away by construction: what cannot be read is not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from misstep.types import Finding
from misstep.validate.validator import Step

_CONSEQUENCES = frozenset({"TRUNCATED", "EMPTY_OUTPUT", "NO_CALL"})
_HALVES = frozenset({"CODE_SYNTAX", "FENCE_UNCLOSED"})

_LOOPS = {
    "LOOP_CYCLE": frozenset({"LOOP_SAME_CALL", "LOOP_NEAR_CALL"}),
    "LOOP_SAME_CALL": frozenset({"LOOP_NEAR_CALL"}),
    "LOOP_ERROR": frozenset({"LOOP_NEAR_CALL"}),
}


def settle(step: Step, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings of one step with the explained ones lowered to info."""
    if not findings:
        return ()
    reasons = [_explained_by(step, finding) for finding in findings]
    return tuple(
        _lowered(finding)
        if any(explains(finding) for reason in reasons if (explains := reason) is not None)
        else finding
        for finding in findings
    )


def _lowered(finding: Finding) -> Finding:
    if finding.level == "info":
        return finding
    return replace(finding, level="info", tags=(*finding.tags, "explained"))


def _explained_by(step: Step, finding: Finding) -> Callable[[Finding], bool] | None:
    """What `finding` explains, as a test of another finding; None where nothing."""
    if finding.code == "ENV_ERROR" and finding.call is None:
        return lambda other: other.code in _CONSEQUENCES or _stops(other) or _empty(other)
    if finding.level != "defect" or finding.cause != "model":
        return None
    if "harness" in finding.tags:
        return lambda other: other.code == "EMPTY_OUTPUT"
    if finding.code == "TRUNCATED":
        return lambda other: other.code in _HALVES
    if finding.code in _LOOPS:
        known = _LOOPS[finding.code]
        return lambda other: other.code in known
    if finding.code == "TOOL_AS_TEXT":
        return lambda other: (
            other.code in ("NO_CALL", "EMPTY_OUTPUT")
            or (other.channel == "content" and other.code.startswith("JSON_"))
        )
    if finding.code.startswith("REP_") and _at_end(step, finding):
        return lambda other: (
            other.code in _CONSEQUENCES
            or other.code in _HALVES
            or (_stops(other) and (other.channel, other.call) == (finding.channel, finding.call))
        )
    return None


def _stops(finding: Finding) -> bool:
    """True for a finding that says that JSON stops before its end."""
    return finding.code == "JSON_TRUNCATED" or (
        finding.code == "ARGS_UNPARSABLE" and "JSON_TRUNCATED" in finding.tags
    )


def _empty(finding: Finding) -> bool:
    """True for a finding that says that no JSON came at all."""
    return finding.code == "JSON_EMPTY" or (
        finding.code == "ARGS_UNPARSABLE" and "JSON_EMPTY" in finding.tags
    )


def _at_end(step: Step, finding: Finding) -> bool:
    """True where the repeated stretch reaches the end of its channel, within one period."""
    if finding.span is None or finding.loop is None:
        return finding.code == "REP_ELEMENT" and "parallel" not in finding.tags
    texts = {"content": step.text, "reasoning": step.reasoning}
    text = (
        texts.get(finding.channel, "")
        if finding.call is None
        else step.calls[finding.call].arguments
    )
    return finding.span[1] >= len(text) - finding.loop.period
