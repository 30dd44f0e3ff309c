"""The folder of images, and how a picture is opened."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ocr_pages as pages
from misstep import models, store
from misstep.errors import InputError

PAGE = pages.image_bytes(pages.GOLDS[0])


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def test_an_image_is_kept_once_under_the_hash_of_its_bytes(tmp_path: Path) -> None:
    name = store.keep_image(tmp_path / "images", PAGE)
    before = store.image_path(tmp_path / "images", name).stat().st_mtime_ns
    assert store.keep_image(tmp_path / "images", PAGE) == name == store.image_name(PAGE)
    assert store.image_path(tmp_path / "images", name).read_bytes() == PAGE
    assert store.image_path(tmp_path / "images", name).stat().st_mtime_ns == before
    assert [p.name for p in (tmp_path / "images").iterdir()] == [name.removeprefix("sha256:")]


@pytest.mark.parametrize("name", ["../x", "https://a/b.png", "sha256:../x", "sha256:AB", ""])
def test_only_a_hash_names_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not the name of a kept image"):
        store.image_path(tmp_path, name)


def test_a_kept_image_is_opened_as_rgb(tmp_path: Path) -> None:
    name = store.keep_image(tmp_path, PAGE)
    picture = models.open_image(tmp_path, name)
    assert not isinstance(picture, str)
    assert (picture.mode, picture.size) == ("RGB", (300, 200))


def test_an_image_that_cannot_be_shown_is_a_reason(tmp_path: Path) -> None:
    absent = store.image_name(PAGE)
    assert "not in the folder" in str(models.open_image(tmp_path, absent))
    assert "not fetched" in str(models.open_image(tmp_path, "https://example.org/a.png"))
    broken = store.keep_image(tmp_path, PAGE[:200])
    assert "not a readable image" in str(models.open_image(tmp_path, broken))
    text = store.keep_image(tmp_path, b"no image at all")
    assert "no known raster format" in str(models.open_image(tmp_path, text))


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.new("RGB", (40, 20), "red"), "JPEG", exif=exif)
    picture = store.opened(data)
    assert not isinstance(picture, str)
    assert picture.size == (20, 40)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK"])
def test_every_mode_becomes_rgb_and_what_is_clear_becomes_paper(mode: str) -> None:
    data = saved(Image.new(mode, (4, 4)), "TIFF")
    picture = store.opened(data)
    assert not isinstance(picture, str)
    clear = mode in ("RGBA", "LA", "CMYK")
    assert picture.getpixel((0, 0)) == ((255, 255, 255) if clear else (0, 0, 0))


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    page = Image.new("I;16", (2, 1))
    page.putpixel((0, 0), 65535)
    page.putpixel((1, 0), 32768)
    picture = store.opened(saved(page, "PNG"))
    assert not isinstance(picture, str)
    assert [picture.getpixel((x, 0))[0] for x in (0, 1)] == [255, 128]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_the_first_bytes_tell_what_an_image_is(kind: str) -> None:
    data = pages.image_bytes(pages.GOLDS[0], kind)
    assert store.image_type(data) == f"image/{kind.lower()}"
    assert not isinstance(store.opened(data), str)


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"]),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    cut=st.floats(0, 1),
)
def test_no_damage_raises(kind: str, flips: list[tuple[float, int]], cut: float) -> None:
    data = bytearray(pages.image_bytes(pages.GOLDS[0], kind))
    for place, value in flips:
        data[int(place * len(data))] = value
    damaged = bytes(data[: int(len(data) * cut)])
    found = store.opened(damaged)
    assert isinstance(found, str) or found.mode == "RGB"
    store.is_one_page(damaged)


def test_a_size_above_the_limit_is_told_before_it_is_unfolded() -> None:
    page = saved(Image.new("1", (60_000, 60_000)), "PNG")
    assert "the limit is" in str(store.opened(page))
    assert "the limit is 59999 pixels" in str(store.opened(PAGE, 59_999))


def test_the_preview_in_a_photo_is_no_second_page() -> None:
    def both(kind: str) -> bytes:
        first, second = (pages.picture(gold) for gold in pages.GOLDS[:2])
        return saved(first, kind, save_all=True, append_images=[second])

    photo = both("MPO")
    assert store.image_type(photo) == "image/jpeg"
    assert store.is_one_page(photo)
    assert not isinstance(store.opened(photo), str)
    assert not any(map(store.is_one_page, (both("TIFF"), both("GIF"), both("WEBP"), both("PNG"))))
