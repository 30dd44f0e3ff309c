"""TRL's trainers with our rows, our order and our way to compute log-probabilities.

`PairTrainer` is TRL's DPOTrainer and `AnswerTrainer` its SFTTrainer. Losses, metrics, optimizer,
schedule, checkpoints and arguments are theirs. Changed are six things: rows come as token ids
(so nothing is tokenised again, and no end-of-turn is added), batches come in a given order,
log-probabilities come from `logps.score`, the base has no dropout (`dropout`), a training ends
before a step that is not finite (`finite`), and nothing is sent or written beside the checkpoints.
Two terms of the preference loss are worked out here where TRL's would be wrong (`terms`).
Importing this module imports torch and TRL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch.utils.data import BatchSampler, DataLoader
from trl import DPOTrainer, SFTTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from misstep.train import installed, logps, ranks, terms
from misstep.train.dropout import without_dropout
from misstep.train.finite import Finite, NotFinite
from misstep.train.reading import Reading
from misstep.train.tree import packed, tokens_read
from misstep.train.untouched import cache_kept, cap_named, padding_kept
from misstep.train.watch import CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which rows meet in which batch, and how they are read."""

    batches: Sequence[Sequence[int]]
    """Row indices of each micro-batch, for the whole training and all processes in turn."""
    batch: int
    """The size of a full micro-batch."""
    reading: Reading


def most_tokens(route: Route, rows: Callable[[Sequence[int]], Sequence[Sequence[int]]]) -> int:
    """Tokens of the longest sequence that is read; `rows` gives the token rows of a batch."""
    shared, budget = route.reading.shared, route.reading.budget
    return max(
        tokens_read([found[at] for at in part], shared=shared)
        for found in map(rows, route.batches)
        for part in packed(found, budget=budget, shared=shared)
    )


class _Given(BatchSampler):
    """Batches in the order that was worked out beforehand."""

    def __init__(self, route: Route) -> None:
        super().__init__(range(len(route.batches)), route.batch, drop_last=False)
        # several processes then get whole batches in turn, whatever their sizes
        self.batch_size = None
        self._batches = [list(batch) for batch in route.batches]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class Quiet:
    """What all our trainers do differently from TRL."""

    route: Route
    model: Any
    train_dataset: Any
    data_collator: Any
    accelerator: Any
    args: Any
    state: Any
    control: Any
    callback_handler: Any
    add_callback: Any
    _metrics: Any
    section: str
    """The name of the stage's settings."""
    overridden: Sequence[str]
    """Methods of TRL's that are replaced."""

    def __init__(self, *, route: Route, **kwargs: Any) -> None:
        installed.check(type(self), self.overridden)
        self.route = route
        self.said = (route.reading.said, _one_device(kwargs["args"]))
        self.stopped = ""
        self._restore = without_dropout(kwargs["model"])
        model, words = kwargs["model"], kwargs["processing_class"]
        with cap_named(model), cache_kept(model), padding_kept(model, words):
            super().__init__(**kwargs)
        self.processing_class = None  # so that checkpoints do not hold a tokenizer each
        logps.listen(self.model)
        if isinstance(self.model, PeftModel):
            if "ref" in self.model.peft_config:
                self.model.delete_adapter("ref")
            for parameter in self.model.parameters():
                if parameter.requires_grad:  # on a base in 4 bits TRL makes them bfloat16
                    parameter.data = parameter.data.float()
        if ranks.count() > 1:
            self.accelerator.gather = _joining(self.accelerator.gather)
        self._finite = Finite(self.section, lambda: self._metrics["train"].get(CHANGE, ()))
        self.accelerator.clip_grad_norm_ = self._finite.measuring(self.accelerator.clip_grad_norm_)
        self.add_callback(self._finite)

    def train(self, *given: Any, **named: Any) -> Any:
        """Theirs; where numbers are no longer finite it ends before that step, with `stopped`."""
        theirs: Any = super()
        try:
            return theirs.train(*given, **named)
        except NotFinite as found:
            self.stopped = str(found)
            self.model.zero_grad(set_to_none=True)
            self.callback_handler.on_train_end(self.args, self.state, self.control)
            return None

    def training_step(self, *given: Any, **named: Any) -> Any:
        """Theirs, its loss looked at."""
        theirs: Any = super()
        loss = theirs.training_step(*given, **named)
        self._finite.met(loss)
        return loss

    def as_it_came(self) -> Any:
        """The model with the configuration that it had before training."""
        self._restore()
        return self.model

    def read(self, model: Any, inputs: dict[str, Any], labels: Any, **wants: bool) -> Any:
        """The labelled tokens scored, in our way or by TRL's fused head."""
        reading = self.route.reading
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with self.accelerator.autocast():
            if reading.own_head:
                shared, budget = reading.shared, reading.budget
                asked = {"labels": labels, "shared": shared, "budget": budget, **wants}
                asked["sight"] = reading.sight
                return model(scored={"inputs": given, **asked})
            return model(**given, labels=labels, use_cache=False, fused_lm_head=True)

    def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
        """Not here: `references` measures them, in our way."""
        return dataset

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


