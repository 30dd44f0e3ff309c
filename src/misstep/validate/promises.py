"""Calls and results against what the tools file or the log promises of a tool (`contracts`).

In: a step's calls, its request's tools, and what stands before. Out: PRECONDITION where a call that
the contract requires had not come back (with success) before; OFF_LIMITS where a call asks for a
source that the contract rules out (info where a result alone names it); RESULT_CONTRACT (info)
where a successful result breaks its output schema; CONTRACT_DRIFT (info, once for each tool) where
the schema in the log is not the one in the tools file. A tool without a contract is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

import orjson

from misstep.contracts import EMPTY, Contract, Requirement, contract_of
from misstep.redact import clip
from misstep.types import Finding
from misstep.validate.error_text import quoted
from misstep.validate.failing import result_value
from misstep.validate.schema import breaches, compiled
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.validator import Step, Validator
from misstep.validate.values import leaves

_QUERIES = frozenset({"q", "query", "queries", "search_query", "search_term", "search_queries"})
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,31}://[^\s'\"<>`]{1,2000}", re.I)
MAX_LOOKED = 200_000
"""Characters of a result in which addresses are looked for."""


def _scan(transcript: Transcript) -> Collection[int]:
    """The steps with calls, where a request of the session holds a contract at all."""
    told = any(
        contract_of(tool) is not EMPTY
        for context in transcript.session.contexts
        for tool in (*context.tools, *context.promised)
    )
    return transcript.exchanges.keys() if told else ()


def _check(step: Step) -> Iterator[Finding]:
    for index, call in enumerate(step.calls):
        contract = step.offer.contract(call.name)
        parsed = step.arguments[index]
        value = parsed.value if parsed is not None and parsed.ok else None
        for requirement in contract.requires:
            yield from _required(step, index, requirement, value)
        limits = contract.off_limits or _limits(step)
        if contract is EMPTY and not limits:
            continue  # true of most tools
        exchange = next((e for e in step.exchanges if e.index == index), None)
        if limits:
            yield from _off_limits(step, index, limits, value=value, exchange=exchange)
        if exchange is not None and contract.output_schema is not None:
            yield from _result(step, exchange, contract)
        if contract.parameters is not None:
            yield from _drift(step, index, contract.parameters)


def _required(step: Step, index: int, needs: Requirement, value: Any) -> Iterator[Finding]:
    mine = value if isinstance(value, dict) else {}
    scope = {theirs: mine.get(ours) for ours, theirs in needs.same}
    latest = _latest(step.transcript, step.index, needs.tool, scope)
    of = f" for {clip(orjson.dumps(scope, default=str).decode(), 120)}" if scope else ""
    if latest is None:
        said = f"it requires {needs.tool}{of}, which was not called before"
    elif latest.result is None:
        return  # not checkable: the log does not hold what came back
    elif needs.succeeded and step.transcript.fault(latest) is not None:
        said = f"it requires {needs.tool}{of}, which had failed: {clip(quoted(latest.result), 120)}"
    else:
        return
    yield step.find(
        "PRECONDITION",
        "arguments",
        call=index,
        tags=("missing",) if latest is None else ("failed",),
        evidence=f"{step.calls[index].name}: {' '.join(said.split())}",
    )


def _latest(
    transcript: Transcript, before: int, tool: str, scope: dict[str, Any]
) -> Exchange | None:
    for exchange in reversed(transcript.once(_by_tool).get(tool, [])):
        if exchange.step < before and _agrees(exchange, scope):
            return exchange
    return None


def _by_tool(transcript: Transcript) -> dict[str, list[Exchange]]:
    found: dict[str, list[Exchange]] = {}
    for exchange in transcript.every:
        found.setdefault(exchange.call.name, []).append(exchange)
    return found


def _agrees(exchange: Exchange, scope: dict[str, Any]) -> bool:
    if not scope:
        return True
    value = result_value(exchange.call.arguments)
    if not isinstance(value, dict):
        return False
    return all(_plain(value.get(key)) == _plain(wanted) for key, wanted in scope.items())


def _plain(value: Any) -> str:
    return " ".join(str(value).casefold().split())


def _result(step: Step, exchange: Exchange, contract: Contract) -> Iterator[Finding]:
    result, schema = exchange.result, contract.output_schema
    if result is None or schema is None or step.transcript.fault(exchange) is not None:
        return
    known = compiled(schema, step.settings.reading)
    value = result_value(result.text)
    spec = step.tools.get(exchange.call.name)
    if isinstance(value, str) and spec is not None and spec.source != "given":
        return  # a log that keeps promises may keep a rendering of what was structured
    found = list(breaches(known, value))
    if found and _properties(known.schema).keys() == {"result"}:
        found = list(breaches(known, {"result": value}))  # MCP servers wrap plain values
    if known.problem:
        yield step.find(
            "TOOL_SCHEMA_INVALID",
            "transcript",
            call=exchange.index,
            cause="tool",
            evidence=f"{exchange.call.name}: output_schema: {' '.join(known.problem.split())}",
        )
    elif found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        yield step.find(
            "RESULT_CONTRACT",
            "transcript",
            call=exchange.index,
            where=found[0].where,
            tags=(found[0].code,),
            cause="tool",
            evidence=f"{exchange.call.name}: {found[0].said}{more}",
        )


def _drift(step: Step, index: int, given: str) -> Iterator[Finding]:
    spec = step.tools.get(step.calls[index].name)
    if spec is None or spec.parameters is None:
        return
    first = step.transcript.once(_drifted).setdefault(spec.name, (step.index, index))
    told = _differences(spec.parameters, given) if first == (step.index, index) else ""
    if told:
        yield step.find(
            "CONTRACT_DRIFT",
            "arguments",
            call=index,
            cause="tool",
            evidence=f"{spec.name}: the log's schema is not that of the tools file: {told}",
        )


def _drifted(transcript: Transcript) -> dict[str, tuple[int, int]]:
    """The call at which each tool was compared first."""
    return {}


@lru_cache(maxsize=1024)
def _differences(logged: str, given: str) -> str:
    """What the schema in the log adds, drops, retypes or requires, in one line."""
    ours, theirs = compiled(logged).schema, compiled(given).schema
    a, b = _properties(ours), _properties(theirs)
    if not a or not b:
        return ""
    told = (
        ("only in the log", a.keys() - b.keys()),
        ("only in the file", b.keys() - a.keys()),
        ("of another type", {n for n in a.keys() & b.keys() if _type(a[n]) != _type(b[n])}),
        ("required in the log alone", _needs(ours) - _needs(theirs)),
        ("required in the file alone", _needs(theirs) - _needs(ours)),
    )
    return "; ".join(f"{what}: {', '.join(sorted(names)[:10])}" for what, names in told if names)


def _properties(schema: Any) -> dict[str, Any]:
    named = schema.get("properties") if isinstance(schema, dict) else None
    return named if isinstance(named, dict) else {}


def _type(schema: Any) -> str:
    """Types in any order; a schema that says it by branches or a reference is not compared."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    return ",".join(sorted(map(str, kind))) if isinstance(kind, list) else str(kind)


