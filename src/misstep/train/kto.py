"""The unpaired stage: LoRA by Kahneman-Tversky optimisation, from labelled rows to an adapter.

In: rows with a label (an accepted answer, or a failure without a partner), and an adapter to
continue, which is the reference as well. Out: an adapter folder and what happened.
Importing this module imports torch and TRL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from trl import KTOConfig as TrlConfig

from misstep.config import KtoConfig, LoraConfig
from misstep.train import ranks, stage
from misstep.train.disk import last_checkpoint, room_on_disk
from misstep.train.labels import Couple, LabelCollator, LabelTrainer
from misstep.train.reading import reading
from misstep.train.references import measured
from misstep.train.rows import Ids, Row, Trained, TrainSettings, evenly, mixed_batches, tokenise
from misstep.train.tracking import tracked
from misstep.train.trainers import Route, most_tokens
from misstep.train.watch import Guard, advice_of, watched


def train_kto(
    rows: Sequence[Row],
    *,
    base: str,
    adapter: Path | None,
    out: Path,
    config: KtoConfig,
    lora: LoraConfig,
    run: TrainSettings,
) -> Trained:
    """Train on labelled rows and leave the adapter in `out`.

    Raises:
        ModelError: the model cannot be loaded, or `adapter` belongs to another one.
        ConfigError: the output head, or embeddings tied to it, would carry an adapter.
        StageError: the disk is full, or the weights are not finite; what was done is kept in
            `OUT.work`.
    """
    with stage.quiet(), room_on_disk(out), tracked(out):
        job = stage.Job(
            name="kto",
            loaded=stage.opened(base, adapter, lora, run),
            adapter=adapter,
            out=out,
            config=config,
            lora=lora,
            run=run,
        )
        ids, aside = tokenise(
            evenly(rows, seed=run.seed),
            job.loaded.template,
            max_length=config.max_length,
            pairs=False,
            limit=config.max_rows,
            budget=run.budget,
            window=job.loaded.window,
        )
        if len({row.label for row in ids}) < 2 or job.steps(len(ids))[0] == 0:
            return stage.untrained(job, ids, rows=rows, aside=aside)
        stage.open_work(job, ids)
        guard = Guard(config.max_chosen_drop, "kto")
        advice = advice_of(job, ids, ())
        trainer = label_trainer(job, config, ids)
        watched(trainer, ranks.spoken(run.progress), guard, advice)
        early = stage.forewarned(job, rows, ids, aside, *trainer.said, unbalanced(ids, config))
        trainer.refer(_references(trainer, ids, job))
        trainer.train(resume_from_checkpoint=last_checkpoint(job.work))
        story = stage.tell(trainer, ids, guard.stopped, (*early, *advice.notes.values()))
        return stage.finish(job, trainer, rows=rows, aside=aside, story=story)


def unbalanced(ids: Sequence[Ids], config: KtoConfig) -> str:
    """What to set where the labels weigh very unevenly; empty where they do not.

    Both sides weigh alike where `desirable_weight * accepted` is 1 to 4/3 of `undesirable_weight *
    failed` (Ethayarajh et al. 2024, arXiv 2402.01306). A draw of half by half seldom is just that,
    so it is said beyond twice that and below half of it.
    """
    accepted = sum(row.label for row in ids)
    failed = len(ids) - accepted
    ours, theirs = config.desirable_weight * accepted, config.undesirable_weight * failed
    if not ours or not theirs or theirs / 2 <= ours <= theirs * 8 / 3:
        return ""
    low = config.undesirable_weight * failed / accepted
    return (
        f"{accepted} accepted and {failed} failed answers weigh {ours:g} to {theirs:g}; set "
        f"kto.desirable_weight to {low:.2g} up to {low * 4 / 3:.2g}, or kto.undesirable_weight "
        f"accordingly"
    )


def label_trainer(job: stage.Job, config: KtoConfig, ids: Sequence[Ids]) -> LabelTrainer:
    """TRL's trainer over the rows, ready to measure its references and to train."""
    steps, micro = job.steps(len(ids))
    model = stage.attach(job)
    size = config.per_device_train_batch_size
    route = Route(
        batches=mixed_batches(ids, batch=size, count=micro, seed=job.run.seed),
        batch=size,
        reading=reading(model, shared=True, budget=config.tokens_per_batch, sight=job.loaded.sight),
    )
    sequences = [row.prompt + row.chosen for row in ids]
    tokens = most_tokens(route, lambda batch: [sequences[at] for at in batch])
    return LabelTrainer(
        route=route,
        model=model,
        args=TrlConfig(
            **stage.arguments(job, model, steps=steps, tokens=tokens),
            beta=config.beta,
            loss_type=config.loss_type,
            desirable_weight=config.desirable_weight,
            undesirable_weight=config.undesirable_weight,
            precompute_ref_log_probs=not job.lora.enabled,  # no second model; see `references`
        ),
        data_collator=LabelCollator(
            pad_token_id=stage.pad_id(job.loaded.tokenizer), coupled=config.loss_type == "kto"
        ),
        train_dataset=Dataset.from_dict(
            {
                "prompt_ids": [row.prompt for row in ids],
                "completion_ids": [row.chosen for row in ids],
                "label": [row.label for row in ids],
                "at": list(range(len(ids))),
            }
        ),
        processing_class=job.loaded.tokenizer,
    )


def _references(trainer: LabelTrainer, ids: Sequence[Ids], job: stage.Job) -> dict[Couple, float]:
    """Reference log-probabilities of all rows and couples."""
    route = trainer.route

    def measure() -> list[list[float]]:
        return [[*couple, value] for couple, value in trainer.references().items()]

    how = (route.batches, trainer.calculate_KL)
    kept = measured(job, ids, reading=route.reading, how=how, measure=measure)
    return {(int(prompt), int(completion)): value for prompt, completion, value in kept}
