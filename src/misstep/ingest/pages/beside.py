"""Files that stand beside the gold: images and PDFs, found by name and never outside the folder.

In: a folder and a name that a row gives, or the path of a gold file. Out: bytes, or a `Misfit` with
the reason. A name that leads out of the folder, also by a link, is refused.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath

from misstep.ingest.format import Misfit

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".jp2")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""The names under which the Hugging Face `imagefolder` looks for its rows."""
_GOLD = (".json", ".jsonl")
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


def bytes_of(folder: Path | None, name: str, most: int) -> bytes:
    """The bytes of the file that a row names.

    Args:
        folder: that of the row's own file; None where it is no folder (an archive, a URL).
        most: bytes above which a file is not read.

    Raises:
        Misfit: the name leads out of the folder, or there is no such file, or it is too large.
    """
    spelled = PurePosixPath(name.replace("\\", "/"))
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
    return read(path, name, most)


def read(path: Path, name: str, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        Misfit: it is no file, or too large, or cannot be read.
    """
    try:
        if not path.is_file():
            raise Misfit("", f"{name[:120]!r}: no such file beside the gold", "no-image")
        size = path.stat().st_size
        if size > most:
            raise Misfit("", f"{size} bytes; the limit is {most} bytes", "too-long")
        return path.read_bytes()
    except OSError as error:
        raise Misfit("", f"{name[:120]!r}: {error.strerror}", "no-image") from None
