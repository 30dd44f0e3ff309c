"""Settings: one frozen dataclass per room, one YAML file for all, flags override the file.

In: a YAML file whose top-level keys are the field names of `RunConfig` and `section.key` overrides.
Out: a `RunConfig`. Unknown keys and wrong types are a `ConfigError` that names the nearest key;
all faults of a file are reported together. Training options keep TRL's spelling.
"""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from misstep import ranges
from misstep.errors import ConfigError
from misstep.fitting import build
from misstep.tuning import DpoConfig as DpoConfig
from misstep.tuning import EndpointConfig as EndpointConfig
from misstep.tuning import EvalConfig as EvalConfig
from misstep.tuning import ImagesConfig as ImagesConfig
from misstep.tuning import KtoConfig as KtoConfig
from misstep.tuning import LoraConfig as LoraConfig
from misstep.tuning import ResampleConfig as ResampleConfig
from misstep.tuning import RftConfig as RftConfig
from misstep.tuning import SampleConfig as SampleConfig
from misstep.tuning import SftConfig as SftConfig

LevelSetting = Literal["defect", "suspect", "info", "off"]
Formats = Literal["always", "draft", "never"]
Rejected = Literal["loops", "failures", "low_scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesConfig:
    """How page images with gold transcriptions are read (docs/ocr.md)."""

    schema: str | None = None
    """Path of a JSON Schema of the gold; None: `validate.schema`, else `schemas/ocr-page.json`."""
    instruction: str | None = None
    """The system message before each page; None is the one in docs/ocr.md, "" is none."""
    dpi: int = 150
    """Of PDF pages as images."""
    max_pixels: int = 50_000_000
    """A larger page is set aside (`oversized`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """How logs are read."""

    format: str | None = None
    """Name of a format; None recognises it from the content."""
    tools: str | None = None
    """Path of a tools file, for logs that keep no schemas."""
    exclude: tuple[str, ...] = ()
    """Files that are left out: patterns as in a `.misstepignore` file (docs/formats.md)."""
    max_record_bytes: int = 32_000_000
    """A longer line is set aside unread (`too-long`)."""
    max_depth: int = 200
    """A more deeply nested record is set aside (`too-deep`)."""
    max_file_bytes: int = 4_000_000_000
    """Stop decompressing a file at this size (`too-large`)."""
    workers: int = 0
    """Processes that read and mine at once; 0 is one for each core, 1 is the main process alone."""
    engine: Literal["local", "ray"] = "local"
    """What spreads reading, mining, answers: this machine's processes, or Ray (docs/scale.md)."""
    ray_address: str | None = None
    """Of a running Ray cluster (`auto` finds one); None starts Ray on this machine."""
    allow_https: bool = False
    """Read http and https URLs too; buckets and hubs are read without it (docs/scale.md)."""
    images: str | None = None
    """Folder in which the images of the logs are kept; None keeps their names only."""
    pages: PagesConfig = field(default_factory=PagesConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """From where on the detectors speak; the defaults and what they were measured on: codes.md."""

    loop_length: int = 300
    """Characters of a text loop (REP_LOOP) at least."""
    loop_count: float = 4.0
    """Periods of a text loop at least; one less where the limit cut it or it is half the text."""
    trailing_space: int = 100
    """White space characters at the end of a text that are a flood (REP_WHITESPACE)."""
    equal_elements: int = 4
    """Equal neighbours in a list, or equal parallel calls, that are a defect (REP_ELEMENT)."""
    same_call: int = 4
    """The same call with the same result this often is a defect, one less often is suspect."""
    same_error: int = 3
    """Steps in a row in which the same tool fails with the same error (LOOP_ERROR)."""

    @property
    def shortest(self) -> int:
        """Characters of the shortest text that can hold a loop or a flood."""
        return min(self.loop_length, self.trailing_space)


_LEAST = {
    "loop_length": 20,
    "loop_count": 3,
    "trailing_space": 10,
    "equal_elements": 3,
    "same_call": 3,
    "same_error": 2,
}
"""Below these, ordinary text and work would be loops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateConfig:
    """How steps are judged."""

    schema: str | None = None
    """Path of a JSON Schema that every text answer must meet."""
    documents: str | None = None
    """Folder of JSON Schemas that others refer to, by their `$id` or their path in it."""
    formats: Formats = "always"
    """Whether `format` fails a value: always, as the draft says (a note since 2019-09), never."""
    json: bool = False
    """Expect JSON in every text answer that makes no call."""
    expect_call: Literal["auto", "always"] = "auto"
    """`always`: every step that offers tools must call one (NO_CALL otherwise)."""
    validators: tuple[str, ...] = ()
    """Validators of your own, each as `package.module:name` (docs/validators.md)."""
    time_limit: float = 30.0
    """Seconds that one of your own has for one step (or session); 0 is no limit."""
    levels: Mapping[str, LevelSetting] = field(default_factory=dict)
    """By code: `defect`, `suspect`, `info` or `off`, in place of the level in docs/codes.md."""
    exempt: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By tool: codes that are not raised about its calls; `*` is all of them."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    code: Mapping[str, str] = field(default_factory=dict)
    """By `tool.argument`: the language of the code that stands there (CODE_SYNTAX)."""
    redact: bool = True
    """Replace secrets and people in evidence and examples (docs/redaction.md)."""
    answer_code: str | None = None
    """Language of the code that every text answer without a call must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MineConfig:
    """How pairs are made."""

    sources: tuple[str, ...] = ("retry", "sibling", "reference", "resample", "human", "repair")
    """Chosen-sources to use (docs/pairs.md)."""
    rejected: tuple[Rejected, ...] = ("loops", "failures")
    """Kinds of rejected sides; `low_scores`: clean answers far from the gold (docs/pairs.md)."""
    references: str | None = None
    """Path of a JSONL file with gold answers."""
    split: Literal["family", "time"] = "family"
    """Hold out families drawn by hash, or the latest ones."""
    split_seed: int = 0
    """Of the draw; apart from `seed`, so that another seed opens no other held-out families."""
    heldout: float = 0.35
    """Share of the families that is held out."""
    dev: float = 0.05
    """Share of the families on which choices are made."""
    max_pairs_per_prompt: int = 2
    """More are refused (`PROMPT_FULL`)."""
    max_pairs_per_family: int = 8
    """More are refused (`FAMILY_FULL`)."""
    max_pairs_per_code: float = 0.0
    """More are refused (`CODE_FULL`): a number, below 1 a share of all that pass, 0 no cap."""
    max_pairs_per_tool: float = 0.0
    """More are refused (`TOOL_FULL`); of one tool that the rejected side calls, counted alike."""
    max_shortened: float = 0.2
    """More are refused (`SHORTER_FULL`); repairs that only take something away, counted alike."""
    min_margin: float = 0.0
    """The chosen side's score must exceed the rejected one's by more than this (`NO_MARGIN`)."""
    length_ratio: tuple[float, ...] = (0.1, 10.0)
    """Length of the chosen over the rejected side: the least and the most (`LENGTH_RATIO`)."""
    near_duplicate: float = 0.95
    """Pairs whose prompt and sides are at least this alike are one (`NEAR_DUPLICATE`); 1: equal."""
    supported_values: bool = True
    """Refuse sampled chosen sides with values that nobody gave (`UNSUPPORTED`, `GIVES_UP`), and
    retries that trade a value of the prompt for one (`GIVES_UP`)."""
    min_agreement: float = 0.0
    """Of a sampled chosen side with what the log accepted, where it did (`DISAGREES`)."""
    score_margin: float = 0.2
    """With `low_scores`: how much less the rejected side agrees, at least (`SCORE_MARGIN`)."""
    min_votes: int = 2
    """Equal clean answers to the prompt that a sampled chosen side with calls needs (`LONE`)."""
    trim_periods: int = 3
    """Periods of a loop that stay in a trimmed rejected side."""
    feedback: bool = True
    """Rewards, resolved flags and thumbs rank chosen sides; failed sessions give none."""
    hard_negatives: Literal["nearest", "frequent", "random"] = "nearest"
    """Which of several failures of a prompt: least unlike the chosen, most often made, or any."""
    redact: bool = True
    """Replace secrets, e-mail addresses and user names in paths (docs/redaction.md)."""
    outputs: tuple[str, ...] = ("jsonl",)
    """What is written beside the Parquet files: jsonl, openai, together, sharegpt, hf."""
    off_policy: bool = False
    """Train on logged pairs even where another model wrote them."""
    on_policy_share: float = 0.5
    """Below this share of steps written by the trained model, `resample` supplies the pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """What happens to a prompt that is too long: the same at training, sampling and evaluation."""

    fit: Literal["drop-middle", "set-aside"] = "drop-middle"
    """Leave whole turns out of the middle, marked, or set the prompt aside (docs/pairs.md)."""
    max_prompt: int = 0
    """Tokens of a prompt; 0 is what `max_length` leaves beside `sample.max_new_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything `misstep run` needs beside the paths."""

    model: str = "smollm2"
    """Hub id, folder, .gguf file, or smollm2."""
    recipe: str | None = None
    """The recipe that the settings began with (docs/recipes.md)."""
    rounds: int = 1
    """How often to resample, mine and train; each round's reference is what it begins with."""
    seed: int = 42
    """Of the sampling and the training."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the model's weights; auto is bfloat16 where the hardware is fast in it."""
    gradient_checkpointing: Literal["auto", "always", "never"] = "auto"
    """Recompute activations to save memory; auto does where they would not fit, never changes
    results."""
    report_to: tuple[Literal["tensorboard", "trackio", "wandb", "none"], ...] = ()
    """Trackers that training reports to; each needs its package. By default none."""
    ingest: IngestConfig = field(default_factory=IngestConfig)
    validate: ValidateConfig = field(default_factory=ValidateConfig)
    mine: MineConfig = field(default_factory=MineConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    resample: ResampleConfig = field(default_factory=ResampleConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    rft: RftConfig = field(default_factory=RftConfig)
    dpo: DpoConfig = field(default_factory=DpoConfig)
    kto: KtoConfig = field(default_factory=KtoConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)


def load_config(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    ground: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The settings of a YAML file with `section.key` overrides on top.

    `ground` holds nested settings, such as those of a recipe, that the file goes over.

    Raises:
        ConfigError: something in them cannot be used; the message has all of it.
    """
    data: dict[str, Any] = {}
    merge(data, ground or {})
    if path is not None:
        merge(data, {k: v for k, v in read_yaml(path).items() if v is not None})
    faults = [fault for item in (overrides or {}).items() if (fault := _override(data, *item))]
    config = typing.cast(RunConfig, build(RunConfig, data, "", faults))
    if not faults:
        faults.extend(_out_of_range(config))
    if faults:
        where = "the options" if path is None else f"{path}{', with the options' * bool(overrides)}"
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return config


def _override(data: dict[str, Any], dotted: str, value: Any) -> str | None:
    """Put one value in its place; gives the fault where that place is no section."""
    *sections, key = dotted.split(".")
    at = data
    for section in sections:
        at = at.setdefault(section, {})
        if not isinstance(at, dict):
            return f"{dotted}: {section} is a setting, not a section"
    at[key] = value
    return None


def _out_of_range(config: RunConfig) -> Iterator[str]:
    """Values that have the right type and still cannot be used."""
    limits = dataclasses.asdict(config.validate.limits)
    rules = (
        *ranges.of_sampling(config.sample, config.endpoint),
        ("rounds", config.rounds > 0, "at least 1"),
        ("seed", 0 <= config.seed < 2**32, "from 0 to 4294967295"),
        ("images.max_pixels", config.images.max_pixels >= 0, "0 or more"),
        ("resample.num_generations", config.resample.num_generations > 0, "at least 1"),
        ("resample.temperature", config.resample.temperature > 0, "above 0"),
        ("eval.num_generations", config.eval.num_generations > 0, "at least 1"),
        ("eval.confidence", 0 < config.eval.confidence < 1, "between 0 and 1"),
        ("eval.resamples", config.eval.resamples > 0, "at least 1"),
        *ranges.of_adapter(config.lora, config.report_to),
        ("ingest.pages.dpi", 36 <= config.ingest.pages.dpi <= 600, "from 36 to 600"),
        ("validate.time_limit", config.validate.time_limit >= 0, "0 or more"),
        *(
            (f"validate.limits.{name}", limits[name] >= least, f"at least {least}")
            for name, least in _LEAST.items()
        ),
        *_of_mining(config.mine),
        ("budget.max_prompt", config.budget.max_prompt >= 0, "0 or more"),
        *ranges.of_stages(sft=config.sft, rft=config.rft, dpo=config.dpo, kto=config.kto),
    )
    return (
        f"{key}: out of range, expected {expected}{_got(config, key)}"
        for key, good, expected in rules
        if not good
    )


def _got(config: RunConfig, dotted: str) -> str:
    """The value at a place, in words; nothing where the place is that of several."""
    if not all(part.isidentifier() for part in dotted.split(".")):
        return ""
    value = operator.attrgetter(dotted)(config)
    return f", got {_plain(value)!r}"


def _of_mining(mine: MineConfig) -> tuple[tuple[str, bool, str], ...]:
    shares = mine.heldout + mine.dev
    return (
        ("mine.heldout", mine.heldout > 0, "above 0: a part must be left to measure on"),
        ("mine.heldout + mine.dev", 0 <= shares < 1, "from 0 to below 1"),
        ("mine.max_pairs_per_code", mine.max_pairs_per_code >= 0, "not negative"),
        ("mine.max_pairs_per_tool", mine.max_pairs_per_tool >= 0, "not negative"),
        ("mine.max_shortened", mine.max_shortened >= 0, "not negative"),
        ("mine.min_agreement", 0 <= mine.min_agreement <= 1, "from 0 to 1"),
        ("mine.rejected", bool(mine.rejected), "at least one kind"),
        ("mine.score_margin", 0 < mine.score_margin <= 1, "above 0, at most 1"),
        ("mine.min_votes", mine.min_votes > 0, "at least 1"),
        ("mine.min_margin", 0 <= mine.min_margin < 1, "from 0 to below 1"),
        ("mine.length_ratio", _is_ratio(mine.length_ratio), "two numbers, 0 <= least < most"),
        ("mine.near_duplicate", 0.5 <= mine.near_duplicate <= 1, "from 0.5 to 1"),
    )


def _is_ratio(bounds: tuple[float, ...]) -> bool:
    return len(bounds) == 2 and 0 <= bounds[0] < bounds[1]


def dump_config(config: RunConfig) -> str:
    """The settings as YAML text that `load_config` reads back."""
    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False)


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put nested settings over others, key by key."""
    for key, value in more.items():
        if isinstance(value, Mapping):
            known = into.get(key)
            into[key] = dict(known) if isinstance(known, Mapping) else {}
            merge(into[key], value)
        else:
            into[key] = value


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values at the top of a YAML file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values at the top, got {type(data).__name__}")
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
