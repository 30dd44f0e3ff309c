"""The samples of all four formats of pages: made by Pillow, `datasets` and polars.

pip install '.[train,ocr]'
python sample_logs/page-table/make.py
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
from pathlib import Path

import datasets
import polars as pl
from PIL import Image, ImageDraw, ImageFont

LOGS = Path(__file__).parents[1]
PAGES = (
    {
        "header": "Diário do Município",
        "text": "Aos três dias do mês de março,\nreuniu-se a câmara em sessão.",
        "footer": "1",
    },
    {"text": "Receita de pão de queijo:\n500 g de polvilho, dois ovos, sal."},
    {"text": "Não há vagas para caminhões.", "margin": "Arquivado"},
)


def picture(gold: dict[str, str]) -> Image.Image:
    page = Image.new("L", (240, 150), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for at, text in enumerate(gold.values()):
        draw.multiline_text((8, 8 + 50 * at), text, fill=0, font=font)
    return page


def png(gold: dict[str, str]) -> bytes:
    out = io.BytesIO()
    picture(gold).save(out, "PNG", optimize=True)
    return out.getvalue()


def text(gold: dict[str, str]) -> str:
    return json.dumps(gold, ensure_ascii=False)


def fresh(name: str) -> Path:
    folder = LOGS / name
    for path in folder.iterdir():
        if path.name not in ("README.md", "make.py", "expected.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def imagefolder() -> None:
    folder = fresh("imagefolder")
    rows = []
    for number, gold in enumerate(PAGES):
        (folder / f"{number}.png").write_bytes(png(gold))
        rows.append({"file_name": f"{number}.png", "text": gold["text"], "document": "atas"})
    rows[2] = {"file_name": "2.png", "assistant": text(PAGES[2])}
    (folder / "broken.png").write_bytes(png(PAGES[0])[:200])
    (folder / "unnamed.png").write_bytes(png(PAGES[1]))
    rows += [
        {"file_name": "broken.png", "text": "cortada"},
        {"file_name": "../page-pairs/ata.png", "text": "fora da pasta"},
        {"file_name": "1.png", "text": "  "},
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines)


def page_pairs() -> None:
    folder = fresh("page-pairs")
    for name, gold in zip(("ata", "receita"), PAGES, strict=False):
        (folder / f"{name}.png").write_bytes(png(gold))
        (folder / f"{name}.json").write_text(json.dumps(gold, ensure_ascii=False, indent=1))
    (folder / "titulo.png").write_bytes(png(PAGES[2]))
    (folder / "titulo.json").write_text('{"title": "nothing that the schema knows"}\n')
    (folder / "alone.png").write_bytes(png(PAGES[2]))


def page_table() -> None:
    folder = fresh("page-table")
    rows = [
        {
            "id": f"page-{number}",
            "image": {"bytes": png(gold), "path": f"page-{number}.png"},
            "image_base64": base64.b64encode(png(gold)).decode(),
            "assistant": text(gold),
            "assistant_without_json": "\n".join(gold.values()),
        }
        for number, gold in enumerate(PAGES)
    ]
    rows.append({**rows[0], "id": "page-3", "assistant": "no JSON"})
    pl.DataFrame(rows).write_parquet(folder / "test-00000-of-00001.parquet")
    with tempfile.TemporaryDirectory() as made:
        row = {"image": {"bytes": png(PAGES[1]), "path": None}, "assistant": '{"text": "ovos"}'}
        datasets.Dataset.from_list([row]).save_to_disk(made)
        shutil.copy(Path(made) / "data-00000-of-00001.arrow", folder)


def pdf_pages() -> None:
    folder = fresh("pdf-pages")
    first, *rest = (picture(gold) for gold in PAGES)
    first.save(folder / "atas.pdf", save_all=True, append_images=rest, resolution=150)
    golds = [PAGES[0], {"page": 3, **PAGES[2]}, {"page": 9, "text": "não existe"}]
    (folder / "atas.json").write_text(json.dumps({"pages": golds}, ensure_ascii=False))


if __name__ == "__main__":
    imagefolder()
    page_pairs()
    page_table()
    pdf_pages()
