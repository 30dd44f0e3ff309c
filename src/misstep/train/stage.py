"""What all stages of training share: the trained weights, the working folder, the saved result.

A stage works in `OUT.work` (checkpoints and a key of its inputs) and publishes `OUT` by one rename
when it is done; a killed stage finds its last whole checkpoint there and goes on. A working folder
made from other inputs is removed. A full disk is a `StageError` that names the path. Of several
processes (`ranks`) the main one alone writes and removes.
Importing this module imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from misstep.config import DpoConfig, KtoConfig, LoraConfig, SftConfig
from misstep.errors import ConfigError
from misstep.models import Loaded, load
from misstep.models.images import gallery
from misstep.models.load import best_dtype, check_adapter, settings_of
from misstep.train import ranks
from misstep.train.card import card
from misstep.train.foresight import foreseen
from misstep.train.memory import needs_checkpointing
from misstep.train.publishing import original, publish, weights_sha, whole
from misstep.train.rounding import round_once
from misstep.train.rows import Ids, Row, Trained, TrainSettings, digest, plan, row_key
from misstep.train.tracking import trackers
from misstep.types import SetAside

_PACKAGES = ("misstep", "torch", "transformers", "trl", "peft")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One stage with everything that it is made from, the rows apart."""

    name: Literal["sft", "dpo", "kto"]
    loaded: Loaded
    adapter: Path | None
    """The adapter to continue."""
    out: Path
    config: SftConfig | DpoConfig | KtoConfig
    lora: LoraConfig
    run: TrainSettings

    @property
    def work(self) -> Path:
        """The folder of checkpoints."""
        return self.out.with_name(self.out.name + ".work")

    @property
    def rows_per_step(self) -> int:
        """Rows of an optimizer step, of all processes."""
        config = self.config
        each = config.per_device_train_batch_size * config.gradient_accumulation_steps
        return each * ranks.count()

    def steps(self, count: int) -> tuple[int, int]:
        """(optimizer steps, micro-batches of all processes) over `count` rows."""
        return plan(
            count,
            batch=self.config.per_device_train_batch_size,
            accumulate=self.config.gradient_accumulation_steps * ranks.count(),
            epochs=self.config.num_train_epochs,
            max_steps=self.config.max_steps,
        )


def opened(base: str, adapter: Path | None, lora: LoraConfig, run: TrainSettings) -> Loaded:
    """The model that a stage begins with.

    Where every weight is trained, weights are float32 (in bfloat16 an update below 0.4 % of a
    weight would round to nothing; the products are made in `run.dtype` all the same), and what is
    continued is a model folder.

    Raises:
        ModelError: it cannot be loaded.
    """
    ranks.join()
    if lora.enabled:
        return load(base, dtype=run.dtype, images=run.images, four_bits=lora.load_in_4bit)
    return load(base if adapter is None else str(adapter), dtype="float32", images=run.images)


def attach(job: Job) -> Any:
    """The model with one trainable adapter: a copy of the job's, or a new one drawn by its seed.

    The adapter's weights are float32 whatever the base is, for the same reason as in `opened`.
    Without an adapter (`lora.enabled: false`) the model itself, all of it trainable.

    Raises:
        ModelError: the adapter belongs to another base.
        ConfigError: the layers to adapt are not there, or take no adapter.
    """
    import peft
    from transformers import set_seed

    from misstep.train.bearing import check_layers

    set_seed(job.run.seed)
    model = job.loaded.model
    if not job.lora.enabled:
        return model.requires_grad_(True)
    if job.lora.load_in_4bit:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if job.adapter is not None:
        check_adapter(job.adapter, job.loaded.ref, job.loaded.base_hash)
        continued = peft.PeftModel.from_pretrained(model, str(job.adapter), is_trainable=True)
        check_layers(continued, where=str(job.adapter))
        return round_once(continued)
    wanted = peft.LoraConfig(
        r=job.lora.lora_r,
        lora_alpha=job.lora.lora_alpha,
        lora_dropout=job.lora.lora_dropout,
        target_modules=targets(job),
        use_rslora=job.lora.use_rslora,
        use_dora=job.lora.use_dora,
        task_type="CAUSAL_LM",
    )
    try:
        begun = peft.get_peft_model(model, wanted)
    except ValueError as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(
            f"lora.lora_target_modules: {job.lora.lora_target_modules!r} does not fit this model "
            f"({said}); name its layers by a regular expression, such as .*\\.(q|k|v)_proj"
        ) from None
    check_layers(begun, where=f"lora.lora_target_modules: {job.lora.lora_target_modules!r}")
    return round_once(begun)


