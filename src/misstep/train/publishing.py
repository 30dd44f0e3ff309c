"""The folder that a stage leaves: weights, a note of how they were made, a card.

In: a trained model. Out: an adapter folder or a model folder, there whole or not at all.
Importing this module imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from misstep.models import ADAPTER_NOTE, ModelRef
from misstep.train.card import on_hub
from misstep.train.disk import file_sha
from misstep.train.rows import digest


def whole(trainer: Any) -> Any:
    """The weights brought together where processes hold a part each; None where none does."""
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return None


def original(ref: ModelRef, begun: Path | None) -> str:
    """The name of the base, also behind a model folder of ours that a stage goes on from."""
    note = begun / ADAPTER_NOTE if begun is not None else None
    if note is None or not note.is_file():
        return ref.named
    return str(json.loads(note.read_text(encoding="utf-8")).get("base") or ref.named)


def publish(
    model: Any,
    out: Path,
    *,
    note: dict[str, Any],
    text: str,
    words: Any,
    state: Any = None,
) -> None:
    """Write an adapter folder, or a model folder where the note says so, in one rename.

    Args:
        note: what stands in its note file, beside the SHA-256 of the weights.
        text: the model card.
        words: the tokenizer with its chat template, or the processor.
        state: the weights, where `model` does not hold them whole.
    """
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    if note["trained"] == "adapter":
        model.peft_config["default"].base_model_name_or_path = on_hub(note["base"])
        model.save_pretrained(
            str(fresh),
            selected_adapters=["default"],
            save_embedding_layers=False,
            state_dict=state,
        )
        _sort_targets(fresh / "adapter_config.json")
    else:
        model.save_pretrained(str(fresh), state_dict=state)
    words.save_pretrained(str(fresh))
    facts = json.dumps({**note, "sha256": weights_sha(fresh)}, indent=2, sort_keys=True)
    (fresh / ADAPTER_NOTE).write_text(facts + "\n", encoding="utf-8")
    (fresh / "README.md").write_text(text, encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(fresh, out)


def weights_sha(folder: Path) -> str:
    """SHA-256 of an adapter's weights file; of a model's too, or over those of its files."""
    files = sorted(folder.glob("*.safetensors"))
    return file_sha(files[0]) if len(files) == 1 else digest(map(file_sha, files))


def _sort_targets(path: Path) -> None:
    """PEFT writes a set; sorted, the same training gives the same file."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
