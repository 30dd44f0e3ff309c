"""Mining: preference pairs from judged sessions.

In: judged sessions, what the user calls right, what the model under training answers. Out: pairs,
unpaired failures, refused candidates with reasons, each part of the split apart, and the rows that
are written of them. Loads no model.
"""

from misstep.mine.accepted import accepted_steps
from misstep.mine.card import write_card
from misstep.mine.export import export
from misstep.mine.gate import RULES
from misstep.mine.miner import SOURCES, Mined, Unpaired, mine
from misstep.mine.reference import Reference, read_references
from misstep.mine.resample import OWN, resample_prompts
from misstep.mine.rows import (
    Sides,
    accepted_row,
    accepted_to_sides,
    pair_row,
    refused_row,
    row_to_sides,
    unpaired_row,
)
from misstep.mine.source import Candidate, Corpus, Source, gather, own_share
from misstep.mine.split import Split, split

__all__ = [
    "OWN",
    "RULES",
    "SOURCES",
    "Candidate",
    "Corpus",
    "Mined",
    "Reference",
    "Sides",
    "Source",
    "Split",
    "Unpaired",
    "accepted_row",
    "accepted_steps",
    "accepted_to_sides",
    "export",
    "gather",
    "mine",
    "own_share",
    "pair_row",
    "read_references",
    "refused_row",
    "resample_prompts",
    "row_to_sides",
    "split",
    "unpaired_row",
    "write_card",
]
