"""Before and after on held-out prompts, judged by the validators that judged the log.

In: a corpus, a split, and the answers of each model. Out: an `Evaluation`. Loads no model.
"""

from misstep.evaluate.compare import Evaluation, evaluate, nothing_to_train
from misstep.evaluate.contrast import Contrast, Tried, contrasts
from misstep.evaluate.disagree import dealt
from misstep.evaluate.effect import with_effect
from misstep.evaluate.held import Held, check_leak, held_out
from misstep.evaluate.marks import ArmAnswers
from misstep.evaluate.quality import Quality, quality

__all__ = [
    "ArmAnswers",
    "Contrast",
    "Evaluation",
    "Held",
    "Quality",
    "Tried",
    "check_leak",
    "contrasts",
    "dealt",
    "evaluate",
    "held_out",
    "nothing_to_train",
    "quality",
    "with_effect",
]
