"""Images by their content: bytes in a folder, each under its SHA-256, and how to open one safely.

In: the bytes of an image. Out: its name, `sha256:` and 64 hex digits, the same wherever the same
bytes stand; its place in the folder; an RGB picture, or the reason why there is none. An image is
untrusted: only raster formats are opened, its size is asked before it is unfolded, and nothing
that it names is read.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from misstep.errors import ExtraMissing, InputError
from misstep.store.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

PREFIX = "sha256:"
MOST_PIXELS = 50_000_000
"""A page of A4 at 600 dpi has 35 million; more than this is no page but a bomb."""
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000")
"""Raster formats that Pillow reads by itself, without another program."""
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError),
    *(struct.error, zlib.error),
)
"""What Pillow's readers raise on damaged bytes."""
_PAGED = ("TIFF", "GIF", "WEBP", "PNG")
"""Formats whose further pictures are pages or an animation. Those of a JPEG (Pillow calls it MPO)
are a preview or the gain map that a phone adds to its photo."""
_NAME = re.compile(r"sha256:[0-9a-f]{64}\Z")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2"),
)


def image_name(data: bytes) -> str:
    """The name of an image: the hash of its bytes as they are stored."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def is_image_name(text: str | None) -> bool:
    """Whether a text is such a name (a URL, a path and a hash of text are none)."""
    return text is not None and _NAME.match(text) is not None


def image_type(data: bytes) -> str | None:
    """The media type that the first bytes tell; None where they begin no image that is known."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def keep_image(folder: Path, data: bytes) -> str:
    """Put an image into the folder, all or nothing, unless it is there; gives its name.

    Raises:
        StageError: the folder cannot be written.
    """
    name = image_name(data)
    path = image_path(folder, name)
    if not path.exists():
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    return name


def image_path(folder: Path, name: str) -> Path:
    """Where the image of this name stands, or would stand.

    Raises:
        InputError: it is no such name; a path or a URL never names a file of the folder.
    """
    if not is_image_name(name):
        raise InputError(
            f"{name[:80]!r}: not the name of a kept image (sha256: and 64 hex digits); "
            f"images behind a URL or a path are not read"
        )
    return folder / name.removeprefix(PREFIX)


def opened(data: bytes, most_pixels: int = MOST_PIXELS) -> Image | str:
    """The picture as RGB, turned as its EXIF says, on white where it is transparent; or why not.

    Raises:
        ExtraMissing: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ExtraMissing("ocr", "Pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is asked here, other damage raises
            found = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = found.size
            if width * height > most_pixels:
                return f"{width} × {height} pixels; the limit is {most_pixels} pixels"
            turned = ImageOps.exif_transpose(found)
            turned.load()
            return _on_white(turned)
    except Image.DecompressionBombError:
        return f"so many pixels that it is a bomb; the limit is {most_pixels} pixels"
    except UnidentifiedImageError:
        return "not a readable image: of no known raster format, or damaged at its start"
    except _DAMAGED as error:
        return f"not a readable image: {' '.join(str(error).split())[:120] or 'damaged'}"


def is_one_page(data: bytes) -> bool:
    """Whether a readable image holds one picture, not several (a TIFF of a whole document).

    Raises:
        ExtraMissing: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ExtraMissing("ocr", "Pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Image.open(io.BytesIO(data), formats=FORMATS)
            if found.format not in _PAGED:
                return True
            found.seek(1)
    except (*_DAMAGED, Image.DecompressionBombError):
        return True
    return False


def _on_white(picture: Image) -> Image:
    """RGB; a transparent page is read as ink on paper, not as ink on ink."""
    from PIL import Image

    if picture.mode == "RGB":
        return picture
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return _levelled(picture).convert("RGB")
    clear = picture.convert("RGBA")
    paper = Image.new("RGB", clear.size, "white")
    paper.paste(clear, mask=clear.getchannel("A"))
    return paper


def _levelled(picture: Image) -> Image:
    """Sixteen bits of grey as eight: Pillow would clip them to white."""
    if not picture.mode.startswith("I"):
        return picture
    return picture.point(lambda value: value / 256).convert("L")
