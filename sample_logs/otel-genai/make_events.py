"""Makes `openai_events.jsonl`: spans, and messages as log records, as it was before version 1.37.

    pip install openai==3.54.0 httpx opentelemetry-sdk==1.45.2 opentelemetry-util-genai==0.4b0 \\
        opentelemetry-instrumentation-openai-v2==2.4b0 opentelemetry-exporter-otlp-json-file==0.66b1
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true \\
        python sample_logs/otel-genai/make_events.py
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
logging.disable(logging.CRITICAL)

import ferry
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from otlp_files import RESOURCE, play, spans_to, tidy

PATH = HERE / "openai_events.jsonl"

if __name__ == "__main__":
    tracing = spans_to(PATH)
    heard = LoggerProvider(resource=RESOURCE)
    heard.add_log_record_processor(SimpleLogRecordProcessor(FileLogExporter(PATH)))
    OpenAIInstrumentor().instrument(tracer_provider=tracing, logger_provider=heard)
    chats = [(ferry.MISTAKES, False), (ferry.CUT, True)]
    play(tracing, chats, "Desk 2")
    heard.shutdown()
    tidy(PATH)
