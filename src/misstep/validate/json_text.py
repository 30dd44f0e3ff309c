"""JSON where JSON was asked for: one finding for the kind of failure, notes beside it.

Whether JSON was expected is decided from the request (`response_schema`, `json_mode`) or the
settings, never from a brace; a step that calls a tool owes no JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator

from misstep.types import Finding
from misstep.validate.validator import Step, Validator


def _check(step: Step) -> Iterator[Finding]:
    parsed = step.parsed
    if parsed is None:
        return
    for fault in (parsed.fault, *parsed.notes):
        if fault is not None:
            said = fault.told(step.text)
            yield step.find(fault.code, "content", evidence=said, span=fault.span, tags=fault.tags)


def _judges(step: Step) -> bool:
    return step.parsed is not None


VALIDATOR = Validator(
    name="json_text",
    codes=(
        "JSON_EMPTY",
        "JSON_TRUNCATED",
        "JSON_FENCED",
        "JSON_FENCED_PROSE",
        "JSON_PROSE",
        "JSON_EXTRA_DATA",
        "JSON_TRAILING_COMMA",
        "JSON_QUOTES",
        "JSON_PY_LITERAL",
        "JSON_CONTROL_CHAR",
        "JSON_NONFINITE",
        "JSON_DUP_KEY",
        "JSON_BIGINT_LOSS",
        "JSON_ENCODING",
        "JSON_SYNTAX",
        "JSON_NOT_FOUND",
    ),
    check=_check,
    judges=_judges,
    needs=frozenset({"json"}),
)
