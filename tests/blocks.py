"""The code blocks of README and docs, and what it takes to run them.

In: a page. Out: its blocks in order, and for its shell lines the words of each `misstep` command,
with placeholders (`logs/`, `MODEL`, `~/.claude/projects`) bound to small real things.
A block is left out only with a reason before it that a reader of the source sees:

    <!-- not run: needs a GPU -->
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import click
import yaml

from logs import RIGHT, mixed, session, write
from misstep import store
from misstep.cli import main

ROOT = Path(__file__).resolve().parents[1]
SHELL = ("", "sh", "bash", "console")
LANGUAGES = (*SHELL, "python", "yaml", "json", "jsonl", "toml", "text")

OTHERS = {
    "make": "`make demo` and `make test` are what CI runs",
    "pip": "`make core` and `make install` install the package in clean environments",
    "accelerate": "tests/train/test_steps.py starts several processes",
    "torchrun": "tests/train/test_steps.py starts several processes",
    "trl": "another program",
    "python": "scripts of benchmarks/ and sample_logs/ take minutes",
    "ray": "another program",
}
"""Commands that are not run here, and why."""

PARSED = {
    "review": "needs a terminal",
    "watch": "runs until it is stopped",
    "try": "waits for words on the terminal",
    "--endpoint": "needs a server",
    "--ray-address": "needs a cluster",
    "--engine": "needs Ray",
    "--since-last": "needs an earlier scan",
    "--schema": "the schema is the reader's own",
    "--references": "the answers are the reader's own",
    "ocr": "needs a vision model; tests/pipeline has runs of it",
}
"""Commands and options of ours that are only held against the command line, and why."""

TRAINS = ("run", "train", "eval", "merge", "show", "try", "forget")
SMALL = (
    *("sample.max_new_tokens=6", "sft.max_steps=2", "dpo.max_steps=2", "lora.lora_r=2"),
    *("eval.resamples=100", "eval.num_generations=1", "resample.num_generations=2"),
    *("resample.max_prompts=4", "dtype=float32", "mine.off_policy=true"),
)
"""Settings with which a run of the tiny model takes seconds."""

BOUND = {
    "~/.claude/projects": "claude",
    "LOGS": "logs/",
    "LOGS…": "logs/",
    "RUN": "run/",
    "DIR": "pairs/",
    "PAIRS": "pairs.jsonl",
    "FILE": "logs/agent.jsonl",
    "DOCS": "logs/",
    "PAGES": "logs/",
    "MODEL": "tiny",
    "M": "tiny",
    "smollm2": "tiny",
}
"""What the placeholders of the pages stand for in the folder in which a page is run."""

_FENCE = re.compile(r"^(```+)[ \t]*([\w+-]*)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4}\S[^\n]*\n)+)")
_REASON = re.compile(r"<!-- not run: (.+?) -->\s*\Z", re.DOTALL)
_NAME = re.compile(r"`([\w.-]+\.(?:py|yaml|json|jsonl|toml))`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One code block of a page."""

    page: str
    line: int
    language: str
    text: str
    reason: str = ""
    """Why it is not run, where it says so."""
    name: str = ""
    """The file that it is, where the paragraph before names one."""
    follows: bool = False
    """Nothing but white space stands between it and the block before."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, and the indented ones, in order."""
    text = path.read_text(encoding="utf-8")
    found = [(m.start(), m.end(), m[2], m[3]) for m in _FENCE.finditer(text)]
    fenced = [range(start, end) for start, end, *_ in found]
    found += [
        (m.start(), m.end(), "", re.sub(r"^ {4}", "", m[1], flags=re.MULTILINE))
        for m in _INDENTED.finditer(text)
        if not any(m.start() in each for each in fenced)
    ]
    made, last = [], 0
    for start, end, language, body in sorted(found):
        before = text[last:start]
        reason, paragraph = _REASON.search(before), before.strip().rsplit("\n\n", 1)[-1]
        names = [n for n in _NAME.findall(paragraph) if Path(n).suffix == f".{_suffix(language)}"]
        made.append(
            Block(
                page=path.name,
                line=text.count("\n", 0, start) + 1,
                language=language,
                text=body,
                reason=" ".join(reason[1].split()) if reason else "",
                name=names[-1] if names else "",
                follows=not before.strip() and last > 0,
            )
        )
        last = end
    return made


