"""Whose a file of spans is, and what its records share with others.

In: the first records of a file, or one record. Out: how many of its spans bear the marks of a
convention; the keys by which records belong together: trace, conversation, and the first words of
a conversation, since some libraries give each request a trace of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from misstep.ingest.format import Peek, Record
from misstep.ingest.spans.facts import conversation_of
from misstep.ingest.spans.layouts import MAY_HOLD, is_flat, is_otlp, units
from misstep.ingest.spans.span import Attributes, Log, Span
from misstep.types import Origin

_NOWHERE = Origin(file="", format="")
_INFERENCE = ("openinference.", "llm.input_messages", "llm.output_messages", "llm.token_count")
_LLMETRY = ("traceloop.", "gen_ai.prompt.", "gen_ai.completion.", "llm.request.functions.")
_GENAI = ("gen_ai.", "ai.prompt", "ai.response", "ai.toolCall", "pydantic_ai.", "ai.operationId")
CONVENTIONS = {"openinference": _INFERENCE, "openllmetry": _LLMETRY, "otel-genai": _GENAI}


def convention_of(attributes: Attributes) -> str | None:
    """The name of the format whose keys stand among the attributes; the most telling first."""
    for name, marks in CONVENTIONS.items():
        if any(key.startswith(marks) for key in attributes):
            return name
    return None


def sure(peek: Peek, name: str) -> float:
    """How sure it is that a file holds spans of this convention more than of another.

    A file of OTLP exports or span dumps without any known key still is one of traces: 0.3 for the
    general format, so that its spans are counted as what they are.
    """
    counted: dict[str | None, int] = {}
    total = spans = 0
    for value in peek.values:
        if not (is_otlp(value) or _may_hold(value)):
            total += 1
            continue
        for unit in units(Record(value=value, origin=_NOWHERE)):
            total += 1
            if isinstance(unit, Span):
                spans += 1
                which = convention_of(unit.attributes)
                heard = any(e.name.startswith("gen_ai.") for e in unit.events)
                which = which or ("otel-genai" if heard else None)
            elif isinstance(unit, Log):
                spans += 1
                which = "otel-genai" if unit.name.startswith("gen_ai.") else None
            else:
                continue
            counted[which] = counted.get(which, 0) + 1
    if not total or spans * 2 < total:
        return 0.0
    known = sum(n for which, n in counted.items() if which is not None)
    if not known:
        return 0.3 if name == "otel-genai" else 0.0
    most = max(counted.get(each, 0) for each in CONVENTIONS)
    mine = counted.get(name, 0)
    return mine / known * spans / total if mine == most else 0.0


def _may_hold(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and is_flat(value[0])
    if not isinstance(value, dict) or MAY_HOLD.isdisjoint(value):
        return False
    lists = (value.get(key) for key in ("spans", "traces", "data"))
    held = next((listed for listed in lists if isinstance(listed, list)), None)
    if held:
        return isinstance(held[0], dict) and (
            is_flat(held[0]) or isinstance(held[0].get("spans"), list)
        )
    return is_flat(value)


def keys_of(value: Any, name: str) -> list[str]:
    """What the spans of a record share with those of other records."""
    held = units(Record(value=value, origin=_NOWHERE))
    spans = ((u.trace, u.attributes) for u in held if isinstance(u, (Span, Log)))
    return keys_in(spans, Words())


class Words:
    """The first words of conversations; texts that begin alike have the same."""

    _MOST = 32

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, text: str) -> str:
        """A hash of what the first user says in a list of messages as JSON text."""
        for head, digest in self._known.items():
            if text.startswith(head):
                return digest
        read = [0]
        digest = _digest(first_said(_leading(text, read)))
        if len(self._known) >= self._MOST:
            self._known.clear()
        if digest:
            self._known[text[: read[0]]] = digest
        return digest


def keys_in(spans: Iterable[tuple[str, Attributes]], words: Words) -> list[str]:
    """The keys of spans, each with its trace and its attributes."""
    found: dict[str, None] = {}
    for trace, attributes in spans:
        if trace:
            found[f"trace:{trace}"] = None
        conversation = conversation_of(attributes)
        if conversation:
            found[f"conversation:{conversation}"] = None
        digest = _first_words(attributes, words)
        if digest:
            found[f"words:{digest}"] = None
    return list(found)


def _digest(words: str) -> str:
    if not words:
        return ""
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _first_words(attributes: Attributes, words: Words) -> str:
    """What the first user said, hashed, in whichever convention; empty where it is not plain."""
    for key in ("gen_ai.input.messages", "ai.prompt.messages", "llm.input_messages"):
        value = attributes.get(key)
        if isinstance(value, str) and value[:1] == "[":
            return words.of(value)
    for text, role in (
        ("gen_ai.prompt.{}.content", "gen_ai.prompt.{}.role"),
        ("llm.input_messages.{}.message.content", "llm.input_messages.{}.message.role"),
    ):
        for number in (0, 1, 2):
            if attributes.get(role.format(number)) == "user":
                said = attributes.get(text.format(number))
                return _digest(said) if isinstance(said, str) else ""
    value = attributes.get("llm.input_messages")
    return _digest(first_said(iter(value))) if isinstance(value, list) else ""


_DECODER = json.JSONDecoder()


def _leading(text: str, read: list[int]) -> Iterator[Any]:
    """The first elements of a list as JSON text, one at a time; `read` tells up to where."""
    at = 1
    for _ in range(3):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        read[0] = at
        yield value
        while text[at : at + 1] in (",", " ", "\n"):
            at += 1


def first_said(rows: Iterator[Any]) -> str:
    """What the first user of a conversation said, as text; empty where none is near its start."""
    for _, row in zip(range(3), rows, strict=False):
        inner = row.get("message", row) if isinstance(row, dict) else None
        if isinstance(inner, dict) and inner.get("role", inner.get("message.role")) == "user":
            said = [inner.get(k) for k in ("parts", "content", "contents", "message.content")]
            return json.dumps(next((s for s in said if s), ""), sort_keys=True, default=str)
    return ""
