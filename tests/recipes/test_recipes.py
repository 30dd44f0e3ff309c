"""Recipes: what they set, for whom, and what goes over them."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from misstep.cli import main
from misstep.cli.options import build_config
from misstep.config import load_config, merge
from misstep.errors import ConfigError, UnknownName
from misstep.recipes import PRESETS, RECIPES, machine, recipe, settings

NAMES = [each.name for each in RECIPES]
MODELS = [
    "smollm2",
    "Qwen/Qwen2.5-VL-3B-Instruct",
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "nanonets/Nanonets-OCR2-3B",
    "allenai/olmOCR-2-7B-1025",
    "google/gemma-3-4b-it",
    "HuggingFaceTB/SmolVLM-256M-Instruct",
    "/models/qwen2.5-vl-3b",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_recipe_fits_every_machine_and_model(name, preset, model):
    config = load_config(ground=settings(name, model=model, preset=preset))
    assert config.recipe == name
    for stage in (config.sft, config.rft, config.dpo, config.kto):
        # a row is never cut, so an answer of full length must have room beside a prompt
        assert stage.max_length > config.sample.max_new_tokens


@pytest.mark.parametrize("name", NAMES)
def test_the_stages_that_a_recipe_names_are_those_it_turns_on(name):
    config = load_config(ground=settings(name, model="smollm2", preset="cpu"))
    stages = recipe(name).stages
    assert ("sft" in stages) == config.sft.enabled
    assert ("rft" in stages) == config.rft.enabled
    assert ("dpo" in stages) == config.dpo.enabled
    assert ("resample" in stages) == ("resample" in config.mine.sources)


LINE = re.compile(r"(?P<indent> *)(?P<item>- )?(?P<key>[\w-]+): *(?P<value>[^#]*)(?P<beside>#.*)?")
FLOW = re.compile(r"[{,] *(\w+):")


def unexplained(text):
    """Keys of a recipe that no comment is about.

    A comment is about the key directly below it, and about each key that it names in backticks:
    in the lines directly below it, or anywhere in the section, preset or model that is below it.
    """
    above, run, scopes = [], "", []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            above.append(line)
            continue
        found = LINE.fullmatch(line)
        indent = len(found["indent"])
        scopes = [(at, words) for at, words in scopes if at < indent]
        fresh, run, above = bool(above), "\n".join(above) or run, []
        if found["item"] or not found["value"]:
            scopes.append((indent, run if fresh else ""))
            run = ""
        if not found["value"]:
            continue
        words = set(re.findall(r"`(\w+)`", " ".join([run, *(words for _, words in scopes)])))
        inner = FLOW.findall(found["value"])
        if not inner and not (fresh or found["beside"] or found["key"] in words):
            yield f"{number}: {found['key']}"
        # the one value of a line, such as {images: {max_pixels: 802816}}, is what is above it
        leaves = [key for key in inner if not re.search(rf"\b{key}: *{{", found["value"])]
        told = words | set(leaves[:1] if fresh and len(leaves) == 1 else ())
        yield from (f"{number}: {found['key']}.{key}" for key in leaves if key not in told)


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_a_recipe_is_explained(name):
    text = recipe(name).text
    assert text.startswith("#")
    assert list(unexplained(text)) == []


def test_a_key_without_a_comment_is_found():
    text = (
        "# Settings.\nsettings:\n  dpo:\n    # Why, and `loss_weights`.\n    loss_type: [sigmoid]\n"
        "    loss_weights: [1.0]\n    beta: 0.1\n    max_pairs: 3  # ours\n    max_length: 4\n"
        "presets:\n  # `learning_rate` is ours.\n  cpu:\n    dtype: auto\n"
        "    sft: {learning_rate: 1.0, max_length: 3}\n"
    )
    assert list(unexplained(text)) == [
        "7: beta",
        "9: max_length",
        "13: dtype",
        "14: sft.max_length",
    ]


def test_larger_models_stay_nearer_to_where_they_began():
    """What SmolLM2's authors publish for it is for no larger model."""
    betas = [
        load_config(ground=settings("tool-calls", model="m", preset=preset)).dpo.beta
        for preset in PRESETS
    ]
    assert betas == [0.5, 0.1, 0.1]


