"""Chosen sides that a careful person would sign: nothing new in them that the prompt does not hold.

In: pairs with the answers to their prompts. Out: the pairs whose chosen side, put against its
rejected side, adds no value that the prompt does not support and gives up no argument that it does;
where a prompt has several clean answers, the one that agrees most with the others. What both sides
have wrong alike is nobody's business here: it cancels in a preference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parts.lab_model import Answered
from parts.lab_questions import Question, failures, place

from misstep.mine.source import canonical, distance, keeps_tools
from misstep.train import Row
from misstep.types import Message

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
Leaves = dict[tuple[str, str], Any]
"""Scalar values by tool and place."""


def agreeing(rows: Sequence[Row], given: Sequence[Answered]) -> list[Row]:
    """The rows, each chosen side being the clean answer that agrees most with the other ones."""
    clean = _clean(given)
    out = []
    for row in rows:
        among = [row.chosen, *_alike(row, clean[_text(row)][1])]
        best = max(among, key=lambda a: (agreement(a, among[1:]), canonical(a)))
        out.append(_with(row, best))
    return out


def signed(rows: Sequence[Row], given: Sequence[Answered]) -> list[Row]:
    """The rows that can be signed, with the best chosen side each."""
    clean = _clean(given)
    out = []
    for row in rows:
        question, answers = clean[_text(row)]
        found = dict(_signable(row, question, _alike(row, answers)))
        if found:
            out.append(_with(row, found[min(found)]))
    return out


def _signable(
    row: Row, question: Question, among: Sequence[Message]
) -> Iterator[tuple[tuple[float, float, str], Message]]:
    """Chosen sides that may stand against the row's rejected one, by rank."""
    rejected = row.rejected
    if rejected is None:
        return
    for answer in among:
        if not added(question, answer, rejected) and not given_up(question, answer, rejected):
            rank = (-agreement(answer, among), distance(answer, rejected), canonical(answer))
            yield rank, answer


def _clean(given: Sequence[Answered]) -> dict[str, tuple[Question, list[Message]]]:
    out = {}
    for question, some in given:
        clean = [answer for answer in some if not failures(question, answer)]
        out[question.messages[-1].text] = (question, clean)
    return out


def _text(row: Row) -> str:
    return row.prompt[-1].text


def _alike(row: Row, clean: Iterable[Message]) -> list[Message]:
    offered = {tool.name for tool in row.context.tools}
    if row.rejected is None:
        return list(clean)
    return [answer for answer in clean if keeps_tools(answer, row.rejected, offered)]


def _with(row: Row, chosen: Message) -> Row:
    name = f"{row.id}-{place(canonical(chosen))}"
    return replace(row, id=name, chosen=replace(row.chosen, parts=chosen.parts))


# --- what an answer adds, and what it gives up -------------------------------------------------


def added(question: Question, chosen: Message, rejected: Message) -> list[str]:
    """Places whose value neither the prompt nor the rejected side supports."""
    old = leaves(rejected)
    said = set(_words(_asked(question)))
    out = []
    for at, value in leaves(chosen).items():
        same = at in old and _plain(old[at]) == _plain(value)
        default = _property(question, *at).get("default")
        if not same and value != default and not supported(value, said, _asked(question)):
            out.append(at[1])
    return out


def given_up(question: Question, chosen: Message, rejected: Message) -> list[str]:
    """Declared arguments that the rejected side gave with support and the chosen side lacks."""
    said, asked = set(_words(_asked(question))), _asked(question)
    there = {(tool, _first(where)) for tool, where in leaves(chosen)}
    tools = {tool for tool, _ in there}
    out = []
    for (tool, where), value in leaves(rejected).items():
        at = (tool, _first(where))
        declared = bool(_property(question, *at))
        if tool in tools and declared and at not in there and supported(value, said, asked):
            out.append(where)
    return out


def supported(value: Any, said: set[str], asked: str) -> bool:
    """Whether the prompt holds a value: a number as such, of a text more than half the words.

    A truth value is nowhere to be found: it has no support.
    """
    if value is None or isinstance(value, bool):
        return value is None
    if isinstance(value, int | float):
        return float(value) in {float(n.replace(",", "")) for n in _NUMBER.findall(asked)}
    words = _words(str(value))
    if any(word[0].isdigit() and word not in said for word in words):
        return False
    return not words or 2 * sum(word in said for word in words) > len(words)


def agreement(answer: Message, others: Sequence[Message]) -> float:
    """Mean over the others of the arguments in common, as a share of those in either."""
    mine = _pieces(answer)
    shares = (len(mine & _pieces(other)) / len(mine | _pieces(other)) for other in others)
    return sum(shares) / max(len(others), 1)


def _pieces(answer: Message) -> frozenset[tuple[str, str, str]]:
    tools = {(call.name, "", "") for call in answer.calls}  # so that none is empty
    return frozenset(tools | {(*at, _plain(v)) for at, v in leaves(answer).items()})


def leaves(answer: Message) -> Leaves:
    """Scalar values of every call whose arguments can be read."""
    out: Leaves = {}
    for call in answer.calls:
        try:
            value = json.loads(call.arguments)
        except ValueError:
            continue
        out |= {(call.name, where): leaf for where, leaf in _walk(value, "")}
    return out


def _walk(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, f"{where}/{key}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _walk(inner, f"{where}/{at}")
    else:
        yield where, value


def _property(question: Question, tool: str, where: str) -> dict[str, Any]:
    text = next((t.parameters for t in question.tools if t.name == tool), None) or "{}"
    found = json.loads(text).get("properties", {}).get(_first(where).lstrip("/"), {})
    return dict(found)


def _first(where: str) -> str:
    return "/" + where.split("/")[1] if "/" in where else where


def _plain(value: Any) -> str:
    """A value without the spelling of its type: `true` and "True" are alike, 3 and 3.0 as well."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).casefold()


def _asked(question: Question) -> str:
    return "\n".join(message.text for message in question.messages)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
