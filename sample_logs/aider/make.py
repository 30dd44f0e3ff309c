"""Makes this sample with the real aider, played against a local server.

    python -m venv VENV && VENV/bin/pip install aider-chat==0.86.2
    python sample_logs/aider/make.py VENV SCRATCH

Five runs in one scratch repository; paths and the server's port are replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "make"))
from model_server import Reply, serve

REFUSED = {"error": {"message": "no such model", "type": "invalid_request_error"}}
OPTIONS = (
    *("--model", "openai/misstep-sample", "--openai-api-key", "none", "--edit-format", "diff"),
    *("--yes-always", "--no-auto-commits", "--no-check-update", "--analytics-disable"),
    *("--no-show-model-warnings", "--no-gitignore", "--map-tokens", "0", "--no-stream"),
    "--no-show-release-notes",
)


def edit(old: str, new: str) -> str:
    return f"notes.txt\n```\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n"


RUNS: tuple[tuple[str, str | None, tuple[Reply, ...]], ...] = (
    ("Rename alpha to gamma", None, (Reply(f"I rename it.\n\n{edit('alpha', 'gamma')}"),)),
    (
        "Rename delta to zeta",
        None,
        (
            Reply(f"I rename it.\n\n{edit('delta', 'zeta')}"),
            Reply(f"Sorry, here:\n\n{edit('beta', 'zeta')}"),
        ),
    ),
    (
        "Break a block",
        None,
        (
            Reply("Like this:\n\nnotes.txt\n```\n<<<<<<< SEARCH\nzeta\n=======\nbeta\n```\n"),
            Reply("> a quoted line\n\nI give up."),
        ),
    ),
    ("Is it broken?", None, (Reply(status=400, error=REFUSED),)),
    (
        "",
        "hi there\n/run ls missing\n/ask what now\n/exit\n",
        (Reply("Hello.\n\n#### Not a user\n\nplain"), Reply("The output names a file.")),
    ),
)


def aider(venv: Path, lab: Path, message: str, words: str | None, replies: Sequence[Reply]) -> None:
    with serve(replies) as server:
        command = [str(venv / "bin/aider"), *OPTIONS, "--openai-api-base", f"{server.url}/v1"]
        asked = ["--message", message] if message else []
        done = subprocess.run(
            [*command, *asked, "notes.txt"],
            cwd=lab,
            env={"PATH": os.environ["PATH"], "HOME": str(lab.parent)},
            input=words,
            capture_output=True,
            text=True,
            timeout=180,
        )
    print(message, done.returncode, file=sys.stderr)


def main(venv: Path, scratch: Path) -> None:
    lab = scratch / "home/lab"
    shutil.rmtree(scratch / "home", ignore_errors=True)
    lab.mkdir(parents=True)
    (lab / "notes.txt").write_text("alpha\nbeta\n")
    subprocess.run(["git", "init", "-q"], cwd=lab, check=True)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        subprocess.run(["git", "config", name, value], cwd=lab, check=True)
    for message, words, replies in RUNS:
        aider(venv, lab, message, words, replies)
    text = (lab / ".aider.chat.history.md").read_text()
    text = text.replace(str(venv), "/home/ada/venv").replace(str(lab.parent), "/home/ada")
    text = re.sub(r"127\.0\.0\.1:\d+", "localhost:8000", text)
    (HERE / ".aider.chat.history.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
