"""Reading logs: any folder of agent logs to `Session` values, every record accounted for.

In: paths. Out: `Ingested`, with sessions, what was set aside, and the counts. A new format is one
file and one line in `FORMATS`. Logs are untrusted: nothing in them is run, fetched or trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from misstep.config import IngestConfig
from misstep.ingest import read
from misstep.ingest.format import Format
from misstep.ingest.formats import (
    anthropic_messages,
    chat_rows,
    claude_code,
    openai_chat,
    tau_bench,
)
from misstep.ingest.read import Counts, FormatCount, Ingested
from misstep.ingest.recognise import Wrapper
from misstep.ingest.tools import read_tools

__all__ = [
    "FORMATS",
    "WRAPPERS",
    "Counts",
    "Format",
    "FormatCount",
    "Ingested",
    "ingest",
    "read_tools",
]

FORMATS: tuple[Format, ...] = (
    openai_chat.FORMAT,
    anthropic_messages.FORMAT,
    claude_code.FORMAT,
    tau_bench.FORMAT,
    chat_rows.FORMAT,
)

WRAPPERS: tuple[Wrapper, ...] = ()
"""Recordings whose entries are records of the formats of one kin."""


def ingest(
    paths: Sequence[Path],
    *,
    config: IngestConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ingested:
    """Read all logs under `paths`, files and folders alike.

    Args:
        progress: called with the bytes read so far and the bytes in all, as they are on disk.

    Raises:
        InputError: a path does not exist, or `config.tools` cannot be used.
        UnknownName: `config.format` is no format.
    """
    config = config or IngestConfig()
    return read.ingest(paths, formats=FORMATS, wrappers=WRAPPERS, config=config, progress=progress)
