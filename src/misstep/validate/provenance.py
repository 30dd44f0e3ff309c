"""Values that nothing supplied, and values that only a failed result supplied.

In: a step's calls with everything that stands before them. Out: HALLUCINATED_ARG for a value that
looks as if somebody must have supplied it (`values`) where nothing did (`supply`): suspect, once
for each value; a defect where the tool's contract says that the value must be provided. A path is
only reported once the tool could not find it. FAILED_VALUE_USED (suspect) where nothing but the
failed result of another tool supplied it. Where the log does not hold all that the agent saw
(images, calls without results, hosted tools, no first message), nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from misstep.contracts import EMPTY, Contract
from misstep.redact import clip
from misstep.types import Finding
from misstep.validate.spelling import Text
from misstep.validate.supply import Supply
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.validator import Step, Validator
from misstep.validate.values import (
    PLACEHOLDER,
    Kind,
    Leaf,
    kind_of,
    leaves,
    may_hold,
    word_set,
    words,
)

_MAKES = word_set("create write save add new put touch mkdir edit append copy move")


Asked = Sequence[tuple[Leaf, Kind | None, bool]]
"""Values of a call, each with its kind, and whether the contract demands that it was supplied;
empty where there are some of which nothing may be said."""


def _scan(transcript: Transcript) -> frozenset[int]:
    """The steps with such values, or with a tool whose contract speaks of them."""
    found = transcript.once(_asked)
    return frozenset(e.step for e in transcript.every if id(e) in found or e.contract.provided)


def _asked(transcript: Transcript) -> dict[int, Asked]:
    """By the id of each exchange, what it holds that somebody must have supplied."""
    found = ((exchange, _values(exchange)) for exchange in transcript.every)
    return {id(exchange): asked for exchange, asked in found if asked is not None}


def _values(exchange: Exchange) -> Asked | None:
    call, contract = exchange.call, exchange.contract
    value = exchange.parsed.value if call.syntax == "json" else None
    if not value or (contract is EMPTY and not may_hold(value, call.name)):
        return None
    values: list[tuple[Leaf, Kind | None, bool]] = []
    wanted = False
    for leaf in leaves(value):
        demanded, own = leaf.name in contract.provided, leaf.name in contract.generated
        kind = None if own else kind_of(leaf, call.name)
        wanted = wanted or demanded or kind is not None
        if own or leaf.value is None or isinstance(leaf.value, bool):
            continue
        if (demanded and str(leaf.value).strip()) or kind is not None:
            values.append((leaf, kind, demanded))
    return values if wanted else None


def _check(step: Step) -> Iterator[Finding]:
    for exchange, parsed in zip(step.exchanges, step.arguments, strict=True):
        if parsed is not None and parsed.ok and isinstance(parsed.value, dict):
            asked = step.transcript.once(_asked).get(id(exchange), ())
            for leaf, kind, demanded in asked:
                yield from _value(step, exchange.index, leaf, kind=kind, demanded=demanded)


def unseen(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether a call holds values to look for, but the log not all that the agent saw."""
    holds = id(exchange) in transcript.once(_asked)
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
    shown = clip(value, 120, name=leaf.name)
    return step.find(
        "HALLUCINATED_ARG",
        "arguments",
        call=index,
        where=leaf.where,
        level="defect" if demanded else "suspect",
        tags=(*tags, "provided") if demanded else tags,
        evidence=f"{rule}nothing that the agent saw supplied {shown!r}",
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
            f"{clip(str(leaf.value), 100, name=leaf.name)!r}: {said}"
        ),
    )


def _demands(contract: Contract) -> bool:
    return bool(contract.provided)


def _judges(step: Step) -> bool:
    """True where the contract of every call names provided arguments, and the log shows all."""
    contracts = [step.offer.contract(call.name) for call in step.calls]
    if not contracts or not all(map(_demands, contracts)) or None in step.arguments:
        return False
    return step.transcript.once(Supply).complete(step.index)


VALIDATOR = Validator(
    name="provenance",
    codes=("HALLUCINATED_ARG", "FAILED_VALUE_USED"),
    check=_check,
    judges=_judges,
    scan=_scan,
)
