"""Makes the logs of this folder and of `codex-exec` with the real Codex CLI.

    npm install @openai/codex@0.169.0           (in a folder of its own)
    python make.py FOLDER/node_modules/.bin/codex

Codex talks to a scripted model on this machine (`../make/model_server.py`) from a home of its own;
its rollouts land here, what `codex exec --json` prints lands in `../codex-exec`. Paths of the home
are written as /home/ada. Nothing else is changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))

from model_server import Call, Reply, serve

CONFIG = """
model = "misstep-sample"
model_provider = "local"
model_instructions_file = "{home}/instructions.md"
approval_policy = "never"
{more}
[skills]
include_instructions = false
[model_providers.local]
name = "local"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "LOCAL_KEY"
request_max_retries = 0
stream_max_retries = 0
"""


def run(command: str, **arguments: Any) -> Call:
    """A call of the command tool."""
    return Call("exec_command", json.dumps({"cmd": command, **arguments}))


PATCH = "*** Begin Patch\n*** Add File: notes.txt\n+a note\n*** End Patch\n"
FAULTS = [
    Reply(reasoning="Look at the folder first.", text="I look around.", calls=(run("ls"),)),
    Reply(calls=(Call("exec_command", '{"cmd": "cat prices.csv", '),)),
    Reply(calls=(Call("read_file", '{"path": "prices.csv"}'),)),
    Reply(calls=(Call("exec_command", '{"command": "cat prices.csv"}'),)),
    Reply(calls=(run("cat missing.csv; exit 3"),)),
    Reply(calls=(run("head -1 prices.csv"), run("tail -1 prices.csv"))),
    Reply(calls=(Call("apply_patch", PATCH, kind="custom"),)),
    Reply(text="Two prices: 3 and 4."),
]
CLEAN = [
    Reply(calls=(run("wc -l prices.csv"),)),
    Reply(calls=(run("cat prices.csv"),)),
    Reply(text="It has 3 lines."),
]
SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
CHILD = "Count the lines of prices.csv and say the number."
SPAWN = json.dumps({"agent_type": "default", "message": CHILD})


def family() -> Any:
    """A parent that starts a sub-agent and waits for it."""
    seen: list[str] = []

    def reply(path: str, body: Any) -> Reply:
        items = body.get("input", [])
        if any(CHILD in json.dumps(i) for i in items if i.get("type") == "message"):
            done = any(i.get("type") == "function_call_output" for i in items)
            return Reply(text="3 lines.") if done else Reply(calls=(run("wc -l prices.csv"),))
        for item in items:
            if item.get("type") == "function_call_output" and "agent_id" in str(item["output"]):
                seen.append(json.loads(item["output"])["agent_id"])
        if not seen:
            return Reply(calls=(Call("spawn_agent", SPAWN, namespace="multi_agent_v1"),))
        waited = sum(i.get("type") == "function_call" for i in items) > 1
        if waited:
            return Reply(text="The helper counted 3 lines.")
        wait = json.dumps({"targets": [seen[0]], "timeout_ms": 10000})
        return Reply(calls=(Call("wait_agent", wait, namespace="multi_agent_v1"),))

    return reply


class Codex:
    """The CLI in a home of its own."""

    def __init__(self, binary: str, home: Path) -> None:
        self.binary, self.home = binary, home
        self.repo = home / "shop"
        self.repo.mkdir(parents=True)
        (home / ".codex").mkdir()
        (home / "instructions.md").write_text("You are a coding agent. Be brief.\n")
        (self.repo / "prices.csv").write_text("price\n3\n4\n")
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)

    def exec(self, replies: Any, *words: str, name: str = "", more: str = "") -> str:
        """One run; gives the thread's id."""
        with serve(replies) as server:
            config = CONFIG.format(home=self.home, url=server.url, more=more)
            (self.home / ".codex" / "config.toml").write_text(config)
            got = subprocess.run(
                [
                    self.binary,
                    "exec",
                    "--json",
                    "--dangerously-bypass-approvals-and-sandbox",
                    *words,
                ],
                cwd=self.repo,
                env={"HOME": str(self.home), "PATH": os.environ["PATH"], "LOCAL_KEY": "none"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
        if name:
            target = HERE.parent / "codex-exec" / f"{name}.jsonl"
            target.parent.mkdir(exist_ok=True)
            target.write_text(scrub(got.stdout, self.home))
        return str(json.loads(got.stdout.splitlines()[0])["thread_id"])


def scrub(text: str, home: Path) -> str:
    """The text without a path of this machine."""
    return text.replace(str(home), "/home/ada")


def main(binary: str) -> None:
    """All runs."""
    home = Path(tempfile.mkdtemp(prefix="codex-"))
    codex = Codex(binary, home)
    first = codex.exec(FAULTS, "Which prices are there?", name="faults")
    codex.exec(CLEAN, "How long is prices.csv?", name="clean")
    codex.exec([Reply(text="The higher is 4.")], "fork", first, "Which is higher?")
    codex.exec([Reply(text="And 7 in all.")], "resume", first, "And the sum?")
    codex.exec([Reply(status=500)], "Say hello.", name="http-error")
    codex.exec([Reply(text="Here is a long text. " * 9, cut_after=9)], "Write.", name="cut-stream")
    codex.exec(family(), "Let a helper count.", name="sub-agent")
    (home / "schema.json").write_text(json.dumps(SCHEMA))
    answer = [Reply(calls=(run("cat prices.csv"),)), Reply(text='{"sum": "seven"}')]
    codex.exec(answer, "--output-schema", str(home / "schema.json"), "Sum?", name="schema")
    long = [
        Reply(calls=(run("cat prices.csv"),), usage=(9000, 10)),
        Reply(text="The file has the prices 3 and 4.", usage=(9100, 10)),
        Reply(text="As said: 3 and 4.", usage=(300, 10)),
    ]
    codex.exec(long, "Read it slowly.", more="model_auto_compact_token_limit = 5000")
    sessions = HERE / "sessions"
    shutil.rmtree(sessions, ignore_errors=True)
    for rollout in sorted((home / ".codex" / "sessions").rglob("*.jsonl*")):
        target = sessions / rollout.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(scrub(rollout.read_text(), home))
    shutil.rmtree(home)


if __name__ == "__main__":
    main(sys.argv[1])
