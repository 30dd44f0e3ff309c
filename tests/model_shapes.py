"""The shapes of well-known models, as their makers publish them in `config.json`; no weights.

settings, images = shape("qwen3-8b")         # a configuration of transformers
"""

from __future__ import annotations

from typing import Any


def _text(hidden: int, middle: int, layers: int, heads: tuple[int, int], words: int) -> dict:
    return {
        "hidden_size": hidden,
        "intermediate_size": middle,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "vocab_size": words,
    }


_QWEN_EYE = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
_SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "patch_size": 14,
}
_BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 16,
}


def _qwen(text: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    eye = {**_QWEN_EYE, "out_hidden_size": text["hidden_size"]}
    return {"text_config": text, "vision_config": eye, "tie_word_embeddings": tied}


def _smolvlm(text: dict[str, Any], eye: dict[str, Any], side: int, scale: int) -> dict[str, Any]:
    return {
        "text_config": {"model_type": "llama", **text},
        "vision_config": {**eye, "image_size": side},
        "scale_factor": scale,
        "tie_word_embeddings": False,
    }


_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "smollm2-135m": (
        "llama",
        {**_text(576, 1536, 30, (9, 3), 49152), "tie_word_embeddings": True},
    ),
    "llama-3.2-1b": (
        "llama",
        {**_text(2048, 8192, 16, (32, 8), 128256), "tie_word_embeddings": True},
    ),
    "llama-3.1-8b": ("llama", _text(4096, 14336, 32, (32, 8), 128256)),
    "qwen3-4b": (
        "qwen3",
        {**_text(2560, 9728, 36, (32, 8), 151936), "head_dim": 128, "tie_word_embeddings": True},
    ),
    "qwen3-8b": ("qwen3", {**_text(4096, 12288, 36, (32, 8), 151936), "head_dim": 128}),
    "qwen3-14b": ("qwen3", {**_text(5120, 17408, 40, (40, 8), 151936), "head_dim": 128}),
    "qwen2.5-14b": ("qwen2", _text(5120, 13824, 48, (40, 8), 152064)),
    "qwen3-32b": ("qwen3", {**_text(5120, 25600, 64, (64, 8), 151936), "head_dim": 128}),
    "qwen2.5-32b": ("qwen2", _text(5120, 27648, 64, (40, 8), 152064)),
    "qwen2.5-vl-3b": ("qwen2_5_vl", _qwen(_text(2048, 11008, 36, (16, 2), 151936), tied=True)),
    "qwen2.5-vl-7b": ("qwen2_5_vl", _qwen(_text(3584, 18944, 28, (28, 4), 152064), tied=False)),
    "gemma-3-4b": (
        "gemma3",
        {
            "text_config": {**_text(2560, 10240, 34, (8, 4), 262208), "head_dim": 256},
            "vision_config": {**_SO400M, "image_size": 896},
        },
    ),
    "smolvlm-2.2b": (
        "smolvlm",
        _smolvlm(_text(2048, 8192, 24, (32, 32), 49155), _SO400M, side=384, scale=3),
    ),
    "smolvlm-500m": (
        "smolvlm",
        _smolvlm(_text(960, 2560, 32, (15, 5), 49280), _BASE, side=512, scale=4),
    ),
    "smolvlm-256m": (
        "smolvlm",
        _smolvlm(_text(576, 1536, 30, (9, 3), 49280), _BASE, side=512, scale=4),
    ),
}


def shape(name: str) -> tuple[Any, bool]:
    """A configuration of transformers, and whether the model takes images."""
    from transformers import AutoConfig

    kind, given = _SHAPES[name]
    return AutoConfig.for_model(kind, **given), "vision_config" in given
