"""Page images made by Pillow, with what stands on them; Portuguese, as in DharmaOCR's benchmark."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image, ImageDraw

GOLDS: tuple[dict[str, str], ...] = (
    {
        "header": "Diário do Município",
        "text": "Aos três dias do mês de março,\nreuniu-se a câmara em sessão ordinária.",
        "footer": "Página 1",
    },
    {"text": "Receita de pão de queijo:\n500 g de polvilho, dois ovos, sal a gosto."},
    {"text": "Não há vagas para caminhões.", "margin": "Arquivado em 1921"},
)


def picture(gold: dict[str, str], size: tuple[int, int] = (300, 200)) -> Image.Image:
    """A page with every field of the gold on it."""
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for at, text in enumerate(gold.values()):
        draw.multiline_text((10, 10 + 60 * at), text, fill="black")
    return page


def image_bytes(gold: dict[str, str], kind: str = "PNG", **options: Any) -> bytes:
    """The page as a file of this kind."""
    out = io.BytesIO()
    picture(gold, **options).save(out, kind)
    return out.getvalue()


def gold_text(gold: dict[str, str]) -> str:
    """The gold as the benchmark spells it."""
    return json.dumps(gold, ensure_ascii=False)


def benchmark_row(number: int, gold: dict[str, str]) -> dict[str, Any]:
    """One row in the shape of DharmaOCR-Benchmark."""
    data = image_bytes(gold)
    return {
        "id": f"page-{number}",
        "image": {"bytes": data, "path": f"page-{number}.png"},
        "image_base64": base64.b64encode(data).decode(),
        "assistant": gold_text(gold),
        "assistant_without_json": "\n".join(gold.values()),
    }


def write_benchmark(folder: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """A folder in the shape of DharmaOCR-Benchmark: `data/test-00000-of-00001.parquet`."""
    rows = [benchmark_row(n, gold) for n, gold in enumerate(GOLDS)] if rows is None else rows
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(folder / "data" / "test-00000-of-00001.parquet")
    return folder


def write_imagefolder(folder: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """Images in `images/`, and `metadata.jsonl`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    made = []
    for number, gold in enumerate(GOLDS):
        name = f"images/{number}.png"
        (folder / name).write_bytes(image_bytes(gold))
        made.append({"file_name": name, "text": gold["text"]})
    lines = "".join(json.dumps(row) + "\n" for row in (made if rows is None else rows))
    (folder / "metadata.jsonl").write_text(lines)
    return folder


def write_pdf(folder: Path, golds: list[Any], pages: int = 3) -> Path:
    """`deed.pdf` of so many pages, and `deed.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    sheets = [picture(GOLDS[n % len(GOLDS)]) for n in range(pages)]
    sheets[0].save(folder / "deed.pdf", save_all=True, append_images=sheets[1:], resolution=72)
    (folder / "deed.json").write_text(json.dumps(golds, ensure_ascii=False))
    return folder


def data_uri(gold: dict[str, str]) -> str:
    """The page as a data URI, as requests hold it."""
    return f"data:image/png;base64,{base64.b64encode(image_bytes(gold)).decode()}"
