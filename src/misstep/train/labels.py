"""TRL's KTOTrainer with our rows, our order and our way to compute log-probabilities.

A row is a prompt, one completion and a label. KTO compares each completion's log-ratio with a
baseline: the mean log-ratio of completions that do not belong to their prompts (the KL term). As
in TRL the completions of a micro-batch are rotated to make such couples; here by the step that
leaves the fewest of them on their own prompt, since a batch often holds several completions of
one prompt. Reference log-probabilities, those of the couples included, are measured once.
Importing this module imports torch and TRL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from trl import KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from misstep.train import ranks
from misstep.train.trainers import Answered, PairTrainer, Quiet
from misstep.train.watch import CHANGE

Couple = tuple[int, int]
"""(row of the prompt, row of the completion)."""


@dataclass(kw_only=True)
class LabelCollator(DataCollatorForUnpairedPreference):
    """TRL's collator, with each prompt's completion of another row beside it."""

    coupled: bool = True
    """False for losses without a KL term."""
    starts: dict[Couple, float] = field(default_factory=dict)
    """Reference log-probability of each couple, once measured; (at, at) is the row itself."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Padded tensors: the rows, the couples of the KL term, labels, references."""
        own, couples, rows = [(row["at"], row["at"]) for row in examples], [], examples
        if self.coupled:
            mates = mated([tuple(row["prompt_ids"]) for row in examples])
            rows = [
                {**row, "KL_completion_ids": examples[mate]["completion_ids"]}
                for row, mate in zip(examples, mates, strict=True)
            ]
            couples = [
                (row["at"], examples[mate]["at"]) for row, mate in zip(examples, mates, strict=True)
            ]
        output: dict[str, Any] = super().torch_call(rows)
        for name, wanted in (("ref_logps", own), ("ref_KL_logps", couples)):
            if wanted and all(couple in self.starts for couple in wanted):
                output[name] = torch.tensor([self.starts[couple] for couple in wanted])
        return output


def mated(prompts: Sequence[Sequence[int]]) -> list[int]:
    """For each row of a batch the row whose completion it is coupled with: a rotation."""
    count = len(prompts)

    def at_home(shift: int) -> int:
        return sum(prompts[i] == prompts[(i - shift) % count] for i in range(count))

    shift = min(range(1, count), key=lambda shift: (at_home(shift), shift), default=0)
    return [(i - shift) % count for i in range(count)]


class LabelTrainer(Quiet, KTOTrainer):
    """KTOTrainer over rows of `prompt_ids`, `completion_ids`, `label` and `at` (their index)."""

    data_collator: LabelCollator
    section = "kto"
    overridden = (*PairTrainer.overridden, "_compute_kl_logps")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.precompute_ref_logps = True

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def references(self) -> dict[Couple, float]:
        """Log-probabilities of every row and couple of the route, under the model as it is."""
        found: dict[Couple, float] = {}
        for batch in self.route.batches[ranks.rank() :: ranks.count()]:
            rows = [self.train_dataset[at] for at in batch]
            mates = [batch[mate] for mate in mated([tuple(row["prompt_ids"]) for row in rows])]
            inputs = self._prepare_inputs(self.data_collator(rows))
            kinds = [("", batch), ("KL_", mates)][: 2 if self.calculate_KL else 1]
            for prefix, partners in kinds:
                couples = list(zip(batch, partners, strict=True))
                if all(couple in found for couple in couples):
                    continue
                with torch.no_grad():
                    sums = self._score(self.model, inputs, prefix).log_probs.sum(1)
                found.update(zip(couples, sums.tolist(), strict=True))
        return ranks.gathered(found)

    def refer(self, references: Mapping[Couple, float]) -> None:
        """Hand the reference log-probabilities to the rows."""
        self.data_collator.starts.update(references)

    def _score(self, model: Any, inputs: dict[str, Any], prefix: str = "") -> Any:
        names = ("input_ids", "attention_mask", "completion_mask")
        rows = {name: inputs[prefix + name] for name in names}
        labels = rows["input_ids"].masked_fill(rows["completion_mask"] == 0, -100)
        return self.read(model, rows, labels)

    def _compute_kl_logps(self, model: Any, batch: dict[str, Any]) -> Any:
        if not self.calculate_KL:
            return None
        with torch.no_grad():
            return self._score(self.model_wrapped, batch, "KL_").log_probs.sum(1)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's losses on log-probabilities from `logps.score`."""
        outputs = self._score(model, inputs)
        moved = outputs.log_probs.detach().sum(1) - inputs["ref_logps"]
        wanted = moved[inputs["label"]]
        told = torch.stack((wanted.sum(), torch.ones_like(wanted).sum()))
        change, count = self.accelerator.gather(told).view(-1, 2).sum(0).tolist()
        if count:
            self._metrics["train"][CHANGE].append(change / count)
        return super()._compute_loss(Answered(outputs), inputs, return_outputs)
