"""Tool calls against what was offered: the name, the arguments as JSON, the arguments' schema.

In: a step's calls and its request's tools. Out: TOOL_UNKNOWN where the offer is known, or where
`tool_choice` rules the call out, ARGS_UNPARSABLE (tagged with the JSON code), ARGS_NOT_OBJECT, the
schema codes with JSON pointers into the arguments, and NO_CALL where a call was demanded and none
was made. Arguments that cannot be read are not held against the schema. What a harness says that
it could not use fails the step even where the log does not show why. Hosted tools and calls that
are not JSON are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from misstep.redact import clip
from misstep.types import Channel, Finding, Level, ToolCall, ToolSpec
from misstep.validate.breaches import folded
from misstep.validate.schema import Compiled, breaches, compiled, undeclared
from misstep.validate.strict_json import Parsed, parse
from misstep.validate.validator import GUESSED, Step, Validator

_UNEXPECTED = "unexpected_tool_call"
"""Gemini's finish reason for a call of a tool that the request did not offer."""


def _in_order(step: Step) -> bool:
    """A quick look: true only for calls that keep to their schemas, where nothing else is told."""
    if step.finish == _UNEXPECTED or step.message.fault is not None or step.demanded is not None:
        return False
    if step.context.tool_choice == "none":
        return False
    for made in step.exchanges:
        call, spec = made.call, made.spec
        if spec is None or call.fault is not None:
            return False
        if call.syntax != "json" or call.kind != "function":
            return False
        parsed = made.parsed
        value = parsed.value
        if parsed.fault is not None or parsed.notes or not isinstance(value, dict):
            return False
        known = _schema(step, spec)
        if known is not None and not _keeps_to(known, value):
            return False
    return True


def _keeps_to(known: Compiled, value: dict[str, Any]) -> bool:
    """True only for a value that fits a usable schema, and has no name that it does not list."""
    if known.problem or known.dialect or known.validator is None:
        return False
    named = known.schema.get("properties") if isinstance(known.schema, dict) else None
    if not isinstance(named, dict) or not value.keys() <= named.keys():
        return False
    nested = any(isinstance(inner, dict | list) for inner in value.values())
    return bool(known.validator.is_valid(value)) and not (nested and any(undeclared(known, value)))


def _check(step: Step) -> Iterable[Finding]:
    return () if step.calls and _in_order(step) else _found(step)


def _found(step: Step) -> Iterator[Finding]:
    yield from _no_call(step)
    for index, call in enumerate(step.calls):
        found = [] if call.kind == "hosted" else list(_call(step, index, call))
        yield from found
        if call.fault is not None and not any(f.level == "defect" for f in found):
            yield _turned_down(step, "ARGS_UNPARSABLE", call.fault, index)
    yield from _harness(step)


def _call(step: Step, index: int, call: ToolCall) -> Iterator[Finding]:
    spec = step.tools.get(call.name) or step.guessed.get(call.name)
    if spec is None and step.complete:
        yield _unknown(step, call, index)
        spec = _variant(step, call.name)
    elif (why := _ruled_out(step, call)) is not None:
        yield _not_allowed(step, call, index, why)
    parsed = step.arguments[index]
    if parsed is not None:
        yield from _arguments(step, index, parsed, spec)


def _harness(step: Step) -> Iterator[Finding]:
    """What the harness or the provider could not use, where no call of the step shows why."""
    fault = step.message.fault
    if step.finish == _UNEXPECTED:
        yield _turned_down(step, "TOOL_UNKNOWN", fault or "a call of a tool not offered", None)
    elif fault is not None and not step.rejected and not any(c.fault for c in step.calls):
        code = "ARGS_UNPARSABLE" if step.calls else "NO_CALL"
        yield _turned_down(step, code, fault, 0 if step.calls else None)


