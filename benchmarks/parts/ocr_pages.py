"""Pages for the OCR laboratory: drawn with Pillow, each with its gold transcription.

    python benchmarks/parts/ocr_pages.py OUT [--pages N] [--part train|dev|heldout] [--short]

Every character stands in a cell of 12 x 12 pixels, as a line printer sets it, in one of the faces
at hand (Pillow's own in four cuts; DejaVu and Liberation where the system has them), then the page
is turned by up to a degree, worn and speckled. A page is made from `(part, number)` alone, and the
parts' streams are disjoint, so no set shares a page with another. Written in two shapes: a Parquet
folder with the columns of DharmaOCR-Benchmark and an imagefolder with `metadata.jsonl`.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import random
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from parts.ocr_layout import FULL, LONG, SHORT, Setting, Sheet, sheet
from PIL import Image, ImageDraw, ImageFilter, ImageFont

CELL = 12
"""Pixels of the side of a character's cell; a tower's patch is one cell."""

PARTS = {"vanilla": 0, "train": 1, "dev": 2, "heldout": 3}
_STRIDE = 10_000_000

ASCII = frozenset(map(chr, range(33, 127)))
_PLAIN = {"º": "o", "§": "S"}
_MARKS = {"\u0301": ("'", -2.0), "\u0300": ("`", -2.0), "\u0302": ("^", -2.0)}
_MARKS |= {"\u0303": ("~", -4.0), "\u0327": (",", 1.0)}
"""Sign and shift in pixels of each combining mark."""

_SYSTEM_FACES = (
    "DejaVuSans.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "LiberationSans-Regular.ttf",
    "LiberationSerif-Regular.ttf",
    "LiberationMono-Regular.ttf",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: what it is called, its picture, its gold."""

    id: str
    kind: str
    image: Image.Image
    gold: str
    """JSON object of the fields that the page has, as the model is to write it."""

    @property
    def png(self) -> bytes:
        """The picture as a PNG file."""
        out = io.BytesIO()
        self.image.save(out, format="PNG")
        return out.getvalue()


def pages(part: str, count: int, setting: Setting = LONG, *, start: int = 0) -> Iterator[Page]:
    """`count` pages of a part, from number `start`; the same number gives the same page."""
    for number in range(start, start + count):
        yield page(part, number, setting)


def page(part: str, number: int, setting: Setting = LONG) -> Page:
    """One page of a part by its number."""
    stream = stream_of(part, number)
    made = sheet(stream, setting)
    gold = json.dumps(dict(made.gold), ensure_ascii=False)
    image = render(made, stream, setting)
    return Page(id=f"{part}-{number:06d}", kind=made.kind, image=image, gold=gold)


def stream_of(part: str, number: int) -> random.Random:
    """The random stream that one page is drawn from, its text first."""
    return random.Random(PARTS[part] * _STRIDE + number)


def cells(sheet_: Sheet) -> str:
    """The characters of the grid in reading order: what stands under each patch."""
    return "".join(sheet_.grid)


def render(made: Sheet, stream: random.Random, setting: Setting) -> Image.Image:
    """The page as a grey picture in RGB, `columns * 12` by `rows * 12` pixels."""
    size = (setting.columns * CELL, setting.rows * CELL)
    paper = stream.randint(225, 255) if setting.noise else 255
    ink = stream.randint(0, int(70 * setting.noise)) if setting.noise else 0
    image = Image.new("L", size, paper)
    draw = ImageDraw.Draw(image)
    face = stream.randrange(len(faces()))
    slide = (stream.uniform(-0.7, 0.7), stream.uniform(-0.7, 0.7))
    for row, line in enumerate(made.grid):
        for column, character in enumerate(line):
            if character != " ":
                at = (column * CELL + CELL / 2 + slide[0], row * CELL + 9.5 + slide[1])
                _glyph(draw, at, character, face=face, ink=ink)
    return _worn(image, stream, setting.noise, paper).convert("RGB")


def _glyph(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], character: str, *, face: int, ink: int
) -> None:
    """One character; where a face has no accents, the letter and its mark struck over it."""
    font = _face(face)
    if faces()[face][0] or character in ASCII:
        draw.text(at, character, font=font, fill=ink, anchor="ms")
        return
    base, *marks = unicodedata.normalize("NFD", _PLAIN.get(character, character))
    draw.text(at, base, font=font, fill=ink, anchor="ms")
    for mark in marks:
        sign, rise = _MARKS[mark]
        high = at[1] + rise - (2 if base.isupper() and rise < 0 else 0)
        draw.text((at[0], high), sign, font=font, fill=ink, anchor="ms")


def _worn(image: Image.Image, stream: random.Random, noise: float, paper: int) -> Image.Image:
    if not noise:
        return image
    angle = stream.uniform(-0.8, 0.8) * noise
    image = image.rotate(angle, resample=Image.Resampling.BICUBIC, fillcolor=paper)
    if stream.random() < 0.5 * noise:
        image = image.filter(ImageFilter.GaussianBlur(stream.uniform(0.2, 0.7)))
    grain = Image.frombytes("L", image.size, stream.randbytes(image.width * image.height))
    image = Image.blend(image, grain, 0.12 * noise * stream.random())
    draw = ImageDraw.Draw(image)
    for _ in range(stream.randrange(int(30 * noise) + 1)):
        x, y = stream.randrange(image.width), stream.randrange(image.height)
        draw.point((x, y), fill=stream.choice((0, 90, 160)))
    return image


@functools.cache
def faces() -> tuple[tuple[str, float], ...]:
    """(file or empty for Pillow's own, size) of the faces at hand, in a fixed order."""
    own = [("", 10.0), ("", 10.5), ("", 11.0), ("", 11.5)]
    return tuple(own + [(name, 10.0) for name in _SYSTEM_FACES if _there(name)])


def _there(name: str) -> bool:
    try:
        ImageFont.truetype(name, 10)
    except OSError:
        return False
    return True


@functools.cache
def _face(number: int) -> Any:
    name, size = faces()[number]
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


def write_benchmark(folder: Path, made: Sequence[Page]) -> Path:
    """A Parquet folder in the shape of DharmaOCR-Benchmark; gives the folder."""
    import polars

    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": each.id,
            "image": {"bytes": each.png, "path": f"{each.id}.png"},
            "assistant": each.gold,
            "assistant_without_json": "\n".join(json.loads(each.gold).values()),
        }
        for each in made
    ]
    polars.DataFrame(rows).write_parquet(folder / "test-00000-of-00001.parquet")
    return folder


def write_imagefolder(folder: Path, made: Sequence[Page]) -> Path:
    """A Hugging Face imagefolder: PNG files and `metadata.jsonl`; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for each in made:
        (folder / f"{each.id}.png").write_bytes(each.png)
        lines.append(json.dumps({"file_name": f"{each.id}.png", "assistant": each.gold}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--part", choices=PARTS, default="train")
    parser.add_argument("--short", action="store_true", help="the pages of the first training")
    args = parser.parse_args()
    made = list(pages(args.part, args.pages, SHORT if args.short else FULL))
    write_benchmark(args.out / "parquet", made)
    write_imagefolder(args.out / "imagefolder", made)
    print(f"{args.out}: {len(made)} pages of {args.part} in {len(faces())} faces")


if __name__ == "__main__":
    main()
