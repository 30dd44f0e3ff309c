"""The loop benchmark's work on models: SFT on right outputs, sampling, loops paired, figures.

Artefacts are kept by what they were made from (`lab_keep`). Pairs are those of `misstep mine` over
a log in which every page has its right output and what the model wrote of it; of these the ones
whose rejected side is a text loop are trained on. Degenerate is an answer with a text loop
(`REP_*`, a defect), by the validators that judge any log.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parts import lab_measure, lab_model
from parts.lab_keep import kept, key_of
from parts.lab_measure import Counts, Measured
from parts.loops_tasks import Task, is_valid, recall

from misstep import api, models, store, train, validate
from misstep.chat import to_chat
from misstep.config import MineConfig, RunConfig, SftConfig, ValidateConfig
from misstep.pipeline import mining
from misstep.pipeline.job import Job
from misstep.types import Message, Part

CHUNK = 128
"""Pages whose answers are kept together, so that an interrupted run loses little."""
WHOLE = 1_000_000
"""Periods that stay of a loop that is not trimmed."""
_LOOP = "REP_"
_SETTINGS = validate.settings(ValidateConfig())
Answered = tuple[Task, Sequence[Message]]


def first_sft(pages: Sequence[Task], config: SftConfig, seed: int) -> Path:
    """The adapter that every arm starts from: SFT on the right outputs of the train part."""
    rows = [
        train.Row(
            id=page.id,
            prompt=page.messages,
            context=page.context,
            chosen=page.reference,
            family=page.id,
        )
        for page in pages
    ]
    return lab_model.trained(rows, start=None, config=config, seed=seed)


def answers(
    pages: Sequence[Task],
    adapter: Path | None,
    *,
    temperature: float,
    count: int,
    tokens: int,
    seed: int = 7,
) -> list[Answered]:
    """`count` answers to each page, of at most `tokens` tokens."""
    name = adapter.parent.name if adapter is not None else ""
    template = models.load_tokenizer(lab_model.MODEL)[1]
    out: list[Answered] = []
    for at in range(0, len(pages), CHUNK):
        some = pages[at : at + CHUNK]
        asked = [template.prompt_ids(page.messages, page.context) for page in some]
        how = {"temperature": temperature, "num_generations": count, "max_new_tokens": tokens}
        work = partial(_sample, asked=asked, adapter=adapter, how=how, seed=seed)
        key = (name, key_of(asked), how, seed, *lab_model.format_key())
        folder = kept("answers", *key, work=work, apart=True)
        rows = store.read_json(folder / "answers.json")
        out += [
            (page, [_message(*each) for each in row]) for page, row in zip(some, rows, strict=True)
        ]
    return out


def _sample(
    folder: Path,
    *,
    asked: Sequence[Sequence[int]],
    adapter: Path | None,
    how: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    loaded = models.load(lab_model.MODEL, adapter=adapter, dtype=lab_model.DTYPE)
    drawn = models.sample(loaded, asked, seed=seed, **how)
    rows = [[[answer.text, answer.finish_reason] for answer in some] for some in drawn]
    store.write_json(folder / "answers.json", rows)
    return {"prompts": len(asked), "tokens": sum(len(a.ids) for some in drawn for a in some)}


def _message(text: str, finish: str) -> Message:
    parts = (Part(kind="text", text=text),)
    return Message(role="assistant", parts=parts, finish_reason=finish, model=lab_model.MODEL)


# --- pairs -------------------------------------------------------------------------------------


def loop_pairs(given: Sequence[Answered], trim_periods: int) -> list[train.Row]:
    """Pairs of a text loop and something better, by `misstep mine`."""
    mine = MineConfig(
        heldout=0.0,
        dev=0.0,
        sources=("sibling",),
        trim_periods=trim_periods,
        length_ratio=(0.001, 1_000.0),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        log, run = folder / "log.jsonl", folder / "run"
        _write_log(log, given)
        config = RunConfig(model=lab_model.MODEL, mine=mine)
        api.mine([log], run, config, resample=False)
        rows = mining.pair_rows(Job(store.RunFolder(run), config))
    return [row for row in rows if any(code.startswith(_LOOP) for code in row.codes)]


def _write_log(path: Path, given: Iterable[Answered]) -> None:
    """One session a line: the right output of each page, then every answer of the model."""
    with path.open("w", encoding="utf-8") as file:
        for page, some in given:
            for at, answer in enumerate((page.reference, *some)):
                schema = page.context.response_schema
                row = {
                    "id": f"{page.id}-{at}",
                    "family": page.id,
                    "messages": [*to_chat(page.messages), _answer_row(answer)],
                    **({"response_schema": json.loads(schema)} if schema else {}),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _answer_row(answer: Message) -> dict[str, Any]:
    return {**to_chat([answer])[0], "finish_reason": answer.finish_reason}


# --- figures -----------------------------------------------------------------------------------


def loops_in(page: Task, answer: Message) -> tuple[str, ...]:
    """Codes of the text loops in an answer."""
    findings, _ = validate.judge(page.session, 1, answer, settings=_SETTINGS)
    found = {f.code for f in findings if f.level == "defect" and f.code.startswith(_LOOP)}
    return tuple(sorted(found))


def measure(given: Sequence[Answered]) -> Measured:
    """Degenerate (`failed`) and valid (`correct`) answers by page."""
    pages = _sorted(given)
    codes = [[loops_in(page, answer) for answer in some] for page, some in pages]
    valid = [sum(is_valid(page, answer.text) for answer in some) for page, some in pages]
    sizes = tuple(len(some) for _, some in pages)
    return Measured(
        families=tuple(page.id for page, _ in pages),
        failed=Counts(tuple(sum(map(bool, some)) for some in codes), sizes),
        correct=Counts(tuple(valid), sizes),
        codes=dict(Counter(code for some in codes for each in some for code in each)),
    )


def told(given: Sequence[Answered]) -> dict[str, Any]:
    """Rates with intervals, how much is right, and how long healthy answers are."""
    figures = lab_measure.told(measure(given))
    healthy = [
        (len(answer.text), recall(page, answer.text))
        for page, some in given
        for answer in some
        if not loops_in(page, answer)
    ]
    every = [recall(page, answer.text) for page, some in given for answer in some]
    right = [(p.reference.text, a.text) for p, some in given for a in some if is_valid(p, a.text)]
    return {
        **_renamed(figures),
        "recall": round(statistics.fmean(every), 4),
        "healthy_characters": statistics.median(n for n, _ in healthy) if healthy else None,
        "valid_of_reference": _longer(*zip(*right, strict=True)) if right else None,
        "healthy_recall": round(statistics.fmean(r for _, r in healthy), 4) if healthy else None,
    }


def compared(before: Sequence[Answered], after: Sequence[Answered]) -> dict[str, Any]:
    """The change from one arm to another on the same pages.

    `healthy_length`: characters of the answers whose like are healthy in both, as a ratio.
    """
    both = [
        (old.text, new.text)
        for (page, olds), (_, news) in zip(_sorted(before), _sorted(after), strict=True)
        for old, new in zip(olds, news, strict=True)
        if not loops_in(page, old) and not loops_in(page, new)
    ]
    return {
        **_renamed(lab_measure.paired(measure(before), measure(after))),
        "healthy_length": _longer([old for old, _ in both], [new for _, new in both]),
    }


def _sorted(given: Sequence[Answered]) -> list[Answered]:
    return sorted(given, key=lambda each: each[0].id)


def _longer(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Characters after, as a multiple of those before; nothing where nothing was."""
    old = sum(map(len, before))
    return round(sum(map(len, after)) / old, 3) if old else None


def _renamed(figures: dict[str, Any]) -> dict[str, Any]:
    names = {"failed": "degenerate", "correct": "valid", "fewer_failures": "fewer_loops"}
    return {names.get(name, name): value for name, value in figures.items()}
