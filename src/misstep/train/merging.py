"""Merging: base and adapter become one model folder that any tool loads without PEFT.

In: a base, an adapter that was trained on it. Out: a folder with safetensors weights, tokenizer,
chat template and a card, which says of the training what the adapter's card says. The sums are made
in float32 and then cast, so nothing is lost but the last cast.
Importing this module imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from misstep.errors import InputError
from misstep.models import ADAPTER_NOTE, load
from misstep.train.card import base_line, carried, shown
from misstep.train.disk import room_on_disk
from misstep.train.stage import quiet, versions


def merge(base: str, adapter: Path, out: Path, *, dtype: str = "auto") -> Path:
    """Write the merged model to `out`.

    Args:
        dtype: of the written weights, as in `models.load`.

    Raises:
        InputError: `out` is there already.
        ModelError: the base cannot be loaded, or the adapter belongs to another one.
        StageError: the disk is full.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; give another folder with -o, or remove it")
    with quiet(), room_on_disk(out):
        loaded = load(base, adapter=adapter, dtype=dtype, merge=True)
        fresh = out.with_name(out.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        loaded.model.save_pretrained(str(fresh))
        loaded.words.save_pretrained(str(fresh))
        kind = str(loaded.model.dtype).removeprefix("torch.")
        text = _card(loaded.ref.name, kind, _note(adapter), carried(adapter))
        (fresh / "README.md").write_text(text, encoding="utf-8")
        os.replace(fresh, out)
    return out


def _note(adapter: Path) -> dict[str, Any]:
    path = adapter / ADAPTER_NOTE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _card(base: str, dtype: str, note: dict[str, Any], told: str) -> str:
    """The card; `told` is what that of the adapter says of its training."""
    stage = str(note.get("stage", "")).upper() or "LoRA"
    name = shown(base)
    made = f"Weights of {name} with its {stage} adapter added in, stored as {dtype}."
    if note.get("sha256"):
        made += f" The adapter's weights have SHA-256 `{note['sha256']}`."
    lines = ["---", *base_line(base), "library_name: transformers", "tags: [misstep]", "---"]
    lines += ["", f"# {name}, merged", "", made, ""]
    lines += ["Merged with " + ", ".join(f"{k} {v}" for k, v in sorted(versions().items())) + "."]
    return "\n".join(lines) + "\n" + (f"\n{told}" if told else "")
