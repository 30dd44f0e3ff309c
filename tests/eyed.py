"""Small pages with their images kept, and prompts over them, for tests of models that see."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from misstep import store
from misstep.types import Context, Message, Part

PAGES = 4
NOTHING = Context()


def pages(folder: Path, count: int = PAGES) -> list[str]:
    """Names of images of different sizes, each with something of its own on it."""
    from PIL import Image, ImageDraw

    names = []
    for at in range(count):
        picture = Image.new("RGB", (40 + 10 * at, 32), "white")
        ImageDraw.Draw(picture).text((2 + at, 5), f"p{at}", fill="black")
        data = io.BytesIO()
        picture.save(data, "PNG")
        names.append(store.keep_image(folder, data.getvalue()))
    return names


def said(text: str) -> Message:
    """What the agent answers."""
    return Message(role="assistant", parts=(Part(kind="text", text=text),))


def asked(*parts: str) -> tuple[Message, ...]:
    """One user message; names of images are images, the rest is text."""
    made = tuple(
        Part(kind="image" if store.is_image_name(part) else "text", text=part) for part in parts
    )
    return (Message(role="user", parts=made),)


def native(loaded: Any, names: list[str], ids: list[int], prompt: int | None = None) -> Any:
    """The whole model's own inputs for one row: real token ids and what its processor makes."""
    import torch
    from PIL import Image

    eye = loaded.eye
    pictures = [Image.open(store.image_path(eye.folder, name)).convert("RGB") for name in names]
    made = (
        eye.processor(images=[pictures], text=[eye.mark * len(names)], return_tensors="pt")
        if names
        else {}
    )
    words = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels")
    given = {key: value for key, value in made.items() if key not in words}
    real = torch.tensor([[eye.placeholder if i >= 1 << 62 else i for i in ids]])
    given |= {"input_ids": real, "attention_mask": torch.ones_like(real)}
    kinds = {
        "images": ("token_type_ids", (real == eye.placeholder).long()),
        "modes": ("mm_token_type_ids", (real == eye.placeholder).long()),
        "prefix": (
            "token_type_ids",
            (torch.arange(len(ids)) >= (len(ids) if prompt is None else prompt)).long()[None],
        ),
    }
    return given | dict([kinds[eye.typed]] if eye.typed in kinds else [])
