"""Kept images as pictures that a processor takes.

In: the folder of a run's images and the name of one. Out: a picture in RGB, or the reason why there
is none. Nothing is fetched: an address or a path is a reason, never a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from misstep import store

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Where images are kept, and how large a model is to see them."""

    folder: Path
    max_pixels: int = 0
    """Larger ones are scaled down; 0 leaves them as they are."""


def gallery(images: Gallery | Path | None) -> tuple[Path | None, int]:
    """Folder and most pixels of what may be a folder alone."""
    return (images.folder, images.max_pixels) if isinstance(images, Gallery) else (images, 0)


def scaled(picture: Image, most: int) -> Image:
    """The picture with at most so many pixels, its sides in proportion; 0 is no limit."""
    width, height = picture.size
    if most <= 0 or width * height <= most:
        return picture
    share = math.sqrt(most / (width * height))
    size = max(1, math.floor(width * share)), max(1, math.floor(height * share))
    return picture.resize(size, resample=3)  # bicubic, as image processors do


def open_image(folder: Path, name: str) -> Image | str:
    """The picture of a kept image, turned as its EXIF says; or why it cannot be shown to a model.

    Raises:
        ExtraMissing: Pillow is not installed.
    """
    if not store.is_image_name(name):
        return f"{name[:80]!r} is an address, and images are not fetched"
    path = store.image_path(folder, name)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return f"{path}: the image is not in the folder; scan its logs again"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})"
    return store.opened(data)
