"""Calls made again: an effect twice, a look that could show nothing new, an effect left open.

In: a step's calls with the session's exchanges. Out: DUP_SIDE_EFFECT (suspect) where a call that
changes the world is repeated, arguments and all, after it had succeeded; REDUNDANT_CALL (info)
where a look is repeated in one turn, with the same result and only looks between;
UNRESOLVED_EFFECT (info) where a declared side effect has no result, or failed for good.

Whether a tool changes the world is what its contract says. Without one a short list of verbs at the
head of its name decides (tag `by_name`): those of which a repeat adds something (send, pay, book),
never those of which a repeat changes nothing (update, set, delete). A repeat that a human may have
asked for since, or that undoing calls stand between, is not held against the agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from misstep.contracts import Contract
from misstep.redact import clip
from misstep.types import Finding
from misstep.validate.agent_loop import SUSPECT, call_key
from misstep.validate.error_text import quoted
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.validator import Step, Validator
from misstep.validate.values import verb_words, word_set

ADDS = word_set(
    "send pay charge refund transfer purchase buy book reserve submit create post publish invite "
    "schedule withdraw deposit reply add insert place issue"
)
"""Verbs at the head of a tool's name by which a second call does a thing twice."""
READS = word_set(
    "get list read search find view show check query fetch lookup look describe count glob grep "
    "ls cat think calculate status browse inspect retrieve validate verify preview estimate"
)
"""Words in a tool's name by which it only looks."""
_UNDOES = word_set("cancel delete remove revert undo reset clear drop refund withdraw")
_POLLS = word_set("poll wait status scroll sleep monitor tail progress refresh output")


def changes(name: str, contract: Contract) -> bool | None:
    """Whether a call of this tool changes the world; None where neither contract nor name says."""
    return _by_name(name) if contract.side_effecting is None else contract.side_effecting


@lru_cache(maxsize=4096)
def _by_name(name: str) -> bool | None:
    words = verb_words(name)
    if words and not READS.isdisjoint(words[:1]):
        return False
    if words and words[0] in ADDS and READS.isdisjoint(words):
        return True
    return None


def _scan(transcript: Transcript) -> frozenset[int]:
    """The steps with a call that changes the world, or that is redundant."""
    changing = transcript.once(_changing)
    return frozenset(e.step for e in changing).union(transcript.once(_redundant))


def _changing(transcript: Transcript) -> list[Exchange]:
    return [e for e in transcript.every if changes(e.call.name, e.contract)]


def _check(step: Step) -> Iterator[Finding]:
    for exchange in step.exchanges:
        if changes(exchange.call.name, exchange.contract):
            yield from _twice(step, exchange, exchange.contract)
            yield from _open(step, exchange, exchange.contract)
    for exchange, before in step.transcript.once(_redundant).get(step.index, ()):
        yield step.find(
            "REDUNDANT_CALL",
            "transcript",
            call=exchange.index,
            evidence=f"the same call at step {before} had the same result, and nothing that could "
            f"change it came between: {_spelled(exchange)}",
        )


def _spelled(exchange: Exchange) -> str:
    name, arguments = call_key(exchange)
    return f"{name}({clip(arguments, 140)})"


def _twice(step: Step, exchange: Exchange, contract: Contract) -> Iterator[Finding]:
    if contract.idempotent or contract.polling:
        return
    by_name = contract.side_effecting is None
    key = call_key(exchange)
    if by_name and key[1] in ("{}", ""):
        return
    first = _success_before(step.transcript, exchange, key)
    if first is None or _undone(step.transcript, first, exchange):
        return
    asked = first.turn != exchange.turn
    yield step.find(
        "DUP_SIDE_EFFECT",
        "transcript",
        call=exchange.index,
        level="info" if asked else "suspect",
        tags=("by_name",) * by_name + ("asked_again",) * asked,
        evidence=f"step {first.step} had done it already: {_spelled(exchange)}",
    )


def _success_before(
    transcript: Transcript, exchange: Exchange, key: tuple[str, str]
) -> Exchange | None:
    """The latest equal call of an earlier step, if its result was no failure."""
    for earlier in reversed(transcript.once(_effects).get(key, [])):
        if earlier.step < exchange.step:
            done = earlier.result is not None and transcript.fault(earlier) is None
            return earlier if done else None
    return None


def _effects(transcript: Transcript) -> dict[tuple[str, str], list[Exchange]]:
    found: dict[tuple[str, str], list[Exchange]] = {}
    for exchange in transcript.once(_changing):
        found.setdefault(call_key(exchange), []).append(exchange)
    return found


def _undoing(transcript: Transcript) -> list[Exchange]:
    return [
        exchange
        for exchange in transcript.every
        if not _UNDOES.isdisjoint(verb_words(exchange.call.name)[:1])
        and transcript.fault(exchange) is None
    ]


def _undone(transcript: Transcript, first: Exchange, again: Exchange) -> bool:
    key = call_key(again)
    return any(
        first.step < undo.step < again.step and call_key(undo) != key
        for undo in transcript.once(_undoing)
    )


def _open(step: Step, exchange: Exchange, contract: Contract) -> Iterator[Finding]:
    """A declared effect of which nobody ever learned whether it took place."""
    if contract.side_effecting is None or step.index == len(step.session.messages) - 1:
        return
    fault = step.transcript.fault(exchange)
    if exchange.result is not None and fault is None:
        return
    if fault is not None and exchange is not step.transcript.once(_last).get(exchange.call.name):
        return
    failed = f"it failed for good: {quoted(exchange.result)}"
    said = "no result was recorded" if fault is None else failed
    yield step.find(
        "UNRESOLVED_EFFECT",
        "transcript",
        call=exchange.index,
        tags=("no_result",) if fault is None else ("failed",),
        cause="unknown",
        evidence=f"{_spelled(exchange)}: {said}",
    )


def _last(transcript: Transcript) -> dict[str, Exchange]:
    """The last call of each tool."""
    return {e.call.name: e for e in transcript.every}


def _redundant(transcript: Transcript) -> dict[int, list[tuple[Exchange, int]]]:
    every = transcript.every
    alike: dict[tuple[str, str], list[int]] = {}
    for at, exchange in enumerate(every):
        if exchange.result is not None:
            alike.setdefault((exchange.call.name, exchange.result.text), []).append(at)
    places: dict[tuple[tuple[str, str], str, int], list[int]] = {}
    for (_, result), group in alike.items():
        for at in group if len(group) > 1 else ():
            if _may_look(transcript, every[at]):
                places.setdefault((call_key(every[at]), result, every[at].turn), []).append(at)
    if not places:
        return {}
    moved = [0]  # how many calls before each were not known to change nothing
    for exchange in every:
        moved.append(moved[-1] + (changes(exchange.call.name, exchange.contract) is not False))
    found: dict[int, list[tuple[Exchange, int]]] = {}
    for same in places.values():
        for a, b in pairwise(same) if len(same) < SUSPECT else ():
            first, again = every[a], every[b]
            if moved[b] == moved[a + 1] and first.step < again.step:
                found.setdefault(again.step, []).append((again, first.step))
    return found


def _may_look(transcript: Transcript, exchange: Exchange) -> bool:
    contract = exchange.contract
    if contract.polling or changes(exchange.call.name, contract) is not False:
        return False
    waits = not _POLLS.isdisjoint(verb_words(exchange.call.name))
    return not waits and transcript.fault(exchange) is None


VALIDATOR = Validator(
    name="effects",
    codes=("DUP_SIDE_EFFECT", "REDUNDANT_CALL", "UNRESOLVED_EFFECT"),
    check=_check,
    scan=_scan,
)
