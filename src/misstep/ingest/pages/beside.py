"""Files that stand beside the gold: images and PDFs, found by name and never outside the folder.

In: a folder and a name that a row gives, or the path of a gold file. Out: bytes, or a `Misfit` with
the reason. A name that leads out of the folder, also by a link, is refused, and so is a file that
the user left out. Names beside each other are the same whatever the case of their ending, and
however their accents are composed: macOS takes `á` apart, and rows seldom do.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

from misstep.ingest.decode import Fault
from misstep.ingest.exclude import excluded
from misstep.ingest.format import Misfit
from misstep.ingest.images import current

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".jp2")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""The names under which the Hugging Face `imagefolder` looks for its rows."""
_GOLD = (".json", ".jsonl")
_OUT = "left out by --exclude or a .misstepignore file"
_TEXTS = (".txt", ".gt.txt", ".md")
"""Text beside an image, as other tools write it: no gold here, but named in what is said."""
_OTHER = (".heic", ".heif", ".avif", ".jxl", ".ppm", ".pgm", ".pbm", ".djvu")
"""Pictures that are not read."""
_LEAST = 64
"""Bytes below which a gold file may be blank."""
_UP = 4
"""Folders above an image, its own counted, in which its metadata is looked for where the image was
not found below a folder that the user gave."""


def standing(file: Path, given: Path) -> Fault | None:
    """Why an image or a PDF is no page: nothing tells what stands on it, or an empty file does.

    None where gold tells of it. Ask of `is_picture` files only.

    Args:
        given: the folder that the user gave; metadata above it is not read, so it tells nothing.
    """
    suffix = file.suffix.lower()
    if suffix in _OTHER:
        said = f"an image in a format that is not read ({suffix}); convert it to PNG or JPEG"
        return Fault("broken-image", said)
    pdf = suffix == ".pdf"
    gold = _beside(file.with_suffix(""), _GOLD if pdf else _GOLD[:1])
    try:
        if gold is not None and (pdf or image_beside(gold) == file):
            return Fault("empty-gold", f"{gold.name} beside it is empty") if _blank(gold) else None
        if not pdf and any(_tells(each, each.stat().st_mtime_ns) for each in _above(file, given)):
            return None
    except OSError:
        pass
    return Fault("no-gold", _untold(file, gold))


def _blank(gold: Path) -> bool:
    """Whether a gold file holds nothing, so that no record of it could be set aside."""
    return gold.stat().st_size < _LEAST and not gold.read_bytes().strip()


def is_picture(file: Path) -> bool:
    """Whether a file is an image or a PDF by its name."""
    return file.suffix.lower() in (*IMAGES, ".pdf", *_OTHER)


def _above(file: Path, given: Path) -> list[Path]:
    """The folders whose metadata may name the image."""
    above = list(file.parents)
    return above[: above.index(given) + 1] if given in above else above[:_UP]


def _untold(file: Path, gold: Path | None) -> str:
    """What to do about an image or a PDF without gold."""
    name, end = file.name, file.suffix.lower()
    if gold is not None and end != ".pdf":
        other = image_beside(gold)
        return f"{gold.name} is read with {other.name if other else 'no image'}, not with this one"
    said = f"no gold tells what stands on it: expected {file.stem}.json beside it"
    if end != ".pdf":
        said += ", or a row of metadata.jsonl, .csv or .parquet in its folder or above"
    there = (_beside(file.with_suffix(""), _TEXTS), _beside(file, _GOLD))
    held = next((each.name for each in there if each is not None), None)
    if held is None:
        return f"{said} (docs/ocr.md)"
    how = f'write its text as {{"text": "…"}} into {file.stem}.json'
    if held.lower().startswith(name.lower()):
        how = f"call it {file.stem}.json"
    return f"{said}; {held} is not read as gold: {how}"


def _beside(stem: Path, ends: Sequence[str]) -> Path | None:
    """The first file of this name and one of these endings, in any case; a link is none."""
    for end in ends:
        path = stem.parent / _on_disk(stem.parent, stem.name + end)
        if path.is_file() and not path.is_symlink():
            return path
    return None


def _on_disk(folder: Path, name: str) -> str:
    """How the folder spells a name; as it is where nothing of it is there."""
    try:
        return _names(folder, folder.stat().st_mtime_ns).get(_folded(name), name)
    except OSError:
        return name


@lru_cache(maxsize=64)
def _names(folder: Path, changed: int) -> Mapping[str, str]:
    """What a folder holds, each by its name with composed accents and its ending in lower case."""
    return {_folded(name): name for name in sorted(os.listdir(folder))}


def _folded(name: str) -> str:
    stem, dot, end = composed(name).rpartition(".")
    return f"{stem}{dot}{end.lower()}"


def composed(name: str) -> str:
    """A name with its accents composed (NFC)."""
    return unicodedata.normalize("NFC", name)


@lru_cache(maxsize=4096)
def _tells(folder: Path, changed: int) -> bool:
    """Whether a folder holds metadata, or a table, that may name the images below it."""
    if any((folder / name).is_file() for name in METADATA):
        return True
    return any(entry.suffix in (".parquet", ".arrow") for entry in folder.iterdir())


def image_beside(gold: Path) -> Path | None:
    """The image of the same name as a gold file; None where there is none."""
    return _beside(gold.with_suffix(""), IMAGES)


def pdf_beside(gold: Path) -> Path | None:
    """The PDF of the same name as a gold file; None where there is none."""
    return _beside(gold.with_suffix(""), (".pdf",))


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
    spelled = _there(folder, spelled)
    path = (folder / spelled).resolve()
    if not path.is_relative_to(folder.resolve()):
        said = f"{name[:120]!r}: a link that leads out of the folder; nothing outside it is read"
        raise Misfit("", said, "outside-folder")
    if left_out(folder / spelled):
        raise Misfit("", f"{name[:120]!r}: {_OUT}", "excluded")
    return _bytes(path, name, most)


def _there(folder: Path, spelled: PurePosixPath) -> PurePosixPath:
    """The path below the folder as the disk spells it; as it is where nothing is there."""
    at = PurePosixPath()
    for part in spelled.parts:
        there = (folder / at / part).exists()
        at = at / (part if there else _on_disk(folder / at, part))
    return at


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
