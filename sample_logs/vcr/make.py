"""Made with `vcrpy` 9.4.2 around `openai` 1.109.1, `anthropic` 0.125.0, `google-genai` 1.75.0 and
`boto3` 1.44.5, which play scenes against `make/model_server.py`.

    pip install vcrpy==9.4.2 openai==1.109.1 anthropic==0.125.0 google-genai==1.75.0 \
        boto3==1.44.5 httpx && python sample_logs/vcr/make.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))

import anthropic
import boto3
import httpx
import openai
import sdk_agents
import vcr
from google import genai
from model_server import Reply, serve
from sdk_scenes import SCENES

PORT = 8723
KEPT = ("content-type",)
OPENAI_ERRORS = (openai.OpenAIError, httpx.HTTPError)
ANTHROPIC_ERRORS = (anthropic.AnthropicError, httpx.HTTPError)


def bare(half: Any) -> Any:
    """A request or response without headers that name the machine or change with every run."""
    if isinstance(half, dict):
        half["headers"] = {k: v for k, v in half["headers"].items() if k.lower() in KEPT}
    else:
        half.headers = {k: v for k, v in half.headers.items() if k.lower() in KEPT}
    return half


def cassette(name: str, serializer: str = "yaml") -> Any:
    """A fresh cassette."""
    path = HERE / name
    path.unlink(missing_ok=True)
    return vcr.VCR(
        serializer=serializer,
        record_mode="all",
        before_record_request=bare,
        before_record_response=bare,
    ).use_cassette(str(path))


def main() -> None:
    """Four cassettes; the one of OpenAI also holds a call that is no model's."""
    replies: list[Reply] = []

    def play(agent: Any, client: Any, errors: Any, *names: str) -> None:
        for name in names:
            replies[:] = SCENES[name].replies
            agent(client, SCENES[name], errors)

    with serve(lambda path, body: replies.pop(0), port=PORT) as server:
        with cassette("openai.yaml"):
            client: Any = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
            client.models.list()
            names = ("clean", "broken arguments, streamed", "unknown tool", "rate limit")
            play(sdk_agents.chat, client, OPENAI_ERRORS, *names)
            play(sdk_agents.responses, client, OPENAI_ERRORS, "breaks the schema")
        with cassette("anthropic.json", "json"):
            client = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)
            names = ("clean", "broken arguments, streamed", "breaks the schema", "refusal")
            play(sdk_agents.messages, client, ANTHROPIC_ERRORS, *names)
        with cassette("gemini.yaml"):
            options = genai.types.HttpOptions(base_url=server.url)
            client = genai.Client(api_key="none", http_options=options)
            play(sdk_agents.gemini, client, (httpx.HTTPError,), "clean", "tool fails")
        with cassette("bedrock.yaml"):
            client = boto3.client(
                "bedrock-runtime",
                endpoint_url=server.url,
                region_name="us-east-1",
                aws_access_key_id="none",
                aws_secret_access_key="none",
            )
            names = ("clean", "broken arguments, streamed")
            play(sdk_agents.converse, client, (), *names)


if __name__ == "__main__":
    main()
