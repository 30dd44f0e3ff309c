"""Makes `vercel_ai.jsonl`: the Vercel AI SDK's own telemetry as OTLP/JSON lines.

    python sample_logs/otel-genai/make_vercel.py FOLDER

FOLDER is where `npm install` of the packages that `make_vercel.mjs` names was run.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))

from model_server import Call, Reply, serve

REPLIES = [
    Reply(
        calls=(Call("find_ferries", '{"port": "Oslo"}'), Call("find_ferries", '{"port":"Moss"}'))
    ),
    Reply(calls=(Call("find_ferries", '{"port": "Skagen"'),)),
    Reply(calls=(Call("list_ferries", '{"port": "Skagen"}'),)),
    Reply("No ferries to Oslo; Moss at 09:05."),
    Reply('{"port": "Moss", "seats": "two"}'),
]

if __name__ == "__main__":
    path = HERE / "vercel_ai.jsonl"
    path.unlink(missing_ok=True)
    with serve(REPLIES) as server:
        script = HERE / "make_vercel.mjs"
        subprocess.run(["node", script, server.url, path, Path(sys.argv[1]).resolve()], check=True)
    text = re.sub(
        r'("host\.[a-z.]+|"process\.[a-z._]+)","value":\{[^{}]*\}',
        r'\1","value":{}',
        path.read_text(),
    )
    text = re.sub(r'"stringValue":"[^"]*stack[^"]*"', '"stringValue":"left out"', text)
    text = re.sub(
        r'("key":"exception\.stacktrace","value":\{"stringValue":)"(?:[^"\\]|\\.)*"',
        r'\1"left out"',
        text,
    )
    path.write_text(text)
