"""OpenTelemetry GenAI traces: OTLP JSON or span dumps, also the Vercel AI SDK's own keys.

Kept: the messages of each request in the attribute form (`gen_ai.input.messages`), the event forms
before it (on the span or as log records) and `ai.prompt.messages`; tools where captured, finish
reasons, model, usage, times; tool spans with their error; agents within agents as sub-agents. Spans
of OpenLLMetry and OpenInference in the same file are read as what they are. Content is there only
where its capture was switched on; many libraries parse argument text before they log it.
"""

from __future__ import annotations

from misstep.ingest.format import Format, Peek, Tally
from misstep.ingest.spans.known import keys_of, sure
from misstep.ingest.spans.reader import SpanReader
from misstep.ingest.spans.skim import Skim

NAME = "otel-genai"


def sniff(peek: Peek) -> float:
    """Spans or log records, most of them with keys of this convention."""
    return sure(peek, NAME)


def _reader(tally: Tally) -> SpanReader:
    return SpanReader(NAME, tally)


FORMAT = Format(
    name=NAME,
    about="OpenTelemetry GenAI spans and events (OTLP JSON, span dumps), Vercel AI SDK spans; "
    "content only where captured, arguments often parsed",
    unit="span",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=keys_of,
    skim=Skim,
    kinds=("json", "csv", "parquet"),
)
