"""The laboratory's work on models: SFT on references, sampling, logs, mining, training.

Everything is kept by what it was made from (`lab_keep`), through misstep's own functions: logs are
read, scanned and mined as a user's would be, and the rows that `mine` exports are what is trained.
MISSTEP_LAB_DTYPE is the number format of the model, `auto` (misstep's default) without it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from parts.lab_keep import kept, key_of, say
from parts.lab_questions import Question

from misstep import api, models, store, train
from misstep.chat import to_chat, tool_to_chat
from misstep.config import (
    DpoConfig,
    KtoConfig,
    LoraConfig,
    MineConfig,
    RunConfig,
    SftConfig,
    ValidateConfig,
)
from misstep.mine.source import canonical
from misstep.models.load import best_dtype
from misstep.pipeline import mining
from misstep.pipeline.job import Job
from misstep.types import Message, Prompt

MODEL = "smollm2"
DTYPE = os.environ.get("MISSTEP_LAB_DTYPE", "auto")
TOKENS = 128
"""Of an answer at most; the longest reference has 140, half of them have 50."""
FIRST = SftConfig(learning_rate=1e-3, num_train_epochs=1.0, max_rows=240)
"""Of the SFT stage that every arm starts from: one epoch over 240 references."""
VALIDATE = ValidateConfig(expect_call="always")
"""Of questions that are answered by calls."""
CHUNK = 64
"""Questions whose answers are kept together, so that an interrupted run loses little."""
Answered = tuple[Question, Sequence[Message]]


def number_format() -> str:
    """The model's number format on this machine."""
    return best_dtype() if DTYPE == "auto" else DTYPE


# --- training ----------------------------------------------------------------------------------


def first_sft(questions: Sequence[Question], seed: int, config: SftConfig = FIRST) -> Path:
    """The adapter that every arm starts from: SFT on the references of the train part."""
    rows = [
        train.Row(
            id=q.id,
            prompt=q.messages,
            context=q.context,
            chosen=q.reference,
            family=q.family,
        )
        for q in questions
    ]
    return trained(rows, start=None, config=config, seed=seed)


Stage = SftConfig | DpoConfig | KtoConfig


def trained(rows: Sequence[train.Row], *, start: Path | None, config: Stage, seed: int) -> Path:
    """The folder of an adapter; the config says by which stage, `start` is the one to continue."""
    rows = sorted(rows, key=lambda row: row.id)
    begun = start.parent.name if start is not None else ""
    stage = type(config).__name__.removesuffix("Config").lower()
    key = (stage, [_taught(row) for row in rows], begun, unusual(config), seed, *format_key())
    work = partial(_train, rows=rows, start=start, config=config, seed=seed)
    return kept("adapters", *key, work=work, apart=True) / "adapter"


def unusual(config: Stage | MineConfig) -> dict[str, Any]:
    """The settings that are not the defaults: a setting that is new changes no key."""
    usual = type(config)()
    both = ((f.name, getattr(config, f.name), getattr(usual, f.name)) for f in fields(config))
    return {name: value for name, value, other in both if value != other}


def format_key() -> tuple[str, ...]:
    """The number format in a key; the default adds none, as before there was another."""
    return () if DTYPE == "auto" else (DTYPE,)


def _taught(row: train.Row) -> str:
    """What a row teaches, as a key."""
    sides = [canonical(side) for side in (row.chosen, row.rejected) if side is not None]
    tools = [(tool.name, tool.parameters) for tool in row.context.tools]
    asked = [(message.role, message.text) for message in row.prompt]
    schema = row.context.response_schema
    offered = tools if schema is None else [*tools, schema]
    return key_of(row.id, asked, offered, sides, row.cut)


def _train(
    folder: Path, *, rows: Sequence[train.Row], start: Path | None, config: Stage, seed: int
) -> dict[str, Any]:
    common: dict[str, Any] = {
        "base": MODEL,
        "adapter": start,
        "out": folder / "adapter",
        "lora": LoraConfig(),
        "run": train.TrainSettings(seed=seed, dtype=DTYPE, progress=_progress),
    }
    if isinstance(config, DpoConfig):
        done = train.train_dpo(rows, config=config, **common)
    elif isinstance(config, KtoConfig):
        done = train.train_kto(rows, config=config, **common)
    else:
        done = train.train_sft(rows, config=config, **common)
    log = [{k: v for k, v in each.items() if isinstance(v, (int, float))} for each in done.log]
    return {"steps": done.steps, "rows": done.rows, "stopped": done.stopped, "log": log[-3:]}


def _progress(step: int, steps: int, loss: float) -> None:
    if step % 10 == 0 or step == steps:
        say(f"  step {step} of {steps}, loss {loss:.3f}")


# --- answers -----------------------------------------------------------------------------------


