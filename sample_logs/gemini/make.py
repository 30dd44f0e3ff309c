"""Made with `google-genai` 1.75.0: its client plays the scenes against `make/model_server.py`, and
an httpx transport keeps both bodies of each call.

    pip install google-genai==1.75.0 && python sample_logs/gemini/make.py
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))

import httpx
import sdk_agents
from google import genai
from google.genai import errors
from model_server import Reply, serve
from sdk_record import Recorder, write
from sdk_scenes import SCENES, Scene

ERRORS = (errors.APIError, httpx.HTTPError)
PORT = 8723
LENGTH = {"too long": "MAX_TOKENS"}


def main() -> None:
    """Play all scenes; in one more Gemini itself says that it did not expect a call."""
    recorder = Recorder()
    replies: list[Reply] = []
    scenes = dict(SCENES)
    scenes["cut stream"] = Scene(
        "How is the weather in Bergen?",
        (Reply("It is windy in Bergen, and not as warm as yesterday.", cut_after=1),),
        stream=True,
        rounds=1,
    )
    scenes["unexpected"] = Scene("Book a taxi.", (Reply("", finish="UNEXPECTED_TOOL_CALL"),))
    with serve(lambda path, body: replies.pop(0), port=PORT) as server:
        options = genai.types.HttpOptions(
            base_url=server.url, httpx_client=httpx.Client(transport=recorder)
        )
        client = genai.Client(api_key="none", http_options=options)
        for name, scene in scenes.items():
            replies[:] = [
                reply if reply.finish != "length" else Reply(reply.text, finish=LENGTH[name])
                for reply in scene.replies
            ]
            sdk_agents.gemini(client, scene, ERRORS)
    write(recorder.rows, HERE / "pairs.jsonl")


if __name__ == "__main__":
    main()
