"""Messages as an endpoint takes them: chat dicts, with the bytes of their images in them.

In: messages and the folder of a run's images. Out: chat dicts without reasoning, which endpoints do
not take back. An image goes as a data URL, exactly as it was kept; an address that stands in a log
is never passed on, since the endpoint would fetch it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from misstep import store
from misstep.chat import to_chat
from misstep.models.eye import Unseen
from misstep.types import Message, Part


def sent(messages: Sequence[Message], images: Path | None) -> list[dict[str, Any]]:
    """The chat dicts of a request.

    Raises:
        Unseen: an image was not kept, or is none.
    """
    rows: list[dict[str, Any]] = []
    for message in messages:
        made = to_chat([message])
        if message.role in ("system", "user") and any(p.kind == "image" for p in message.parts):
            made = [{**made[0], "content": [_part(part, images) for part in message.parts]}]
        rows.extend({k: v for k, v in row.items() if k != "reasoning_content"} for row in made)
    return rows


def _part(part: Part, images: Path | None) -> dict[str, Any]:
    if part.kind != "image":
        return {"type": "text", "text": part.text or ""}
    return {"type": "image_url", "image_url": {"url": _data_url(part.text or "", images)}}


def _data_url(name: str, images: Path | None) -> str:
    if images is None or not store.is_image_name(name):
        raise Unseen("the prompt holds an image that is not kept, so it cannot be sent")
    try:
        data = store.image_path(images, name).read_bytes()
    except OSError as error:
        raise Unseen(f"an image of the prompt cannot be read ({error.strerror})") from None
    kind = store.image_type(data)
    if kind is None:
        raise Unseen("an image of the prompt is of no known format")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
