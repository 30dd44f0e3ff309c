"""What looks on while a trainer trains: progress, early warnings, and a guard that stops.

Importing this module imports transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import PrinterCallback, TrainerCallback

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
      below a fiftieth of what it was, so the rest of the run teaches little.
    - Told apart at once: all pairs are ranked right within the first steps, which a single
      feature such as the length of the sides does, and learning does not.
    """

    def __init__(self, section: str = "dpo", say: Callable[[str], None] | None = None) -> None:
        self._section, self._say = section, say
        self.notes: dict[str, str] = {}

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        step, section = state.global_step, self._section
        change = _mean(state.log_history, CHANGE)
        if change is not None and change < -_DISPLACED:
            self._note(
                "displaced",
                f"step {step}: the chosen answers lost {-change:.1f} nats each; give the sft loss "
                f"more weight, raise {section}.beta or lower {section}.learning_rate",
            )
        margin = _mean(state.log_history, "rewards/margins")
        if margin is not None and margin > _SATURATED and step < state.max_steps * 0.75:
            self._note(
                "saturated",
                f"step {step} of {state.max_steps}: the margins are saturated (mean {margin:.1f}), "
                f"the rest teaches little; fewer epochs ({section}.num_train_epochs) or more pairs "
                "do",
            )
        right = [log["rewards/accuracies"] for log in state.log_history if _ACCURACY in log]
        if len(right) >= _WINDOW and step <= _EARLY and min(right[-_WINDOW:]) == 1.0:
            self._note(
                "trivial",
                f"step {step}: all pairs are told apart already; `misstep lint` says whether one "
                "feature, such as length, tells chosen from rejected",
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
"""Reward margin at which the sigmoid loss has 1.8 % of its first gradient."""
_EARLY = 8


def _mean(history: list[dict[str, Any]], name: str) -> float | None:
    seen = [log[name] for log in history if name in log][-_WINDOW:]
    return sum(seen) / len(seen) if len(seen) >= _WINDOW else None


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