def answers(
    questions: Sequence[Question],
    adapter: Path | None,
    *,
    temperature: float,
    count: int,
    seed: int = 7,
) -> list[Answered]:
    """`count` answers to each question, as a server's log would hold them."""
    name = adapter.parent.name if adapter is not None else ""
    template = models.load_tokenizer(MODEL)[1]
    out: list[Answered] = []
    for at in range(0, len(questions), CHUNK):
        some = questions[at : at + CHUNK]
        asked = [template.prompt_ids(q.messages, q.context) for q in some]
        work = partial(
            _sample, asked=asked, adapter=adapter, temperature=temperature, count=count, seed=seed
        )
        key = (name, key_of(asked), temperature, count, seed, TOKENS, *format_key())
        folder = kept("answers", *key, work=work, apart=True)
        rows = store.read_json(folder / "answers.json")
        for question, row in zip(some, rows, strict=True):
            out.append((question, [_message(template, question, *each) for each in row]))
    return out


def _sample(
    folder: Path,
    *,
    asked: Sequence[Sequence[int]],
    adapter: Path | None,
    temperature: float,
    count: int,
    seed: int,
) -> dict[str, Any]:
    drawn = models.sample(
        models.load(MODEL, adapter=adapter, dtype=DTYPE),
        asked,
        seed=seed,
        num_generations=count,
        temperature=temperature,
        max_new_tokens=TOKENS,
    )
    rows = [[[answer.text, answer.finish_reason] for answer in some] for some in drawn]
    store.write_json(folder / "answers.json", rows)
    return {"prompts": len(asked), "tokens": sum(len(a.ids) for some in drawn for a in some)}


def _message(template: models.Template, question: Question, text: str, finish: str) -> Message:
    message = template.parse(text, question.context)
    reason = "tool_calls" if message.calls and finish == "stop" else finish
    return dataclasses.replace(message, finish_reason=reason, model=MODEL)


# --- logs and pairs ----------------------------------------------------------------------------


def write_log(path: Path, given: Iterable[Answered], model: str) -> int:
    """Requests and responses of a chat API, one answer a line; gives the number of lines."""
    lines = 0
    with path.open("w", encoding="utf-8") as file:
        for question, some in given:
            for answer in some:
                row = log_row(question, answer, f"{question.id}-{lines}", model)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                lines += 1
    return lines


def log_row(question: Question, answer: Message, name: str, model: str) -> dict[str, Any]:
    """One request and its response, arguments verbatim, call ids unique as a server gives them."""
    (message,) = to_chat([answer])
    for at, call in enumerate(message.get("tool_calls", ())):
        call["id"] = f"call_{name}_{at}"
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return {
        "request": {"model": model, "messages": to_chat(question.messages), **_offered(question)},
        "response": {
            "id": name,
            "object": "chat.completion",
            "model": model,
            "choices": [choice],
        },
    }


def _offered(question: Question) -> dict[str, Any]:
    """What a request offers, as a chat API takes it."""
    if question.tools:
        return {"tools": [tool_to_chat(tool) for tool in question.tools]}
    schema = question.context.response_schema
    if schema is None:
        return {}
    form = {"name": "form", "schema": json.loads(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def references(questions: Iterable[Question]) -> Iterator[dict[str, Any]]:
    """The rows of a `--references` file."""
    for question in questions:
        (message,) = to_chat([question.reference])
        calls = [call["function"] for call in message.get("tool_calls", ())]
        answer = {"tool_calls": calls} if calls else message["content"]
        yield {"prompt": question.messages[-1].text, "answer": answer}


def pairs(
    given: Sequence[Answered],
    *,
    mine: MineConfig,
    gold: bool = False,
) -> list[train.Row]:
    """Pairs from the model's answers as a log, by `misstep mine`.

    Args:
        given: questions with answers, all of one kind.
        mine: its sources decide; `resample` alone takes the answers as those of the model under
            training, and the references as the log.
        gold: the references stand beside the log, as with `--references`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        log, run = folder / "log.jsonl", folder / "run"
        mine = dataclasses.replace(mine, heldout=0.0, dev=0.0)
        if gold:
            path = folder / "references.jsonl"
            store.write_jsonl(path, references(q for q, _ in given))
            mine = dataclasses.replace(mine, references=str(path))
        config = RunConfig(model=MODEL, mine=mine, validate=given[0][0].validate)
        if mine.sources == ("resample",):
            write_log(log, ((q, [q.reference]) for q, _ in given), "references")
            _resampled(log, run, config, given)
        else:
            write_log(log, given, MODEL)
            api.mine([log], run, config, resample=False)
        return mining.pair_rows(Job(store.RunFolder(run), config))


def _resampled(
    log: Path,
    run: Path,
    config: RunConfig,
    given: Sequence[Answered],
) -> None:
    scanned = api.scan([log], config)
    known = mining.corpus(scanned)
    by_text = {q.messages[-1].text: some for q, some in given}
    asked: Mapping[Prompt, Sequence[Message]] = {
        Prompt(session=s.id, step=len(s.messages) - 1): by_text[s.messages[-2].text]
        for s in known.sessions.values()
    }
    job = Job(store.RunFolder(run), config)
    split = mining.families(job, known)
    policy = mining.Policy(sources=("resample",), resample=True, share=0.0, why="the laboratory's")
    mining.mine_stage(job, known, split, policy=policy, answers=asked)
