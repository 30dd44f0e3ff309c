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

from misstep import models, store, validate
from misstep.chat import prompt_keys
from misstep.config import SampleConfig
from misstep.errors import ModelError
from misstep.evaluate import ArmAnswers
from misstep.pipeline.answering import Asking, answered, told_lost
from misstep.pipeline.halfway import finished, halfway
from misstep.pipeline.job import Job, stage
from misstep.pipeline.served import Served
from misstep.types import Message, Prompt, Session, Usage

COLUMNS = ("session", "step", "kind", "answer", "seconds")
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
    seed: int


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
    template = models.load_tokenizer(ref, images=job.gallery)[1]
    asked, counts = _asked(template, sessions, what.prompts, models.budget_of(job.config))
    base = ref, models.unpacked(ref)[1]
    key = store.key_of(
        "answers",
        (base[1], models.settings_of(ref)),
        what.adapter_key,
        [[p.session, p.step, ids] for p, ids in asked],
        [what.greedy, what.num_generations, _drawn(what), what.seed, job.config.dtype],
        job.config.images,
    )
    stage(
        job,
        f"answers {what.stage}",
        key=key,
        outputs=[name],
        work=lambda: _sample(
            job, sessions, what, asked=asked, counts=counts, template=template, base=base
        ),
    )
    return _read(job.folder / name)


def _drawn(what: Ask) -> SampleConfig:
    """The settings on which answers depend: who gives them is none."""
    return replace(what.sample, workers=0, worker_cpus=0, worker_gpus=0.0)


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
    job: Job,
    sessions: Mapping[str, Session],
    what: Ask,
    *,
    asked: _Asked,
    counts: _Counts,
    template: models.Template,
    base: tuple[models.ModelRef, str],
) -> Mapping[str, Any]:
    output = job.folder / f"answers/{what.stage}.parquet"
    stop = _stop_loops(job, sessions, what, [prompt for prompt, _ in asked])
    asking = Asking(
        ref=base[0],
        base_hash=base[1],
        settings=models.settings_of(base[0]),
        adapter=what.adapter,
        adapter_key=what.adapter_key,
        prompts=[ids for _, ids in asked],
        ways={kind: _way(what, temperature, n, stop) for kind, temperature, n in _kinds(what)},
        seed=what.seed,
    )

    def told(fitting: Sequence[int]) -> None:
        if len(fitting) < len(what.prompts):
            job.say(
                f"{what.stage}: {len(what.prompts) - len(fitting)} of {len(what.prompts)} prompts "
                f"are not asked: {counts.too_long + len(asked) - len(fitting)} are too long "
                f"(max_length of the stages, budget.max_prompt, the model's window), "
                f"{counts.refused} cannot be rendered for this model"
            )

    given = answered(job, asking, output, asked=told)
    if given.lost:
        job.say(f"{what.stage}: {told_lost(given)}")
    rows: list[dict[str, Any]] = []
    for kind, found in given.answers.items():
        for place in sorted(found):
            prompt = asked[place][0]
            context = sessions[prompt.session].context_of(prompt.step)
            for answer in found[place]:
                message = _message(template.parse(answer.text, context), answer, what.stage)
                rows.append(_row(prompt, kind, message, answer.seconds))
    store.write_rows(output, rows, columns=COLUMNS)
    finished(output)
    return {
        "answers": len(rows),
        "prompts": len(given.fitting) - len(given.lost),
        "shortened": counts.shortened,
        "too_long": counts.too_long + len(asked) - len(given.fitting),
        "refused_by_template": counts.refused,
        "lost": len(given.lost),
    }


def _way(what: Ask, temperature: float, count: int, stop: models.StopLoops | None) -> models.Way:
    return models.Way(
        num_generations=count,
        temperature=temperature,
        top_p=what.sample.top_p,
        max_new_tokens=what.sample.max_new_tokens,
        batch_size=what.sample.batch_size,
        stop_loops=stop,
    )


def _message(message: Message, answer: models.Answer, stage: str) -> Message:
    return replace(
        message,
        finish_reason=answer.finish_reason,
        model=stage,
        usage=Usage(output_tokens=len(answer.ids)),
    )


def _stop_loops(
    job: Job, sessions: Mapping[str, Session], what: Ask, prompts: Sequence[Prompt]
) -> models.StopLoops | None:
    if not what.sample.stop_loops:
        return None
    return models.StopLoops(
        asked=[validate.asked_of(sessions[p.session], p.step) for p in prompts],
        limits=job.config.validate.limits,
    )


def _kinds(what: Ask) -> list[tuple[str, float, int]]:
    """(kind, temperature, answers) of what each prompt is asked for."""
    kinds = [("greedy", 0.0, 1)] if what.greedy else []
    if what.num_generations:
        kinds.append(("sampled", what.sample.temperature, what.num_generations))
    return kinds


def _ask_endpoint(
    job: Job, sessions: Mapping[str, Session], what: Ask, name: str
) -> dict[Prompt, ArmAnswers]:
    """The answers of a served model; a prompt that it turns down is left out and counted."""
    endpoint = job.config.endpoint
    key = store.key_of(
        "endpoint answers",
        [endpoint.url, endpoint.model or what.model, what.num_generations, _drawn(what)],
        [[p.session, p.step, _key(sessions[p.session], p.step)] for p in what.prompts],
        what.seed,
        *(["greedy"] if what.greedy else []),
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
            images=job.images,
        )
        for p in what.prompts
    ]
    output = job.folder / f"answers/{what.stage}.parquet"
    rows: list[dict[str, Any]] = []
    unanswered: list[str] = []
    full: set[Prompt] = set()
    with halfway(output) as kept:
        served = Served(
            job=job,
            stage=what.stage,
            model=what.model,
            prompts=what.prompts,
            questions=questions,
            kept=kept,
        )
        for kind, temperature, count in _kinds(what):
            sampling = models.Sampling(
                num_generations=count,
                temperature=temperature,
                top_p=what.sample.top_p,
                max_tokens=what.sample.max_new_tokens,
                seed=what.seed,
            )
            given = served.answers(kind, sampling)
            unanswered += [answers.why for answers in given if answers.why]
            for prompt, answers in zip(what.prompts, given, strict=True):
                rows += [_row(prompt, kind, replace(m, model=what.stage)) for m in answers.answers]
                full |= {prompt} if answers.answers else set()
    store.write_rows(output, rows, columns=COLUMNS)
    finished(output)
    if unanswered:
        job.say(f"{len(unanswered)} prompts were not answered in full, such as: {unanswered[0]}")
    return {
        "answers": len(rows),
        "prompts": len(full),
        "unanswered": len(unanswered),
        "why": dict(Counter(unanswered).most_common(5)),
    }


def _row(
    prompt: Prompt, kind: str, message: Message, seconds: float | None = None
) -> dict[str, Any]:
    return {
        "session": prompt.session,
        "step": prompt.step,
        "kind": kind,
        "answer": store.encode(message).decode(),
        "seconds": seconds,
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