def targets(job: Job) -> str:
    """Which layers get an adapter, in PEFT's words.

    `all-linear` of a model that takes images is every linear layer of its language model. Loops and
    broken JSON are its doing; and with a tower and a connector that stay as they are, what an image
    looks like is worked out once for a whole training.
    """
    wanted, sight = job.lora.lora_target_modules, job.loaded.sight
    if sight is None or wanted != "all-linear":
        return wanted
    import torch

    linear = {
        name.rsplit(".", 1)[-1]
        for name, layer in sight.decoder.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    home = next(name for name, each in sight.network.named_modules() if each is sight.decoder)
    return rf"{re.escape(home)}\..*\.({'|'.join(sorted(linear))})"


def arguments(job: Job, model: Any, *, steps: int, tokens: int) -> dict[str, Any]:
    """Keyword arguments that TRL's SFTConfig and DPOConfig have in common.

    `tokens` is the number of tokens of the largest micro-batch, for the choice of checkpointing.

    Raises:
        ConfigError: a tracker of `report_to` is not installed.
    """
    config = job.config
    device = next(model.parameters()).device.type
    return {
        "output_dir": str(job.work),
        "max_steps": steps,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "gradient_checkpointing": _checkpointing(job, model, tokens),
        "learning_rate": config.learning_rate,
        # whole ones: a share is rounded up there, and the first of them is taken at a rate of 0
        "warmup_steps": min(int(steps * config.warmup_ratio), steps - 1),
        "save_steps": config.save_steps,
        "save_total_limit": 2,
        "seed": job.run.seed,
        "bf16": products(job) == "bfloat16",
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": device == "cuda",
        "max_length": None,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it logs such a loss as 0.0
        "report_to": trackers(job.run.report_to),
        "router_aux_loss_coef": 0.0,  # it would need the logits of routers, which `logps` has not
        "run_name": f"misstep-{job.name}",
        "disable_tqdm": True,
    }


def _checkpointing(job: Job, model: Any, tokens: int) -> bool:
    """As the settings say; by default where activations would not fit in one of the processes.

    All of them do the same: they wait for each other wherever weights are brought together.
    """
    wanted = job.run.gradient_checkpointing
    if wanted != "auto":
        return wanted == "always"
    return any(ranks.gathered({ranks.rank(): needs_checkpointing(model, tokens)}).values())


def products(job: Job) -> str:
    """The number format of products, also that of a base under an adapter.

    Not asked of the model: made ready for training in 4 bits, it keeps its other weights in
    float32.
    """
    return best_dtype() if job.run.dtype == "auto" else job.run.dtype


# --- the working folder ------------------------------------------------------------------------


def open_work(job: Job, ids: Sequence[Ids]) -> None:
    """Make the working folder; what an interrupted run with the same inputs left stays in it."""
    key = inputs_key(job, ids)
    note = job.work / "key"
    if ranks.is_main():
        same = note.is_file() and note.read_text(encoding="utf-8") == key
        if not (job.run.resume and same):
            shutil.rmtree(job.work, ignore_errors=True)
            job.work.mkdir(parents=True)
            note.write_text(key, encoding="utf-8")
    ranks.wait()


def inputs_key(job: Job, ids: Sequence[Ids]) -> str:
    """SHA-256 over everything that the resulting weights depend on."""
    return digest(
        [
            job.name,
            (job.loaded.base_hash, settings_of(job.loaded.ref)),
            products(job),
            start_sha(job),
            job.config,
            job.lora,
            job.run.seed,
            ranks.count(),
            sorted(versions().items()),
            *([most] if (most := gallery(job.run.images)[1]) else []),
            *map(row_key, ids),
        ]
    )


# --- the result --------------------------------------------------------------------------------


def finish(
    job: Job, trainer: Any, *, rows: Sequence[Row], aside: Sequence[SetAside], story: Story
) -> Trained:
    """Publish what was trained with its note and card, and say what happened.

    Raises:
        StageError: the weights are not finite.
    """
    model, state = (attach(job), None) if trainer is None else _told(job, trainer, story)
    note = {
        "stage": job.name,
        "trained": "adapter" if job.lora.enabled else "model",
        "control": job.run.control,
        "base": original(job.loaded.ref, None if job.lora.enabled else job.adapter),
        "base_hash": job.loaded.base_hash,
        "continued": start_sha(job),
        "seed": job.run.seed,
        "steps": story.steps,
        "rows": len(story.ids),
        "rows_sha256": digest(map(row_key, story.ids)),
        "config": asdict(job.config),
        "lora": asdict(job.lora),
        "dtype": products(job),
        "processes": ranks.count(),
        "versions": versions(),
        "stopped": story.stopped,
        "rendering": "native" if job.loaded.template.native else "fallback",
        **({"images": job.loaded.sight.way} if job.loaded.sight is not None else {}),
    }
    used = {ids.id for ids in story.ids}
    text = card(note, [row for row in rows if row.id in used], aside)
    ranks.wait()
    if ranks.is_main():
        publish(model, job.out, note=note, text=text, words=job.loaded.words, state=state)
        shutil.rmtree(job.work, ignore_errors=True)
    ranks.wait()
    sha = weights_sha(job.out)
    notes = [{"note": said} for said in (*story.notes, story.stopped) if said]
    return Trained(
        adapter=job.out,
        steps=story.steps,
        rows=len(story.ids),
        set_aside=tuple(aside),
        log=(*story.log, *notes),
        sha256=sha,
        stopped=story.stopped,
    )


def _told(job: Job, trainer: Any, story: Story) -> tuple[Any, Any]:
    """The model of a trainer that is done, and its weights where the model does not hold them.

    Raises:
        StageError: they are not finite.
    """
    from misstep.train.finite import check_weights

    say = ranks.spoken(job.run.say)
    if story.stopped and say is not None:
        say(f"training: {story.stopped}")
    model, state = trainer.as_it_came(), whole(trainer)
    check_weights(model, state, place=job.out, section=job.name, said=story.stopped)
    return model, state


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How a training went."""

    ids: Sequence[Ids] = ()
    steps: int = 0
    log: Sequence[dict[str, Any]] = ()
    stopped: str = ""
    notes: Sequence[str] = ()
    """Early warnings."""


def tell(trainer: Any, ids: Sequence[Ids], stopped: str = "", notes: Sequence[str] = ()) -> Story:
    """The story of a trainer that is done."""
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    steps = trainer.state.global_step
    return Story(ids=ids, steps=steps, log=log, stopped=trainer.stopped or stopped, notes=notes)


def untrained(
    job: Job, ids: Sequence[Ids], *, rows: Sequence[Row], aside: Sequence[SetAside]
) -> Trained:
    """What a stage without anything to train on leaves: the adapter as it was.

    Without one to continue it is a new adapter, which answers exactly as the base does.
    """
    why = "nothing was trained: no row was left to train on" if aside else "no rows were given"
    if job.name == "kto" and len({row.label for row in ids or rows}) == 1:
        why = "nothing was trained: KTO needs accepted and failed answers"
    story = Story(stopped=why, notes=forewarned(job, rows, (), aside))
    return finish(job, None, rows=rows, aside=aside, story=story)


def forewarned(
    job: Job, rows: Sequence[Row], ids: Sequence[Ids], aside: Sequence[SetAside], *more: str
) -> tuple[str, ...]:
    """What can be said before the first step, `more` and what the rows show; said here, once."""
    seen = foreseen(rows, ids, aside, section=job.name, max_length=job.config.max_length)
    notes = tuple(filter(None, (*more, *seen)))
    say = ranks.spoken(job.run.say)
    if say is not None:
        for note in notes:
            say(f"training: {note}")
    return notes


def start_sha(job: Job) -> str:
    """SHA-256 of the weights that a stage continues; empty where it begins anew."""
    return "" if job.adapter is None else weights_sha(job.adapter)


def versions() -> dict[str, str]:
    """Versions of the packages that a training run depends on."""
    return {name: version(name) for name in _PACKAGES}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what transformers, TRL, PEFT and datasets say to developers; restored afterwards."""
    import datasets
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        datasets.enable_progress_bars()
        if bars:
            logging.enable_progress_bar()


def pad_id(tokenizer: Any) -> int:
    """The padding token; it never counts, so end-of-turn serves where there is none."""
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if pad is None else pad)
