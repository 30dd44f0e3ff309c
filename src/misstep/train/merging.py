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
import tempfile
from pathlib import Path
from typing import Any

from misstep.errors import InputError
from misstep.models import ADAPTER_NOTE, load, resolve, unpacked
from misstep.train.card import base_line, carried, shown
from misstep.train.disk import room_on_disk
from misstep.train.stage import quiet, versions


def merge(base: str, adapter: Path, out: Path, *, dtype: str = "auto") -> Path:
    """Write the merged model to `out`.

    Args:
        dtype: of the written weights, `float32` or `bfloat16`; `auto` is that of the base's files,
            float32 where they are neither.

    Raises:
        InputError: `out` is there already.
        ModelError: the base cannot be loaded, or the adapter belongs to another one.
        StageError: the disk is full.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; give another folder with -o, or remove it")
    with quiet(), room_on_disk(out):
        kind = _stored(base) if dtype == "auto" else dtype
        loaded = load(base, adapter=adapter, dtype=kind, merge=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            loaded.model.save_pretrained(str(fresh))
            loaded.words.save_pretrained(str(fresh))
            text = _card(loaded.ref.named, kind, _note(adapter), carried(adapter))
            (fresh / "README.md").write_text(text, encoding="utf-8")
            fresh.chmod(0o777 & ~_umask())
            os.replace(fresh, out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return out


def _stored(base: str) -> str:
    """The number format of the base's weights."""
    config = json.loads((unpacked(resolve(base))[0] / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config") or {}
    named = (each.get(key) for each in (config, text) for key in ("dtype", "torch_dtype"))
    return "bfloat16" if next(filter(None, named), "") == "bfloat16" else "float32"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
