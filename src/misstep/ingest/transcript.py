"""Links the lines of transcripts to conversations.

In: `Entry` values in the order of reading, each with its uuid and that of the line before it, and
the uuids of lines that only stand between. Out: sessions. Lines of one answer become one message;
the results of its calls become one `tool` message after it, whatever came between. A stretch that
another file repeats is counted once. A second message after the same line is a fork. A line whose
predecessor is lost, or that never names one, continues its file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from misstep.ingest.identity import message_key
from misstep.ingest.tree import Node, Sessions, plant, prune
from misstep.types import Message, Part, Session, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line that holds a message; a user's line may hold results and text, hence several."""

    messages: tuple[Message, ...]
    uuid: str | None
    up: str | None
    answer: str | None
    """Id of the answer that an assistant's line belongs to."""
    session: str
    side: bool
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The conversations, and what became of the lines."""

    sessions: tuple[Session, ...]
    used: int
    unanswered: int
    """Lines on branches that nobody answered, beside one that was answered."""


@dataclass(frozen=True, slots=True)
class _Passage:
    up: str | None
    starts: str | None
    """Where the conversation before a compaction ended."""


Strand = tuple[str, str, bool]
"""File, session, and whether it is a sub-agent's: what a line continues when it names no other."""


class Linker:
    """Collects lines, then links them."""

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._entries: list[Entry] = []
        self._passages: dict[str, _Passage] = {}
        self._place: dict[str, Node] = {}
        self._keys: dict[tuple[int, bytes], Node] = {}
        self._answers: dict[str, Node] = {}
        self._calls: dict[str, Node] = {}
        """Call id to the answer that makes the call."""
        self._tails: dict[Strand, Node] = {}
        self._linked: set[Strand] = set()
        """Strands in which some line names its predecessor."""
        self._mains: dict[str, Node] = {}
        """Session to the first root of its main conversation."""
        self._roots: list[Node] = []

    def take(self, entry: Entry) -> None:
        """One line that holds a message."""
        self._entries.append(entry)

    def pass_through(self, uuid: str, up: str | None, *, starts: str | None = None) -> None:
        """A line that holds no message but may be named as a predecessor."""
        self._passages.setdefault(uuid, _Passage(up, starts))

    def link(self) -> Linked:
        """All conversations."""
        waiting = self._entries
        known = {entry.uuid for entry in waiting if entry.uuid is not None}
        while waiting:
            later = [entry for entry in waiting if not self._ready(entry, known)]
            ready = waiting if len(later) == len(waiting) else None
            for entry in ready or [e for e in waiting if self._ready(e, known)]:
                self._put(entry)
            waiting = [] if ready else later
        for root in self._roots:
            if root.start is None and root.message.actor == "sub-agent":
                root.start = self._mains.get(root.family)
        total = len(self._entries)
        unanswered = prune(self._roots)
        grown = Sessions(self._format)
        for root in self._roots:
            grown.add(root)
        return Linked(sessions=grown.made(), used=total - unanswered, unanswered=unanswered)
