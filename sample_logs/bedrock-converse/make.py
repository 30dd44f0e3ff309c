"""Made with `boto3` 1.44.5: its bedrock-runtime client plays the scenes against
`make/model_server.py`, and hooks on the client keep both bodies of each call; a stream as the
events that boto3 hands on.

    pip install boto3==1.44.5 httpx && python sample_logs/bedrock-converse/make.py
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))

import boto3
import sdk_agents
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from model_server import Call, Reply, serve
from sdk_record import record_boto, write
from sdk_scenes import SCENES, Scene
from urllib3.exceptions import HTTPError

ERRORS = (ClientError, BotoCoreError, HTTPError)
PORT = 8723
HOSTED = {
    "toolUse": {
        "toolUseId": "tooluse_1",
        "name": "nova_code_interpreter",
        "input": {"snippet": "6 * 7"},
        "type": "server_tool_use",
    }
}
TOLD = {
    "toolResult": {
        "toolUseId": "tooluse_1",
        "content": [{"json": {"stdOut": "42", "exitCode": 0, "isError": False}}],
        "status": "success",
        "type": "nova_code_interpreter_result",
    }
}


def main() -> None:
    """Play all scenes that ask for no schema, and three of Bedrock's own."""
    scenes = {name: scene for name, scene in SCENES.items() if scene.schema is None}
    scenes["unreadable call"] = Scene(
        "How warm is it in Bergen?",
        (Reply(calls=(Call("get_weather", '{"city": Bergen}'),)), Reply("I do not know.")),
    )
    scenes["hosted"] = Scene("What is 6 times 7?", (Reply("42.", items=(HOSTED, TOLD)),))
    scenes["guardrail"] = Scene("Say it.", (Reply("No.", finish="guardrail_intervened"),))
    replies: list[Reply] = []
    with serve(lambda path, body: replies.pop(0), port=PORT) as server:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=Config(retries={"max_attempts": 0}),
        )
        rows = record_boto(client)
        for scene in scenes.values():
            replies[:] = [
                reply if reply.finish != "length" else Reply(reply.text, finish="max_tokens")
                for reply in scene.replies
            ]
            sdk_agents.converse(client, scene, ERRORS)
    write(rows, HERE / "pairs.jsonl")


if __name__ == "__main__":
    main()
