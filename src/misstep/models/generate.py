"""Sampling: prompts as token ids in, k answers for each out; fast on two cores.

Prompts that begin alike, or are of like length, go into one batch (`beginnings`), what they share
and every prompt is encoded once (`shared`), an answer leaves the batch at its end of turn. Equal
calls give equal answers (on a GPU with as much free memory, which bounds a batch: `room`); `draw`
says what the random numbers depend on. `sample` is `divided`, `batches` and `answered` in one;
other processes may answer the batches. torch is imported lazily.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Literal, Protocol, TypedDict, Unpack

from misstep.models.beginnings import order
from misstep.models.draw import pick, prompt_keys, uniforms
from misstep.models.load import Loaded
from misstep.models.room import GB, columns, read_bytes, room
from misstep.models.stopping import StopLoops, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One sampled answer."""

    text: str
    """What the model wrote, without the token that ended it."""
    ids: tuple[int, ...]
    """Its token ids, the token that ended it included."""
    finish_reason: Literal["stop", "length"]
    seconds: float = field(default=0.0, compare=False)
    """Its share of the wall-clock: each step of a batch is divided by the answers that take it."""


class Sampling(TypedDict, total=False):
    """How answers are sampled."""

    num_generations: int
    """Answers to each prompt; default 1."""
    temperature: float
    """Default 1.0; 0 takes the most likely token each time, so that answers to a prompt are equal:
    ask for one."""
    top_p: float
    """Probability of the set of tokens that is drawn from; default 1.0."""
    max_new_tokens: int
    """Default 128."""
    batch_size: int
    """Answers generated together; default 128. A batch holds whole prompts, at least one."""
    stop_loops: StopLoops | None
    """Cut answers off that have run into a loop; default None, which never does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Prompts that are answered together, with all that their answers depend on but the model."""

    at: tuple[int, ...]
    """Their places among the prompts of the call."""
    prompts: tuple[Sequence[int], ...]
    keys: tuple[bytes, ...]
    """Of their random numbers."""
    how: Sampling
    """`stop_loops` is about these prompts."""


_Drawn = tuple[list[int], float]
"""Token ids of one answer, and its seconds."""


class Engine(Protocol):
    """What decodes one batch; rows are answers, prompt by prompt."""

    def start(self, prompts: Sequence[Sequence[int]]) -> Any:
        """Logits of each prompt's next token."""

    def step(self, tokens: Any, rows: Any) -> Any:
        """Logits behind the tokens of those rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is the same for every batch of a call."""

    model: Any
    stop: frozenset[int]
    num_generations: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 128
    batch_size: int = 128
    stop_loops: StopLoops | None = None
    room: int = sys.maxsize
    """Bytes that a batch may take."""


def sample(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **how: Unpack[Sampling],
) -> list[list[Answer]]:
    """`num_generations` answers to each prompt, in the order of the prompts.

    Args:
        prompts: token ids, from `Template.prompt_ids`; none may be empty.
        progress: called with (prompts done, prompts) after each batch.
        how: the fields of `Sampling`.
    """
    found: list[list[Answer]] = [[] for _ in prompts]
    done = 0
    for batch in batches(prompts, divided(loaded, prompts, **how), seed=seed, **how):
        for i, answers in zip(batch.at, answered(loaded, batch), strict=True):
            found[i] = answers
        done += len(batch.at)
        if progress is not None:
            progress(done, len(prompts))
    return found


def divided(
    loaded: Loaded, prompts: Sequence[Sequence[int]], **how: Unpack[Sampling]
) -> list[list[int]]:
    """Places of the prompts that are answered together. Needs the model: its buffers have sizes."""
    return list(_batches(prompts, replace(_job(loaded, how), room=room(loaded))))


