"""Errors that tools answered with, and who caused them.

In: a step's calls with their results. Out: TOOL_ERROR: a defect only where the model's bad
arguments caused it, suspect where the cause is unclear, info where the tool itself, a human's no or
the failure of another call did; ENV_ERROR (info) for infrastructure, and for a request that ended
in an error body or a cut stream. Only the log can show these: a replayed step meets no tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from misstep.types import Cause, Finding, Level
from misstep.validate.error_text import quoted
from misstep.validate.validator import Step, Validator

LEVELS: dict[Cause, Level] = {"model": "defect", "unknown": "suspect"}


def _check(step: Step) -> Iterable[Finding]:
    fault_of = step.transcript.fault
    for exchange in step.exchanges:
        if fault_of(exchange) is not None:
            return _errors(step)
    return () if step.message.error is None and step.message.end != "cut" else _errors(step)


def _errors(step: Step) -> Iterator[Finding]:
    yield from _request(step)
    for exchange in step.exchanges:
        fault = step.transcript.fault(exchange)
        if fault is None:
            continue
        yield step.find(
            "ENV_ERROR" if fault.cause == "infrastructure" else "TOOL_ERROR",
            "transcript",
            call=exchange.index,
            level=LEVELS.get(fault.cause, "info"),
            cause=fault.cause,
            evidence=f"{exchange.call.name}: {quoted(exchange.result)}",
        )


def _request(step: Step) -> Iterator[Finding]:
    message = step.message
    if step.rejected:
        return
    if message.error is not None and not message.parts:
        said = f"the request ended in an error: {message.error}"
    elif message.end == "cut":
        said = "the stream broke off before its end"
    else:
        return
    yield step.find("ENV_ERROR", "transcript", cause="infrastructure", evidence=said)


def _judges(step: Step) -> bool:
    """True where every call has a result that the log marks as an error or as none."""
    for exchange in step.exchanges:
        if exchange.result is None or exchange.result.is_error is None:
            return False
    return bool(step.exchanges)


VALIDATOR = Validator(
    name="tool_error",
    codes=("TOOL_ERROR", "ENV_ERROR"),
    check=_check,
    judges=_judges,
    needs=frozenset({"call", "trouble"}),
)
