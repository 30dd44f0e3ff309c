"""Which files are left out of a run: `--exclude` patterns and `.misstepignore` files.

In: a file's path below the folder that the user gave. Out: whether it is left out. A pattern is a
shell pattern (`*` also crosses folders); it is held against the path and against the name alone, a
pattern that ends in a slash against each folder on the way. A pattern behind a `!` takes files back
in; the last one that fits decides. Left-out files are counted, not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from misstep.ingest.source import Source

IGNORE_FILE = ".misstepignore"


def patterns_of(file: Source) -> tuple[str, ...]:
    """The patterns in a folder's own `.misstepignore`; `#` starts a comment line."""
    try:
        with file.open() as raw:
            text = raw.read().decode("utf-8", errors="replace")
    except OSError:
        return ()
    rows = (row.strip() for row in text.splitlines())
    return (IGNORE_FILE, *(row for row in rows if row and not row.startswith("#")))


def leaves_out(folder: Path, path: str, patterns: Sequence[str]) -> bool:
    """Whether a file is left out of a given folder, by its path below it."""
    own = patterns_of(Source(folder / IGNORE_FILE))
    return excluded(path, [*patterns, *own])


def excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file, by its path with slashes, is left out."""
    out = False
    for pattern in patterns:
        back = pattern.startswith("!")
        if _fits(path, pattern.removeprefix("!")):
            out = not back
    return out


def _fits(path: str, pattern: str) -> bool:
    *folders, name = path.split("/")
    if not pattern.endswith("/"):
        return fnmatchcase(path, pattern) or fnmatchcase(name, pattern)
    bare = pattern[:-1]
    heads = ("/".join(folders[: i + 1]) for i in range(len(folders)))
    return bare in folders or any(fnmatchcase(head, bare) for head in heads)
