"""Five small vision-language families: transformers' own classes of five architectures, made tiny.

In: the name of a family and the grid of its pages. Out: a model and its processor, both saved with
`save_pretrained`, so `--model FOLDER` loads them as it loads the large ones. Every image token is
one cell of a page. What differs is what differs between the real families: how a picture becomes
tokens (whole, in tiles, shuffled, pooled), the mask over it (causal or both ways) and the language
model behind it. All processors run on Pillow alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parts.ocr_pages import CELL
from parts.ocr_tokens import IMAGE, tokenizer

WIDTH, LAYERS, HEADS = 160, 4, 4
TOWER = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3}
GREY = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One architecture: how its model and its processor are made for pages of `cells` a side."""

    name: str
    like: str
    """The published models that have this architecture."""
    make: Callable[[int, Any], tuple[Any, Any]]
    """(cells a side, tokenizer) to (model, processor), weights drawn at random."""
    tiles: int = 0
    """Tiles a side where the picture is cut; 0 where it is not."""
    tower_rate: float = 2e-3
    """Learning rate of the tower's stage."""


def _text(kind: Any, vocabulary: int, **more: Any) -> Any:
    return kind(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=448,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **more,
    )


def _tower(kind: Any, side: int, **more: Any) -> Any:
    return kind(**TOWER, num_attention_heads=4, image_size=side * CELL, patch_size=CELL, **more)


def _square(side: int) -> dict[str, Any]:
    size = {"height": side * CELL, "width": side * CELL}
    return {"size": size, "do_resize": True, **GREY}


def _llava(side: int, words: Any) -> tuple[Any, Any]:
    from transformers import (
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        SiglipVisionConfig,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    config = LlavaConfig(
        vision_config=_tower(SiglipVisionConfig, side),
        text_config=_text(LlamaConfig, len(words), tie_word_embeddings=True),
        image_token_index=words.convert_tokens_to_ids(IMAGE),
        image_seq_length=side * side,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    processor = LlavaProcessor(
        SiglipImageProcessorPil(**_square(side)),
        words,
        patch_size=CELL,
        vision_feature_select_strategy="full",
        chat_template=words.chat_template,
    )
    return LlavaForConditionalGeneration(config), processor


def _llava_next(side: int, words: Any) -> tuple[Any, Any]:
    from transformers import (
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextProcessor,
        MistralConfig,
    )
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    tile, whole = side // 2, side * CELL
    edge = {"height": tile * CELL, "width": tile * CELL}
    config = LlavaNextConfig(
        vision_config=_tower(CLIPVisionConfig, tile),
        text_config=_text(MistralConfig, len(words), tie_word_embeddings=True, sliding_window=None),
        image_token_index=words.convert_tokens_to_ids(IMAGE),
        image_grid_pinpoints=[[whole, whole]],
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": tile * CELL},
        crop_size=edge,
        image_grid_pinpoints=[[whole, whole]],
        **GREY,
    )
    processor = LlavaNextProcessor(
        pictures,
        words,
        patch_size=CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=words.chat_template,
    )
    return LlavaNextForConditionalGeneration(config), processor


_AROUND = ("<fake_token_around_image>", "<end_of_utterance>", "<global-img>")


def _idefics3(side: int, words: Any) -> tuple[Any, Any]:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3Processor,
        LlamaConfig,
    )
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": side * CELL},
        max_image_size={"longest_edge": side * CELL},
        do_image_splitting=False,
        **GREY,
    )
    words.add_special_tokens(
        {
            "extra_special_tokens": [
                "<fake_token_around_image>",
                "<end_of_utterance>",
                "<global-img>",
            ]
        },
        replace_extra_special_tokens=False,
    )
    processor = Idefics3Processor(
        pictures, words, image_seq_len=side * side, chat_template=words.chat_template
    )
    vision = Idefics3VisionConfig(
        **TOWER, num_attention_heads=4, image_size=side * CELL, patch_size=CELL
    )
    config = Idefics3Config(
        vision_config=vision,
        text_config=_text(LlamaConfig, len(words)),
        image_token_id=words.convert_tokens_to_ids(IMAGE),
        scale_factor=1,
        pad_token_id=0,
    )
    model = Idefics3ForConditionalGeneration(config)
    # it stands behind a norm: as drawn, image tokens would be twelve times as long as words
    model.model.connector.modality_projection.proj.weight.data *= 0.1
    return model, processor


def _gemma3(side: int, words: Any) -> tuple[Any, Any]:
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    words = tokenizer({"boi_token": "<boi>", "eoi_token": "<eoi>"})
    words.chat_template = words.chat_template.replace(IMAGE, "<boi>")
    text = _text(Gemma3TextConfig, len(words), head_dim=WIDTH // HEADS, sliding_window=1024)
    config = Gemma3Config(
        vision_config=_tower(SiglipVisionConfig, side, vision_use_head=False),
        text_config=text,
        mm_tokens_per_image=side * side,
        image_token_index=words.convert_tokens_to_ids(IMAGE),
        boi_token_index=words.convert_tokens_to_ids("<boi>"),
        eoi_token_index=words.convert_tokens_to_ids("<eoi>"),
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessorPil(**_square(side)),
        words,
        chat_template=words.chat_template,
        image_seq_length=side * side,
    )
    return Gemma3ForConditionalGeneration(config), processor


def _paligemma(side: int, words: Any) -> tuple[Any, Any]:
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipVisionConfig,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    pictures = SiglipImageProcessorPil(**_square(side))
    pictures.image_seq_length = side * side
    processor = PaliGemmaProcessor(pictures, words, chat_template=words.chat_template)
    config = PaliGemmaConfig(
        vision_config=_tower(SiglipVisionConfig, side, vision_use_head=False, projection_dim=WIDTH),
        text_config=_text(GemmaConfig, len(words), head_dim=WIDTH // HEADS),
        image_token_index=words.convert_tokens_to_ids(IMAGE),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )
    return PaliGemmaForConditionalGeneration(config), processor


FAMILIES = (
    Family(name="llava", like="LLaVA 1.5: SigLIP tower, Llama", make=_llava),
    Family(
        name="idefics3",
        like="SmolVLM, Idefics3: pixel shuffle, Llama",
        make=_idefics3,
        tower_rate=5e-4,
    ),
    Family(name="gemma3", like="Gemma 3: pooled SigLIP, both ways over the image", make=_gemma3),
    Family(name="llava-next", like="LLaVA-NeXT: CLIP tiles, Mistral", make=_llava_next, tiles=2),
    Family(name="paligemma", like="PaliGemma: linear projector, prefix LM, Gemma", make=_paligemma),
)


def family(name: str) -> Family:
    """The family of that name."""
    return next(each for each in FAMILIES if each.name == name)


def build(name: str, side: int, seed: int) -> tuple[Any, Any]:
    """(model, processor) of a family with random weights."""
    import torch

    torch.manual_seed(seed)
    return family(name).make(side, tokenizer())
