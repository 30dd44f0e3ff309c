"""Drives the OpenHands SDK against the local model server; see README.md.

    PYTHONPATH=sample_logs/make python sample_logs/openhands/make_v1.py OUT

Needs `openhands-sdk` and `openhands-tools` 1.58.2 (Python 3.12 or later). Writes OUT/<id>/ with
`base_state.json` and `events/`. The agent's folder is a scratch one; its path in the logs becomes
/home/ada/tides, and the long texts of the system prompt's event are cut short.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import uuid
from pathlib import Path

os.environ |= {"OPENHANDS_SUPPRESS_BANNER": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

from model_server import Call, Reply, serve
from openhands.sdk import LLM, Agent, Conversation, Tool
from openhands.tools.file_editor import FileEditorTool
from openhands.tools.terminal import TerminalTool
from pydantic import SecretStr

HOME = "/home/ada/tides"


def script(folder: str) -> list[Reply]:
    """A clean start, then each way to go wrong."""
    file = f"{folder}/note.txt"
    note = json.dumps({"command": "create", "path": file, "file_text": "low 06:12\n"})
    broken = json.dumps({"command": "view", "path": file})[:-1]
    wrong = json.dumps({"command": "peek", "path": file})
    missing = json.dumps({"command": "view", "path": f"{folder}/absent.txt"})
    return [
        Reply("I will write the note.", calls=(Call("file_editor", note),)),
        Reply(calls=(Call("terminal", '{"command": "cat note.txt"}'),)),
        Reply(calls=(Call("file_editor", broken),)),
        Reply(calls=(Call("file_editor", wrong),)),
        Reply(calls=(Call("tide_table", '{"port": "Brest"}'),)),
        Reply(calls=(Call("file_editor", missing),)),
        Reply(calls=(Call("terminal", '{"command": "ls absent"}'),)),
        Reply(
            calls=(
                Call("terminal", '{"command": "wc -c note.txt"}'),
                Call("terminal", '{"command": "date +%Y -d @0"}'),
            )
        ),
        Reply(calls=(Call("finish", '{"message": "The note is written."}'),)),
        Reply("Low water was at 06:12."),
    ]


def main(out: Path) -> None:
    """Play the script."""
    with tempfile.TemporaryDirectory() as scratch, serve(script(scratch)) as server:
        llm = LLM(
            model="openai/gpt-4o-mini",
            base_url=f"{server.url}/v1",
            api_key=SecretStr("none"),
            num_retries=0,
            usage_id="agent",
        )
        tools = [Tool(name=TerminalTool.name), Tool(name=FileEditorTool.name)]
        agent = Agent(llm=llm, tools=tools)
        conversation = Conversation(
            agent=agent,
            workspace=scratch,
            persistence_dir=str(out),
            conversation_id=uuid.UUID(int=0x5EA),
            visualizer=None,
        )
        conversation.send_message("Note that low water is at 06:12, then check the note.")
        conversation.run()
        conversation.send_message("When was low water?")
        conversation.run()
        conversation.close()
    for path in out.rglob("*"):
        if path.suffix == ".json":
            text = path.read_text().replace(scratch, HOME).replace(str(out), "/home/ada/logs")
            text = text.replace(server.url, "http://localhost")
            text = re.sub(r'"(username|hostname)":"[^"]*"', r'"\1":"ada"', text)
            path.write_text(shorter(text) if "event-00000" in path.name else text)
        elif path.is_file():
            path.unlink()


def shorter(text: str) -> str:
    """The system prompt's event with the first lines of its long texts only."""
    event = json.loads(text)
    for one in (event["system_prompt"], *event["tools"]):
        key = "text" if "text" in one else "description"
        one[key] = one[key].strip()[:200]
    return json.dumps(event)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
