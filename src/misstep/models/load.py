"""Loading a model, its tokenizer and its template, with or without an adapter.

In: what `--model` names, and an adapter folder. Out: `Loaded`. Never runs code from a model folder
(`trust_remote_code` stays off), never unpickles (safetensors only), and downloads only for a Hub
id, and not with `HF_HUB_OFFLINE` set. torch is imported inside the functions.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misstep.errors import ModelError
from misstep.models.cache import converted, file_hash, folder_hash, settings_hash
from misstep.models.eye import Eye, load_eye, sees
from misstep.models.four_bits import in_four_bits
from misstep.models.images import Gallery
from misstep.models.resolve import EMBEDDED_ON_HUB, ModelRef, check_folder, resolve
from misstep.models.template import Template

ADAPTER_NOTE = "misstep_adapter.json"
"""Beside an adapter: `{"base": name, "base_hash": fingerprint}` of the model it was trained on."""
_HUB_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model ready to answer or to be trained."""

    model: Any
    """A transformers language model in evaluation mode, or a `PeftModel` around one."""
    tokenizer: Any
    template: Template
    ref: ModelRef
    base_hash: str
    """Fingerprint of the base weights: the same model gives the same one on every machine."""
    eye: Eye | None = None
    """How it looks at images; None where it reads text only."""
    sight: Any = None
    """A `sight.Sight` where there is an eye."""
    sharing: int = 1
    """Processes that have the model on the same device, this one included."""

    @property
    def window(self) -> int:
        """Tokens that the model can read and write in all; no limit where it names none."""
        config = self.model.config.get_text_config()
        named = (getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
        return next((int(size) for size in named if size is not None), sys.maxsize)

    @property
    def reader(self) -> Any:
        """What reads prompts: the network, or its sight where it takes images."""
        return self.network if self.sight is None else self.sight

    @property
    def words(self) -> Any:
        """What is saved beside the weights: the processor, the tokenizer where there is none."""
        return self.tokenizer if self.eye is None else self.eye.processor

    @property
    def network(self) -> Any:
        """The transformers model itself; adapters attached to it stay active in its layers."""
        peft = sys.modules.get("peft")  # not imported: then the model cannot be one of its own
        attached = peft is not None and isinstance(self.model, peft.PeftModel)
        return self.model.get_base_model() if attached else self.model


def load(
    model: ModelRef | str,
    *,
    adapter: Path | None = None,
    dtype: str = "auto",
    merge: bool = True,
    images: Gallery | Path | None = None,
    four_bits: bool = False,
) -> Loaded:
    """The model in memory.

    Args:
        model: what `resolve` takes, or what it gave.
        adapter: a LoRA folder. It is merged into the weights in float32 before the cast to
            `dtype`, so sampling costs what the base costs; with `merge=False` the model is a
            `PeftModel` with the adapter active and frozen. Both in main memory (4 bytes a weight);
            a GPU gets what comes out.
        dtype: `auto` (bfloat16 where the hardware is fast in it, else float32), `float32`,
            `bfloat16`.
        images: folder of the images that prompts name, for a model that takes images.
        four_bits: load the base for QLoRA; not with `adapter`, whose weights are merged.

    Raises:
        ConfigError: it cannot be loaded in 4 bits here.
        ModelError: the model or the adapter cannot be used; the message says what to do.
        ExtraMissing: its processor needs a package that is not installed.
    """
    ref = resolve(model) if isinstance(model, str) else model
    folder, base_hash = unpacked(ref)
    if adapter is not None:
        check_adapter(adapter, ref, base_hash)
    loaded_dtype = _dtype("float32" if adapter is not None else dtype)
    network = _network(folder, loaded_dtype, ref, four_bits=four_bits)
    if adapter is not None:
        network = _cast(_with_adapter(network, adapter, ref, merge=merge), _dtype(dtype))
    if not four_bits:
        network = _placed(network)
    tokenizer, eye = _reader(folder, ref, images)
    network.eval()
    return Loaded(
        model=network,
        tokenizer=tokenizer,
        template=Template(tokenizer, eye),
        ref=ref,
        base_hash=base_hash,
        eye=eye,
        sight=None if eye is None else _sight(network, eye),
    )


def _sight(network: Any, eye: Eye) -> Any:
    from peft import PeftModel

    from misstep.models.sight import Sight

    return Sight(network.get_base_model() if isinstance(network, PeftModel) else network, eye)


def unpacked(ref: ModelRef) -> tuple[Path, str]:
    """The folder that transformers loads, and the fingerprint of its weights.

    A GGUF file is converted on first use; a Hub id is downloaded on first use.
    """
    if ref.path is None:
        folder = _downloaded(ref)
        return folder, folder_hash(folder)
    if ref.kind == "folder":
        return ref.path, folder_hash(ref.path)
    content = file_hash(ref.path)
    return converted(ref.path, content), content


def settings_of(ref: ModelRef) -> str:
    """The fingerprint of what a base says beside its weights; see `cache.settings_hash`."""
    return settings_hash(unpacked(ref)[0])


def load_tokenizer(
    model: ModelRef | str, *, images: Gallery | Path | None = None
) -> tuple[Any, Template]:
    """Tokenizer and template alone, for work that needs no weights."""
    ref = resolve(model) if isinstance(model, str) else model
    tokenizer, eye = _reader(unpacked(ref)[0], ref, images)
    return tokenizer, Template(tokenizer, eye)


def load_words(model: ModelRef | str) -> Any:
    """What stands beside a model's weights: its processor, its tokenizer where there is none."""
    ref = resolve(model) if isinstance(model, str) else model
    tokenizer, eye = _reader(unpacked(ref)[0], ref, None)
    return tokenizer if eye is None else eye.processor


def _reader(folder: Path, ref: ModelRef, images: Gallery | Path | None) -> tuple[Any, Eye | None]:
    """The tokenizer, and the eye of a model that takes images."""
    if not sees(folder):
        return _tokenizer(folder, ref), None
    eye = load_eye(folder, images, ref.name)
    return eye.processor.tokenizer, eye


def takes_images(model: str) -> bool:
    """Whether a model takes images beside text.

    Raises:
        ModelError: there is no such model.
    """
    return sees(unpacked(resolve(model))[0])


def best_dtype() -> str:
    """`bfloat16` where CUDA or this CPU (AMX) is fast in it, else `float32`.

    AVX512-BF16 alone makes products of 64 rows and more at 0.6 to 0.85 of float32's speed
    (design/sampling.md).
    """
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if torch.cpu.get_capabilities().get("amx_bf16") else "float32"


def _dtype(name: str) -> Any:
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    wanted = best_dtype() if name == "auto" else name
    if wanted not in known:
        raise ModelError(f"unknown dtype {name!r}; expected auto, float32 or bfloat16")
    return known[wanted]


def _network(folder: Path, dtype: Any, ref: ModelRef, *, four_bits: bool) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils import logging

    kind = AutoModelForImageTextToText if sees(folder) else AutoModelForCausalLM
    packed = in_four_bits(dtype) if four_bits else {}
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        network = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, **packed
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{ref.name}: cannot be loaded ({error})") from None
    finally:
        if bars:
            logging.enable_progress_bar()
    return network


def _cast(network: Any, dtype: Any) -> Any:
    """The weights in `dtype`; what no file holds stays as the model made it.

    Such are the frequencies of rotary positions. A model that is loaded in bfloat16 has them in
    float32; rounded, far positions would be others than those that were trained on.
    """
    made = [
        (module, name, buffer)
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if name in module._non_persistent_buffers_set
    ]
    network = network.to(dtype)
    for module, name, buffer in made:
        setattr(module, name, buffer)
    return network


def _placed(network: Any) -> Any:
    """On the GPU where there is one; last of all, since it may hold the weights only as cast."""
    import torch

    return network.to("cuda") if torch.cuda.is_available() else network


def _tokenizer(folder: Path, ref: ModelRef) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{ref.name}: its tokenizer cannot be loaded ({error})") from None


def _downloaded(ref: ModelRef) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(ref.name, allow_patterns=list(_HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"{ref.name}: no such folder, and it cannot be had from the Hub "
            f"({type(error).__name__}); give the path of a model folder, "
            "or go online once to download it"
        ) from None
    check_folder(folder)
    return folder


# --- adapters ----------------------------------------------------------------------------------


def write_adapter_note(adapter: Path, ref: ModelRef, base_hash: str) -> None:
    """Say beside an adapter which base it belongs to, so that `load` can refuse another."""
    text = json.dumps({"base": ref.name, "base_hash": base_hash}, indent=2)
    (adapter / ADAPTER_NOTE).write_text(text + "\n", encoding="utf-8")


def check_adapter(adapter: Path, ref: ModelRef, base_hash: str) -> None:
    """The folder is a safetensors adapter for this base.

    Compared is the fingerprint in `misstep_adapter.json`; without that file the base's name in
    `adapter_config.json`, and the tensor shapes when it is loaded.

    Raises:
        ModelError: it is not.
    """
    config = _read_json(adapter / "adapter_config.json", "expected an adapter folder")
    if not (adapter / "adapter_model.safetensors").is_file():
        pickled = (adapter / "adapter_model.bin").is_file()
        why = "only pickled weights, which are never loaded" if pickled else "no weights"
        raise ModelError(f"{adapter}: {why}; expected adapter_model.safetensors")
    if (adapter / ADAPTER_NOTE).is_file():
        note = _read_json(adapter / ADAPTER_NOTE, "expected the base's name and fingerprint")
        if note.get("base_hash") != base_hash:
            raise ModelError(
                f"{adapter}: trained on {note.get('base')!r} (weights {note.get('base_hash')}), "
                f"not on {ref.name!r} (weights {base_hash}); give that model with --model"
            )
        return
    trained_on = config.get("base_model_name_or_path")
    name = EMBEDDED_ON_HUB if ref.kind == "embedded" else ref.name if ref.kind == "hub" else ""
    if name and isinstance(trained_on, str) and "/" in trained_on:
        same = trained_on.rstrip("/").rsplit("/", 1)[-1] == name.rsplit("/", 1)[-1]
        if not same:
            raise ModelError(
                f"{adapter}: trained on {trained_on!r}, not on {ref.name!r}; "
                "give that model with --model"
            )


def named_base(adapter: Path) -> str | None:
    """The model that an adapter says it was trained on; None where it says nothing.

    Raises:
        ModelError: a file of the folder is no JSON object.
    """
    for name, key in ((ADAPTER_NOTE, "base"), ("adapter_config.json", "base_model_name_or_path")):
        if (adapter / name).is_file():
            told = _read_json(adapter / name, "expected the name of a base").get(key)
            if isinstance(told, str) and told:
                return told
    return None


def _read_json(path: Path, expected: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {expected}") from None
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); {expected}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object; {expected}")
    return value


def _with_adapter(network: Any, adapter: Path, ref: ModelRef, *, merge: bool) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT reads a name on its way out
            warnings.filterwarnings("ignore", message="Found missing adapter keys")
            tuned = PeftModel.from_pretrained(
                network, str(adapter), is_trainable=False, torch_device="cpu"
            )
        with safe_open(adapter / "adapter_model.safetensors", framework="pt") as file:
            # with "auto" PEFT would ask a hub whether the vocabulary has grown
            own = get_peft_model_state_dict(tuned, save_embedding_layers=False)
            stray = set(file.keys()) ^ set(own)
    except (RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        said = str(error).strip().splitlines()
        raise _misfit(adapter, ref, said[0] if said else type(error).__name__) from None
    if stray:
        raise _misfit(adapter, ref, f"{len(stray)} tensors have no counterpart: {min(stray)} …")
    return tuned.merge_and_unload() if merge else tuned


def _misfit(adapter: Path, ref: ModelRef, why: str) -> ModelError:
    return ModelError(
        f"{adapter}: does not fit {ref.name!r} ({why}); "
        "give the model that it was trained on with --model"
    )
