"""aider's `.aider.chat.history.md`: Markdown that grows by one run of the program after the other.

A run starts with `# aider chat started at`; `#### ` lines are the user's, `> ` lines the program's,
the rest is the answer. Each run is a session. Kept: what was said, the model, tokens (rounded as
aider shows them), the run's start (its clock is read as UTC), failed requests, token limits, and
that an answer did not conform to the edit format, which is that answer's fault; the program's words
after it are what the model was told. There are no tool calls: edits are text. The files in the chat
and the system prompt are not in the log. A quoted line in an answer may pass for the program's.
"""

from __future__ import annotations

from collections.abc import Sequence

from misstep.ingest.build import linear
from misstep.ingest.coding.aider_run import Block, Line, blocks, messages_of
from misstep.ingest.format import Format, Peek, Record, Tally
from misstep.ingest.messages import kind_of, place
from misstep.types import Session

NAME = "aider"
START = "# aider chat started at "


class _Reader:
    """Reads histories run by run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._lines: list[Line] | None = None
        self._sessions: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one line."""
        text = record.value
        if not isinstance(text, str):
            said = f"expected a line of text, got {kind_of(text)}"
            self._tally.aside(record.at(place(record, "")), "unknown-record", said)
            return
        if text.startswith(START):
            self._end()
            self._lines = []
        if self._lines is not None:
            self._lines.append(Line(text, record.origin))
        elif text.strip():
            self._tally.aside(record.origin, "unknown-record", "text before the first run")
        else:
            self._tally.ignore("blank")

    def close_file(self) -> None:
        """The last run ends with its file."""
        self._end()

    def _end(self) -> None:
        lines, self._lines = self._lines, None
        if lines is None:
            return
        found: list[Block] = blocks(lines)
        messages = messages_of(found, lines[0].text.removeprefix(START))
        answered = any(message.role == "assistant" for message in messages)
        for block in found:
            if block.kind in ("user", "answer", "told") and answered:
                self._tally.use(block.size)
            else:
                self._tally.ignore(block.kind if answered else "unanswered-run", block.size)
        if answered:
            self._sessions.append(linear(NAME, messages))

    def finish(self) -> Sequence[Session]:
        """All runs in which the model answered."""
        self._end()
        return tuple(self._sessions)


def sniff(peek: Peek) -> float:
    """The line that starts a run."""
    if peek.kind != "text":
        return 0.0
    found = any(isinstance(v, str) and v.startswith(START) for v in peek.values)
    return 1.0 if found else 0.0


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="aider's chat history; text only, with the answers that it could not apply",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    kinds=("text",),
)