def _turned_down(step: Step, code: str, said: str, call: int | None) -> Finding:
    evidence = f"the harness could not use it: {clip(' '.join(said.split()), 240)}"
    channel: Channel = "content" if call is None else "arguments"
    return step.find(code, channel, call=call, tags=("harness",), evidence=evidence)


def _no_call(step: Step) -> Iterator[Finding]:
    why = step.demanded
    if why is None or step.withheld:
        return
    choice = step.context.tool_choice
    named = choice if choice in step.tools else None
    if step.calls and (named is None or any(c.name == named for c in step.calls)):
        return
    got = f"calls {step.calls[0].name!r}" if step.calls else f"text {clip(step.text, 120)!r}"
    yield step.find("NO_CALL", "content", evidence=f"{why}; got {got}")


def _unknown(step: Step, call: ToolCall, index: int) -> Finding:
    tags: tuple[str, ...] = ()
    sanitised = False
    if not call.name.strip():
        tags = ("empty_name",)
    elif "<|" in call.name or "|>" in call.name:
        tags = ("special_token",)
    elif (near := _variant(step, call.name)) is not None:
        tags = ("case_variant",)
        # some gateways rewrite dots and slashes of names that the model wrote rightly
        sanitised = _plain(near.name) == _plain(call.name)
    offered = ", ".join(list(step.tools)[:20])
    return step.find(
        "TOOL_UNKNOWN",
        "arguments",
        call=index,
        level="suspect" if sanitised else "defect",
        tags=tags,
        evidence=f"expected one of {offered}; got {call.name!r}",
    )


def _ruled_out(step: Step, call: ToolCall) -> str | None:
    """Why the request allowed no such call; a step without the named call is NO_CALL instead."""
    choice = step.context.tool_choice
    if choice == "none":
        return "tool_choice is 'none'"
    named = choice in step.tools and any(made.name == choice for made in step.calls)
    return f"tool_choice names {choice!r} alone" if named and call.name != choice else None


def _not_allowed(step: Step, call: ToolCall, index: int, why: str) -> Finding:
    return step.find(
        "TOOL_UNKNOWN",
        "arguments",
        call=index,
        level="suspect",  # providers keep to the choice themselves: the model may not have seen it
        tags=("not_allowed",),
        evidence=f"{why}; got a call of {call.name!r}",
    )


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def _variant(step: Step, name: str) -> ToolSpec | None:
    """The offered tool that differs from `name` only in case and punctuation."""
    wanted = folded(name)
    return next((t for t in step.tools.values() if wanted and folded(t.name) == wanted), None)


def _schema(step: Step, spec: ToolSpec | None) -> Compiled | None:
    if spec is None or spec.parameters is None:
        return None
    return compiled(spec.parameters, step.settings.reading)


def _arguments(step: Step, index: int, parsed: Parsed, spec: ToolSpec | None) -> Iterator[Finding]:
    known = _schema(step, spec)
    if known is not None and known.problem:
        yield _unusable(step, index, known.problem)
    if known is not None and known.dialect and _first_call(step, index):
        yield _dialect(step, index, known.dialect)
    if not parsed.ok and _means_nothing(step.calls[index], known):
        return
    for fault in (parsed.fault, *parsed.notes):
        if fault is not None:
            unusable = not parsed.ok
            yield step.find(
                "ARGS_UNPARSABLE" if unusable else fault.code,
                "arguments",
                call=index,
                span=fault.span,
                tags=(fault.code, *fault.tags) if unusable else fault.tags,
                evidence=fault.told(step.calls[index].arguments),
            )
    if not parsed.ok:
        return
    if not isinstance(parsed.value, dict):
        yield _not_object(step, index, parsed.value)
    elif known is not None and spec is not None:
        found = _against(step, index, known, parsed.value)
        yield from map(_suspected, found) if spec.name in step.guessed else found


def _means_nothing(call: ToolCall, known: Compiled | None) -> bool:
    """Empty argument text of a tool that needs no arguments, which providers log as they like."""
    if call.arguments.strip():
        return False
    return known is None or known.validator is None or bool(known.validator.is_valid({}))


