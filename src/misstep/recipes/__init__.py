"""Recipes: settings to begin with, for a purpose, a machine and a model.

In: the name of a recipe, of a preset and of a model. Out: nested settings that `load_config` takes
as its ground, and the YAML text that explains every key. Each recipe is data: a YAML file beside
this one with `settings`, `presets` (one for each kind of machine) and perhaps `models` (patterns).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

import yaml

from misstep.config import merge
from misstep.errors import UnknownName

PRESETS = ("cpu", "24gb", "80gb")
_LEAST_24, _LEAST_80 = 20_000, 70_000
"""MiB of a GPU from which a preset is taken; makers sell 24 GB with a little less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One recipe; its settings are in the YAML file of its name."""

    name: str
    about: str
    """One sentence."""
    stages: tuple[str, ...]
    needs: str
    """What it works on, and what must be there."""

    @property
    def text(self) -> str:
        """The YAML file."""
        path = resources.files("misstep") / "recipes" / f"{self.name}.yaml"
        return path.read_text(encoding="utf-8")


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="tool-calls",
        about="Fewer failing tool calls, from pairs of the log or of the model's own answers.",
        stages=("sft", "rft", "resample", "mine", "dpo", "evaluate"),
        needs="agent logs with tool calls (and their schemas, or a tools file)",
    ),
    Recipe(
        name="structured-output",
        about="JSON that holds to its schema and ends, from the fine-tuned model's own answers.",
        stages=("sft", "resample", "mine", "dpo", "evaluate"),
        needs="logs of requests that want JSON, accepted answers among them",
    ),
    Recipe(
        name="ocr",
        about="Transcriptions of pages without repetition loops: DharmaOCR's stages.",
        stages=("sft", "resample", "mine", "dpo", "evaluate"),
        needs="pages with transcriptions or OCR logs with images, an image-text-to-text model",
    ),
)
"""Every recipe. A new one is one YAML file, one line here, its row in docs/recipes.md."""


def recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        UnknownName: there is none; the message offers the nearest.
    """
    known = {each.name: each for each in RECIPES}
    if name not in known:
        raise UnknownName("recipe", name, known)
    return known[name]


def settings(name: str, *, model: str, preset: str = "auto") -> dict[str, Any]:
    """Nested settings: those of the recipe, then of the preset, then of the model in both.

    Args:
        model: its name or folder; patterns of the recipe are held against it.
        preset: one of `PRESETS`, or `auto` for that of this machine.

    Raises:
        UnknownName: there is no such recipe or preset.
    """
    data = yaml.safe_load(recipe(name).text)
    size = machine() if preset == "auto" else preset
    if size not in PRESETS:
        raise UnknownName("preset", size, ("auto", *PRESETS))
    own: Mapping[str, Any] = next(_matching(data, model), {})
    merged: dict[str, Any] = {}
    for part in (data, own):
        merge(merged, part.get("settings", {}))
        merge(merged, part.get("presets", {}).get(size, {}))
    return {**merged, "recipe": name}


def _matching(data: Mapping[str, Any], model: str) -> Iterator[Mapping[str, Any]]:
    """The part of each pattern that the model matches."""
    folded = model.casefold()
    return (each for each in data.get("models", ()) if fnmatchcase(folded, each["match"]))


def machine() -> str:
    """The preset of this machine: by the memory of its smallest visible NVIDIA GPU."""
    sizes = _gpu_sizes()
    if not sizes or min(sizes) < _LEAST_24:
        return "cpu"
    return "80gb" if min(sizes) >= _LEAST_80 else "24gb"


def _gpu_sizes() -> list[int]:
    """MiB of each visible GPU; torch is not asked, since loading it takes seconds."""
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    asked = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603 - a fixed command
    except (OSError, subprocess.SubprocessError):
        return []
    return [int(line) for line in said.split() if line.isdigit()]
