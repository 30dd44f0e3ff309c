"""Scans to be mined in several ways, and what comes of them: every file, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace

from misstep import mine, store
from misstep.config import load_config
from misstep.pipeline import mining
from misstep.pipeline.job import Job
from misstep.pipeline.kept import corpus_of, scan_stage
from misstep.pipeline.mining import Policy
from samples import BESIDE
from scenes import called, result, said, user

SOURCES = ["retry", "sibling", "human", "recovery", "repair", "resample"]
CONFIG = load_config(
    None, {"mine.sources": SOURCES, "mine.supported_values": False, "mine.min_votes": 1}
)
CONFIG = replace(CONFIG, ingest=replace(CONFIG.ingest, workers=1, exclude=BESIDE))
POLICY = Policy(sources=tuple(SOURCES), resample=True, share=0, why="", template=False)
WRITTEN = ("pairs", "unpaired", "refused.jsonl", "mined.json", "README.md")


def scanned(logs, folder):
    job = Job(store.RunFolder(folder), CONFIG)
    store.RunFolder(folder).open()
    scan_stage(job, logs)
    return store.RunFolder(folder)


def mined(scan, folder, workers, config=CONFIG):
    """Facts of the stage, the bytes of every file that it wrote, and the pairs to train on."""
    config = replace(config, ingest=replace(config.ingest, workers=workers))
    run = store.RunFolder(folder)
    run.open()
    if (scan / mine.DECISIONS).exists():
        (folder / mine.DECISIONS).write_bytes((scan / mine.DECISIONS).read_bytes())
    known = corpus_of(scan)
    job = Job(run, config)
    split = mining.families(job, known)
    facts = mining.mine_stage(job, known, split, policy=POLICY, answers=answers_to(known, split))
    files = written(folder)
    rows = files.get("pairs/train.jsonl", b"").splitlines()
    return facts, files, [json.loads(row) for row in rows]


def written(folder):
    found = (p for name in WRITTEN for p in (folder / name, *(folder / name).rglob("*")))
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.is_file()}


def answers_to(known, split):
    """What a model might answer: what others said to other prompts, and what was said here."""
    prompts = mine.resample_prompts(known, split, 60, 0)
    said = [known.answer(prompt) for prompt in prompts]
    return {
        prompt: [known.answer(prompt), *said[at + 1 : at + 3]] for at, prompt in enumerate(prompts)
    }


def task(number, *, wrong=False, session=0):
    """A call that fails and is tried again, or one that is right; sessions of a task are alike."""
    arguments = '{"minutes": "%d"}' if wrong else '{"minutes": %d}'
    ask = user(f"Please start a timer of {number} minutes for the task number {number}.")
    first = called("set_timer", arguments % number)
    tools = [tool()]
    if not wrong:
        messages = [ask, first, result("done"), said(f"Running, {session}.")]
        return {"messages": messages, "tools": tools}
    again = called("set_timer", {"minutes": number})
    failed = result("minutes: expected an integer", error=True)
    messages = [ask, first, failed, again, result("done"), said(f"It runs now, {session}.")]
    return {"messages": messages, "tools": tools}


def tool():
    fields = {"minutes": {"type": "integer"}}
    schema = {"type": "object", "properties": fields, "required": ["minutes"]}
    return {"type": "function", "function": {"name": "set_timer", "parameters": schema}}


def timers_in(folder):
    """A scan of thirty tasks, each tried up to three times."""
    rows = [
        task(number, wrong=(number + session) % 3 == 0, session=session)
        for number in range(1, 31)
        for session in range(1 + number % 3)
    ]
    (folder / "logs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return scanned([folder / "logs.jsonl"], folder / "run")
