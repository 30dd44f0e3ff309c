"""A page in the recipe `ocr` has room in every preset: its image, an instruction, its answer.

The makers' formulas, by family:

- Qwen2.5-VL: sides are rounded to multiples of 28 pixels; a token stands for 28 x 28 of them.
- SmolVLM: scaled, up as well as down, to a longer side of 1536 (the small ones 2048), cut into
  tiles of 384 (512) pixels with 81 (64) tokens each, and one of the whole. Before each tile stand
  one token and a mark such as `<row_1_col_1>`, nine tokens where the tokenizer has none for it.
- Gemma 3: 256 tokens, with two around them and two line ends, whatever the size.
"""

import math

import pytest

pytest.importorskip("PIL", reason="needs the ocr extra")

from PIL import Image

from misstep.config import load_config
from misstep.models import budget_of
from misstep.models.images import scaled
from misstep.recipes import PRESETS, settings

INSTRUCTION = 300
"""Tokens of the system message, a schema and the template."""
PAGES = [(1240, 1754), (2480, 3508), (3508, 2480), (2000, 2000), (612, 792), (1000, 3000)]
"""A4 at 150 and 300 dpi, landscape, square, small, a receipt."""


def of_qwen(width, height):
    return round(width / 28) * round(height / 28)


def of_gemma(width, height):
    return 256 + 4


def of_smolvlm(width, height, *, longest=1536, side=384, each=81, mark=10):
    share = longest / max(width, height)
    columns, rows = math.ceil(width * share / side), math.ceil(height * share / side)
    return (rows * columns + 1) * (each + mark) + rows + 3


def of_small_smolvlm(width, height):
    return of_smolvlm(width, height, longest=2048, side=512, each=64)


MODELS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": of_qwen,
    "Qwen/Qwen2.5-VL-7B-Instruct": of_qwen,
    "nanonets/Nanonets-OCR2-3B": of_qwen,
    "nanonets/Nanonets-OCR2-1.5B-exp": of_qwen,
    "allenai/olmOCR-2-7B-1025": of_qwen,
    "google/gemma-3-4b-it": of_gemma,
    "HuggingFaceTB/SmolVLM-Instruct": of_smolvlm,
    "HuggingFaceTB/SmolVLM-256M-Instruct": of_small_smolvlm,
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": of_small_smolvlm,
    "some/other-model": of_qwen,
}


def shown(page, most):
    """The size in which a processor gets a page."""
    return scaled(Image.new("1", page), most).size


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_page_has_room_in_every_preset(model, preset):
    config = load_config(ground=settings("ocr", model=model, preset=preset))
    most = config.images.max_pixels
    image = max(MODELS[model](*shown(page, most)) for page in PAGES)
    prompt = image + INSTRUCTION
    assert prompt <= budget_of(config).max_prompt
    for stage in (config.sft, config.rft, config.dpo, config.kto):
        assert prompt + config.sample.max_new_tokens <= stage.max_length


def test_a_page_of_full_size_is_what_the_comments_say():
    """The makers' sizes, which a CPU has no room for."""
    page = (1240, 1754)
    assert of_qwen(*shown(page, 1003520)) == pytest.approx(1280, rel=0.01)
    assert of_qwen(*shown(page, 1173368)) == pytest.approx(1497, rel=0.02)
    assert of_qwen(*shown(page, 1605632)) == pytest.approx(2048, rel=0.01)
    assert of_qwen(*shown(page, 262144)) == pytest.approx(330, rel=0.02)
    assert of_smolvlm(*page, mark=0) == 13 * 81 + 4 + 3
    assert of_smolvlm(2000, 2000, mark=0) == 1377 + 4 + 3
    assert of_smolvlm(300, 420) == of_smolvlm(1240, 1736)  # scaled up: fewer pixels save nothing


def test_the_formulas_are_those_of_transformers():
    pytest.importorskip("transformers", reason="needs the train extra")
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil as Tiles,
    )
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    tiles = Tiles(size={"longest_edge": 1536}, max_image_size={"longest_edge": 384})
    for width, height in PAGES:
        high, wide = smart_resize(height, width, factor=28, max_pixels=1 << 30)
        assert of_qwen(width, height) == high // 28 * (wide // 28)
        count, rows, _ = tiles.get_number_of_image_patches(height, width)
        assert of_smolvlm(width, height) == count * 91 + rows + 3
