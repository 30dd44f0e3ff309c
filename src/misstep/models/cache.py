"""GGUF files as unquantised safetensors folders, converted once; and fingerprints of weights.

In: a `.gguf` file. Out: a folder that transformers loads quickly, below the cache folder, named by
the content of the GGUF file. It is written under a temporary name and renamed when it is whole, so
a killed conversion leaves nothing that looks finished. Weights stay float32: what dequantisation
gives, without a further rounding.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

from misstep.errors import ModelError

_VERSION = 1
"""Part of the folder's name; raise it when the conversion writes something else."""
_BLOCKS, _BLOCK = 64, 65_536


def cache_dir() -> Path:
    """`MISSTEP_CACHE`, else `~/.cache/misstep` (below `XDG_CACHE_HOME` where that is set)."""
    own = os.environ.get("MISSTEP_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "misstep"


def file_hash(path: Path) -> str:
    """BLAKE2b of a whole file, 16 hex digits; about 1 s per GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def folder_hash(path: Path) -> str:
    """A fingerprint of a model folder's weights, 16 hex digits.

    Of each safetensors file: its size, its first megabyte (the header with all names and shapes)
    and 64 blocks of 64 kB spread evenly. Full fine-tuning changes nearly every weight, so another
    model differs, and a 16 GB folder does not have to be read whole.
    """
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(path.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(1_000_000))
            for block in range(_BLOCKS):
                stream.seek(size * block // _BLOCKS)
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


def settings_hash(path: Path) -> str:
    """A fingerprint of what a model folder says beside its weights, 16 hex digits.

    Of `config.json` and `generation_config.json`, without the path and the version of transformers
    that wrote them: the same weights under another `rope_theta` are another model.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in ("config.json", "generation_config.json"):
        file = path / name
        text = file.read_text(encoding="utf-8") if file.is_file() else "{}"
        try:
            known = {k: v for k, v in json.loads(text).items() if k not in _PASSING}
            text = json.dumps(known, sort_keys=True)
        except (ValueError, AttributeError):
            pass  # whoever loads it will say so
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


_PASSING = ("_name_or_path", "transformers_version")


def converted(gguf: Path, content: str) -> Path:
    """The folder of the GGUF file with that content hash, converted now if it is not there.

    Raises:
        ModelError: transformers cannot read the file, or the cache cannot be written.
    """
    home = cache_dir() / "models"
    target = home / f"{gguf.stem}-{content}-v{_VERSION}"
    if (target / "config.json").is_file():
        return target
    try:
        home.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".converting-", dir=home))
    except OSError as error:
        raise ModelError(
            f"{home}: cannot be written ({error.strerror}); "
            "set MISSTEP_CACHE to a folder with room for the unpacked model"
        ) from None
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the libraries' own progress bars
            _convert(gguf, temporary)
        _publish(temporary, target)
    except OSError as error:
        raise ModelError(
            f"{gguf}: cannot be converted into {home} ({error}); "
            "set MISSTEP_CACHE to a folder with room for the unpacked model"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    try:
        packed = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            trust_remote_code=False,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, trust_remote_code=False)
        # a model that came from GGUF refuses to be saved, so its weights move to a plain one
        config = copy.deepcopy(packed.config)
        if "quantization_config" in config.to_dict():
            del config.quantization_config
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        model.load_state_dict(packed.state_dict(), assign=True)
    except (ValueError, KeyError, NotImplementedError, ImportError, RuntimeError) as error:
        raise ModelError(f"{gguf}: cannot be read as a model ({error})") from None
    model.tie_weights()
    model.generation_config = packed.generation_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _publish(temporary: Path, target: Path) -> None:
    """Rename into place; where another process was first, its folder stays."""
    try:
        temporary.rename(target)
    except OSError:
        if not (target / "config.json").is_file():
            raise
