"""Tiny random vision-language models of five real architectures, each with its own processor.

    folder = build_eyed(tmp_path / "llava", "llava")        # under a second, about 200 kB

They answer nonsense, but everything about them is real: a vision tower, a connector, a language
model, a processor that runs on Pillow, a byte-level tokenizer that can write any text, a chat
template with image parts. The same seed gives the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny import build_tokenizer

ARCHITECTURES = ("llava", "llava_next", "idefics3", "gemma3", "paligemma")
WITH_VIDEO = ("qwen2_5_vl", "smolvlm")
"""Architectures whose processors need torchvision."""
SIDE, PATCH = 32, 8
PATCHES = (SIDE // PATCH) ** 2

PARTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}{{ 'IMAGE' }}{% else %}{{ p['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML in which an image part is written as the architecture's placeholder."""

_TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.3,
}
_VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}


def build_eyed(folder: Path, kind: str, *, seed: int = 0) -> Path:
    """The folder, with a model of about 60,000 weights and its processor in it."""
    import torch

    tokenizer = build_tokenizer(PARTS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = _BUILDERS[kind](tokenizer)
        _widen(model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _widen(model: Any) -> None:
    """Vision weights large enough for different images to give different answers."""
    import torch

    for name, parameter in model.named_parameters():
        if "lm_head" not in name and "embed_tokens" not in name and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)


def _words(tokenizer: Any, token: str, *more: str) -> dict[str, Any]:
    """Fields of a text configuration, the placeholder added to the tokenizer."""
    from tokenizers import AddedToken

    tokenizer.add_tokens(
        [AddedToken(t, special=True, normalized=False) for t in (token, *more)], special_tokens=True
    )
    tokenizer.chat_template = PARTS.replace("IMAGE", token)
    return {
        **_TEXT,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _sized() -> dict[str, Any]:
    return {"size": {"height": SIDE, "width": SIDE}, "do_convert_rgb": True}


def _llava(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaImageProcessorPil,
        LlavaProcessor,
    )

    words = _words(tokenizer, "<image>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION),
        text_config=LlamaConfig(**words, tie_word_embeddings=True),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    processor = LlavaProcessor(
        LlavaImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokenizer.chat_template,
    )
    return LlavaForConditionalGeneration(config), processor


def _llava_next(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
        LlavaNextProcessor,
        MistralConfig,
    )

    words = _words(tokenizer, "<image>")
    grid = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**_VISION),
        text_config=MistralConfig(**words, sliding_window=None),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
    )
    processor = LlavaNextProcessor(
        LlavaNextImageProcessorPil(
            size={"shortest_edge": SIDE},
            crop_size={"height": SIDE, "width": SIDE},
            image_grid_pinpoints=grid,
        ),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tokenizer.chat_template,
    )
    return LlavaNextForConditionalGeneration(config), processor


def _idefics3(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
        LlamaConfig,
    )

    more = ("<fake_token_around_image>", "<end_of_utterance>", "<global-img>")
    places = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    words = _words(tokenizer, "<image>", *more, *places)
    config = Idefics3Config(
        vision_config=_VISION,
        text_config=LlamaConfig(**words),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(
            size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
        ),
        tokenizer,
        image_seq_len=PATCHES // 4,
        chat_template=tokenizer.chat_template,
    )
    return Idefics3ForConditionalGeneration(config), processor


def _gemma3(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessorPil,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    names["image_token"] = "<image_soft_token>"
    words = _words(tokenizer, *names.values())
    for name, token in names.items():
        tokenizer._set_model_specific_special_tokens({name: token})
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**_VISION, vision_use_head=False),
        text_config=Gemma3TextConfig(
            **words,
            head_dim=8,
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
        ),
        mm_tokens_per_image=PATCHES // 4,
        image_token_index=tokenizer.convert_tokens_to_ids(names["image_token"]),
        boi_token_index=tokenizer.convert_tokens_to_ids(names["boi_token"]),
        eoi_token_index=tokenizer.convert_tokens_to_ids(names["eoi_token"]),
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessorPil(**_sized()),
        tokenizer,
        image_seq_length=PATCHES // 4,
        chat_template=tokenizer.chat_template,
    )
    return Gemma3ForConditionalGeneration(config), processor


def _paligemma(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessorPil,
        SiglipVisionConfig,
    )

    images = SiglipImageProcessorPil(**_sized())
    images.image_seq_length = PATCHES
    words = _words(tokenizer, "<image>")
    processor = PaliGemmaProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
    words["vocab_size"] = len(tokenizer)
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**_VISION, vision_use_head=False),
        text_config=GemmaConfig(**words, head_dim=8),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
        vocab_size=len(tokenizer),
    )
    return PaliGemmaForConditionalGeneration(config), processor


def _qwen2_5_vl(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessorPil,
        Qwen2VLVideoProcessor,
    )

    names = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    words = _words(tokenizer, *names)
    shown = "<|vision_start|><|image_pad|><|vision_end|>"
    tokenizer.chat_template = PARTS.replace("IMAGE", shown)
    places = dict(zip(names, tokenizer.convert_tokens_to_ids(list(names)), strict=True))
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2}
    config = Qwen2_5_VLConfig(
        vision_config={
            **vision,
            "out_hidden_size": 32,
            "patch_size": PATCH,
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        text_config={**words, "rope_parameters": rope},
        image_token_id=places["<|image_pad|>"],
        video_token_id=places["<|video_pad|>"],
        vision_start_token_id=places["<|vision_start|>"],
        vision_end_token_id=places["<|vision_end|>"],
    )
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": 4 * SIDE * SIDE}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessorPil(patch_size=PATCH, size=size),
        tokenizer,
        Qwen2VLVideoProcessor(patch_size=PATCH, size=size),
        chat_template=tokenizer.chat_template,
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def _smolvlm(tokenizer: Any) -> tuple[Any, Any]:
    from transformers import (
        LlamaConfig,
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessorPil,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    more = ("<fake_token_around_image>", "<end_of_utterance>", "<global-img>")
    places = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    words = _words(tokenizer, "<image>", *more, *places)
    config = SmolVLMConfig(
        vision_config=_VISION,
        text_config=LlamaConfig(**words),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    edges = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessorPil(**edges),
        tokenizer,
        SmolVLMVideoProcessor(**edges),
        image_seq_len=PATCHES // 4,
        chat_template=tokenizer.chat_template,
    )
    return SmolVLMForConditionalGeneration(config), processor


_BUILDERS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "idefics3": _idefics3,
    "gemma3": _gemma3,
    "paligemma": _paligemma,
    "qwen2_5_vl": _qwen2_5_vl,
    "smolvlm": _smolvlm,
}