def test_a_model_has_its_own_size_of_image():
    def pixels(model, preset="24gb"):
        config = load_config(ground=settings("ocr", model=model, preset=preset))
        return config.images.max_pixels

    assert pixels("Qwen/Qwen2.5-VL-3B-Instruct") == 1280 * 28 * 28
    assert pixels("allenai/olmOCR-2-7B-1025") == 1288 * 911
    assert pixels("google/gemma-3-4b-it") == 896 * 896
    assert pixels("HuggingFaceTB/SmolVLM-Instruct") == 1536 * 1536
    assert pixels("HuggingFaceTB/SmolVLM-Instruct", "cpu") == 1536 * 1536
    assert pixels("Qwen/Qwen2.5-VL-3B-Instruct", "cpu") == 512 * 512
    assert pixels("Qwen/Qwen2.5-VL-3B-Instruct", "80gb") == 1280 * 28 * 28
    assert pixels("some/other-model") == pixels("another/one")


def test_a_preset_of_a_model_goes_over_that_of_the_machine():
    big = load_config(ground=settings("ocr", model="Qwen/Qwen2.5-VL-7B-Instruct", preset="24gb"))
    small = load_config(ground=settings("ocr", model="Qwen/Qwen2.5-VL-3B-Instruct", preset="24gb"))
    assert big.lora.load_in_4bit
    assert not small.lora.load_in_4bit
    assert big.dpo.per_device_train_batch_size < small.dpo.per_device_train_batch_size
    pairs = [
        each.dpo.per_device_train_batch_size * each.dpo.gradient_accumulation_steps
        for each in (big, small)
    ]
    assert pairs == [32, 32]
    assert big.dpo.max_length == small.dpo.max_length


DIFFERENCES = {
    "mine.rejected": (None, ["loops"]),
    "mine.score_margin": (None, 0.2),
    "mine.min_margin": (None, 0.0),
    "mine.min_agreement": (None, 0.7),
    "resample.max_prompts": (2000, 4000),
    "sample.max_new_tokens": (1024, 8192),
    "lora.lora_r": (16, 32),
    "lora.lora_alpha": (32, 64),
    "sft.max_rows": (5000, 24000),
    "dpo.max_pairs": (4000, 8000),
    "dpo.preference_tokens": ("all", "failing"),
    "eval.prompts_per_family": (None, 500),
}
"""In which settings `structured-output` and `ocr` differ, sizes for a machine apart."""


