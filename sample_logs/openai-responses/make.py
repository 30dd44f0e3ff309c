"""Made with `openai` 1.109.1: its client plays the scenes against `make/model_server.py`, and an
httpx transport keeps both bodies of each call.

    pip install openai==1.109.1 && python sample_logs/openai-responses/make.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))

import httpx
import openai
import sdk_agents
from model_server import Call, Reply, serve
from sdk_record import Recorder, write
from sdk_scenes import SCENES, Scene

ERRORS = (openai.OpenAIError, httpx.HTTPError)
PORT = 8723


@dataclass(frozen=True)
class Special(Scene):
    """A scene with request options of its own."""

    options: dict[str, Any] = field(default_factory=dict)


SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "rain in Bergen"},
}
CRM = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers.",
    "tools": [
        {
            "type": "function",
            "name": "find_customer",
            "parameters": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
                "additionalProperties": False,
            },
        }
    ],
}
SPECIAL = [
    Special(
        "How many customers rained out last week?",
        (
            Reply(
                calls=(Call("run_sql", "select count(*) from visits", kind="custom"),),
                items=(SEARCH,),
            ),
            Reply("Three."),
        ),
        options={
            "tools": [
                {"type": "web_search"},
                {"type": "custom", "name": "run_sql", "description": "Runs SQL."},
            ]
        },
    ),
    Special(
        "Who is Ada?",
        (
            Reply(calls=(Call("find_customer", '{"name": "Ada"}', namespace="crm"),)),
            Reply("Ada is a customer."),
        ),
        options={"tools": [CRM]},
    ),
    Special("Hello?", (Reply("Hel", finish="failed"),)),
]


def main() -> None:
    """Play all scenes; the broken and the failing ones chained, the others with full history."""
    recorder = Recorder()
    replies: list[Reply] = []
    with serve(lambda path, body: replies.pop(0), port=PORT) as server:
        client = openai.OpenAI(
            base_url=f"{server.url}/v1",
            api_key="none",
            max_retries=0,
            http_client=httpx.Client(transport=recorder),
        )
        for name, scene in [*SCENES.items(), *((s.user, s) for s in SPECIAL)]:
            replies[:] = scene.replies
            chained = name in ("broken arguments, streamed", "tool fails")
            sdk_agents.responses(client, scene, ERRORS, chained=chained)
    write(recorder.rows, HERE / "pairs.jsonl")


if __name__ == "__main__":
    main()
