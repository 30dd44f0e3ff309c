"""PDFs with the gold of their pages in a JSON file of the same name beside them.

In: `NAME.json` or `NAME.jsonl` beside `NAME.pdf`: a list of pages in their order, `{"pages": […]}`,
or lines; a page that says `page` (from 1) stands for that one. Out: one session a page, rendered
at `ingest.pages.dpi`; all pages of a PDF are one family. Pages without gold and gold without a page
are set aside.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from misstep import store
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally
from misstep.ingest.images import current
from misstep.ingest.messages import int_or_none
from misstep.ingest.pages import Place, file_gold, page, pdf_beside, read
from misstep.types import Session

NAME = "pdf-pages"
_DIGITS = re.compile(r"[0-9]{1,9}\Z")
_POINTS = 72
"""A PDF measures in points of 1/72 inch."""


class _Pages:
    """Reads the gold of PDFs, and renders the pages that it is for."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sessions: list[Session] = []
        self._document: _Document | None = None
        self._at = 0
        self._last: Record | None = None

    def read(self, record: Record) -> None:
        """Take one page's gold, or the gold of all pages."""
        self._last = record
        entries = list(_entries(record.value))
        self._tally.unfold(max(len(entries), 1))
        if not entries:
            self._aside(record, Misfit("", "no gold for any page", "empty-gold"))
        for pointer, gold in entries:
            self._at += 1
            try:
                self._sessions.append(self._page(record, pointer, gold))
            except Misfit as misfit:
                self._aside(record, replaced(misfit, pointer))
            else:
                self._tally.use()

    def _page(self, record: Record, pointer: str, gold: Any) -> Session:
        number = self._at
        if isinstance(gold, Mapping) and gold.get("page") is not None:
            number = _number(gold["page"])
            gold = {key: value for key, value in gold.items() if key != "page"}
        if self._document is None:
            self._document = _opened(record)
        self._document.told.add(number)
        text = file_gold(gold)
        place = Place(
            format=NAME,
            record=record,
            pointer=pointer,
            row=f"page {number}",
            family=self._document.family,
        )
        return page(place, self._document.rendered(number), text)

    def _aside(self, record: Record, misfit: Misfit) -> None:
        origin = record.at(f"{record.origin.pointer or ''}{misfit.pointer}")
        self._tally.aside(origin, misfit.reason, misfit.said)

    def close_file(self) -> None:
        """The pages that no gold told of."""
        document, last = self._document, self._last
        self._document, self._at, self._last = None, 0, None
        if document is None or last is None:
            return
        for number in range(1, document.pages + 1):
            if number not in document.told:
                self._tally.unfold(2)
                row = f"page {number}"
                origin = replace(last.origin, line=None, offset=None, row=row, pointer=None)
                self._tally.aside(origin, "no-gold", f"no gold for page {number} of the PDF")
        document.close()

    def finish(self) -> list[Session]:
        """One session a page."""
        return self._sessions


def replaced(misfit: Misfit, pointer: str) -> Misfit:
    """A misfit of an entry, with its place in the record."""
    return Misfit(f"{pointer}{misfit.pointer}", misfit.said, misfit.reason)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """The golds that a record holds, each with its JSON pointer."""
    pages = value.get("pages") if isinstance(value, dict) else value
    if isinstance(pages, list):
        yield from (
            (f"/pages/{at}" if pages is not value else f"/{at}", p) for at, p in enumerate(pages)
        )
    else:
        yield "", value


def _number(page: Any) -> int:
    """The page that a gold says it is of.

    Raises:
        Misfit: it says no whole number; by its place in the list it might be of another page.
    """
    number = int_or_none(int(page) if isinstance(page, str) and _DIGITS.match(page) else page)
    if number is None:
        said = f"page: expected a number from 1, got {str(page)[:40]!r}"
        raise Misfit("/page", said, "no-image")
    return number


class _Document:
    """An open PDF."""

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            Misfit: it cannot be opened, or the package that opens it is not installed.
        """
        try:
            import pypdfium2 as pdfium
            from PIL import Image as Image  # pypdfium2 gives its pictures
        except ImportError:
            said = "PDFs need pypdfium2 and Pillow; install: pip install 'misstep[ocr]'"
            raise Misfit("", said, "needs-extra") from None
        self._error = pdfium.PdfiumError
        try:
            self._pdf = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            raise Misfit("", f"not a readable PDF: {error}", "broken-image") from None
        self.pages = len(self._pdf)
        self.family = store.image_name(data)
        self.told: set[int] = set()

    def rendered(self, number: int) -> bytes:
        """A page as PNG.

        Raises:
            Misfit: there is no such page, or it is too large, or cannot be rendered.
        """
        if not 1 <= number <= self.pages:
            said = f"page {number}: the PDF has pages 1 to {self.pages}"
            raise Misfit("", said, "no-image")
        settings = current().pages
        scale = settings.dpi / _POINTS
        try:
            sheet = self._pdf[number - 1]
            width, height = sheet.get_size()
            if width * height * scale * scale > settings.max_pixels:
                said = f"{width:.0f} × {height:.0f} points at {settings.dpi} dpi; the limit is "
                raise Misfit("", f"{said}{settings.max_pixels} pixels", "oversized")
            picture = sheet.render(scale=scale).to_pil()
        except self._error as error:
            raise Misfit("", f"page {number} cannot be rendered: {error}", "broken-image") from None
        out = io.BytesIO()
        picture.convert("RGB").save(out, "PNG")
        return out.getvalue()

    def close(self) -> None:
        """Let the file go."""
        self._pdf.close()


def _pdf_beside(gold: Path | None) -> Path | None:
    """The PDF of the same name as a gold file."""
    if gold is None or gold.suffix.lower() not in (".json", ".jsonl"):
        return None
    return pdf_beside(gold)


def _opened(record: Record) -> _Document:
    path = _pdf_beside(record.file)
    if path is None:
        raise Misfit("", "no PDF of the same name beside the gold", "no-image")
    return _Document(read(path, path.name, current().max_bytes * 8))


def sniff(peek: Peek) -> float:
    """A JSON file beside a PDF of its name."""
    return 0.0 if _pdf_beside(peek.file) is None else 0.9


FORMAT = Format(
    name=NAME,
    about="PDFs, each beside a JSON file of its name with the gold of its pages",
    unit="page",
    sniff=sniff,
    reader=_Pages,
    keeps_tools=True,
    evidence="documentation",
)
