"""Structured answers against the schema that the request (or `--schema`) gave for them.

In: a step whose text parsed as JSON. Out: the schema codes with JSON pointers into the answer. A
text that is no JSON has its finding from `json_text` and none from here.
"""

from __future__ import annotations

from collections.abc import Iterator

from misstep.types import Finding
from misstep.validate.schema import breaches, compiled, undeclared
from misstep.validate.validator import Step, Validator


def _check(step: Step) -> Iterator[Finding]:
    if step.schema is None or step.parsed is None:
        return
    known = compiled(step.schema, step.settings.reading)
    if known.problem:
        yield _unusable(step, known.problem)
    elif step.parsed.ok:
        value = step.parsed.value
        for breach in breaches(known, value, len(step.text)):
            if breach.code == "TOOL_SCHEMA_INVALID":
                yield _unusable(step, breach.said)
            else:
                yield step.find(
                    breach.code,
                    "content",
                    where=breach.where,
                    tags=breach.tags,
                    evidence=breach.said,
                )
        for where, name in undeclared(known, value):
            yield step.find(
                "UNEXPECTED_ARG",
                "content",
                level="suspect",
                where=where,
                evidence=f"the schema does not name {name!r}, nor does it forbid it",
                tags=("open_schema",),
            )


def _unusable(step: Step, problem: str) -> Finding:
    said = f"response schema: {' '.join(problem.split())}"
    return step.find("TOOL_SCHEMA_INVALID", "content", cause="tool", evidence=said)


def _judges(step: Step) -> bool:
    if step.schema is None or step.parsed is None or not step.parsed.ok:
        return False
    return compiled(step.schema, step.settings.reading).validator is not None


VALIDATOR = Validator(
    name="response_schema",
    codes=(
        "MISSING_REQUIRED",
        "UNEXPECTED_ARG",
        "WRONG_TYPE",
        "ENUM",
        "FORMAT",
        "RANGE",
        "SCHEMA_COMBO",
        "TOOL_SCHEMA_INVALID",
    ),
    check=_check,
    judges=_judges,
    needs=frozenset({"json"}),
)
