"""Makes this sample with the real Cline, played against a local server.

    npm install --prefix NEW cline@3.0.65
    npm install --prefix OLD --ignore-scripts cline@2.18.0
    python sample_logs/cline/make.py NEW OLD SCRATCH

NEW writes the session folders, OLD the task folders. Paths of the scratch folder become /home/ada;
the program's long standing texts (system prompt, hints on lists of tasks) are cut to their start.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))
from model_server import Call, Reply, serve

PROMPT, ERROR, SUB = "Is gamma in notes.txt?", "Ask a broken provider", "Count the lines of notes"
TAGS, MISSING, BLOCKS = "Look with tags", "Leave out the path", "Look with blocks"
REFUSED = Reply(
    status=400, error={"error": {"message": "no such model", "type": "invalid_request_error"}}
)
STANDING = ("# task_progress RECOMMENDED", "# Reminder: Instructions for Tool Use")


def call(name: str, **arguments: Any) -> Call:
    return Call(name, json.dumps(arguments))


def new_script(lab: Path) -> dict[str, Iterator[Reply]]:
    """What is played to each prompt, in order."""
    notes, data = {"path": str(lab / "notes.txt")}, {"path": str(lab / "data.csv")}
    both = (call("read_files", files=[notes]), call("read_files", files=[data]))
    lost = {"path": str(lab / "missing.txt")}
    helper = call("spawn_agent", task=SUB, systemPrompt="You count lines.")
    main = [
        Reply("Let me look at both files.", reasoning="Look first.", calls=both),
        Reply(calls=(Call("run_commands", '{"commands": ["ls -l", ]}'),)),
        Reply(calls=(Call("run_commands", "list the folder"),)),
        Reply(calls=(call("shell_exec", cmd="ls"),)),
        Reply(calls=(call("read_files", path=3),)),
        Reply(calls=(call("run_commands", commands=["grep gamma notes.txt"]),)),
        Reply(calls=(call("read_files", files=[lost]),)),
        Reply(calls=(helper,)),
        Reply("Two lines, no gamma."),
    ]
    count = Reply(calls=(call("run_commands", commands=["wc -l notes.txt"]),))
    return {
        PROMPT: iter(main),
        SUB: iter([count, Reply("notes.txt has 2 lines.")]),
        ERROR: repeat(REFUSED),
    }


def tag(name: str, **values: str) -> str:
    inside = "".join(f"<{key}>{value}</{key}>\n" for key, value in values.items())
    return f"<{name}>\n{inside}</{name}>"


def old_script() -> dict[str, Iterator[Reply]]:
    """What is played to each prompt, in order."""
    grep = {"command": "grep gamma notes.txt", "requires_approval": "false"}
    tags = [
        Reply("I will read it.\n\n" + tag("read_file", path="notes.txt")),
        Reply(tag("execute_command", **grep)),
        Reply(tag("read_file", path="missing.txt")),
        Reply("It has two lines."),
        Reply(tag("write_to_file", path="out.txt", content="\na <b>\n")),
        Reply(tag("attempt_completion", result="Two lines, no gamma.")),
    ]
    blocks = [
        Reply(
            "Both files.",
            calls=(call("read_file", path="notes.txt"), call("read_file", path="data.csv")),
        ),
        Reply(calls=(call("execute_command", command="false", requires_approval=False),)),
        Reply(calls=(call("shell_exec", cmd="ls"),)),
        Reply(calls=(call("attempt_completion", result="Two files."),)),
    ]
    return {
        TAGS: iter(tags),
        MISSING: iter([Reply(tag("read_file", file="notes.txt"))]),
        BLOCKS: iter(blocks),
        ERROR: repeat(REFUSED),
    }


def player(script: dict[str, Iterator[Reply]]) -> Any:
    def reply(path: str, body: Any) -> Reply:
        said = next(json.dumps(m) for m in body["messages"] if m["role"] == "user")
        return next(script[next(p for p in script if p in said)], Reply("Nothing more."))

    return reply


def home_in(scratch: Path, name: str) -> Path:
    home = scratch / name / "home"
    shutil.rmtree(scratch / name, ignore_errors=True)
    (home / "lab").mkdir(parents=True)
    (home / "lab/notes.txt").write_text("alpha\nbeta\n")
    (home / "lab/data.csv").write_text("a,b\n1,2\n")
    return home


def cline(binary: Path, home: Path, *words: str) -> None:
    done = subprocess.run(
        [str(binary), *words],
        cwd=home / "lab",
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
    )
    print(words, done.returncode, done.stdout[-200:], file=sys.stderr)


def new_sample(folder: Path, scratch: Path) -> None:
    home = home_in(scratch, "new")
    binary = folder / "node_modules/@cline/cli-linux-x64/bin/cline"
    model = ("-k", "none", "-m", "misstep-sample")
    with serve(player(new_script(home / "lab"))) as server:
        cline(binary, home, "auth", "openai", *model, "-b", f"{server.url}/v1")
        for prompt in (PROMPT, ERROR):
            cline(binary, home, "-P", "openai", *model, "--retries", "9", "--json", prompt)
    stop_daemon(home)
    keep(home, home / ".cline/data/sessions", HERE / "sessions")


def stop_daemon(home: Path) -> None:
    """The hub that the CLI leaves running."""
    for entry in Path("/proc").iterdir():
        line = entry / "cmdline"
        if entry.name.isdigit() and line.exists():
            words = line.read_bytes().decode().split("\0")
            if "--cline-hub-daemon" in words and str(home / "lab") in words:
                os.kill(int(entry.name), signal.SIGTERM)


def old_sample(folder: Path, scratch: Path) -> None:
    home = home_in(scratch, "old")
    binary = folder / "node_modules/cline/dist/cli.mjs"
    with serve(player(old_script())) as server:
        url = f"{server.url}/v1"
        for model, prompts in (("misstep-sample", (TAGS, MISSING)), ("gpt-5", (BLOCKS, ERROR))):
            cline(binary, home, "auth", "-p", "openai", "-k", "none", "-m", model, "-b", url)
            for prompt in prompts:
                cline(binary, home, "-y", "--max-consecutive-mistakes", "9", "--json", prompt)
    keep(home, home / ".cline/data/tasks", HERE / "tasks")


def keep(home: Path, written: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for path in sorted(written.rglob("*.json")):
        text = path.read_text().replace(str(home), "/home/ada").replace("root root", "ada ada")
        value = short(json.loads(text))
        place = target / path.relative_to(written)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(value, indent=1))


def short(value: Any) -> Any:
    """The value with the program's own long texts cut."""
    if isinstance(value, dict):
        return {key: shorter(key, short(entry)) for key, entry in value.items() if key != "pid"}
    if isinstance(value, list):
        return [short(entry) for entry in value]
    if not isinstance(value, str):
        return value
    for words in STANDING:
        at = value.find(words)
        if at >= 0 and '"request"' not in value:
            value = value[: at + len(words)]
    return value


def shorter(key: str, value: Any) -> Any:
    if key in ("system_prompt", "systemPrompt"):
        return value.split(".")[0] + "."
    if key == "text" and isinstance(value, str) and value.startswith('{"request"'):
        seen = json.loads(value)
        seen["request"] = seen["request"][:60]
        return json.dumps(seen)
    return value


if __name__ == "__main__":
    new, old, place = (Path(word).resolve() for word in sys.argv[1:4])
    new_sample(new, place)
    old_sample(old, place)
