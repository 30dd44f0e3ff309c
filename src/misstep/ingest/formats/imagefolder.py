"""The Hugging Face `imagefolder`: a folder of images and a `metadata` file of rows about them.

In: `metadata.jsonl`, `.csv` or `.parquet`; each row has `file_name` and the gold in `assistant`
(JSON), in `text` or `transcription` (plain text, or JSON), or in columns named as the fields of the
schema. Out: one session a row. An image that no row names is set aside (`no-gold`). A name that
leads out of the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.images import current
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.oneby import set_aside
from misstep.ingest.pages import (
    IMAGES,
    METADATA,
    Place,
    below,
    bytes_of,
    family_of,
    left_out,
    page,
    row_gold,
)
from misstep.types import Session

NAME = "imagefolder"
_NAMES = ("file_name", "image_file_name")


class _Folder:
    """Reads the rows of metadata files."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sessions: list[Session] = []
        self._named: set[Path] = set()
        self._last: Record | None = None

    def read(self, record: Record) -> None:
        """Take one row."""
        self._last = record
        try:
            self._sessions.append(self._page(record))
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
        else:
            self._tally.use()

    def _page(self, record: Record) -> Session:
        row = record.value
        if not isinstance(row, Mapping):
            raise Misfit("", f"expected a row object, got {kind_of(row)}", "unknown-record")
        name = _name(row)
        if name is None:
            raise Misfit("/file_name", "the row names no image", "no-image")
        folder = None if record.file is None else record.file.parent
        if folder is not None:
            self._named.add(folder / below(name))
        place = Place(
            format=NAME,
            record=record,
            row=text_or_none(row.get("id")) or name,
            family=family_of(row),
        )
        gold = row_gold({key: value for key, value in row.items() if key not in _NAMES})
        return page(place, bytes_of(folder, name, current().max_bytes), gold)

    def close_file(self) -> None:
        """The images that no row of the file named."""
        last, self._last = self._last, None
        if last is None or last.file is None:
            return
        for image in _images(last.file.parent):
            if image not in self._named and not left_out(image):
                self._tally.unfold(2)
                name = image.relative_to(last.file.parent).as_posix()
                origin = replace(last.origin, line=None, offset=None, row=name, pointer=None)
                self._tally.aside(origin, "no-gold", "no row of the metadata names this image")
        self._named.clear()

    def finish(self) -> list[Session]:
        """One session a page."""
        return self._sessions


def _images(folder: Path) -> list[Path]:
    """Images below a folder that has metadata, but for those below folders with their own."""
    found: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if not any((entry / name).is_file() for name in METADATA):
                found += _images(entry)
        elif entry.suffix.lower() in IMAGES:
            found.append(entry)
    return found


def _name(row: Mapping[str, Any]) -> str | None:
    return next((row[key] for key in _NAMES if isinstance(row.get(key), str) and row[key]), None)


def _weigh(value: dict[str, Any]) -> float:
    name = _name(value)
    return float(name is not None and name.lower().endswith(IMAGES))


def sniff(peek: Peek) -> float:
    """A file called metadata, of rows that name images."""
    if peek.name.rsplit("/", 1)[-1].lower() not in METADATA:
        return 0.0
    return share(peek, _weigh)


FORMAT = Format(
    name=NAME,
    about="page images with a metadata file (Hugging Face imagefolder); gold as JSON or text",
    unit="row",
    sniff=sniff,
    reader=_Folder,
    keeps_tools=True,
    evidence="documentation",
    kinds=("json", "csv", "parquet"),
)