def _one_device(args: Any) -> str:
    """Take one GPU where no launcher gave each process its own; what there is to say of it.

    `Trainer` would spread the batches over all of them by `nn.DataParallel`, which TRL refuses.
    """
    seen = args.n_gpu
    if ranks.count() > 1 or seen < 2:
        return ""
    args._n_gpu = 1
    return f"one of {seen} GPUs is used; `accelerate launch -m misstep train DIR` trains on all"


def _joining(gather: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`gather` that takes another number of rows from each process: a last batch may be short."""

    def joining(value: Any) -> Any:
        rows = isinstance(value, torch.Tensor) and value.dim() > 0
        return ranks.joined(value) if rows else gather(value)

    return joining


_EVERYWHERE = (
    "create_model_card",
    "get_train_dataloader",
    "train",
    "training_step",
    "_send_telemetry",
)


class AnswerTrainer(Quiet, SFTTrainer):
    """SFTTrainer over rows of `input_ids` and `labels`."""

    section = "sft"
    overridden = ("compute_loss", *_EVERYWHERE)

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
            stand_in = Answered(self.read(model, inputs, inputs["labels"]))
        return super().compute_loss(stand_in, inputs, return_outputs, num_items_in_batch)


class PairTrainer(Quiet, DPOTrainer):
    """DPOTrainer over rows of `prompt_ids`, `chosen_ids` and `rejected_ids`.

    With `chosen_counts` and `rejected_counts` (a number for each token of a side, see `focus`) the
    preference counts each token so much; without them every token counts. The reference is the
    model as it is when training begins. Its log-probabilities are measured once (`references`)
    and handed to the rows by `refer`.
    """

    section = "dpo"
    loss_types: list[str]
    loss_weights: list[float]
    overridden = ("_compute_loss", "_prepare_dataset", "_precompute_ref_logps", *_EVERYWHERE)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.precompute_ref_logps = True
        ours = ("aot", "sft") if self.use_weighting else ("aot",)
        every = list(zip(self.loss_types, self.loss_weights, strict=True))
        theirs = [pair for pair in every if pair[0] not in ours]
        self._ours = [pair for pair in every if pair[0] in ours]
        self.loss_types, self.loss_weights = [t for t, _ in theirs], [w for _, w in theirs]

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def references(self, batches: Sequence[Sequence[int]]) -> dict[int, Reference]:
        """Log-probabilities of every row in `batches` under the model as it is now."""
        found: dict[int, Reference] = {}
        for batch in batches[ranks.rank() :: ranks.count()]:
            inputs = self.data_collator([self.train_dataset[at] for at in batch])
            inputs = self._prepare_inputs(inputs)
            with torch.no_grad():
                scored = self._score(self.model, inputs).log_probs
            weights = self._tail_weights(inputs) * inputs["counted"]
            columns = (*(scored * weights).sum(1).chunk(2), scored.chunk(2)[0].sum(1))
            for at, *values in zip(batch, *(column.tolist() for column in columns), strict=True):
                found[at] = Reference(*values)
        return ranks.gathered(found)

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
        return self.read(model, inputs, labels, squares=self.use_weighting)

    def _tail_weights(self, inputs: dict[str, Any]) -> Any:
        """[rows, length - 1]: what TRL weighs each token by: `ld_alpha` behind the shorter side."""
        mask = inputs["completion_mask"][:, 1:]
        if self.ld_alpha is None:
            return mask.float()
        lengths = mask.sum(1)
        shorter = torch.minimum(*lengths.chunk(2)).repeat(2)[:, None]
        tail = mask.cumsum(1) > shorter
        return mask * torch.where(tail, self.ld_alpha, 1.0)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's losses on log-probabilities from `logps.score`.

        TRL sums the log-probabilities of all completion tokens. What tokens that do not count add
        to that sum is put on the reference's side too, so that it cancels in the ratio, gradients
        included, while the `sft` term and the metrics still see every token.
        """
        outputs = self._score(model, inputs)
        chosen = outputs.log_probs.chunk(2)[0].detach().sum(1)
        change = self.accelerator.gather(chosen - inputs["start_logps"]).mean().item()
        self._metrics["train"][CHANGE].append(change)
        counted = inputs["counted"]
        ours = sum(weight * self._term(name, outputs, inputs) for name, weight in self._ours)
        if not bool((counted == 1).all()):
            rest = (outputs.log_probs * self._tail_weights(inputs) * (1 - counted)).sum(1).chunk(2)
            inputs = {
                **inputs,
                "ref_chosen_logps": inputs["ref_chosen_logps"] + rest[0],
                "ref_rejected_logps": inputs["ref_rejected_logps"] + rest[1],
            }
        theirs = super()._compute_loss(Answered(outputs), inputs, return_outputs)
        return theirs + ours if self._ours else theirs

    def _term(self, name: str, outputs: Any, inputs: dict[str, Any]) -> Any:
        """One of the losses that are worked out here."""
        if name == "sft":
            return terms.weighted_sft(outputs, inputs["completion_mask"][:, 1:])
        weights = self._tail_weights(inputs) * inputs["counted"]
        return terms.aligned(
            (outputs.log_probs * weights).sum(1),
            (inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]),
            beta=self.beta,
            smoothing=self.label_smoothing,
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference log-probabilities of one pair, in nats, summed over tokens."""

    chosen: float
    """Over the chosen side's tokens that count in the preference."""
    rejected: float
    whole: float
    """Over all tokens of the chosen side."""


class PairCollator(DataCollatorForPreference):
    """TRL's collator, with what each token counts and how the chosen side stood at the start."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Padded tensors; rows are all chosen sides, then all rejected sides.

        `counted` is [rows, length - 1], 1.0 wherever the examples do not say otherwise.
        """
        output: dict[str, Any] = super().torch_call(examples)
        if "start_logps" in examples[0]:
            output["start_logps"] = torch.tensor([e["start_logps"] for e in examples])
        counted = torch.ones(output["input_ids"].shape[0], output["input_ids"].shape[1] - 1)
        sides = [(e, side) for side in ("chosen", "rejected") for e in examples]
        for row, (example, side) in enumerate(sides):
            if f"{side}_counts" in example:
                start = len(example["prompt_ids"]) - 1
                counts = torch.tensor(example[f"{side}_counts"])
                counted[row, start : start + len(counts)] = counts
        output["counted"] = counted
        return output


class Answered:
    """Stands in for the model where TRL calls it: the forward pass has been made."""

    def __init__(self, outputs: Any) -> None:
        self._outputs = outputs

    def __call__(self, **_: Any) -> Any:
        return self._outputs
