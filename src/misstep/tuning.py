"""Settings of what a model does: answering, training (in TRL's spelling), being measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DpoLoss = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
]
"""The losses of TRL's DPOTrainer, by its names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesConfig:
    """How large a model sees the images of a prompt."""

    max_pixels: int = 0
    """Larger images are scaled down before the model's own processor; 0 leaves them as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleConfig:
    """How the model under training answers, for `resample` and for the evaluation alike."""

    temperature: float = 0.7
    """Of sampled answers; fix it before looking at any result."""
    top_p: float = 1.0
    """Nucleus of sampled answers; 1.0 keeps every token."""
    max_new_tokens: int = 128
    """An answer that reaches it ends with finish reason `length`."""
    batch_size: int = 128
    """Answers generated together."""
    stop_loops: bool = False
    """Cut evaluated answers that have run into a loop (docs/recipes.md)."""
    workers: int = 0
    """Processes that answer at once, each with the model; 0 is one, on Ray as many as it holds."""
    worker_cpus: int = 0
    """Cores of each; 0 shares them out, on Ray at most 4, or one beside a GPU (docs/scale.md)."""
    worker_gpus: float = 0.0
    """GPUs of each on Ray, such as 0.5; 0 is one where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """An OpenAI-compatible endpoint that answers for `resample` in the place of a loaded model."""

    url: str | None = None
    """Its address, such as http://localhost:8000/v1; None samples the loaded model."""
    model: str | None = None
    """The name by which it serves the model; None asks for `model`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; without one, none is sent."""
    concurrency: int = 4
    """Prompts asked at a time."""
    requests_per_minute: int = 0
    """Requests sent at most, tries included; 0 is no limit of one's own."""
    timeout: float = 120.0
    """Seconds that one answer may take."""
    retries: int = 6
    """Further tries after 429, 5xx, slow and cut answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampleConfig:
    """How often failed prompts are answered again while mining."""

    num_generations: int = 6
    """Answers per prompt."""
    temperature: float = 1.0
    """Above the evaluation's temperature, to see more distinct failures."""
    max_prompts: int = 400
    """Failed prompts first, then others, families in turn."""
    greedy: bool = False
    """Also one greedy answer per prompt."""
    stop_loops: bool = False
    """Cut answers that have run into a loop (docs/recipes.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig:
    """The adapter; the defaults cover every linear layer, as the TRL and PEFT guides advise."""

    enabled: bool = True
    """False trains every weight; what is written is a model folder (docs/training.md)."""
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    lora_target_modules: str = "all-linear"
    use_rslora: bool = False
    use_dora: bool = False
    """Weight-decomposed LoRA (arXiv 2402.09353): steps cost more, low ranks often learn more."""
    load_in_4bit: bool = False
    """QLoRA: the base in 4 bits while it is trained (needs bitsandbytes, docs/training.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig:
    """Supervised fine-tuning on the accepted steps of the log (TRL's SFTTrainer)."""

    enabled: bool = True
    """Run the stage."""
    learning_rate: float = 3e-4
    num_train_epochs: float = 1.0
    per_device_train_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    max_length: int = 1024
    max_steps: int = -1
    max_rows: int = 400
    """Accepted steps trained on at most, drawn evenly over the families; 0 or less: all."""
    warmup_ratio: float = 0.1
    save_steps: int = 20
    tokens_per_batch: int = 0
    """Tokens read at once at most: memory follows it, results do not. 0 reads a batch at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RftConfig(SftConfig):
    """Rejection-sampling fine-tuning (arXiv 2308.01825): SFT on the model's own confirmed answers.

    A round before the preference stage with answers and pairs of its own, of which the chosen sides
    are learned (docs/training.md). The keys are those of `sft` and what is asked of a chosen side,
    in the place of `mine.min_votes` and `mine.supported_values`.
    """

    enabled: bool = False
    num_train_epochs: float = 3.0
    max_rows: int = 320
    """Chosen sides trained on at most, drawn evenly over the families; 0 or less: all."""
    min_votes: int = 2
    """Equal clean answers to the prompt that a chosen side needs."""
    supported_values: bool = True
    """Refuse chosen sides with values that nobody gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoConfig:
    """Direct preference optimisation (TRL's DPOTrainer)."""

    enabled: bool = True
    """Run the stage."""
    loss_type: tuple[DpoLoss, ...] = ("sigmoid", "sft")
    loss_weights: tuple[float, ...] = (1.0, 1.0)
    beta: float = 0.5
    ld_alpha: float | None = None
    label_smoothing: float = 0.0
    use_weighting: bool = False
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = (
        "reverse_kl"
    )
    f_alpha_divergence_coef: float = 0.5
    discopop_tau: float = 0.05
    learning_rate: float = 1e-4
    num_train_epochs: float = 1.0
    per_device_train_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    max_length: int = 1024
    max_steps: int = -1
    max_pairs: int = 200
    """Pairs trained on at most, drawn evenly over the families; 0 or less: all."""
    warmup_ratio: float = 0.1
    save_steps: int = 10
    preference_tokens: Literal["all", "differing", "failing", "onset"] = "failing"
    """Which tokens count in the preference: those in which the two sides differ, of these only
    those at the place of the failure, or of a loop only where it begins (docs/training.md)."""
    onset_tokens: int = 8
    """Tokens on either side of a loop's first repeat that count with `preference_tokens: onset`."""
    max_chosen_drop: float = 4.0
    """Stop when chosen answers lost more nats each than this on average; 0 never stops."""
    share_prompts: bool = True
    """Read the prompt of a pair once for its two sides, where the model allows it."""
    tokens_per_batch: int = 0
    """Tokens read at once at most: memory follows it, results do not. 0 reads a batch at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KtoConfig:
    """Kahneman-Tversky optimisation on labelled answers, paired or not (TRL's KTOTrainer)."""

    enabled: bool = False
    """Run the stage in the place of DPO."""
    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    beta: float = 0.1
    desirable_weight: float = 1.0
    """Weight of accepted answers; the KTO paper keeps weight times count within 1 and 4/3."""
    undesirable_weight: float = 1.0
    learning_rate: float = 1e-4
    num_train_epochs: float = 1.0
    per_device_train_batch_size: int = 16
    """At least 2: the KL term couples each prompt with another row's answer."""
    gradient_accumulation_steps: int = 1
    max_length: int = 1024
    max_steps: int = -1
    max_rows: int = 400
    """Labelled answers trained on at most, drawn evenly over the families; 0 or less: all."""
    warmup_ratio: float = 0.1
    save_steps: int = 10
    max_chosen_drop: float = 4.0
    """Stop when accepted answers lost more nats each than this on average; 0 never stops."""
    tokens_per_batch: int = 0
    """Tokens read at once at most: memory follows it, results do not. 0 reads a batch at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """How the before/after number is made."""

    num_generations: int = 3
    """Sampled answers per held-out prompt, beside the greedy one."""
    prompts_per_family: int = 1
    """Held-out prompts taken from one family, by content hash."""
    max_prompts: int = 400
    """Held-out prompts in all."""
    confidence: float = 0.95
    """Of every interval; 1 minus it is the level of the tests."""
    resamples: int = 10_000
    """Draws of the bootstrap and of the permutation test."""
    control: bool = False
    """Also train and evaluate SFT continued on the same chosen sides for the same steps, at SFT's
    learning rate."""
