"""One page as a session: the instruction, the image, and the gold as the logged answer.

In: the bytes of an image and its gold. Out: a `Session`, or a `Misfit` where the image is broken,
too large or no page. The bytes are kept as they stand in the file; the picture is opened once, to
know that it can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from misstep import store
from misstep.errors import ExtraMissing
from misstep.ingest.build import linear
from misstep.ingest.format import Misfit, Record
from misstep.ingest.images import Work, current
from misstep.ingest.pages.gold import gold_of, schema_text, whole_gold
from misstep.types import Context, Message, Part, Session

INSTRUCTION = (
    "You transcribe scanned pages. Write down everything that can be read in the image, word for "
    "word and line for line, and nothing else. Answer with one JSON object: header, text, footer "
    "and margin are strings; leave out what the page does not have."
)
_WITH_SCHEMA = (
    "You transcribe scanned pages. Write down what can be read in the image, word for word, and "
    "nothing else. Answer with one JSON object."
)
FAMILIES = ("family", "document", "document_id", "doc_id")
"""Columns that say which pages belong to one document."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page was read."""

    format: str
    record: Record
    pointer: str = ""
    row: str | None = None
    """The page's own id, or the name of its image."""
    family: str = ""
    """What all pages of its document share; empty where it stands alone."""


def row_gold(row: Any) -> str:
    """The gold of a row with a gold column, under the schema of this run.

    Raises:
        Misfit: there is none that can be used.
    """
    return gold_of(row, schema_text(current().pages))


def file_gold(value: Any) -> str:
    """The gold of a file, or of an entry of one, that is all about one page.

    Raises:
        Misfit: there is none that can be used.
    """
    return whole_gold(value, schema_text(current().pages))


def page(place: Place, image: bytes, gold: str) -> Session:
    """The session of a page, with its gold as `row_gold` or `file_gold` gives it.

    Raises:
        Misfit: the image cannot be used.
    """
    work = current()
    schema = schema_text(work.pages)
    _look(image, work)
    work.met += 1
    origins = (place.record.at(f"{place.record.origin.pointer or ''}{place.pointer}", place.row),)
    asked = Part(kind="image", text=work.kept(image))
    said = _instruction(work)
    messages = [
        *([Message(role="system", parts=(Part(kind="text", text=said),))] if said else []),
        Message(role="user", parts=(asked,), origins=origins),
        Message(
            role="assistant",
            parts=(Part(kind="text", text=gold),),
            finish_reason="stop",
            origins=origins,
        ),
    ]
    # an empty instruction: nothing but the image is asked, so no schema is spelled either
    context = Context(response_schema=schema if said else None)
    return linear(place.format, messages, contexts=context, family=place.family)


def family_of(row: Mapping[str, Any]) -> str:
    """The document that a row says its page is of; empty where it says none."""
    named = (row.get(name) for name in FAMILIES)
    return next((str(name) for name in named if isinstance(name, (str, int)) and name != ""), "")


def _look(image: bytes, work: Work) -> None:
    if len(image) > work.max_bytes:
        said = f"an image of {len(image)} bytes; the limit is {work.max_bytes} bytes"
        raise Misfit("", said, "too-long")
    try:
        found = store.opened(image, work.pages.max_pixels)
        alone = store.is_one_page(image)
    except ExtraMissing as error:
        raise Misfit("", str(error), "needs-extra") from None
    if isinstance(found, str):
        raise Misfit("", found, "oversized" if "limit is" in found else "broken-image")
    if not alone:
        said = "several pictures in one file, and the gold is of one page; split it"
        raise Misfit("", said, "several-pages")


def _instruction(work: Work) -> str:
    if work.pages.instruction is not None:
        return work.pages.instruction
    return INSTRUCTION if work.pages.schema is None else _WITH_SCHEMA