def _needs(schema: Any) -> set[str]:
    listed = schema.get("required") if isinstance(schema, dict) else None
    return {n for n in listed if isinstance(n, str)} if isinstance(listed, list) else set()


def _limits(step: Step) -> tuple[str, ...]:
    """Sources that no tool of the request may ask for: they hold for unknown tools as well."""
    for spec in (*step.context.tools, *step.context.promised):
        if spec.contract is not None and (limits := contract_of(spec).off_limits):
            return limits
    return ()


def _off_limits(
    step: Step, index: int, limits: tuple[str, ...], *, value: Any, exchange: Exchange | None
) -> Iterator[Finding]:
    for leaf in leaves(value):
        if not isinstance(leaf.value, str):
            continue
        asked = [leaf.value] if leaf.name.lower() in _QUERIES else []
        for text in (*asked, *_URL.findall(leaf.value)):
            source = _named(text, limits)
            if source is not None:
                given = any(text in m.text for m in step.session.messages[: step.index])
                yield step.find(
                    "OFF_LIMITS",
                    "arguments",
                    call=index,
                    where=leaf.where,
                    level="suspect" if given else "defect",
                    tags=("in_prompt",) if given else (),
                    evidence=f"{clip(text, 160)!r} asks for {source!r}, which is off limits",
                )
                return
    result = None if exchange is None else exchange.result
    for text in _URL.findall(result.text[:MAX_LOOKED]) if result is not None else ():
        source = _named(text, limits)
        if source is not None:
            said = f"the result of {step.calls[index].name} names {clip(text, 160)!r}"
            yield step.find(
                "OFF_LIMITS",
                "transcript",
                call=index,
                level="info",
                tags=("exposed",),
                cause="tool",
                evidence=f"{said} of {source!r}, which is off limits",
            )
            return


def _named(text: str, limits: tuple[str, ...]) -> str | None:
    plain = unquote_plus(text).casefold()
    return next((source for source in limits if _pattern(source).search(plain)), None)


@lru_cache(maxsize=256)
def _pattern(source: str) -> re.Pattern[str]:
    """A source as a whole word in any case; `-`, `_` and a space are the same in it."""
    plain = re.sub(r"^[a-z][a-z0-9+.-]*://", "", source.strip().casefold())
    parts = re.split(r"[-_\s]+", plain.removeprefix("www.").rstrip("/"))
    joined = r"[-_\s]+".join(re.escape(part) for part in parts if part)
    return re.compile(rf"(?<![a-z0-9]){joined}(?![a-z0-9])" if joined else r"(?!)")


def _judges(step: Step) -> bool:
    """True where every call has a contract that names what must come before it."""
    contracts = [step.offer.contract(call.name) for call in step.calls]
    return bool(contracts) and all(contract.requires for contract in contracts)


VALIDATOR = Validator(
    name="contract",
    codes=(
        "PRECONDITION",
        "OFF_LIMITS",
        "RESULT_CONTRACT",
        "CONTRACT_DRIFT",
        "TOOL_SCHEMA_INVALID",
    ),
    check=_check,
    scan=_scan,
    judges=_judges,
)
