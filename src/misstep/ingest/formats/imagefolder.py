"""The Hugging Face `imagefolder`: a folder of images and a `metadata` file of rows about them.

In: `metadata.jsonl`, `.csv` or `.parquet`; each row has `file_name` (or `image`) and the gold in
`assistant` (JSON), in `text` or `transcription` (plain text, or JSON), or in columns named as the
fields of the schema. Out: one session a row. An image that no row names is set aside (`no-gold`). A
name that leads out of the folder is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    composed,
    family_of,
    left_out,
    page,
    row_gold,
)
from misstep.types import Session

NAME = "imagefolder"
_NAMES = ("file_name", "image_file_name", "image")
_BESIDE_IMAGES = 0.3
"""How sure a file called metadata is of rows that name no image, where images stand below: sure
enough to say so row by row, and less than any format that knows the rows."""


class _Folder:
    """Reads the rows of metadata files."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sessions: list[Session] = []
        self._named: set[str] = set()
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
            held = ", ".join(str(key)[:40] for key in list(row)[:8])
            said = f"the row names no image: expected its path in file_name; the row has {held}"
            raise Misfit("/file_name", said, "no-image")
        folder = None if record.file is None else record.file.parent
        if folder is not None:
            self._named.add(_key(folder / below(name)))
        place = Place(
            format=NAME,
            record=record,
            row=text_or_none(row.get("id")) or name,
            family=family_of(row),
        )
        used = next(key for key in _NAMES if row.get(key) == name)
        gold = row_gold({k: v for k, v in row.items() if k != used and k not in _NAMES[:2]})
        return page(place, bytes_of(folder, name, current().max_bytes), gold)

    def close_file(self) -> None:
        """The images that no row of the file named."""
        last, self._last = self._last, None
        if last is None or last.file is None:
            return
        for image in _images(last.file.parent):
            if _key(image) not in self._named and not left_out(image):
                self._tally.unfold(2)
                name = image.relative_to(last.file.parent).as_posix()
                origin = replace(last.origin, line=None, offset=None, row=name, pointer=None)
                self._tally.aside(origin, "no-gold", "no row of the metadata names this image")
        self._named.clear()

    def finish(self) -> list[Session]:
        """One session a page."""
        return self._sessions


def _images(folder: Path) -> Iterator[Path]:
    """Images below a folder that has metadata, but for those below folders with their own."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if not any((entry / name).is_file() for name in METADATA):
                yield from _images(entry)
        elif entry.suffix.lower() in IMAGES:
            yield entry


def _key(image: Path) -> str:
    """An image by its path, as `bytes_of` finds it: accents and the case of its ending aside."""
    return composed(str(image.with_suffix(image.suffix.lower())))


def _name(row: Mapping[str, Any]) -> str | None:
    return next((row[key] for key in _NAMES if isinstance(row.get(key), str) and row[key]), None)


def _weigh(value: dict[str, Any]) -> float:
    name = _name(value)
    return float(name is not None and name.lower().endswith(IMAGES))


def sniff(peek: Peek) -> float:
    """A file called metadata, of rows that name images, or above images."""
    if peek.name.rsplit("/", 1)[-1].lower() not in METADATA:
        return 0.0
    sure = share(peek, _weigh)
    if sure >= _BESIDE_IMAGES or peek.file is None or not peek.values:
        return sure
    return sure if next(_images(peek.file.parent), None) is None else _BESIDE_IMAGES


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
