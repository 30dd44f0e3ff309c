"""Makes the logs of this folder with the real Qwen Code.

    npm install @qwen-code/qwen-code@0.15.10        (in a folder of its own)
    python make.py FOLDER/node_modules/.bin/qwen

Qwen Code talks to a scripted model on this machine (`../make/model_server.py`) from a home of its
own; what it leaves under ~/.qwen/projects/*/chats lands here. Paths of the home are written as
/home/ada. Nothing else is changed. `iflow.jsonl` is written by hand after the form of iFlow.
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

SETTINGS = {
    "security": {"auth": {"selectedType": "openai"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False},
}
TASK = "Count the lines of prices.csv and say the number."


def call(name: str, **arguments: Any) -> Call:
    """A call with arguments that are JSON."""
    return Call(name, json.dumps(arguments))


def shell(command: str) -> Call:
    """A call of the command tool."""
    return call("run_shell_command", command=command, is_background=False)


def faults(repo: Path) -> list[Reply]:
    """A run in which most goes wrong."""
    prices = str(repo / "prices.csv")
    return [
        Reply(
            reasoning="Look first.",
            text="I look around.",
            calls=(call("list_directory", path=str(repo)),),
        ),
        Reply(calls=(Call("read_file", '{"file_path": '),)),
        Reply(calls=(call("open_file", file_path=prices),)),
        Reply(calls=(call("read_file", path=prices),)),
        Reply(calls=(shell("cat missing.csv; exit 3"),)),
        Reply(calls=(shell("wc -l prices.csv"), call("read_file", file_path=prices))),
        Reply(text="Two prices: 3 and 4."),
    ]


def family() -> Any:
    """A parent that lets a sub-agent count."""
    asked: list[int] = []

    def reply(path: str, body: Any) -> Reply:
        messages = json.dumps([m for m in body["messages"] if m["role"] == "user"])
        if TASK in messages:
            done = any(m["role"] == "tool" for m in body["messages"])
            return Reply(text="3 lines.") if done else Reply(calls=(shell("wc -l prices.csv"),))
        if asked:
            return Reply(text="The helper counted 3 lines.")
        asked.append(1)
        task = {"description": "Count", "prompt": TASK, "subagent_type": "general-purpose"}
        return Reply(calls=(call("agent", **task),))

    return reply


class Qwen:
    """The CLI in a home of its own."""

    def __init__(self, binary: str, home: Path) -> None:
        self.binary, self.home, self.runs = binary, home, 0
        self.repo = home / "shop"
        self.repo.mkdir(parents=True)
        (home / ".qwen").mkdir()
        (home / ".qwen" / "settings.json").write_text(json.dumps(SETTINGS))
        (self.repo / "prices.csv").write_text("price\n3\n4\n")
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)

    def run(self, replies: Any, *words: str) -> None:
        """One run."""
        self.runs += 1
        rest = [] if callable(replies) else list(replies)
        play = lambda path, body: rest.pop(0) if len(rest) > 1 else rest[0]  # noqa: E731
        with serve(replies if callable(replies) else play) as server:
            # ids count up from the number of the request; no two runs may give the same
            server.requests.extend([("", None)] * 20 * self.runs)
            env = {
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "TMPDIR": str(self.home),
                "OPENAI_BASE_URL": f"{server.url}/v1",
                "OPENAI_API_KEY": "none",
                "OPENAI_MODEL": "misstep-sample",
            }
            subprocess.run(
                [self.binary, *words, "--yolo"],
                cwd=self.repo,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=120,
            )


def main(binary: str) -> None:
    """All runs."""
    home = Path(tempfile.mkdtemp(prefix="qwen-"))
    qwen = Qwen(binary, home)
    qwen.run(faults(qwen.repo), "-p", "Which prices are there?")
    qwen.run([Reply(text="7 in all.")], "--continue", "-p", "And the sum?")
    qwen.run(family(), "-p", "Let a helper count.")
    qwen.run([Reply(status=400)], "-p", "Say hello.")
    target = HERE / "chats"
    shutil.rmtree(target, ignore_errors=True)
    for project in (home / ".qwen" / "projects").iterdir():
        shutil.copytree(project / "chats", target)
    for path in target.rglob("*.json*"):
        path.write_text(path.read_text().replace(str(home), "/home/ada"))
    shutil.rmtree(home)


if __name__ == "__main__":
    main(sys.argv[1])
