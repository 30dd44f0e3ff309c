"""Answers of one model to prompts of the logs: sampled once, kept in a Parquet file.

`resample` and the evaluation use the same code, the same template and the same stop rule; only
the temperature and the number of answers differ. A prompt that is longer than the model's window,
or that its chat template refuses, is left out and counted, never cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import models, store
from misstep.config import SampleConfig
from misstep.errors import ModelError
from misstep.evaluate import ArmAnswers
from misstep.pipeline.job import Job, stage
from misstep.types import Message, Prompt, Session

COLUMNS = ("session", "step", "kind", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of which model."""

    stage: str
    """Name of the stage and of the file `answers/<stage>.parquet`."""
    model: str
    adapter: Path | None
    adapter_key: str
    """Content hash of the adapter; empty without one."""
    prompts: tuple[Prompt, ...]
    greedy: bool
    """Also one greedy answer a prompt."""
    num_generations: int
    sample: SampleConfig


_Asked = list[tuple[Prompt, list[int]]]


def ask(job: Job, sessions: Mapping[str, Session], what: Ask) -> dict[Prompt, ArmAnswers]:
    """The answers of one model, from the run folder where it has them already."""
    name = f"answers/{what.stage}.parquet"
    ref = models.resolve(what.model)
    template = models.load_tokenizer(ref)[1]
    asked = [(p, ids) for p in what.prompts if (ids := _ids(template, sessions, p)) is not None]
    key = store.key_of(
        "answers",
        models.unpacked(ref)[1],
        what.adapter_key,
        [[p.session, p.step, ids] for p, ids in asked],
        [what.greedy, what.num_generations, what.sample, job.config.seed, job.config.dtype],
    )
    stage(
        job,
        f"answers {what.stage}",
        key=key,
        outputs=[name],
        work=lambda: _sample(job, sessions, what, asked=asked),
    )
    return _read(job.folder / name)


def _ids(
    template: models.Template, sessions: Mapping[str, Session], prompt: Prompt
) -> list[int] | None:
    """The prompt as tokens; None where the chat template refuses the conversation."""
    session = sessions[prompt.session]
    try:
        return template.prompt_ids(session.messages[: prompt.step], session.context_of(prompt.step))
    except ModelError:
        return None


def _sample(
    job: Job, sessions: Mapping[str, Session], what: Ask, *, asked: _Asked
) -> Mapping[str, Any]:
    loaded = models.load(what.model, adapter=what.adapter, dtype=job.config.dtype)
    room = loaded.window - what.sample.max_new_tokens
    fitting = [(prompt, ids) for prompt, ids in asked if len(ids) <= room]
    rows: list[dict[str, Any]] = []
    kinds = [("greedy", 0.0, 1)] if what.greedy else []
    if what.num_generations:
        kinds.append(("sampled", what.sample.temperature, what.num_generations))
    for kind, temperature, count in kinds:
        batches = models.sample(
            loaded,
            [ids for _, ids in fitting],
            num_generations=count,
            temperature=temperature,
            top_p=what.sample.top_p,
            max_new_tokens=what.sample.max_new_tokens,
            batch_size=what.sample.batch_size,
            seed=job.config.seed,
            progress=job.counting(f"{what.stage}: {kind} answers"),
        )
        for (prompt, _), answers in zip(fitting, batches, strict=True):
            context = sessions[prompt.session].context_of(prompt.step)
            for answer in answers:
                message = loaded.template.parse(answer.text, context)
                message = replace(message, finish_reason=answer.finish_reason, model=what.stage)
                rows.append(_row(prompt, kind, message))
    store.write_rows(job.folder / f"answers/{what.stage}.parquet", rows, columns=COLUMNS)
    return {
        "answers": len(rows),
        "prompts": len(fitting),
        "too_long": len(asked) - len(fitting),
        "refused_by_template": len(what.prompts) - len(asked),
    }


def _row(prompt: Prompt, kind: str, message: Message) -> dict[str, Any]:
    return {
        "session": prompt.session,
        "step": prompt.step,
        "kind": kind,
        "answer": store.encode(message).decode(),
    }


def _read(path: Path) -> dict[Prompt, ArmAnswers]:
    greedy: dict[Prompt, Message] = {}
    sampled: dict[Prompt, list[Message]] = defaultdict(list)
    order: dict[Prompt, None] = {}
    for row in store.read_rows(path):
        prompt = Prompt(session=row["session"], step=int(row["step"]))
        order[prompt] = None
        message = store.decode(row["answer"], Message)
        if row["kind"] == "greedy":
            greedy[prompt] = message
        else:
            sampled[prompt].append(message)
    return {p: ArmAnswers(greedy=greedy.get(p), sampled=tuple(sampled[p])) for p in order}


def all_answers(given: Mapping[Prompt, ArmAnswers]) -> dict[Prompt, Sequence[Message]]:
    """Every answer to each prompt, greedy first."""
    return {
        prompt: ((g.greedy,) if g.greedy is not None else ()) + g.sampled
        for prompt, g in given.items()
    }
