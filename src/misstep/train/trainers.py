"""TRL's trainers with our rows, our order and our way to compute log-probabilities.

`PairTrainer` is TRL's DPOTrainer and `AnswerTrainer` its SFTTrainer. Losses, metrics, optimizer,
schedule, checkpoints and arguments are theirs. Changed are four things: rows come as token ids
(so nothing is tokenised again, and no end-of-turn is added), batches come in a given order,
log-probabilities come from `logps.score`, and nothing is sent or written beside the checkpoints.
Importing this module imports torch and TRL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader
from trl import DPOTrainer, SFTTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from misstep.train import logps
from misstep.train.rows import differing


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which rows meet in which batch, and how they are read."""

    batches: Sequence[Sequence[int]]
    """Row indices of each micro-batch, for the whole training."""
    batch: int
    """The size of a full micro-batch."""
    reading: logps.Reading


class _Given(BatchSampler):
    """Batches in the order that was worked out beforehand."""

    def __init__(self, route: Route) -> None:
        super().__init__(range(len(route.batches)), route.batch, drop_last=False)
        self._batches = [list(batch) for batch in route.batches]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class _Quiet:
    """What both trainers do differently from TRL, apart from the log-probabilities."""

    route: Route
    train_dataset: Any
    data_collator: Any
    accelerator: Any

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The card is written once, by `card`, when training is done."""

    def get_train_dataloader(self) -> Any:
        """The rows in the order of `route`."""
        loader = DataLoader(
            self.train_dataset, batch_sampler=_Given(self.route), collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)


class AnswerTrainer(_Quiet, SFTTrainer):
    """SFTTrainer over rows of `input_ids` and `labels`."""

    def __init__(self, *, route: Route, **kwargs: Any) -> None:
        self.route = route
        super().__init__(**kwargs)
        self.processing_class = None  # so that checkpoints do not hold a tokenizer each

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """TRL's loss on log-probabilities from `logps.score`."""
        stand_in = model
        if self.route.reading.own_head:
            with self.accelerator.autocast():
                shared = self.route.reading.shared
                outputs = logps.score(self.model, inputs, inputs["labels"], shared=shared)
            stand_in = _Answered(outputs)
        return super().compute_loss(stand_in, inputs, return_outputs, num_items_in_batch)


class PairTrainer(_Quiet, DPOTrainer):
    """DPOTrainer over rows of `prompt_ids`, `chosen_ids` and `rejected_ids`.

    The reference is the adapter as it is when training begins. Its log-probabilities are measured
    once (`references`) and handed to the rows by `refer`.
    """

    def __init__(self, *, route: Route, differing_only: bool, **kwargs: Any) -> None:
        self.route = route
        self.differing_only = differing_only
        super().__init__(**kwargs)
        self.processing_class = None
        self.precompute_ref_logps = True
        if "ref" in self.model.peft_config:
            self.model.delete_adapter("ref")

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def references(self, batches: Sequence[Sequence[int]]) -> dict[int, Reference]:
        """Log-probabilities of every row in `batches` under the adapter as it is now."""
        found: dict[int, Reference] = {}
        for batch in batches:
            inputs = self.data_collator([self.train_dataset[at] for at in batch])
            inputs = self._prepare_inputs(inputs)
            with torch.no_grad():
                scored = self._score(self.model, inputs).log_probs
            counted = (scored * self._counted(inputs)).sum(1).chunk(2)
            columns = (*counted, scored.chunk(2)[0].sum(1))
            for at, *values in zip(batch, *(column.tolist() for column in columns), strict=True):
                found[at] = Reference(*values)
        return found

    def refer(self, references: Mapping[int, Reference]) -> None:
        """Give every row its reference log-probabilities."""
        ordered = [references[at] for at in range(len(self.train_dataset))]
        self.train_dataset = (
            self.train_dataset.add_column("ref_chosen_logps", [r.chosen for r in ordered])
            .add_column("ref_rejected_logps", [r.rejected for r in ordered])
            .add_column("start_logps", [r.whole for r in ordered])
        )

    def _score(self, model: Any, inputs: dict[str, Any]) -> Any:
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        with self.accelerator.autocast():
            if self.route.reading.own_head:
                return logps.score(self.model, inputs, labels, shared=self.route.reading.shared)
            return model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                labels=labels,
                use_cache=False,
                fused_lm_head=True,
            )

    def _counted(self, inputs: dict[str, Any]) -> Any:
        """[rows, length - 1]: 1.0 where a token counts in the preference."""
        mask = inputs["completion_mask"][:, 1:].float()
        if not self.differing_only:
            return mask
        out = torch.zeros_like(mask)
        pairs = mask.shape[0] // 2
        spans = [line.nonzero()[:, 0] for line in mask]
        ids = inputs["input_ids"][:, 1:]
        for left, right in zip(range(pairs), range(pairs, 2 * pairs), strict=True):
            sides = [ids[row, spans[row]].tolist() for row in (left, right)]
            for row, marks in zip((left, right), differing(*sides), strict=True):
                out[row, spans[row]] = torch.tensor(marks, dtype=out.dtype, device=out.device)
        return out

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's losses on log-probabilities from `logps.score`.

        TRL sums the log-probabilities of all completion tokens. Where only differing tokens count,
        what the others add is put on the reference's side too, so that it cancels in the ratio,
        gradients included, while the `sft` term and the metrics still see every token.
        """
        outputs = self._score(model, inputs)
        chosen = outputs.log_probs.chunk(2)[0].detach().sum(1)
        change = self.accelerator.gather(chosen - inputs["start_logps"]).mean().item()
        self._metrics["train"]["logps/chosen_change"].append(change)
        if self.differing_only:
            rest = (outputs.log_probs * (1 - self._counted(inputs))).sum(1).chunk(2)
            inputs = {
                **inputs,
                "ref_chosen_logps": inputs["ref_chosen_logps"] + rest[0],
                "ref_rejected_logps": inputs["ref_rejected_logps"] + rest[1],
            }
        return super()._compute_loss(_Answered(outputs), inputs, return_outputs)


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference log-probabilities of one pair, in nats, summed over tokens."""

    chosen: float
    """Over the chosen side's tokens that count in the preference."""
    rejected: float
    whole: float
    """Over all tokens of the chosen side."""


class PairCollator(DataCollatorForPreference):
    """TRL's collator, and the log-probability that each chosen side had at the start."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Padded tensors; rows are all chosen sides, then all rejected sides."""
        output: dict[str, Any] = super().torch_call(examples)
        if "start_logps" in examples[0]:
            output["start_logps"] = torch.tensor([e["start_logps"] for e in examples])
        return output


class _Answered:
    """Stands in for the model where TRL calls it: the forward pass has been made."""

    def __init__(self, outputs: Any) -> None:
        self._outputs = outputs

    def __call__(self, **_: Any) -> Any:
        return self._outputs
