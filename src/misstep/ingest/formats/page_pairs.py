"""A folder of page images, each with its gold in a JSON file of the same name beside it.

In: `NAME.json` beside `NAME.png` (or `.jpg`, `.webp`, `.tif` …): the fields of the page, or an
object that holds them in `assistant`, `gold` or `text`. Out: one session a file. `family` or
`document` in it says which pages belong together.
"""

from __future__ import annotations

from collections.abc import Sequence

from misstep.ingest.format import Format, Misfit, Peek, Record, Tally
from misstep.ingest.images import current
from misstep.ingest.oneby import OneByOne
from misstep.ingest.pages import Place, family_of, file_gold, image_beside, page, read
from misstep.ingest.pages.gold import no_object
from misstep.types import Session

NAME = "page-pairs"
_TALK = ("messages", "request", "response", "conversation", "conversations", "choices")
"""A log beside a screenshot of the same name is no gold."""


def _make(record: Record, tally: Tally) -> Sequence[Session]:
    gold = record.value
    if not isinstance(gold, dict):
        raise Misfit("", no_object(gold), "gold-not-json")
    image = None if record.file is None else image_beside(record.file)
    if image is None:
        raise Misfit("", "no image of the same name beside the gold", "no-image")
    place = Place(format=NAME, record=record, row=image.name, family=family_of(gold))
    return [page(place, read(image, image.name, current().max_bytes), file_gold(gold))]


def sniff(peek: Peek) -> float:
    """A JSON file beside an image of its name."""
    if peek.file is None or peek.file.suffix.lower() != ".json":
        return 0.0
    if len(peek.values) > 1 and any(isinstance(value, dict) for value in peek.values):
        return 0.0
    if any(isinstance(v, dict) and any(key in v for key in _TALK) for v in peek.values):
        return 0.0
    return 0.0 if image_beside(peek.file) is None else 0.9


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _make)


FORMAT = Format(
    name=NAME,
    about="page images, each beside a JSON file of its name with the gold",
    unit="page",
    sniff=sniff,
    reader=_reader,
    keeps_tools=True,
    evidence="documentation",
)
