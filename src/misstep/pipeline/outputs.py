"""What is written never takes the place of a log, and never stands where it would be read as one.

In: a place to write to, and the paths of the logs. Out: nothing, or an error that says what to do.
Paths are compared as they are on the disk, so neither a link nor another spelling leads around it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from misstep import ingest
from misstep.errors import SetupError

_MAGIC = re.compile(r"[*?\[]")


def refuse_outputs(
    paths: Sequence[Path], outputs: Mapping[str, Path | None], exclude: Sequence[str] = ()
) -> None:
    """Keep all files that a command is to write out of the logs; by the options that name them.

    Args:
        exclude: what is not read of the logs, besides that which a folder's `.misstepignore` names;
            it may be written.

    Raises:
        SetupError: one of them is a log, or lies inside the logs.
    """
    for option, place in outputs.items():
        if place is not None and ingest.url_of(place) is None:
            refuse_inside(place, paths, option, exclude=exclude)


def refuse_inside(
    place: Path, paths: Sequence[Path], option: str, *, exclude: Sequence[str] | None = None
) -> None:
    """Keep what misstep writes out of the logs that it reads.

    Args:
        exclude: as above; without it all that lies inside the logs is refused.

    Raises:
        SetupError: `place` is, or lies in, one of `paths`.
    """
    targets = {place.resolve(), place.parent.resolve() / place.name}
    for path in paths:
        if _is_read(place, path):
            raise SetupError(
                f"{place}: is one of the logs ({ingest.printed(path)}) and would be overwritten; "
                f"choose another place with {option}"
            )
        inside = [target for target in targets if covers(path, target)]
        if exclude is not None:
            inside = [target for target in inside if not _left_out(path, target, exclude)]
        if inside:
            raise SetupError(
                f"{place}: lies inside the logs ({ingest.printed(path)}), so it would be read as a "
                f"log, or take a log's place; choose another place with {option}"
            )


def covers(path: Path, target: Path) -> bool:
    """Whether a path, a folder or a pattern stands for `target` or for a folder above it."""
    if path.exists():
        return target.is_relative_to(path.resolve())
    fixed, rest = _parted(path)
    if not rest or not target.is_relative_to(fixed.resolve()):
        return False
    if "**" in rest:
        return True
    below = target.relative_to(fixed.resolve()).parts[: len(rest)]
    return len(below) == len(rest) and Path(*below).match(str(Path(*rest)))


def _parted(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder that a pattern begins in, and the parts behind it; no parts where it is none."""
    at = next((n for n, part in enumerate(path.parts) if _MAGIC.search(part)), None)
    return (path, ()) if at is None else (Path(*path.parts[:at]), path.parts[at:])


def _is_read(place: Path, path: Path) -> bool:
    """Whether `place` is a file that a path gives itself, or a hard link of one below it."""
    try:
        here = place.stat()
        given = path.is_file() and os.path.samestat(here, path.stat())
    except OSError:
        return False
    if given or here.st_nlink < 2 or not place.is_file():
        return given
    for file in _files(path):
        with suppress(OSError):
            if os.path.samestat(here, file.lstat()):
                return True
    return False


def _files(path: Path) -> Iterator[Path]:
    """All that a folder or a pattern stands for."""
    folders = [path]
    if not path.exists():
        fixed, rest = _parted(path)
        folders = list(fixed.glob(str(Path(*rest)))) if rest else []
    for each in folders:
        yield each
        if each.is_dir():
            yield from each.rglob("*")


def _left_out(path: Path, target: Path, exclude: Sequence[str]) -> bool:
    """Whether a scan of a folder or of a pattern does not read `target`."""
    root = path if path.exists() else _parted(path)[0]
    if not root.is_dir():
        return False
    below = target.relative_to(root.resolve()).as_posix()
    return ingest.leaves_out(root, below, exclude)
