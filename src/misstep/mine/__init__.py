"""Mining: preference pairs from judged sessions.

In: judged sessions, what the user calls right, what the model under training answers. Out: pairs,
unpaired failures, refused candidates with reasons, each part of the split apart, and the rows that
are written of them. Loads no model.
"""

from misstep.mine.accepted import Taught, Terms, accepted_steps, taught
from misstep.mine.card import write_card
from misstep.mine.decisions import FILE as DECISIONS
from misstep.mine.decisions import Decision, Word, count_decisions, read_decisions, write_decision
from misstep.mine.desk import Desk
from misstep.mine.door import CRASHED
from misstep.mine.entry import Drafted, Entry, Judged
from misstep.mine.evidence import torn
from misstep.mine.export import FIGURES, export, write, write_parts
from misstep.mine.facts import Fact, fact_of
from misstep.mine.figures import Figures
from misstep.mine.find import Finder, Here, Load, entries
from misstep.mine.formats import OUTPUTS, chosen_outputs, every_file
from misstep.mine.gate import RULES
from misstep.mine.held import HeldText
from misstep.mine.index import Index, Verdicts, index_of
from misstep.mine.loose import Unpaired
from misstep.mine.loose import logged as loose_logged
from misstep.mine.loose import sampled as loose_sampled
from misstep.mine.make import Maker, Making, Wanted, wanted_of
from misstep.mine.miner import SOURCES, Mined, chosen_sources, mine, paired
from misstep.mine.reference import Reference, by_key, read_references, references_by_key
from misstep.mine.resample import OWN, resample_prompts
from misstep.mine.reviewed import against, decided, session_of
from misstep.mine.rows import (
    Redactor,
    accepted_row,
    desirable_row,
    pair_row,
    refused_row,
    unpaired_row,
)
from misstep.mine.sharing import shared_text
from misstep.mine.sides import Sides, accepted_to_sides, labelled_to_sides, row_to_sides, tidy
from misstep.mine.source import Candidate, Corpus, Source, gather, own_share
from misstep.mine.split import Split, split
from misstep.mine.watch import watched

__all__ = [
    "CRASHED",
    "DECISIONS",
    "FIGURES",
    "OUTPUTS",
    "OWN",
    "RULES",
    "SOURCES",
    "Candidate",
    "Corpus",
    "Decision",
    "Desk",
    "Drafted",
    "Entry",
    "Fact",
    "Figures",
    "Finder",
    "HeldText",
    "Here",
    "Index",
    "Judged",
    "Load",
    "Maker",
    "Making",
    "Mined",
    "Redactor",
    "Reference",
    "Sides",
    "Source",
    "Split",
    "Taught",
    "Terms",
    "Unpaired",
    "Verdicts",
    "Wanted",
    "Word",
    "accepted_row",
    "accepted_steps",
    "accepted_to_sides",
    "against",
    "by_key",
    "chosen_outputs",
    "chosen_sources",
    "count_decisions",
    "decided",
    "desirable_row",
    "entries",
    "every_file",
    "export",
    "fact_of",
    "gather",
    "index_of",
    "labelled_to_sides",
    "loose_logged",
    "loose_sampled",
    "mine",
    "own_share",
    "pair_row",
    "paired",
    "read_decisions",
    "read_references",
    "references_by_key",
    "refused_row",
    "resample_prompts",
    "row_to_sides",
    "session_of",
    "shared_text",
    "split",
    "taught",
    "tidy",
    "torn",
    "unpaired_row",
    "wanted_of",
    "watched",
    "write",
    "write_card",
    "write_decision",
    "write_parts",
]
