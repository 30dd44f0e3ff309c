"""Where a session or a set-aside record stands among all, whatever worker read it.

In: values with origins, and the numbers of the files. Out: `Place` values that sort by file, by
offset in it and by pointer in the record. Sessions in one place keep the order of their reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from misstep.ingest.discover import Found
from misstep.types import Origin, Session

Place = tuple[int, int, int, str]
"""Number of the file, byte offset, line, pointer with padded numbers."""
NOWHERE: Place = (1 << 62, 0, 0, "")
_NUMBER = re.compile(r"\d+")


class Places:
    """The files by the names that origins give them."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._at: Mapping[tuple[str, str | None], int] = {
            (file.name, file.member): number for number, file in reversed(list(enumerate(found)))
        }

    def of(self, origin: Origin) -> Place:
        """The place of one origin."""
        number = self._at.get((origin.file, origin.member), NOWHERE[0])
        pointer = origin.pointer
        padded = _NUMBER.sub(lambda n: n[0].zfill(9), pointer) if pointer else ""
        return number, origin.offset or 0, origin.line or 0, padded

    def of_session(self, session: Session) -> Place:
        """The place of the first message that has one."""
        for message in session.messages:
            if message.origins:
                return self.of(message.origins[0])
        return NOWHERE


def distinct(sessions: Iterable[Session]) -> tuple[Session, ...]:
    """Each conversation once, the first; what stands in the logs again raises its `copies`."""
    by_id: dict[str, Session] = {}
    for session in sessions:
        known = by_id.get(session.id)
        by_id[session.id] = (
            session if known is None else replace(known, copies=known.copies + session.copies)
        )
    return tuple(by_id.values())
