"""Histories that every span repeats: each distinct message is worked through once.

In: the rows of one request, as JSON text, as a list, or as groups of flat keys. Out: messages with
their keys. Rows that were read before are known by their bytes; where the text of a request begins
with the text of an earlier one of its conversation, only the rest is decoded.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import orjson

from misstep.ingest.format import Misfit
from misstep.ingest.identity import message_key
from misstep.ingest.messages import kind_of
from misstep.ingest.spans.rows import messages_of
from misstep.types import Message

Keyed = tuple[Message, bytes]
"""A message without its place, and its `message_key`."""

Shape = Callable[[Any], Any]

_REMEMBERED = 128
"""Conversations whose last history is kept as text."""


def keyed(messages: list[Message]) -> list[Keyed]:
    """Messages with their keys."""
    return [(message, message_key(message)) for message in messages]


class Histories:
    """Reads the histories of one run."""

    def __init__(self) -> None:
        self._rows: dict[bytes, list[Keyed]] = {}
        self._groups: dict[Hashable, list[Keyed]] = {}
        self._last: OrderedDict[str, tuple[str, list[Keyed]]] = OrderedDict()

    def listed(
        self, rows: Any, pointer: str, *, role: str = "user", shape: Shape | None = None
    ) -> list[Keyed]:
        """Rows as a list, or one row.

        Args:
            role: for a row that says none.
            shape: what makes a row of this convention one that `messages_of` reads.

        Raises:
            Misfit: a row is no message.
        """
        if isinstance(rows, dict):
            rows = [rows]
        if not isinstance(rows, list):
            raise Misfit(pointer, f"expected a list of messages, got {kind_of(rows)}")
        found: list[Keyed] = []
        for index, row in enumerate(rows):
            found.extend(self._row(row, f"{pointer}/{index}", role, shape))
        return found

    def _row(self, row: Any, pointer: str, role: str, shape: Shape | None) -> list[Keyed]:
        try:
            text = orjson.dumps(row)
        except TypeError:
            raise Misfit(pointer, "a message nested too deep") from None
        digest = hashlib.blake2b(text, digest_size=16, key=role.encode()).digest()
        known = self._rows.get(digest)
        if known is None:
            shaped = row if shape is None else shape(row)
            known = self._rows[digest] = keyed(messages_of(shaped, pointer, role=role))
        return known

    def text(self, text: str, pointer: str, *, conversation: str) -> list[Keyed]:
        """Rows as JSON text, in a conversation whose earlier requests this one may repeat.

        Raises:
            Misfit: it is no JSON list of messages.
        """
        before, known = self._last.get(conversation, ("", []))
        body = before[:-1]
        if before and text.startswith(body) and text[len(body) : len(body) + 1] in (",", "]"):
            rest = text[len(body) :]
            found = known if rest == "]" else known + self._decoded("[" + rest[1:], pointer)
        else:
            found = self._decoded(text, pointer)
        if text.endswith("]") and len(text) > 2:
            self._last[conversation] = (text, found)
            self._last.move_to_end(conversation)
            if len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        return found

    def _decoded(self, text: str, pointer: str) -> list[Keyed]:
        try:
            rows = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Misfit(pointer, f"messages as text, but not JSON: {error}") from None
        return self.listed(rows, pointer)

    def remembered(self, key: Hashable, make: Callable[[], list[Message]]) -> list[Keyed]:
        """The messages of a row that is known by a key of its own, made once.

        Raises:
            Misfit: from `make`.
        """
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = keyed(make())
        return known
