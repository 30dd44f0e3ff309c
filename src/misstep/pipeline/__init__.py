"""The only place that knows the order of the rooms."""

from misstep.pipeline.loop import evaluate, mine, run, train
from misstep.pipeline.plan import plan
from misstep.pipeline.scan import scan

__all__ = ["evaluate", "mine", "plan", "run", "scan", "train"]
