"""Tables of pages: one row with the image and the gold, as DharmaOCR-Benchmark has them.

In: rows of Parquet, Arrow (a folder that `datasets` saved) or JSON lines with `image` (bytes, or
`{"bytes", "path"}`) or `image_base64`, and the gold in `assistant` (JSON text), or in `text` or
`transcription` (plain text); `id` and a column of the document (`family`, `document`) where there
are any. Out: one session a row. An image that is only a path is looked for below the table's own
folder and nowhere else. A row with a question or a talk is no page unless it has `assistant`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.images import current, decoded
from misstep.ingest.messages import kind_of
from misstep.ingest.oneby import OneByOne
from misstep.ingest.pages import IMAGES, Place, bytes_of, family_of, page, row_gold
from misstep.ingest.pages.gold import TEXT_COLUMNS
from misstep.types import Session

NAME = "page-table"
_GOLD = ("assistant", "gold", "ground_truth", *TEXT_COLUMNS)
_TALK = ("messages", "conversations", "question", "prompt")
"""A row of a talk about an image is no page."""
_BASE64 = ("image_base64", "base64")


def _make(record: Record, tally: Tally) -> Sequence[Session]:
    row = record.value
    if not isinstance(row, Mapping):
        raise Misfit("", f"expected a row object, got {kind_of(row)}", "unknown-record")
    given = row.get("id")
    place = Place(
        format=NAME,
        record=record,
        row=str(given) if isinstance(given, (str, int)) else record.origin.row,
        family=family_of(row),
    )
    gold = row_gold(row)
    return [page(place, _image(row, record), gold)]


def _image(row: Mapping[str, Any], record: Record) -> bytes:
    """The bytes of the row's image, from wherever the row has them."""
    held = row.get("image")
    if isinstance(held, Mapping):
        inner, path = held.get("bytes"), held.get("path")
    else:
        inner, path = held, None
    if isinstance(inner, bytes):
        return inner
    for text in (*(row.get(name) for name in _BASE64), inner):
        if isinstance(text, str) and text:
            data = decoded(text.partition(",")[2] if text.startswith("data:") else text)
            if data is not None:
                return data
            if not text.lower().endswith(IMAGES):
                raise Misfit("/image", "the image is no base64", "broken-image")
            path = text
    if isinstance(path, str) and path:
        folder = None if record.file is None else record.file.parent
        return bytes_of(folder, path, current().max_bytes)
    raise Misfit("/image", "the row holds no image", "no-image")


def _weigh(value: dict[str, Any]) -> float:
    image = value.get("image")
    held = isinstance(image, bytes) or (isinstance(image, Mapping) and "bytes" in image)
    coded = any(isinstance(value.get(name), str) for name in _BASE64)
    asked = any(name in value for name in _TALK) and "assistant" not in value
    return float((held or coded) and not asked and any(name in value for name in _GOLD))


def sniff(peek: Peek) -> float:
    """Rows with an image and a gold column."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _make)


FORMAT = Format(
    name=NAME,
    about="tables of pages: image and assistant (or text) columns (Parquet, Arrow), as DharmaOCR's",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=True,
    evidence="documentation",
    kinds=("parquet", "json", "csv"),
)
