"""Images that stand in the logs themselves: named by their bytes, and kept where a folder is given.

In: a block of a message, in any provider's spelling, or text that may be a data URI. Out: the name
of the image (`store.image_name`); None where the block holds no bytes of an image: an address is
never fetched, a document or a sound is no image. Base64 that cannot be decoded is counted.
What a reader works under (the folder, the settings of pages) is set by `working`, once for a unit,
since a format's reader is a plain function of records.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from misstep import store
from misstep.chat import content_hash
from misstep.config import IngestConfig, PagesConfig
from misstep.types import Part

_DATA = ("data", "bytes", "base64", "image_base64", "b64_json")
_KINDS = ("media_type", "mediaType", "mime_type", "mimeType", "mime", "format")
_DEEP = 5
"""How far below a block its data may stand: `{"image": {"source": {"bytes"}}}` has three."""
_URLSAFE = str.maketrans("-_", "+/", " \t\r\n")


class Work(msgspec.Struct):
    """What readers work under, and what they met."""

    folder: Path | None = None
    pages: PagesConfig = PagesConfig()
    max_bytes: int = 32_000_000
    """Of one image."""
    left_out: Callable[[Path], bool] = lambda _: False
    """Whether the user left out an image that gold names (`pages.beside.Listing`)."""
    met: int = 0
    """Images whose bytes stood in the logs."""
    broken: int = 0
    """Of these, those that could not be decoded."""

    def kept(self, data: bytes) -> str:
        """The name of an image, its bytes kept where there is a folder."""
        return (
            store.image_name(data) if self.folder is None else store.keep_image(self.folder, data)
        )


_WORK: ContextVar[Work | None] = ContextVar("misstep-ingest-work", default=None)


def work_of(config: IngestConfig) -> Work:
    """What the readers of one unit work under."""
    folder = None if config.images is None else Path(config.images)
    return Work(folder=folder, pages=config.pages, max_bytes=config.max_record_bytes)


@contextmanager
def working(work: Work) -> Iterator[None]:
    """Let the readers that are called inside work under this."""
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


def current() -> Work:
    """What the reader that asks works under; nothing is kept outside `working`."""
    return _WORK.get() or Work()


def inline(block: Any) -> str | None:
    """The name of the image whose bytes stand in a block; None where none do."""
    for kind, text in _found(block, "", _DEEP):
        name = _name(kind, text)
        if name is not None:
            return name
    return None


def resolved(part: Part) -> Part:
    """An image part whose text is a data URI, under its name; any other part as it is."""
    if part.kind != "image" or not (part.text or "").startswith("data:"):
        return part
    return Part(kind="image", text=inline(part.text) or content_hash(part.text or ""))


def _found(block: Any, kind: str, deep: int) -> Iterator[tuple[str, str]]:
    """(media type, base64) of each text in a block that may be an image; data URIs come apart."""
    if isinstance(block, str):
        if block.startswith("data:"):
            head, _, text = block.partition(",")
            if head.endswith(";base64"):
                yield head[5:].partition(";")[0], text
        return
    if not isinstance(block, Mapping) or not deep:
        return
    said = next((block[key] for key in _KINDS if isinstance(block.get(key), str)), kind)
    for key, value in block.items():
        if key in _DATA and isinstance(value, str) and not value.startswith("data:"):
            yield said, value
        elif isinstance(value, (str, Mapping)):
            yield from _found(value, said, deep - 1)


def _name(kind: str, text: str) -> str | None:
    work = current()
    claimed = kind.startswith("image/") or kind in ("png", "jpeg", "jpg", "gif", "webp")
    data = decoded(text)
    if data is None:
        work.met += claimed
        work.broken += claimed
        return None
    if not claimed and store.image_type(data) is None:
        return None
    work.met += 1
    return work.kept(data)


def decoded(text: str) -> bytes | None:
    """The bytes of base64, plain or URL-safe, broken into lines or not; None where it is none."""
    if not text or not text.isascii():
        return None
    bare = text.translate(_URLSAFE).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None
