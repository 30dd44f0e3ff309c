"""Whether the values of a call stand where the agent could have them from.

In: the messages before a step, and a call. Out: the first value without support, or None. Where a
chosen side comes from a model that has just failed, no validator knows whether its values are
right. So each number must stand in what was said or came back before the step, each date by its
day, month and year, each id and address to the letter, and of each other text most of the words.
An option that the schema lists must have been said, or stand in the failed call already. What the
agent itself said before supports nothing, and an error nothing either: it names bounds and options.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from misstep.mine.schema_paths import options_of, schema_at, tokens
from misstep.types import Message, ToolCall, ToolSpec
from misstep.validate.error_text import read_fault
from misstep.validate.schema import compiled
from misstep.validate.spelling import Text, probe_of
from misstep.validate.strict_json import parse, walk

HALF = 0.5
"""Of the words of a text, more than this share must have been heard."""
_WORD = re.compile(r"[^\W_]+")
_ID = re.compile(r"(?=\S*\d)\S+")
_SEPARATORS = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*(?![\w])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.+Z-]*)?")
_ANY_DATE = re.compile(rf"{_DATE.pattern}|\b\d{{1,2}}([/.])\d{{1,2}}\1\d{{2,4}}\b")
_COUNTED = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The words and numbers before a step."""

    words: frozenset[str]
    numbers: frozenset[float]
    text: Text
    pictured: bool = False
    """Whether an image is among it, which may show any value."""

    def holds(self, value: Any) -> bool:
        """Whether a scalar value has support; truth values and null need none."""
        if isinstance(value, str) and ("@" in value or "://" in value):
            return value.casefold() in self.text.folded
        if isinstance(value, str) and value.isdigit():
            return value in self.words
        if isinstance(value, str) and _ID.fullmatch(value) and not _DATE.fullmatch(value):
            return _SEPARATORS.sub("", value.casefold()) in self.text.squeezed
        if isinstance(value, str):
            return self._words(value) and all(map(self._date, _DATE.findall(value)))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return float(value) in self.numbers

    def _date(self, date: str) -> bool:
        return date[:4] in self.text.raw and probe_of(date, "date")(self.text, set())

    def _words(self, text: str) -> bool:
        words = _folded(_DATE.sub(" ", text))
        if any(w[0].isdigit() and w not in self.words for w in words):
            return False
        return not words or sum(w in self.words for w in words) > HALF * len(words)


def heard(messages: Sequence[Message]) -> Heard:
    """What was said and what came back in these messages; see above for what does not count."""
    text = "\n".join(_texts(messages))
    dateless = _ANY_DATE.sub(" ", text)
    words = frozenset(_folded(dateless))
    numbers = {float(n.replace(",", "")) for n in _NUMBER.findall(dateless) if _plain(n)}
    numbers |= {float(i) for i, word in enumerate(_COUNTED) if word in words}
    parts = (part for m in messages if m.role != "assistant" for part in m.parts)
    return Heard(
        words=words,
        numbers=frozenset(numbers),
        text=Text(raw=text, at=0),
        pictured=any(part.kind == "image" for part in parts),
    )


def _plain(number: str) -> bool:
    return re.fullmatch(r"-?\d+(?:,\d{3})*(?:\.\d+)?", number) is not None


def _texts(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        if message.role != "assistant":
            yield message.text
            yield from (r.text for r in message.results if read_fault(r, r.name or "") is None)


def unsupported(call: ToolCall, tool: ToolSpec | None, known: Heard, failed: Message) -> str | None:
    """The first value of a call that nothing supports, as JSON text; None where all have it."""
    schema = compiled(tool.parameters).schema if tool is not None and tool.parameters else None
    before = [parse(c.arguments).value for c in failed.calls if c.name == call.name]
    for where, value in walk(parse(call.arguments).value):
        if isinstance(value, dict | list):
            continue
        options = options_of(schema_at(schema, where) or {})
        if value in options and isinstance(value, str):
            said = [o for o in options if isinstance(o, str) and set(_folded(o)) <= known.words]
            spoken = value in said or (not said and any(_kept(value, where, b) for b in before))
        else:
            spoken = known.holds(value)
        if not spoken:
            return f"{where} {json.dumps(value, ensure_ascii=False)}"
    return None


def _kept(value: str, where: str, before: Any) -> bool:
    """Whether the failed call has the option in the same place, perhaps misspelled."""
    for token in tokens(where):
        before = before.get(token) if isinstance(before, dict) else None
    return isinstance(before, str) and set(_folded(value)) <= set(_folded(before))


def _folded(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
