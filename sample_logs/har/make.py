"""Made with `mitmproxy` 11.0.2 (`hardump`) as a reverse proxy between `openai` 1.109.1,
`anthropic` 0.125.0, `boto3` 1.44.5 and `make/model_server.py`.

    pip install mitmproxy==11.0.2        # in an environment of its own; MITMDUMP names the program
    pip install openai==1.109.1 anthropic==0.125.0 boto3==1.44.5 httpx
    MITMDUMP=…/bin/mitmdump python sample_logs/har/make.py
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))

import anthropic
import boto3
import httpx
import openai
import sdk_agents
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from model_server import Reply, serve
from sdk_scenes import SCENES

PORT, PROXY = 8723, 8724
PATH = HERE / "proxy.har"
PLAYED = {
    "chat": ("clean", "broken arguments, streamed", "structured, broken"),
    "responses": ("unknown tool",),
    "messages": ("clean", "broken arguments, streamed", "rate limit"),
    "converse": ("broken arguments, streamed",),
}


def main() -> None:
    """Record all, then leave out headers, addresses and timings."""
    replies: list[Reply] = []
    with serve(lambda path, body: replies.pop(0), port=PORT):
        upstream = f"reverse:http://127.0.0.1:{PORT}"
        command = [os.environ.get("MITMDUMP", "mitmdump"), "-q", "--mode", upstream]
        command += ["-p", str(PROXY), "--set", f"hardump={PATH}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as proxy:
            wait_for(PROXY)
            for agent, names in PLAYED.items():
                client, errors = connect(agent)
                for name in names:
                    replies[:] = SCENES[name].replies
                    getattr(sdk_agents, agent)(client, SCENES[name], errors)
            proxy.terminate()
    document = json.loads(PATH.read_text())
    for entry in document["log"]["entries"]:
        bare(entry)
    PATH.write_text(json.dumps(document, ensure_ascii=False) + "\n")
    print(PATH.name, len(document["log"]["entries"]), "entries", PATH.stat().st_size, "bytes")


def connect(agent: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """The SDK client of an agent, pointed at the proxy."""
    base = f"http://127.0.0.1:{PROXY}"
    if agent in ("chat", "responses"):
        client: Any = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
        client.models.list()
        return client, (openai.OpenAIError, httpx.HTTPError)
    if agent == "messages":
        client = anthropic.Anthropic(base_url=base, api_key="none", max_retries=0)
        return client, (anthropic.AnthropicError, httpx.HTTPError)
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=base,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"max_attempts": 0}),
    )
    return client, (ClientError, BotoCoreError)


def wait_for(port: int) -> None:
    """Wait until something listens."""
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the proxy did not start")


def bare(entry: dict[str, Any]) -> None:
    """One entry without headers, cookies, timings and addresses."""
    for half in (entry["request"], entry["response"]):
        half["headers"] = [h for h in half["headers"] if h["name"].lower() == "content-type"]
        half["cookies"] = []
    for name in ("timings", "timings_all", "cache", "serverIPAddress", "connection"):
        entry.pop(name, None)


if __name__ == "__main__":
    main()