def flat(tree, above=""):
    """The values of nested settings by their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def test_structured_output_and_ocr_differ_in_what_the_docs_say_and_no_more():
    assert recipe("ocr").stages == recipe("structured-output").stages
    text, pages = (
        dict(flat(yaml.safe_load(recipe(name).text)["settings"]))
        for name in ("structured-output", "ocr")
    )
    apart = {
        key: (text.get(key), pages.get(key))
        for key in text.keys() | pages.keys()
        if text.get(key) != pages.get(key)
    }
    assert apart == DIFFERENCES
    said = (Path(__file__).parents[2] / "docs/recipes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*`) \| `(.*)` \| `(.*)` \|", said, re.MULTILINE)
    told = {key: row[1:] for row in rows for key in re.findall(r"`([\w.]+)`", row[0])}
    assert told.keys() == DIFFERENCES.keys()
    defaults = dict(flat(dataclasses.asdict(load_config())))
    for key, values in DIFFERENCES.items():
        for shown, value in zip(told[key], values, strict=True):
            meant = defaults[key] if value is None else value
            assert yaml.safe_load(shown) == (list(meant) if isinstance(meant, tuple) else meant)


def test_the_machines_of_structured_output_and_ocr_differ_in_sizes_alone():
    sizes = {
        "images.max_pixels",
        "sample.batch_size",
        "sample.max_new_tokens",
        *(
            f"{stage}.{key}"
            for stage in ("sft", "rft", "dpo", "kto")
            for key in (
                "per_device_train_batch_size",
                "gradient_accumulation_steps",
                "max_length",
                "tokens_per_batch",
            )
        ),
    }
    for preset in PRESETS:
        text, pages = (
            dict(flat(yaml.safe_load(recipe(name).text)["presets"][preset]))
            for name in ("structured-output", "ocr")
        )
        apart = {k for k in text.keys() | pages.keys() if text.get(k) != pages.get(k)}
        assert apart <= sizes


def test_loops_alone_are_rejected_sides_of_pages_as_published():
    kinds = {
        name: load_config(ground=settings(name, model="m", preset="cpu")).mine.rejected
        for name in NAMES
    }
    assert kinds.pop("ocr") == ("loops",)
    assert set(kinds.values()) == {("loops", "failures")}


def test_the_file_goes_over_the_recipe_and_flags_over_both(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("dpo: {beta: 0.25, max_pairs: 11}\nsample:\n")
    config = build_config(file, ["dpo.max_pairs=12"], recipe="ocr", preset="cpu", dpo__beta=0.2)
    assert (config.dpo.beta, config.dpo.max_pairs) == (0.2, 12)
    assert build_config(file, recipe="ocr", preset="cpu").dpo.beta == 0.25
    assert build_config(None, recipe="ocr", preset="cpu").dpo.beta == 0.1
    assert config.sample.max_new_tokens == 1024  # an empty section of the file leaves the recipe's
    assert config.dpo.loss_weights == (1.0, 1.0)


def test_a_file_may_name_its_recipe(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("recipe: structured-output\nresample: {num_generations: 3}\n")
    config = build_config(file, preset="cpu")
    assert config.recipe == "structured-output"
    assert config.resample.num_generations == 3
    assert config.resample.greedy


def test_a_recipe_goes_over_what_the_folder_was_made_with_and_its_model_decides(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "model: Qwen/Qwen2.5-VL-7B-Instruct\nseed: 7\ndpo: {beta: 0.9}\n"
    )
    config = build_config(None, recipe="ocr", preset="24gb", folder=tmp_path)
    assert (config.seed, config.dpo.beta, config.lora.load_in_4bit) == (7, 0.1, True)
    assert build_config(None, folder=tmp_path).dpo.beta == 0.9


def test_faults_of_the_file_are_told_beside_a_recipe(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("dpo: {bet: 1}\n")
    with pytest.raises(
        ConfigError, match=r"own.yaml: unknown key 'dpo.bet', did you mean dpo.beta"
    ):
        build_config(file, recipe="ocr", preset="cpu")


def test_merging_leaves_what_it_was_given_alone():
    ground = {"dpo": {"beta": 1.0}}
    load_config(None, {"dpo.beta": 2.0}, ground)
    merged: dict = {}
    merge(merged, ground)
    merge(merged, {"dpo": {"beta": 3.0}})
    assert ground == {"dpo": {"beta": 1.0}}


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownName, match="'tool-cals'; did you mean tool-calls"):
        recipe("tool-cals")
    with pytest.raises(UnknownName, match="unknown preset '40gb'; did you mean"):
        settings("ocr", model="m", preset="40gb")


def test_a_preset_without_a_recipe_is_refused_not_ignored(tmp_path):
    with pytest.raises(UnknownName, match="unknown preset '9gb'; did you mean"):
        build_config(None, preset="9gb")
    with pytest.raises(ConfigError, match="--preset 24gb: needs --recipe NAME"):
        build_config(None, preset="24gb")
    (tmp_path / "config.yaml").write_text("recipe: ocr\n")
    with pytest.raises(ConfigError, match="needs --recipe"):  # a folder's recipe is not begun anew
        build_config(None, preset="cpu", folder=tmp_path)
    assert build_config(tmp_path / "config.yaml", preset="cpu").recipe == "ocr"
    assert build_config(None, preset="auto").recipe is None


def test_the_machine_is_told_from_its_gpus(monkeypatch):
    for sizes, preset in (
        ([], "cpu"),
        ([8_192], "cpu"),
        ([24_564], "24gb"),
        ([81_559, 81_559], "80gb"),
        ([81_559, 24_564], "24gb"),
    ):
        monkeypatch.setattr("misstep.recipes._gpu_sizes", lambda sizes=sizes: sizes)
        assert machine() == preset


def test_the_command_lists_recipes_and_prints_one():
    listed = CliRunner().invoke(main, ["recipes"]).stdout
    assert all(name in listed for name in NAMES)
    shown = CliRunner().invoke(main, ["recipes", "ocr"])
    assert shown.stdout == recipe("ocr").text
    wrong = CliRunner().invoke(main, ["recipes", "orc"])
    assert wrong.exit_code == 2
    assert "did you mean ocr?" in wrong.output
