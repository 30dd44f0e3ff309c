"""Makes the logs of this folder with the real coding agent Pi.

    npm install @mariozechner/pi-coding-agent@0.73.1        (in a folder of its own)
    python make.py FOLDER/node_modules/.bin/pi

Pi talks to a scripted model on this machine (`../make/model_server.py`) from a home of its own; its
sessions land here. Paths of the home are written as /home/ada. Nothing else is changed.
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

MODEL = {
    "id": "misstep-sample",
    "name": "misstep-sample",
    "reasoning": False,
    "input": ["text"],
    "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
    "contextWindow": 100000,
    "maxTokens": 1000,
}


def call(name: str, **arguments: Any) -> Call:
    """A call with arguments that are JSON."""
    return Call(name, json.dumps(arguments))


FAULTS = [
    Reply(reasoning="Look first.", text="I look around.", calls=(call("bash", command="ls"),)),
    Reply(calls=(Call("read", '{"path": "prices.cs'),)),
    Reply(calls=(call("open_file", path="prices.csv"),)),
    Reply(calls=(call("read", file="prices.csv"),)),
    Reply(calls=(call("bash", command="cat missing.csv; exit 3"),)),
    Reply(calls=(call("bash", command="wc -l prices.csv"), call("read", path="prices.csv"))),
    Reply(text="Two prices: 3 and 4."),
]


class Pi:
    """The agent in a home of its own."""

    def __init__(self, binary: str, home: Path) -> None:
        self.binary, self.home, self.runs = binary, home, 0
        self.repo = home / "shop"
        self.repo.mkdir(parents=True)
        (home / ".pi" / "agent").mkdir(parents=True)
        (self.repo / "prices.csv").write_text("price\n3\n4\n")
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)

    @property
    def sessions(self) -> list[Path]:
        """The files so far, oldest first."""
        return sorted((self.home / ".pi" / "agent" / "sessions").rglob("*.jsonl"))

    def run(self, replies: list[Reply], *words: str) -> None:
        """One run."""
        self.runs += 1
        rest = list(replies)
        with serve(lambda path, body: rest.pop(0) if len(rest) > 1 else rest[0]) as server:
            # ids count up from the number of the request; no two runs may give the same
            server.requests.extend([("", None)] * 20 * self.runs)
            local = {"baseUrl": f"{server.url}/v1", "api": "openai-completions", "apiKey": "none"}
            config = {"providers": {"local": {**local, "models": [MODEL]}}}
            (self.home / ".pi" / "agent" / "models.json").write_text(json.dumps(config))
            settings = {"retry": {"enabled": False}}
            (self.home / ".pi" / "agent" / "settings.json").write_text(json.dumps(settings))
            env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "PI_OFFLINE": "1"}
            flags = ["--provider", "local", "--model", "misstep-sample"]
            subprocess.run(
                [self.binary, "-p", *words, *flags],
                cwd=self.repo,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=120,
            )


def main(binary: str) -> None:
    """All runs."""
    home = Path(tempfile.mkdtemp(prefix="pi-"))
    pi = Pi(binary, home)
    pi.run(FAULTS, "Which prices are there?")
    first = pi.sessions[0]
    pi.run([Reply(text="The higher is 4.")], "Which is higher?", "--fork", str(first))
    pi.run([Reply(text="And 7 in all.")], "And the sum?", "--session", str(first))
    pi.run([Reply(status=500)], "Say hello.")
    pi.run([Reply(text="Here is a long text. " * 9, cut_after=9)], "Write.")
    target = HERE / "sessions"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in pi.sessions:
        text = path.read_text().replace(str(home), "/home/ada")
        folder = str(home).replace("/", "-")
        (target / path.name).write_text(text.replace(folder, "-home-ada"))
    shutil.rmtree(home)


if __name__ == "__main__":
    main(sys.argv[1])
