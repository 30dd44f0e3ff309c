"""Where the logs of a scan lie, as paths that others can follow.

In: what was scanned. Out: from the name of a log, as findings have it, to its path below the
working folder, or to the name itself where there is no such file (a log inside an archive, a URL).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from misstep import ingest


def paths_below(logs: Sequence[Path | str]) -> Callable[[str], str]:
    """How a name leads to a path, with forward slashes."""
    roots = [Path(each) for each in logs if "://" not in str(each)]
    here = Path.cwd()

    @cache
    def where(name: str) -> str:
        for root in roots:
            for path in (root / name, root.parent / name, root if root.name == name else None):
                if path is not None and _is_file(path):
                    return _below(path.resolve(), here)
        return name.replace(os.sep, "/")

    return where


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for a path, or with a NUL
        return False


def _below(path: Path, here: Path) -> str:
    below = path.relative_to(here) if path.is_relative_to(here) else path
    return ingest.spelled(below.as_posix())
