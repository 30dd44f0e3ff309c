"""Makes the logs of this folder with the real Claude Code.

    npm install @anthropic-ai/claude-code@2.1.197       (in a folder of its own)
    python make.py FOLDER/node_modules/.bin/claude

Claude Code talks to a scripted model on this machine (`../make/model_server.py`) from a home of its
own. What `claude -p --output-format stream-json --verbose` prints lands in `streams`; the
transcripts that the same runs leave under ~/.claude/projects land in `transcripts`. Paths of the
home are written as /home/ada; listings of skills and agents, which are long, are left out.
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


def call(name: str, **arguments: Any) -> Call:
    """A call with arguments that are JSON."""
    return Call(name, json.dumps(arguments))


def bash(command: str) -> Call:
    """A call of the command tool."""
    return call("Bash", command=command, description="Look")


FAULTS = [
    Reply(reasoning="Look at the folder first.", text="I look around.", calls=(bash("ls"),)),
    Reply(calls=(Call("Bash", '{"command": "cat prices.csv", '),)),
    Reply(calls=(call("OpenFile", path="prices.csv"),)),
    Reply(calls=(call("Bash", cmd="cat prices.csv"),)),
    Reply(calls=(bash("cat missing.csv; exit 3"),)),
    Reply(calls=(bash("wc -l prices.csv"), call("Read", file_path="/home/nobody/missing.csv"))),
    Reply(text="Two prices: 3 and 4."),
]
CLEAN = [
    Reply(calls=(bash("wc -l prices.csv"),)),
    Reply(calls=(bash("cat prices.csv"),)),
    Reply(text="It has 3 lines."),
]
PARTIAL = [Reply(calls=(Call("Bash", '{ "command":"grep 3 prices.csv" }'),)), Reply(text="Yes.")]
TASK = "Count the lines of prices.csv and say the number."


def family() -> Any:
    """A parent that lets a sub-agent count."""
    asked = []

    def reply(path: str, body: Any) -> Reply:
        first = json.dumps(body["messages"][0])
        if TASK in first:
            done = "tool_result" in json.dumps(body["messages"])
            return Reply(text="3 lines.") if done else Reply(calls=(bash("wc -l prices.csv"),))
        if asked:
            return Reply(text="The helper counted 3 lines.")
        asked.append(1)
        task = {"description": "Count lines", "prompt": TASK, "subagent_type": "general-purpose"}
        return Reply(calls=(call("Agent", **task),))

    return reply


class Claude:
    """The CLI in a home of its own."""

    def __init__(self, binary: str, home: Path) -> None:
        self.binary, self.home, self.runs = binary, home, 0
        self.repo = home / "shop"
        self.repo.mkdir(parents=True)
        (self.repo / "prices.csv").write_text("price\n3\n4\n")
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)
        (HERE / "streams").mkdir(exist_ok=True)

    def run(self, name: str, replies: Any, *words: str, mode: str = "bypassPermissions") -> str:
        """One run; gives the session's id."""
        self.runs += 1
        with serve(played(replies)) as server:
            # ids count up from the number of the request; no two runs may give the same
            server.requests.extend([("", None)] * 20 * self.runs)
            env = {
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "TMPDIR": str(self.home),
                "ANTHROPIC_BASE_URL": server.url,
                "ANTHROPIC_API_KEY": "none",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_RETRIES": "0",
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",
            }
            flags = ["--output-format", "stream-json", "--verbose", "--permission-mode", mode]
            got = subprocess.run(
                [self.binary, "-p", *words, *flags, "--model", "claude-sonnet-4-5"],
                cwd=self.repo,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
        (HERE / "streams" / f"{name}.jsonl").write_text(scrub(got.stdout, self.home))
        return str(json.loads(got.stdout.splitlines()[0])["session_id"])


def played(replies: Any) -> Any:
    """The replies as a function of the request; the last one repeats."""
    if callable(replies):
        return replies
    rest = list(replies)
    return lambda path, body: rest.pop(0) if len(rest) > 1 else rest[0]


def scrub(text: str, home: Path) -> str:
    """The text without a path of this machine, and without long listings."""
    lines = []
    text = text.replace(str(home), "/home/ada").replace(str(home).replace("/", "-"), "-home-ada")
    for line in text.splitlines():
        value = json.loads(line)
        attached = value.get("attachment")
        kind = attached.get("type", "") if isinstance(attached, dict) else ""
        if kind.endswith(("listing", "delta")):
            value["attachment"] = {"type": kind}
        for key in ("slash_commands", "skills", "agents", "plugins"):
            if key in value:
                value[key] = []
        lines.append(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    return "".join(lines)


def main(binary: str) -> None:
    """All runs."""
    home = Path(tempfile.mkdtemp(prefix="claude-"))
    claude = Claude(binary, home)
    first = claude.run("faults", FAULTS, "Which prices are there?")
    fork = ("Which is higher?", "--resume", first, "--fork-session")
    claude.run("fork", [Reply(text="The higher is 4.")], *fork)
    claude.run("resume", [Reply(text="And 7 in all.")], "And the sum?", "--resume", first)
    claude.run("partial", PARTIAL, "Is 3 in it?", "--include-partial-messages")
    claude.run("clean", CLEAN, "How long is prices.csv?")
    claude.run("sub-agent", family(), "Let a helper count.")
    claude.run("http-error", [Reply(status=500)], "Say hello.")
    claude.run("cut-stream", [Reply(text="Here is a long text. " * 9, cut_after=9)], "Write.")
    asks = (bash("rm prices.csv"), call("Write", file_path="a.txt", content="a"))
    refused = [Reply(calls=asks), Reply(text="I may not.")]
    claude.run("denied", refused, "Remove it.", mode="dontAsk")
    claude.run("refusal", [Reply(refusal="I cannot help with that.")], "Say something bad.")
    target = HERE / "transcripts"
    shutil.rmtree(target, ignore_errors=True)
    for project in (home / ".claude" / "projects").iterdir():
        shutil.copytree(project, target)
    for path in target.rglob("*.json*"):
        text = path.read_text()
        path.write_text(scrub(text, home) if path.suffix == ".jsonl" else text)
    shutil.rmtree(home)


if __name__ == "__main__":
    main(sys.argv[1])
