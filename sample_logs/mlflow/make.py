"""Makes the sample: MLflow's autologging of the OpenAI client, with tools traced by decorator.

    pip install mlflow-skinny==3.17.2 openai==3.54.0 httpx
    python sample_logs/mlflow/make.py

Writes `traces.jsonl`: one trace a line as `Trace.to_json` gives it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
logging.disable(logging.CRITICAL)
os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

import ferry
import httpx
import mlflow
from mlflow.entities import SpanType
from model_server import serve
from openai import OpenAI, OpenAIError


@contextmanager
def span(name: str, call_id: str, arguments: str) -> Iterator[Callable[[str], None]]:
    """A tool's span, with the arguments as an object where they are one."""
    with mlflow.start_span(name=name, span_type=SpanType.TOOL) as made:
        given: object = arguments
        with suppress(ValueError):
            given = json.loads(arguments)
        made.set_inputs(given)
        yield made.set_outputs


def play(question: str, stream: bool, session: str) -> None:
    """One chat as one trace."""
    with mlflow.start_span(name="desk", span_type=SpanType.AGENT) as made:
        made.set_inputs({"question": question})
        mlflow.update_current_trace(metadata={"mlflow.trace.session": session})
        ferry.chat(client, question, stream=stream, span=span)


CHATS = [(ferry.CLEAN, False), (ferry.MISTAKES, False), (ferry.REFUSED, False)]
CHATS += [(ferry.CUT, True), (ferry.LIMITED, False)]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"file://{folder}/mlruns")
        where = mlflow.create_experiment("ferry-desk", artifact_location=f"file://{folder}/a")
        mlflow.set_experiment(experiment_id=where)
        mlflow.openai.autolog()
        lines = []
        for number, ((question, replies), stream) in enumerate(CHATS):
            with serve(replies) as server, suppress(OpenAIError, httpx.HTTPError):
                client = OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
                play(f"Desk 9: {question}", stream, f"desk-9-{number}")
            trace_id = mlflow.get_last_active_trace_id()
            if number < 2:
                mlflow.log_feedback(
                    trace_id=trace_id,
                    name="helpful",
                    value=number == 0,
                    source=mlflow.entities.AssessmentSource("HUMAN", "ada"),
                )
            lines.append(mlflow.get_trace(trace_id).to_json())
        text = "".join(line + "\n" for line in lines)
        text = text.replace(folder, "/home/ada/mlruns")
        text = re.sub(
            r'Traceback \(most recent call last\)(?:[^"\\]|\\.)*', "Traceback left out", text
        )
        text = re.sub(r'"(mlflow\.user|mlflow\.source\.name)": "[^"]*"', r'"\1": "ada"', text)
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)
        (HERE / "traces.jsonl").write_text(text)
