"""Raw text in which models write tool calls: one table of dialects, read, written and found.

In: text as a model emitted it. Out: parts (text, reasoning, calls), or the spans of call markup.
`DIALECTS` is the table; `hermes` is the one dialect that misstep samples and trains with, and the
only one that is written. Reading keeps the argument text as it stands; what is wrong with it is
said in the call's `fault` and never mended. Nothing here raises on any text.
"""

from __future__ import annotations

from misstep.dialects.finding import Markup, markup
from misstep.dialects.hermes import (
    CLOSE,
    OPEN,
    THINK_CLOSE,
    THINK_OPEN,
    parse_answer,
    render_answer,
    render_call,
)
from misstep.dialects.reading import Types, dialect_of, read_answer, types_of
from misstep.dialects.table import DIALECTS, Dialect

__all__ = [
    "CLOSE",
    "DIALECTS",
    "OPEN",
    "THINK_CLOSE",
    "THINK_OPEN",
    "Dialect",
    "Markup",
    "Types",
    "dialect_of",
    "markup",
    "parse_answer",
    "read_answer",
    "render_answer",
    "render_call",
    "types_of",
]