def _suffix(language: str) -> str:
    return {"python": "py"}.get(language, language)


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a shell block; none where a bare block is no shell.

    Raises:
        AssertionError: a block that says it is shell begins a line with an unknown command.
    """
    lines = block.text.replace("\\\n", " ").splitlines()
    rows = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if _typed(line)]
    rows = [list(takewhile(lambda word: word not in (">", "|", "&&"), row)) for row in rows if row]
    unknown = [row[0] for row in rows if row[0] != "misstep" and row[0] not in OTHERS]
    if unknown and block.language == "":
        return []
    assert not unknown, f"{block}: unknown commands {unknown}"
    return rows


def _typed(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return bool(line.strip())


def ours(row: list[str]) -> list[str] | None:
    """The words behind `misstep`, also where a launcher starts it; None for other programs."""
    if row[0] == "misstep":
        return row[1:]
    return row[row.index("misstep") + 1 :] if "-m" in row and "misstep" in row else None


def bound(words: list[str], place: Path) -> list[str]:
    """The words with placeholders replaced; folders that are not there yet hold sample logs."""
    made = []
    for at, word in enumerate(words):
        word = BOUND.get(word, word)
        if word == "ID":
            word = _some_session(place / "run")
        given = at == 1 or not words[at - 1].startswith("-")
        if given and word.endswith("/") and not (place / word).exists() and words[0] != "show":
            mixed(place / word / "agent.jsonl", 4)
        made.append(word)
    return made


def _some_session(run: Path) -> str:
    """A session that pairs of the run come from; any word where there is no run."""
    pairs = run / "pairs" / "train.parquet"
    return str(store.read_rows(pairs)[0]["session"]) if pairs.exists() else "none"


def parsed_only(words: list[str]) -> bool:
    """Whether a command is held against the command line only."""
    return any(word in PARSED for word in words) or any("://" in word for word in words)


def trains(words: list[str]) -> bool:
    """Whether a command needs a model, or a run folder that one made."""
    return words[0] in TRAINS or "--model" in words or any(w.startswith("run/") for w in words)


def parse(words: list[str]) -> None:
    """Hold a command against the command line: its name, its options, its files.

    Raises:
        click.ClickException: it would be turned down.
        AssertionError: there is no such command.
    """
    if words in (["--help"], ["--version"]):
        return
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, f"no command misstep {words[0]}"
    above = click.Context(main, **main.context_settings)
    command.make_context(words[0], list(words[1:]), parent=above)


def tiny(words: list[str]) -> list[str]:
    """The command with settings that make it take seconds."""
    if words[0] not in ("run", "train", "eval") and "--model" not in words:
        return words
    sets = [part for each in SMALL for part in ("--set", each)]
    return [*words, *sets]


def in_workflow(text: str) -> list[str]:
    """The shell texts of a GitHub workflow; none where the YAML is no workflow."""
    found = yaml.safe_load(text)
    if not isinstance(found, dict) or "jobs" not in found:
        return []
    steps = [step for job in found["jobs"].values() for step in job.get("steps", [])]
    return [step["run"] for step in steps if "run" in step]


def furnish(place: Path) -> Path:
    """A folder with all that the pages take for granted: logs, transcripts, tools, pairs."""
    for name in ("logs", "before", "after"):
        mixed(place / name / "agent.jsonl", 8)
    shutil.copytree(ROOT / "sample_logs" / "claude-code", place / "claude")
    shutil.copy(ROOT / "sample_logs" / "tools.json", place / "tools.json")
    say = {"role": "assistant", "content": "yes"}
    pair = {"prompt": [{"role": "user", "content": "May I?"}], "chosen": [say]}
    no = {"role": "assistant", "content": "no, no, no"}
    write(place / "pairs.jsonl", [{**pair, "rejected": [no]}])
    write(place / "heldout.jsonl", [session(99, RIGHT % 99)])
    (place / "schema.json").write_text('{"type": "object"}')
    return place
