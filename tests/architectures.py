"""Tiny random models of many architectures, with a tokenizer, built on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny import build_tokenizer

_MAMBA = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bamba": ("Bamba", {**_MAMBA, "attn_layer_indices": [1], "mamba_expand": 2}),
    "falcon_h1": ("FalconH1", {**_MAMBA, "mamba_d_ssm": 64, "head_dim": 8}),
    "recurrent_gemma": (
        "RecurrentGemma",
        {"lru_width": 32, "num_hidden_layers": 3, "logits_soft_cap": 5.0},
    ),
    "deepseek": (
        "DeepseekV3",
        {
            "q_lora_rank": 16,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 4,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": 16,
            "num_key_value_heads": 4,
        },
    ),
    "falcon": ("Falcon", {}),
    "stablelm": ("StableLm", {}),
    "biogpt": ("BioGpt", {}),
    "gpt_neox": ("GPTNeoX", {}),
    "qwen3_moe": ("Qwen3Moe", {**_EXPERTS, "router_aux_loss_coef": 0.01}),
}
"""Names of the classes, without `Config` and `ForCausalLM`, and what their configuration needs."""


def build(folder: Path, kind: str, **changes: Any) -> str:
    """The folder of a model of about 60,000 weights; the same weights each time."""
    import torch
    import transformers

    tokenizer = build_tokenizer()
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    name, more = KINDS[kind]
    make_config = getattr(transformers, f"{name}Config")
    make_model = getattr(transformers, f"{name}ForCausalLM")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make_model(make_config(**{**settings, **more, **changes}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