def _not_object(step: Step, index: int, value: Any) -> Finding:
    inner = parse(value) if isinstance(value, str) else None
    twice = inner is not None and inner.ok and isinstance(inner.value, dict)
    kind = type(value).__name__
    return step.find(
        "ARGS_NOT_OBJECT",
        "arguments",
        call=index,
        tags=("double_encoded",) if twice else (),
        evidence=f"expected an object; got {kind} {clip(step.calls[index].arguments, 160)}",
    )


def _first_call(step: Step, index: int) -> bool:
    """True for the first call of its tool in the session."""
    name = step.calls[index].name
    first = next(
        (e for at in step.transcript.exchanges.values() for e in at if e.call.name == name), None
    )
    return first is not None and (first.step, first.index) == (step.index, index)


def _dialect(step: Step, index: int, words: str) -> Finding:
    return step.find(
        "TOOL_SCHEMA_INVALID",
        "arguments",
        call=index,
        cause="tool",
        tags=("dialect",),
        evidence=f"{step.calls[index].name}: read as what it means: {words}",
    )


def _unusable(step: Step, index: int, problem: str) -> Finding:
    return step.find(
        "TOOL_SCHEMA_INVALID",
        "arguments",
        call=index,
        cause="tool",
        evidence=f"{step.calls[index].name}: {' '.join(problem.split())}",
    )


def _against(step: Step, index: int, known: Compiled, value: Any) -> Iterator[Finding]:
    for breach in breaches(known, value, len(step.calls[index].arguments)):
        if breach.code == "TOOL_SCHEMA_INVALID":
            yield _unusable(step, index, breach.said)
        else:
            yield step.find(
                breach.code,
                "arguments",
                call=index,
                where=breach.where,
                tags=breach.tags,
                evidence=breach.said,
            )
    spec = step.tools.get(step.calls[index].name)
    strict = spec is not None and spec.strict is True
    for where, name in undeclared(known, value):
        yield step.find(
            "UNEXPECTED_ARG",
            "arguments",
            call=index,
            level="defect" if strict else "suspect",
            where=where,
            evidence=f"the schema does not name {name!r}, nor does it forbid it",
            tags=() if strict else ("open_schema",),
        )


def _suspected(finding: Finding) -> Finding:
    """What an inferred schema says: suspect at most, since the calls it was made of are few.

    A name that none of them used says little: info (design/inferred-schemas.md).
    """
    new = finding.level == "info" or "open_schema" in finding.tags
    level: Level = "info" if new else "suspect"
    return replace(finding, level=level, tags=(*finding.tags, GUESSED))


def _judges(step: Step) -> bool:
    """True where every call that could be judged was held against a schema."""
    if step.finish == _UNEXPECTED or step.message.fault or any(c.fault for c in step.calls):
        return True
    calls = [c for c in step.calls if c.kind == "function" and c.syntax == "json"]
    if not calls:
        return step.demanded is not None and not step.withheld and not step.calls
    if step.guessed and any(c.name in step.guessed for c in calls):
        return False
    for call in calls:
        known = _schema(step, step.tools.get(call.name))
        if known is None or known.validator is None:
            return False
    return True


VALIDATOR = Validator(
    name="tool_call",
    codes=(
        "TOOL_UNKNOWN",
        "ARGS_UNPARSABLE",
        "ARGS_NOT_OBJECT",
        "MISSING_REQUIRED",
        "UNEXPECTED_ARG",
        "WRONG_TYPE",
        "ENUM",
        "FORMAT",
        "RANGE",
        "SCHEMA_COMBO",
        "TOOL_SCHEMA_INVALID",
        "NO_CALL",
        "JSON_DUP_KEY",
        "JSON_BIGINT_LOSS",
    ),
    check=_check,
    judges=_judges,
    needs=frozenset({"call", "demand", "trouble"}),
)
