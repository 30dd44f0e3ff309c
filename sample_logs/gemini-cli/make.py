"""Makes the logs of this folder with the real Gemini CLI.

    npm install @google/gemini-cli@0.61.0       (in a folder of its own)
    python make.py FOLDER/node_modules/.bin/gemini

The CLI talks to a scripted model on this machine (`../make/model_server.py`) from a home of its
own; what it leaves under ~/.gemini/tmp/*/chats lands here. Paths of the home are written as
/home/ada. Nothing else is changed. A request that fails leaves no session.
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
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False, "retryFetchErrors": False},
}


def call(name: str, **arguments: Any) -> Call:
    """A call with arguments that are JSON."""
    return Call(name, json.dumps(arguments))


FAULTS = [
    Reply(
        reasoning="**Looking around** I list the folder.",
        text="I look around.",
        calls=(call("list_directory", dir_path="."),),
    ),
    Reply(calls=(Call("read_file", '{"file_path": '),)),
    Reply(text="Once more.", calls=(call("open_file", file_path="prices.csv"),)),
    Reply(calls=(call("read_file", path="prices.csv"),)),
    Reply(calls=(call("read_file", file_path="missing.csv"),)),
    Reply(calls=(call("run_shell_command", command="cat missing.csv; exit 3"),)),
    Reply(
        calls=(
            call("read_file", file_path="prices.csv"),
            call("run_shell_command", command="wc -l prices.csv"),
        )
    ),
    Reply(text="Two prices: 3 and 4."),
]
CLEAN = [
    Reply(calls=(call("read_file", file_path="prices.csv"),)),
    Reply(calls=(call("run_shell_command", command="wc -l prices.csv"),)),
    Reply(text="It has 3 lines."),
]
TASK = "Count the lines of prices.csv and say the number."


def family() -> Any:
    """A parent that lets a sub-agent count."""
    asked = []

    def reply(path: str, body: Any) -> Reply:
        text = json.dumps(body.get("contents", []))
        names = [
            d["name"] for t in body.get("tools", []) for d in t.get("functionDeclarations", [])
        ]
        if "complete_task" in names:
            if "functionResponse" in text:
                return Reply(calls=(call("complete_task", result={"response": "3 lines."}),))
            return Reply(calls=(call("read_file", file_path="prices.csv"),))
        if asked:
            return Reply(text="The helper counted 3 lines.")
        asked.append(1)
        return Reply(calls=(call("invoke_agent", agent_name="generalist", prompt=TASK),))

    return reply


class Gemini:
    """The CLI in a home of its own."""

    def __init__(self, binary: str, home: Path) -> None:
        self.binary, self.home = binary, home
        self.repo = home / "shop"
        self.repo.mkdir(parents=True)
        (home / ".gemini").mkdir()
        (home / ".gemini" / "settings.json").write_text(json.dumps(SETTINGS))
        (self.repo / "prices.csv").write_text("price\n3\n4\n")
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)

    def run(self, replies: Any, *words: str, mode: str = "yolo") -> None:
        """One run."""
        with serve(replies) as server:
            env = {
                "HOME": str(self.home),
                "TMPDIR": str(self.home),
                "PATH": os.environ["PATH"],
                "GOOGLE_GEMINI_BASE_URL": server.url,
                "GEMINI_API_KEY": "none",
                "GEMINI_TELEMETRY_ENABLED": "false",
                "GEMINI_CLI_TRUST_WORKSPACE": "true",
            }
            flags = ["--approval-mode", mode, "-m", "gemini-2.5-flash"]
            subprocess.run(
                [self.binary, *flags, *words],
                cwd=self.repo,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )


def main(binary: str) -> None:
    """All runs."""
    home = Path(tempfile.mkdtemp(prefix="gemini-"))
    gemini = Gemini(binary, home)
    gemini.run(FAULTS, "-p", "Which prices are there?")
    gemini.run([Reply(text="7 in all.")], "--resume", "latest", "-p", "And the sum?")
    gemini.run(CLEAN, "-p", "How long is prices.csv?")
    gemini.run([Reply(status=400)], "-p", "Say hello.")
    gemini.run([Reply(text="Here is a long text. " * 9, cut_after=3)], "-p", "Write.")
    gemini.run(family(), "-p", "Let a helper count.")
    gemini.run([CLEAN[1], Reply(text="I may not.")], "-p", "Count.", mode="default")
    for chats in sorted((home / ".gemini" / "tmp").rglob("chats")):
        target = HERE / "chats"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(chats, target)
    for path in target.rglob("*.json*"):
        path.write_text(path.read_text().replace(str(home), "/home/ada"))
    shutil.rmtree(home)


if __name__ == "__main__":
    main(sys.argv[1])