def squeezed(loaded: Loaded, prompts: Sequence[Sequence[int]], **how: Unpack[Sampling]) -> str:
    """What is said where memory makes the batches smaller than asked; mostly nothing."""
    job = _job(loaded, how)
    most = room(loaded)
    asked, made = (len(list(_batches(prompts, replace(job, room=r)))) for r in (sys.maxsize, most))
    if made == asked:
        return ""
    together = max(1, len(prompts) * job.num_generations // made)
    return (
        f"prompts are long: about {together} answers are generated together, {job.batch_size} are "
        f"asked for (sample.batch_size), since a batch gets {most / GB:.1f} GB of memory; shorter "
        "prompts (budget.max_prompt) make it more"
    )


def batches(
    prompts: Sequence[Sequence[int]],
    places: Iterable[Sequence[int]],
    *,
    seed: int = 0,
    **how: Unpack[Sampling],
) -> Iterator[Batch]:
    """The batches of a call, given what `divided` says of it."""
    keys, stop = prompt_keys(prompts, seed), how.get("stop_loops")
    for at in places:
        own = how.copy()
        if stop is not None:
            own["stop_loops"] = replace(stop, asked=[stop.asked[i] for i in at])
        yield Batch(
            at=tuple(at),
            prompts=tuple(prompts[i] for i in at),
            keys=tuple(keys[i] for i in at),
            how=own,
        )


def answered(loaded: Loaded, batch: Batch) -> list[list[Answer]]:
    """The answers to each prompt of a batch."""
    import torch

    job, watch = _job(loaded, batch.how), None
    if job.stop_loops is not None:
        watch = Watch(job.stop_loops, loaded.tokenizer, job.num_generations)
    with torch.inference_mode(), _attention(loaded.reader):
        found = _decode(job, batch.prompts, batch.keys, watch)
    return [[_answer(loaded, job, *row) for row in rows] for rows in found]


def _job(loaded: Loaded, how: Sampling) -> _Job:
    return _Job(model=loaded.reader, stop=stop_ids(loaded), **how)


def stop_ids(loaded: Loaded) -> frozenset[int]:
    """The tokens that end an answer: the template's end of turn and the model's own."""
    own = loaded.network.generation_config.eos_token_id
    more = own if isinstance(own, list) else [own]
    ids = (loaded.template.end_id, loaded.tokenizer.eos_token_id, *more)
    return frozenset(int(i) for i in ids if i is not None)


def _attention(model: Any) -> Any:
    from misstep.models import shared

    return shared.replaced_attention(model) if _shares(model) else nullcontext()


def _shares(model: Any) -> bool:
    """Whether what prompts and answers share can be read once."""
    from misstep.models.shared import supports
    from misstep.models.sight import Sight

    return supports(model) and (not isinstance(model, Sight) or model.way == "decoder")


def _engine(job: _Job) -> Engine:
    from misstep.models.plain import Plain
    from misstep.models.shared import Shared
    from misstep.models.sight import Sight
    from misstep.models.whole import Whole

    if isinstance(job.model, Sight) and not _shares(job.model):
        return Whole(job.model, answers=job.num_generations)
    if _shares(job.model):
        return Shared(job.model, answers=job.num_generations, max_new_tokens=job.max_new_tokens)
    return Plain(job.model, answers=job.num_generations)


def _batches(prompts: Sequence[Sequence[int]], job: _Job) -> Iterator[list[int]]:
    """Indices of prompts that are decoded together: alike at the start, or of like length.

    Only the length counts where nothing is shared: the longest of a batch pads all others.
    """
    once = _shares(job.model)  # otherwise each answer has a copy of what the prompt left
    sides = None if once else _sides([len(prompt) for prompt in prompts], job)
    by_length = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    most = max(1, job.batch_size // job.num_generations)
    batch: list[int] = []
    longest = 0
    for i in order(prompts) if once else by_length:
        longest = max(longest, len(prompts[i]))
        size = (len(batch) + 1) * _bytes(job, longest, once=once)
        apart = sides is not None and batch and sides[i] != sides[batch[0]]
        if batch and (len(batch) == most or size > job.room or apart):
            yield batch
            batch, longest = [], len(prompts[i])
        batch.append(i)
    if batch:
        yield batch


def _sides(lengths: Sequence[int], job: _Job) -> list[int] | None:
    """What the prompts of one batch agree in, by prompt; None where any may lie in one batch."""
    from misstep.models.plain import switch
    from misstep.models.sight import Sight

    if isinstance(job.model, Sight):
        return list(lengths)
    limit = switch(job.model.config)
    if limit is None:
        return None
    # all within the limit, all beyond it, or equally long, so that all pass it at the same step
    within = (size + job.max_new_tokens <= limit for size in lengths)
    return [
        0 if inside else min(size, limit + 1) for size, inside in zip(lengths, within, strict=True)
    ]


def _bytes(job: _Job, length: int, *, once: bool) -> int:
    """What a prompt of this length takes of a batch's room."""
    from misstep.models.shared import prompt_bytes

    model, k = job.model, job.num_generations
    kept = prompt_bytes(model, columns(length, k, job.max_new_tokens, once=once), k)
    if model.device.type != "cuda":  # there it would only divide prompts otherwise than before
        return kept
    return max(kept, read_bytes(model.config, length, model.dtype.itemsize))


def _decode(
    job: _Job, prompts: Sequence[Sequence[int]], keys: Sequence[bytes], watch: Watch | None
) -> list[list[_Drawn]]:
    """The answers to one batch of prompts."""
    import torch

    then = perf_counter()
    engine = _engine(job)
    k = job.num_generations
    draws = torch.cat([uniforms(key, k, job.max_new_tokens) for key in keys])
    ids: list[list[int]] = [[] for _ in range(len(prompts) * k)]
    seconds = [0.0] * len(ids)
    logits = engine.start(prompts).repeat_interleave(k, 0)
    draws = draws.to(logits.device)
    rows = torch.arange(len(ids), device=logits.device)
    for step in range(job.max_new_tokens):
        tokens = pick(logits, draws[rows, step], temperature=job.temperature, top_p=job.top_p)
        going, drawn = [], tokens.tolist()
        now = perf_counter()
        share, then = (now - then) / len(drawn), now
        for at, (row, token) in enumerate(zip(rows.tolist(), drawn, strict=True)):
            ids[row].append(token)
            seconds[row] += share
            if token not in job.stop and not (watch is not None and watch.loops(row, ids[row])):
                going.append(at)
        if not going or step + 1 == job.max_new_tokens:
            break
        if len(going) < len(rows):
            rows, tokens = rows[going], tokens[going]
        logits = engine.step(tokens, rows)
    made = list(zip(ids, seconds, strict=True))
    return [made[i : i + k] for i in range(0, len(made), k)]


def _answer(loaded: Loaded, job: _Job, ids: Sequence[int], seconds: float) -> Answer:
    ended = bool(ids) and ids[-1] in job.stop
    body = list(ids[:-1] if ended else ids)
    return Answer(
        text=loaded.template.read(body),
        ids=tuple(ids),
        finish_reason="stop" if ended else "length",
        seconds=seconds,
    )
