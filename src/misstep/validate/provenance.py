"""Values that nothing supplied, and values that only a failed result supplied.

In: a step's calls with everything that stands before them. Out: HALLUCINATED_ARG for a value that
looks as if somebody must have supplied it (`values`) where nothing did (`supply`): suspect, once
for each value; a defect where the tool's contract says that the value must be provided. A path is
only reported once the tool could not find it. FAILED_VALUE_USED (suspect) where nothing but the
failed result of another tool supplied it. Where the log does not hold all that the agent saw
(images, calls without results, hosted tools, no first message), nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from misstep.contracts import Contract, contract_of
from misstep.redact import clip
from misstep.types import Finding
from misstep.validate.spelling import Text
from misstep.validate.strict_json import parse
from misstep.validate.supply import Supply
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.validator import Step, Validator
from misstep.validate.values import PLACEHOLDER, Kind, Leaf, kind_of, leaves, word_set, words

_MAKES = word_set("create write save add new put touch mkdir edit append copy move")


def _check(step: Step) -> Iterator[Finding]:
    for index, parsed in enumerate(step.arguments):
        if parsed is not None and parsed.ok and isinstance(parsed.value, dict):
            yield from _call(step, index, parsed.value)


def _call(step: Step, index: int, value: Any) -> Iterator[Finding]:
    tool = step.calls[index].name
    contract = contract_of(step.tools.get(tool))
    for leaf in leaves(value):
        if leaf.name in contract.generated or leaf.value is None or isinstance(leaf.value, bool):
            continue
        demanded = leaf.name in contract.provided
        kind = kind_of(leaf, tool)
        if (demanded and str(leaf.value).strip()) or kind is not None:
            yield from _value(step, index, leaf, kind=kind, demanded=demanded)


def unseen(transcript: Transcript, exchange: Exchange, contract: Contract) -> bool:
    """Whether a call holds values to look for, but the log not all that the agent saw."""
    parsed = parse(exchange.call.arguments)
    holds = parsed.ok and any(
        leaf.name in contract.provided
        or (leaf.name not in contract.generated and kind_of(leaf, exchange.call.name) is not None)
        for leaf in leaves(parsed.value)
    )
    return holds and not transcript.once(Supply).complete(exchange.step)


def _value(
    step: Step, index: int, leaf: Leaf, *, kind: Kind | None, demanded: bool
) -> Iterator[Finding]:
    supply = step.transcript.once(Supply)
    if not supply.complete(step.index):
        return
    if kind == "path" and not demanded and not _missed(step, index):
        return
    found = supply.of(leaf.value, kind, step=step.index, context=step.context)
    if found == "nothing" or (found == "failed" and supply.echoed(leaf.value, kind)):
        first = step.transcript.once(_first).setdefault(str(leaf.value), step.index)
        if demanded or first == step.index:
            yield _hallucinated(step, index, leaf, demanded=demanded)
    elif found == "failed" and kind not in ("path", "date"):
        failures = supply.failures(leaf.value, kind)
        if all(text.tool != step.calls[index].name for text in failures):
            yield _from_failure(step, index, leaf, failures[0])


def _first(transcript: Transcript) -> dict[str, int]:
    """The step at which each value that nothing supplied was first used."""
    return {}


def _missed(step: Step, index: int) -> bool:
    """Whether a tool that needs an existing path failed: only then was the path a bad guess."""
    exchange = next((e for e in step.exchanges if e.index == index), None)
    if exchange is None or not _MAKES.isdisjoint(words(exchange.call.name)):
        return False
    fault = step.transcript.fault(exchange)
    return fault is not None and fault.cause in ("model", "unknown", "tool")


def _hallucinated(step: Step, index: int, leaf: Leaf, *, demanded: bool) -> Finding:
    value = str(leaf.value)
    tags = ("placeholder",) if PLACEHOLDER.fullmatch(value.strip()) else ()
    rule = "the contract says that it is provided, and " if demanded else ""
    return step.find(
        "HALLUCINATED_ARG",
        "arguments",
        call=index,
        where=leaf.where,
        level="defect" if demanded else "suspect",
        tags=(*tags, "provided") if demanded else tags,
        evidence=f"{rule}nothing that the agent saw supplied {clip(value, 120)!r}",
    )


def _from_failure(step: Step, index: int, leaf: Leaf, text: Text) -> Finding:
    said = clip(" ".join(text.raw.split()), 100)
    return step.find(
        "FAILED_VALUE_USED",
        "arguments",
        call=index,
        where=leaf.where,
        evidence=(
            f"only a failed result of {text.tool or 'a tool'} supplied "
            f"{clip(str(leaf.value), 100)!r}: {said}"
        ),
    )


def _demands(contract: Contract) -> bool:
    return bool(contract.provided)


def _judges(step: Step) -> bool:
    """True where the contract of every call names provided arguments, and the log shows all."""
    contracts = [contract_of(step.tools.get(call.name)) for call in step.calls]
    if not contracts or not all(map(_demands, contracts)) or None in step.arguments:
        return False
    return step.transcript.once(Supply).complete(step.index)


VALIDATOR = Validator(
    name="provenance",
    codes=("HALLUCINATED_ARG", "FAILED_VALUE_USED"),
    check=_check,
    judges=_judges,
)
