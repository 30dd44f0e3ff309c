"""The preference stage: DPO, from pairs to one adapter on the base, or to a model.

In: rows with a rejected side, and the SFT adapter to continue, if there is one. Out: an adapter
folder and what happened. The reference is what training begins with (adapter or bare base); its
log-probabilities are measured once, before the first step (`references`).
Importing this module imports torch and TRL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig as TrlConfig

from misstep.config import DpoConfig, LoraConfig
from misstep.train import ranks, stage
from misstep.train.disk import last_checkpoint, room_on_disk
from misstep.train.focus import focused, of
from misstep.train.reading import reading
from misstep.train.references import measured
from misstep.train.rows import Ids, Row, Trained, TrainSettings, batches, evenly, tokenise
from misstep.train.tracking import tracked
from misstep.train.trainers import PairCollator, PairTrainer, Reference, Route, most_tokens
from misstep.train.watch import Guard, advice_of, watched


def train_dpo(
    rows: Sequence[Row],
    *,
    base: str,
    adapter: Path | None,
    out: Path,
    config: DpoConfig,
    lora: LoraConfig,
    run: TrainSettings,
) -> Trained:
    """Train on the pairs among `rows` and leave the adapter in `out`.

    Raises:
        ModelError: the model cannot be loaded, or `adapter` belongs to another one.
        ConfigError: the output head, or embeddings tied to it, would carry an adapter.
        StageError: the disk is full, or the weights are not finite; what was done is kept in
            `OUT.work`.
    """
    with stage.quiet(), room_on_disk(out), tracked(out):
        job = stage.Job(
            name="dpo",
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
            pairs=True,
            limit=config.max_pairs,
            budget=run.budget,
            window=job.loaded.window,
        )
        if not ids or job.steps(len(ids))[0] == 0:
            return stage.untrained(job, ids, rows=rows, aside=aside)
        focus = focused(
            ids,
            rows,
            job.loaded.template,
            kind=config.preference_tokens,
            window=config.onset_tokens,
        )
        ids = list(focus.ids)
        stage.open_work(job, ids)
        guard = Guard(config.max_chosen_drop)
        advice = advice_of(job, ids, config.loss_type)
        trainer = pair_trainer(job, config, ids)
        early = stage.forewarned(job, rows, ids, aside, focus.said, *trainer.said)
        watched(trainer, ranks.spoken(run.progress), guard, advice)
        trainer.refer(_references(trainer, ids, job, config))
        trainer.train(resume_from_checkpoint=last_checkpoint(job.work))
        story = stage.tell(trainer, ids, guard.stopped, (*early, *advice.notes.values()))
        done = stage.finish(job, trainer, rows=rows, aside=aside, story=story)
        return replace(done, focus=focus.facts())


def pair_trainer(job: stage.Job, config: DpoConfig, ids: Sequence[Ids]) -> PairTrainer:
    """TRL's trainer over the rows, ready to measure its references and to train."""
    steps, micro = job.steps(len(ids))
    model = stage.attach(job)
    size = config.per_device_train_batch_size
    route = Route(
        batches=batches(ids, batch=size, count=micro, seed=job.run.seed),
        batch=size,
        reading=reading(
            model,
            shared=config.share_prompts,
            budget=config.tokens_per_batch,
            sight=job.loaded.sight,
        ),
    )
    tokens = most_tokens(route, lambda batch: _sides(ids, batch))
    common = stage.arguments(job, model, steps=steps, tokens=tokens)
    focus = [of(row, config.preference_tokens) for row in ids]
    return PairTrainer(
        route=route,
        model=model,
        args=TrlConfig(
            **common,
            beta=config.beta,
            loss_type=list(config.loss_type),
            loss_weights=list(config.loss_weights),
            ld_alpha=config.ld_alpha,
            label_smoothing=config.label_smoothing,
            use_weighting=config.use_weighting,
            f_divergence_type=config.f_divergence_type,
            f_alpha_divergence_coef=config.f_alpha_divergence_coef,
            discopop_tau=config.discopop_tau,
            precompute_ref_log_probs=not job.lora.enabled,  # no second model; see `references`
        ),
        data_collator=PairCollator(pad_token_id=stage.pad_id(job.loaded.tokenizer)),
        train_dataset=Dataset.from_dict(
            {
                "prompt_ids": [row.prompt for row in ids],
                "chosen_ids": [row.chosen for row in ids],
                "rejected_ids": [row.rejected for row in ids],
                "chosen_counts": [chosen for chosen, _ in focus],
                "rejected_counts": [rejected for _, rejected in focus],
            }
        ),
        processing_class=job.loaded.tokenizer,
    )


def _sides(ids: Sequence[Ids], batch: Sequence[int]) -> list[tuple[int, ...]]:
    rows = [ids[at] for at in batch]
    return [row.prompt + side for row in rows for side in (row.chosen, row.rejected or ())]


def _references(
    trainer: Any, ids: Sequence[Ids], job: stage.Job, config: DpoConfig
) -> dict[int, Reference]:
    """Reference log-probabilities of all rows."""
    size = config.per_device_train_batch_size
    once = batches(ids, batch=size, count=-(-len(ids) // size), seed=job.run.seed)

    def measure() -> list[list[float]]:
        found: dict[int, Reference] = trainer.references(once)
        return [list(astuple(found[at])) for at in range(len(ids))]

    how = (once, config.ld_alpha, config.preference_tokens)
    kept = measured(job, ids, reading=trainer.route.reading, how=how, measure=measure)
    return {at: Reference(*values) for at, values in enumerate(kept)}
