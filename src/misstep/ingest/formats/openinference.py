"""OpenInference spans (Arize Phoenix): OTLP, flat or nested JSON rows, data frame columns.

Kept: `llm.input_messages`, `llm.output_messages`, `llm.tools`, invocation parameters, argument text
byte for byte, legacy function calls, usage, times; the finish reason where the raw response is
kept; TOOL spans with their error, by call id where logged, else by name and arguments.
"""

from __future__ import annotations

from misstep.ingest.format import Format, Peek, Tally
from misstep.ingest.spans.known import keys_of, sure
from misstep.ingest.spans.reader import SpanReader

NAME = "openinference"


def sniff(peek: Peek) -> float:
    """Spans, most of them with keys of this convention."""
    return sure(peek, NAME)


def _reader(tally: Tally) -> SpanReader:
    return SpanReader(NAME, tally)


FORMAT = Format(
    name=NAME,
    about="OpenInference (Phoenix) spans as OTLP, JSON rows, Parquet or CSV; tool runs often "
    "without call ids",
    unit="span",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=keys_of,
    kinds=("json", "csv", "parquet"),
)
