"""Models: named, loaded, rendered for, and sampled from; the one room that three others share.

In: what `--model` names, messages, token ids. Out: loaded models, token ids, answers. Importing
this room does not import torch; the functions that need it do. Rooms that only name a model
(`resolve`) or read sampled text never load it.
"""

from __future__ import annotations

from misstep.models.budget import Budget, budget_of, fitted
from misstep.models.endpoint import Answers, Question, Sampling, ask_endpoint
from misstep.models.generate import Answer, sample
from misstep.models.load import (
    ADAPTER_NOTE,
    Loaded,
    check_adapter,
    load,
    load_tokenizer,
    unpacked,
    write_adapter_note,
)
from misstep.models.resolve import EMBEDDED, ModelRef, resolve
from misstep.models.template import Encoded, Template

__all__ = [
    "ADAPTER_NOTE",
    "EMBEDDED",
    "Answer",
    "Answers",
    "Budget",
    "Encoded",
    "Loaded",
    "ModelRef",
    "Question",
    "Sampling",
    "Template",
    "ask_endpoint",
    "budget_of",
    "check_adapter",
    "fitted",
    "load",
    "load_tokenizer",
    "resolve",
    "sample",
    "unpacked",
    "write_adapter_note",
]
