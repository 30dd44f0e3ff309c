"""Makes this sample with the real opencode, played against a local server.

    npm install --prefix NEW opencode-ai@1.18.33
    npm install --prefix OLD --ignore-scripts opencode-ai@1.0.0 @ai-sdk/openai-compatible@1
    npm install --prefix KILO --ignore-scripts @kilocode/cli-linux-x64@7.7.9
    python sample_logs/opencode/make.py NEW OLD KILO SCRATCH

NEW writes `opencode.db` and `export.json` here, OLD the folder `storage`, KILO (a fork) `kilo.db`.
Paths of the scratch
folder become /home/ada; the base is shrunk by leaving out its event log; the system prompt that the
old version keeps with each answer is cut to its first sentence.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))
from model_server import Call, Reply, serve

PROMPT = "Is gamma in notes.txt?"
SUB = "Count the lines of notes.txt"
ERROR, CUT, LONG = "Ask a broken provider", "Write until the limit", "Read until it is full"


def call(name: str, **arguments: Any) -> Call:
    return Call(name, json.dumps(arguments))


def main_script(lab: Path) -> list[Reply]:
    notes, missing = str(lab / "notes.txt"), str(lab / "missing.txt")
    return [
        Reply(
            "Let me look at both files.",
            reasoning="Look first.",
            calls=(call("read", filePath=notes), call("read", filePath=str(lab / "data.csv"))),
        ),
        Reply(calls=(Call("bash", '{"command": "ls -l", "description": "List", }'),)),
        Reply(calls=(call("shell_exec", cmd="ls"),)),
        Reply(calls=(call("read", path="notes.txt"),)),
        Reply(calls=(call("bash", command="grep gamma notes.txt", description="Find gamma"),)),
        Reply(calls=(call("read", filePath=missing),)),
        Reply(
            calls=(call("task", description="Count lines", prompt=SUB, subagent_type="general"),)
        ),
        Reply("Two lines, no gamma."),
    ]


def scripts(lab: Path) -> dict[str, Iterator[Reply]]:
    """What is played to each prompt, in order."""
    notes = str(lab / "notes.txt")
    refused = {"error": {"message": "no such model", "type": "invalid_request_error"}}
    full = Reply("Reading.", calls=(call("read", filePath=notes),), usage=(99_000, 20))
    return {
        "And beta?": iter([Reply("Yes, beta is the second line.")]),
        PROMPT: iter(main_script(lab)),
        SUB: iter(
            [
                Reply(calls=(call("bash", command="wc -l notes.txt", description="Count"),)),
                Reply("notes.txt has 2 lines."),
            ]
        ),
        ERROR: repeat(Reply(status=400, error=refused)),
        CUT: iter([Reply(calls=(Call("bash", '{"command": "ls'),), finish="length")]),
        LONG: iter([full, Reply("The notes hold alpha and beta.")]),
    }


def player(lab: Path) -> Any:
    played = scripts(lab)

    def reply(path: str, body: Any) -> Reply:
        said = json.dumps([m for m in body["messages"] if m["role"] == "user"])
        if not body.get("tools"):
            return Reply("Summary: notes.txt was read." if "summary" in said else "Lab notes")
        prompt = next((p for p in played if p in said), LONG)  # a compaction leaves no prompt
        return next(played[prompt], Reply("Nothing more."))

    return reply


def settings(url: str) -> dict[str, Any]:
    model = {"name": "Sample", "tool_call": True, "limit": {"context": 100_000, "output": 4000}}
    return {
        "provider": {
            "local": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Local",
                "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
                "models": {"misstep-sample": model},
            }
        },
        "model": "local/misstep-sample",
        "small_model": "local/misstep-sample",
        "permission": {"edit": "allow", "bash": "allow", "webfetch": "allow"},
        "autoupdate": False,
        "share": "disabled",
    }


def lab_in(scratch: Path, name: str) -> tuple[Path, Path]:
    home = scratch / name / "home"
    lab = home / "lab"
    shutil.rmtree(scratch / name, ignore_errors=True)
    lab.mkdir(parents=True)
    (lab / "notes.txt").write_text("alpha\nbeta\n")
    (lab / "data.csv").write_text("a,b\n1,2\n")
    subprocess.run(["git", "init", "-q"], cwd=lab, check=True)
    return home, lab


def opencode(folder: Path, home: Path, *words: str) -> str:
    binaries = ("opencode-linux-x64/bin/opencode", "@kilocode/cli-linux-x64/bin/kilo")
    found = (folder / "node_modules" / name for name in binaries)
    binary = next(path for path in found if path.exists())
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "KILO_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }
    done = subprocess.run(
        [str(binary), *words],
        cwd=home / "lab",
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
        stdin=subprocess.DEVNULL,
    )
    print(words, done.returncode, done.stderr[-300:], file=sys.stderr)
    return done.stdout


def new_sample(folder: Path, scratch: Path) -> None:
    home, lab = lab_in(scratch, "new")
    with serve(player(lab)) as server:
        (lab / "opencode.json").write_text(json.dumps(settings(server.url)))
        opencode(folder, home, "run", PROMPT)
        base = home / ".local/share/opencode/opencode.db"
        first = main_session(base)
        opencode(folder, home, "run", "--session", first, "--fork", "And beta?")
        for prompt in (ERROR, CUT, LONG):
            opencode(folder, home, "run", prompt)
        export = opencode(folder, home, "export", first)
    (HERE / "export.json").write_text(scrub(export, home))
    shrink(base, home, HERE / "opencode.db")


def main_session(base: Path) -> str:
    with sqlite3.connect(base) as found:
        (session,) = found.execute("SELECT id FROM session WHERE parent_id IS NULL").fetchone()
    return str(session)


def shrink(base: Path, home: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    small = sqlite3.connect(":memory:")
    with sqlite3.connect(base) as whole:
        whole.backup(small)
    small.execute("DELETE FROM event")
    for table in ("session", "message", "part", "project"):
        names = [row[1] for row in small.execute(f"PRAGMA table_info({table})")]
        for name in names:
            small.execute(
                f"UPDATE {table} SET {name} = replace({name}, ?, '/home/ada') "
                f"WHERE typeof({name}) = 'text'",
                (str(home),),
            )
    small.commit()
    small.execute("VACUUM INTO ?", (str(target),))
    small.close()
    with sqlite3.connect(target) as kept:
        kept.execute("PRAGMA page_size = 512")
        kept.execute("VACUUM")


def kilo_sample(folder: Path, scratch: Path) -> None:
    home, lab = lab_in(scratch, "kilo")
    replies = iter([*main_script(lab)[1:3], Reply("Two lines, no gamma.")])

    def reply(path: str, body: Any) -> Reply:
        return next(replies, Reply("Nothing more.")) if body.get("tools") else Reply("Lab notes")

    with serve(reply) as server:
        (lab / "kilo.json").write_text(json.dumps(settings(server.url)))
        opencode(folder, home, "run", "--auto", PROMPT)
    shrink(home / ".local/share/kilo/kilo.db", home, HERE / "kilo.db")


def old_sample(folder: Path, scratch: Path) -> None:
    home, lab = lab_in(scratch, "old")
    cache = home / ".cache/opencode"
    shutil.copytree(folder / "node_modules", cache / "node_modules", symlinks=True)
    wanted = {"dependencies": {"@ai-sdk/openai-compatible": "latest"}}
    (cache / "package.json").write_text(json.dumps(wanted))
    (cache / "version").write_text("9")  # the version of its cache, so that it is kept
    main = main_script(lab)
    script = {SUB: scripts(lab)[SUB], PROMPT: iter([*main[:2], *main[6:]])}

    def reply(path: str, body: Any) -> Reply:
        said = json.dumps([m for m in body["messages"] if m["role"] == "user"])
        if not body.get("tools"):
            return Reply("Lab notes")
        return next(script[next(p for p in script if p in said)], Reply("Nothing more."))

    with serve(reply) as server:
        (lab / "opencode.json").write_text(json.dumps(settings(server.url)))
        opencode(folder, home, "run", PROMPT)
    written = home / ".local/share/opencode/storage"
    shutil.rmtree(HERE / "storage", ignore_errors=True)
    for path in sorted(written.rglob("*.json")):
        value = json.loads(scrub(path.read_text(), home))
        if isinstance(value.get("system"), list):
            value["system"] = [text.split(".")[0] + "." for text in value["system"][:1]]
        target = HERE / "storage" / path.relative_to(written)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(value, indent=2))


def scrub(text: str, home: Path) -> str:
    return text.replace(str(home), "/home/ada").replace(str(home)[1:], "home/ada")


if __name__ == "__main__":
    new, old, kilo, place = (Path(word).resolve() for word in sys.argv[1:5])
    new_sample(new, place)
    old_sample(old, place)
    kilo_sample(kilo, place)
