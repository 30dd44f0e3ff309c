"""Answers of one model to prompts of the logs: sampled once, kept in a Parquet file.

`resample` and the evaluation use the same code, the same template, the same prompt budget as the
training and the same stop rule; only the temperature and the number of answers differ. A prompt
that does not fit its budget or the model's window, or that the chat template refuses, is left out
and counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import models, store
from misstep.chat import prompt_keys
from misstep.config import SampleConfig
from misstep.errors import ModelError
from misstep.evaluate import ArmAnswers
from misstep.pipeline.job import Job, stage
from misstep.types import Message, Prompt, Session

COLUMNS = ("session", "step", "kind", "answer")
ENDPOINT_STAGE = "resample"
"""The stage that an endpoint may answer for; what is evaluated is always the loaded model."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Prompts that are not asked as they stand in the log."""

    shortened: int
    too_long: int
    refused: int


def ask(job: Job, sessions: Mapping[str, Session], what: Ask) -> dict[Prompt, ArmAnswers]:
    """The answers of one model, from the run folder where it has them already."""
    name = f"answers/{what.stage}.parquet"
    if what.stage == ENDPOINT_STAGE and job.config.endpoint.url is not None:
        return _ask_endpoint(job, sessions, what, name)
    ref = models.resolve(what.model)
    template = models.load_tokenizer(ref)[1]
    asked, counts = _asked(template, sessions, what.prompts, models.budget_of(job.config))
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
        work=lambda: _sample(job, sessions, what, asked=asked, counts=counts),
    )
    return _read(job.folder / name)


def _asked(
    template: models.Template,
    sessions: Mapping[str, Session],
    prompts: Sequence[Prompt],
    budget: models.Budget,
) -> tuple[_Asked, _Counts]:
    """The prompts that can be asked, as tokens within the budget, and how many are not whole."""
    asked: _Asked = []
    shortened = too_long = refused = 0
    for prompt in prompts:
        session = sessions[prompt.session]
        messages, context = session.messages[: prompt.step], session.context_of(prompt.step)
        try:
            ids = template.prompt_ids(messages, context)
            if budget.fit == "drop-middle" and len(ids) > budget.max_prompt:
                kept = models.fitted(template, messages, context, budget=budget)
                if kept is None:
                    too_long += 1
                    continue
                ids = template.prompt_ids(kept, context)
                shortened += 1
            asked.append((prompt, ids))
        except ModelError:
            refused += 1
    return asked, _Counts(shortened=shortened, too_long=too_long, refused=refused)


def _sample(
    job: Job, sessions: Mapping[str, Session], what: Ask, *, asked: _Asked, counts: _Counts
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
        "shortened": counts.shortened,
        "too_long": counts.too_long + len(asked) - len(fitting),
        "refused_by_template": counts.refused,
    }


def _ask_endpoint(
    job: Job, sessions: Mapping[str, Session], what: Ask, name: str
) -> dict[Prompt, ArmAnswers]:
    """The answers of a served model; a prompt that it turns down is left out and counted."""
    endpoint = job.config.endpoint
    key = store.key_of(
        "endpoint answers",
        [endpoint.url, endpoint.model or what.model, what.num_generations, what.sample],
        [[p.session, p.step, _key(sessions[p.session], p.step)] for p in what.prompts],
        job.config.seed,
    )
    stage(
        job,
        f"answers {what.stage}",
        key=key,
        outputs=[name],
        work=lambda: _sample_endpoint(job, sessions, what),
    )
    return _read(job.folder / name)


def _key(session: Session, step: int) -> str:
    return prompt_keys(session)[step]


def _sample_endpoint(job: Job, sessions: Mapping[str, Session], what: Ask) -> Mapping[str, Any]:
    questions = [
        models.Question(
            messages=sessions[p.session].messages[: p.step],
            context=sessions[p.session].context_of(p.step),
        )
        for p in what.prompts
    ]
    given = models.ask_endpoint(
        job.config.endpoint,
        questions,
        model=what.model,
        sampling=models.Sampling(
            num_generations=what.num_generations,
            temperature=what.sample.temperature,
            top_p=what.sample.top_p,
            max_tokens=what.sample.max_new_tokens,
            seed=job.config.seed,
        ),
        progress=job.counting(f"{what.stage}: answers of {job.config.endpoint.url}"),
    )
    rows = [
        _row(prompt, "sampled", replace(message, model=what.stage))
        for prompt, answers in zip(what.prompts, given, strict=True)
        for message in answers.answers
    ]
    store.write_rows(job.folder / f"answers/{what.stage}.parquet", rows, columns=COLUMNS)
    unanswered = [answers.why for answers in given if answers.why]
    if unanswered:
        job.say(f"{len(unanswered)} prompts were not answered in full, such as: {unanswered[0]}")
    return {
        "answers": len(rows),
        "prompts": sum(bool(answers.answers) for answers in given),
        "unanswered": len(unanswered),
        "why": dict(Counter(unanswered).most_common(5)),
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
