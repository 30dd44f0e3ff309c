"""Models: named, loaded, rendered for, and sampled from; the one room that three others share.

In: what `--model` names, messages, token ids. Out: loaded models, token ids, answers. Importing
this room does not import torch; the functions that need it do. Rooms that only name a model
(`resolve`) or read sampled text never load it.
"""

from __future__ import annotations

from misstep.models.budget import Budget, budget_of, fitted
from misstep.models.endpoint import Answers, Question, Sampling, ask_endpoint
from misstep.models.four_bits import check_four_bits
from misstep.models.generate import Answer, Batch, batches, sample
from misstep.models.generate import Sampling as Way
from misstep.models.images import Gallery, open_image
from misstep.models.load import (
    ADAPTER_NOTE,
    Loaded,
    check_adapter,
    load,
    load_tokenizer,
    load_words,
    named_base,
    settings_of,
    takes_images,
    unpacked,
    write_adapter_note,
)
from misstep.models.resolve import EMBEDDED, ModelRef, resolve
from misstep.models.spread import Sheet, Survey, Surveyed, Where, parcel_of, prepare, sheet_of, work
from misstep.models.stopping import LOOK, StopLoops
from misstep.models.template import Encoded, Template

__all__ = [
    "ADAPTER_NOTE",
    "EMBEDDED",
    "LOOK",
    "Answer",
    "Answers",
    "Batch",
    "Budget",
    "Encoded",
    "Gallery",
    "Loaded",
    "ModelRef",
    "Question",
    "Sampling",
    "Sheet",
    "StopLoops",
    "Survey",
    "Surveyed",
    "Template",
    "Way",
    "Where",
    "ask_endpoint",
    "batches",
    "budget_of",
    "check_adapter",
    "check_four_bits",
    "fitted",
    "load",
    "load_tokenizer",
    "load_words",
    "named_base",
    "open_image",
    "parcel_of",
    "prepare",
    "resolve",
    "sample",
    "settings_of",
    "sheet_of",
    "takes_images",
    "unpacked",
    "work",
    "write_adapter_note",
]
