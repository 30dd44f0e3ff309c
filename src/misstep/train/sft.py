"""The supervised stage: LoRA on accepted answers, from rows to an adapter.

In: rows (a rejected side is not looked at), and an adapter to continue, if there is one. Out: an
adapter folder and what happened. Only the answer's tokens are learned, end-of-turn included.
Importing this module imports torch and TRL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from trl import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from misstep.config import LoraConfig, SftConfig
from misstep.train import ranks, stage
from misstep.train.disk import last_checkpoint, room_on_disk
from misstep.train.reading import reading
from misstep.train.rows import Ids, Row, Trained, TrainSettings, batches, evenly, tokenise
from misstep.train.tracking import tracked
from misstep.train.trainers import AnswerTrainer, Route, most_tokens
from misstep.train.watch import watched


def train_sft(
    rows: Sequence[Row],
    *,
    base: str,
    adapter: Path | None,
    out: Path,
    config: SftConfig,
    lora: LoraConfig,
    run: TrainSettings,
) -> Trained:
    """Train on the accepted answers of `rows` and leave the adapter in `out`.

    The control arm is this with the SFT adapter, the pairs' rows and `max_steps` of the DPO stage.

    Raises:
        ModelError: the model cannot be loaded, or `adapter` belongs to another one.
        ConfigError: the output head, or embeddings tied to it, would carry an adapter.
        StageError: the disk is full, or the weights are not finite; what was done is kept in
            `OUT.work`.
    """
    with stage.quiet(), room_on_disk(out), tracked(out):
        job = stage.Job(
            name="sft",
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
        if not ids or job.steps(len(ids))[0] == 0:
            return stage.untrained(job, ids, rows=rows, aside=aside)
        stage.open_work(job, ids)
        trainer = answer_trainer(job, config, ids)
        early = stage.forewarned(job, rows, ids, aside, *trainer.said)
        watched(trainer, ranks.spoken(run.progress))
        trainer.train(resume_from_checkpoint=last_checkpoint(job.work))
        story = stage.tell(trainer, ids, notes=early)
        return stage.finish(job, trainer, rows=rows, aside=aside, story=story)


def answer_trainer(job: stage.Job, config: SftConfig, ids: Sequence[Ids]) -> AnswerTrainer:
    """TRL's trainer over the rows, ready to train."""
    steps, micro = job.steps(len(ids))
    model = stage.attach(job)
    sequences = [row.prompt + row.chosen for row in ids]
    size = config.per_device_train_batch_size
    route = Route(
        batches=batches(ids, batch=size, count=micro, seed=job.run.seed),
        batch=size,
        reading=reading(model, shared=True, budget=config.tokens_per_batch, sight=job.loaded.sight),
    )
    tokens = most_tokens(route, lambda batch: [sequences[at] for at in batch])
    return AnswerTrainer(
        route=route,
        model=model,
        args=TrlConfig(
            **stage.arguments(job, model, steps=steps, tokens=tokens),
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        data_collator=DataCollatorForLanguageModeling(
            pad_token_id=stage.pad_id(job.loaded.tokenizer)
        ),
        train_dataset=Dataset.from_dict(
            {
                "input_ids": sequences,
                "labels": [(-100,) * len(row.prompt) + row.chosen for row in ids],
            }
        ),
        processing_class=job.loaded.tokenizer,
    )
