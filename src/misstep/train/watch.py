"""What looks on while a trainer trains: progress, early warnings, and a guard that stops.

Importing this module imports transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from transformers import PrinterCallback, TrainerCallback

from misstep.train import ranks
from misstep.train.rows import Ids
from misstep.train.stage import Job

CHANGE = "logps/chosen_change"
"""Mean change of the chosen answers' log-probability since the start, in nats per answer."""
_WINDOW = 4
"""Logged steps that the guard averages over; one batch alone is noisy."""


class Progress(TrainerCallback):
    """Reports each logged step."""

    def __init__(self, report: Callable[[int, int, float], None]) -> None:
        self._report = report

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        logs = kwargs.get("logs") or {}
        if "loss" in logs:
            self._report(state.global_step, state.max_steps, float(logs["loss"]))


class Guard(TrainerCallback):
    """Stops when the chosen answers themselves have become much less likely.

    DPO may lower both sides as long as the rejected one falls faster. With careless settings the
    chosen side fell by 8 nats and the failure rate rose from 36 % to 75 %; runs that helped stayed
    within 2 nats. The state lives in the trainer's log, so a resumed run judges as an unbroken one.
    """

    def __init__(self, most: float, section: str = "dpo") -> None:
        self._most, self._section = most, section
        self.stopped = ""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        seen = [log[CHANGE] for log in state.log_history if CHANGE in log][-_WINDOW:]
        if self._most <= 0 or len(seen) < 2 or CHANGE not in (kwargs.get("logs") or {}):
            return
        change = sum(seen) / len(seen)
        if change < -self._most:
            section = self._section
            control.should_training_stop = True
            self.stopped = (
                f"stopped at step {state.global_step} of {state.max_steps}: the chosen answers "
                f"lost {-change:.1f} nats each (at most {self._most:g}, {section}.max_chosen_drop)"
                f"; lower {section}.learning_rate or raise {section}.beta"
            )


class Advice(TrainerCallback):
    """Early warnings, each said once, with what to change.

    - Likelihood displacement: the chosen answers lose probability though they are what is taught
      (Razin et al. 2024, arXiv 2410.08847); the guard stops the run where it goes on.
    - Saturation: with a mean reward margin of `_SATURATED` the gradient of the sigmoid loss is
      3.6 % of what it was, so the rest of the run teaches little. Said of losses of the summed
      margin alone: `ipo` and `sigmoid_norm` divide it by the length, KTO's sides are told apart
      from a baseline each.
    - Told apart at once: all pairs are ranked right within the first steps, `_PAIRS` of them at
      least, which a single feature such as the length of the sides does, and learning does not.

    All of it follows from the trainer's log, so a resumed run has the warnings of before as well.
    """

    def __init__(
        self,
        section: str,
        say: Callable[[str], None] | None = None,
        *,
        losses: Sequence[str],
        length: float,
        rows: int,
    ) -> None:
        """`length` is the mean number of tokens of the answers that are taught.

        Args:
            losses: of the stage, under TRL's names.
            rows: of an optimizer step.
        """
        self._section, self._say, self._length = section, say, length
        self._saturates = not _SUMMED.isdisjoint(losses)
        self._taught = "sft" in losses
        self._window = max(_WINDOW, math.ceil(_PAIRS / rows))
        self.notes: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer; a resumed run begins with the log of what was trained before."""
        for at, log in enumerate(state.log_history, start=1):
            self._judge(state.log_history[:at], int(log["step"]), state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        self._judge(state.log_history, state.global_step, state.max_steps)

    def _judge(self, history: list[dict[str, Any]], step: int, most: int) -> None:
        section = self._section
        change = _mean(history, CHANGE)
        if change is not None and change < -_DISPLACED:
            learn = ""
            if section == "dpo":
                more = "give the sft loss more weight (" if self._taught else "add sft ("
                learn = (
                    more + ("" if self._taught else "dpo.loss_type and ") + "dpo.loss_weights), "
                )
            self._note(
                "displaced",
                f"step {step}: the chosen answers lost {-change:.1f} nats each, "
                f"{-change / self._length:.2g} per token ({self._length:.0f} in the mean); {learn}"
                f"raise {section}.beta or lower {section}.learning_rate",
            )
        margin = _mean(history, "rewards/margins")
        late = step >= most * 0.75
        if self._saturates and margin is not None and margin > _SATURATED and not late:
            self._note(
                "saturated",
                f"step {step} of {most}: the margins are saturated (mean {margin:.1f}), "
                f"the rest teaches little; fewer epochs ({section}.num_train_epochs) or more pairs "
                "do",
            )
        right = [log["rewards/accuracies"] for log in history if _ACCURACY in log]
        window = self._window
        if len(right) >= window and step <= 2 * window and min(right[-window:]) == 1.0:
            self._note(
                "trivial",
                f"step {step}: all pairs of the last {window} steps are told apart already; "
                "`misstep lint` says whether one feature, such as length, tells chosen from "
                "rejected",
            )

    def _note(self, kind: str, said: str) -> None:
        if kind not in self.notes:
            self.notes[kind] = said
            if self._say is not None:
                self._say(f"training: {said}")


_ACCURACY = "rewards/accuracies"
_DISPLACED = 1.0
"""Nats; runs that helped stayed within 2 in the mean of their last steps, and mostly within 1."""
_SATURATED = 4.0
"""Reward margin at which the sigmoid loss has 3.6 % of its first gradient."""
_SUMMED = frozenset(("sigmoid", "robust", "exo_pair", "hinge"))
"""Losses whose gradient is gone at that margin."""
_PAIRS = 16
"""So many, all told apart, are no accident: 1 in 65,536 where nothing was learned."""


def mean_length(rows: Sequence[Ids]) -> float:
    """Tokens of the answers that are taught, in the mean."""
    taught = [len(row.chosen) for row in rows if row.label]
    return sum(taught) / len(taught)


def _mean(history: list[dict[str, Any]], name: str) -> float | None:
    seen = [log[name] for log in history if name in log][-_WINDOW:]
    return sum(seen) / len(seen) if len(seen) >= _WINDOW else None


def advice_of(job: Job, rows: Sequence[Ids], losses: Sequence[str]) -> Advice:
    """The warnings of a stage over these rows, with these losses."""
    say = ranks.spoken(job.run.say)
    length, each = mean_length(rows), job.rows_per_step
    return Advice(job.name, say, losses=losses, length=length, rows=each)


def watched(
    trainer: Any,
    report: Callable[[int, int, float], None] | None,
    *looks: TrainerCallback,
) -> None:
    """Let them look on, and take away what would print to stdout."""
    trainer.remove_callback(PrinterCallback)
    for look in looks:
        trainer.add_callback(look)
    if report is not None:
        trainer.add_callback(Progress(report))
