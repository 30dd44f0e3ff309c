"""Files that stand beside the gold: images and PDFs, found by name and never outside the folder.

In: a folder and a name that a row gives, or the path of a gold file. Out: bytes, or a `Misfit` with
the reason. A name that leads out of the folder, also by a link, is refused, and so is a file that
the user left out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

from misstep.ingest.exclude import excluded
from misstep.ingest.format import Misfit
from misstep.ingest.images import current

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".jp2")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""The names under which the Hugging Face `imagefolder` looks for its rows."""
_GOLD = (".json", ".jsonl")
_OUT = "left out by --exclude or a .misstepignore file"
_UP = 4
"""Folders above an image, its own counted, in which its metadata is looked for."""


def standing(file: Path) -> str | None:
    """What an image or a PDF is in its folder: `page` where gold tells of it, `no-gold` where
    nothing does; None for any other file."""
    suffix = file.suffix.lower()
    if suffix not in (*IMAGES, ".pdf"):
        return None
    if suffix == ".pdf":
        told = any(file.with_suffix(end).is_file() for end in _GOLD)
        return "page" if told else "no-gold"
    if file.with_suffix(".json").is_file():
        return "page"
    try:
        above = [(folder, folder.stat().st_mtime_ns) for folder in list(file.parents)[:_UP]]
        return "page" if any(_tells(*folder) for folder in above) else "no-gold"
    except OSError:
        return "no-gold"


@lru_cache(maxsize=4096)
def _tells(folder: Path, changed: int) -> bool:
    """Whether a folder holds metadata, or a table, that may name the images below it."""
    if any((folder / name).is_file() for name in METADATA):
        return True
    return any(entry.suffix in (".parquet", ".arrow") for entry in folder.iterdir())


def image_beside(gold: Path) -> Path | None:
    """The image of the same name as a gold file; None where there is none."""
    for end in IMAGES:
        for spelled in (end, end.upper()):
            path = gold.with_suffix(spelled)
            if path.is_file() and not path.is_symlink():
                return path
    return None


def below(name: str) -> PurePosixPath:
    """The path that a row spells, with either slash."""
    return PurePosixPath(name.replace("\\", "/"))


class _Found(Protocol):
    """What the walk over folders says of a file (`discover.Found`)."""

    @property
    def path(self) -> Path: ...
    @property
    def left_out(self) -> bool: ...


class Listing:
    """Which images and PDFs the user left out, among the files that were found."""

    def __init__(self, found: Sequence[_Found], exclude: Sequence[str]) -> None:
        self.found = found
        self.exclude = tuple(exclude)

    def __call__(self, path: Path) -> bool:
        """Whether the file is left out; of one that was not found its name decides."""
        if not self._listed and not self.exclude:
            return False
        spelled = {os.path.abspath(path), os.path.realpath(path)}
        known = [self._listed[each] for each in spelled if each in self._listed]
        return any(known) if known else excluded(path.name, self.exclude)

    @cached_property
    def _listed(self) -> dict[str, bool]:
        """Whether each image is left out; nothing where all are read."""
        if not any(file.left_out for file in self.found):
            return {}
        images = (f for f in self.found if f.path.suffix.lower() in (*IMAGES, ".pdf"))
        return {os.path.abspath(file.path): file.left_out for file in images}


_RECENT: list[Listing] = []


def listing(found: Sequence[_Found], exclude: Sequence[str]) -> Listing:
    """The listing of these files, made once for all units of a run."""
    if not _RECENT or _RECENT[0].found is not found or _RECENT[0].exclude != tuple(exclude):
        _RECENT[:] = [Listing(found, exclude)]
    return _RECENT[0]


def left_out(path: Path) -> bool:
    """Whether the user left this image or PDF out."""
    return current().left_out(path)


def bytes_of(folder: Path | None, name: str, most: int) -> bytes:
    """The bytes of the file that a row names.

    Args:
        folder: that of the row's own file; None where it is no folder (an archive, a URL).
        most: bytes above which a file is not read.

    Raises:
        Misfit: the name leads out of the folder, or there is no such file, or it is left out by the
            user, or too large.
    """
    spelled = below(name)
    if "\x00" in name or spelled.is_absolute() or ".." in spelled.parts or "://" in name:
        said = f"{name[:120]!r}: leads out of the folder; nothing outside it is read"
        raise Misfit("", said, "outside-folder")
    if folder is None:
        raise Misfit(
            "", "what stands beside a file in an archive, or behind a URL, is not read", "no-image"
        )
    path = (folder / spelled).resolve()
    if not path.is_relative_to(folder.resolve()):
        said = f"{name[:120]!r}: a link that leads out of the folder; nothing outside it is read"
        raise Misfit("", said, "outside-folder")
    if left_out(folder / spelled):
        raise Misfit("", f"{name[:120]!r}: {_OUT}", "excluded")
    return _bytes(path, name, most)


def read(path: Path, name: str, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        Misfit: it is no file, or left out by the user, or too large, or cannot be read.
    """
    if left_out(path):
        raise Misfit("", f"{name[:120]!r}: {_OUT}", "excluded")
    return _bytes(path, name, most)


def _bytes(path: Path, name: str, most: int) -> bytes:
    try:
        if not path.is_file():
            raise Misfit("", f"{name[:120]!r}: no such file beside the gold", "no-image")
        size = path.stat().st_size
        if size > most:
            raise Misfit("", f"{size} bytes; the limit is {most} bytes", "too-long")
        return path.read_bytes()
    except OSError as error:
        raise Misfit("", f"{name[:120]!r}: {error.strerror}", "no-image") from None
