"""OpenLLMetry (Traceloop) traces: OTLP JSON or span dumps with numbered attribute keys.

Kept: `gen_ai.prompt.N.*`, `gen_ai.completion.N.*`, `llm.request.functions.N.*`, and what newer
versions write in OpenTelemetry's own form; argument text byte for byte in the numbered keys;
`traceloop.entity.*` of tool spans. Such spans are read the same in a file of another convention.
"""

from __future__ import annotations

from misstep.ingest.format import Format, Peek, Tally
from misstep.ingest.spans.known import keys_of, sure
from misstep.ingest.spans.reader import SpanReader

NAME = "openllmetry"


def sniff(peek: Peek) -> float:
    """Spans, most of them with keys of this convention."""
    return sure(peek, NAME)


def _reader(tally: Tally) -> SpanReader:
    return SpanReader(NAME, tally)


FORMAT = Format(
    name=NAME,
    about="OpenLLMetry (Traceloop) spans; tool runs have no call ids, content only where captured",
    unit="span",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=keys_of,
    kinds=("json", "csv", "parquet"),
)
