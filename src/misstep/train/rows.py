"""Rows as trainers meet them: token ids, what was set aside, and the order of the batches.

In: `Row` values (a prompt, an accepted answer, perhaps a rejected one) and the model's template.
Out: `Ids` ready for a trainer. A prompt over its budget loses whole turns (`models.budget`); a row
that cannot be used even so is set aside with a reason, and *rows in = ids out + set aside*. Pure:
no torch, no files, no clock.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from misstep.config import DpoConfig, KtoConfig, SftConfig
from misstep.models.budget import Budget, fitted, lost
from misstep.models.images import Gallery
from misstep.models.template import Encoded
from misstep.types import Context, Mark, Message, Origin, SetAside, content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing to learn: an accepted answer to a prompt, and perhaps a rejected one."""

    id: str
    prompt: tuple[Message, ...]
    context: Context
    chosen: Message
    rejected: Message | None = None
    """None for supervised rows."""
    cut: bool = False
    """True where the rejected side ends without an end-of-turn, because it never emitted one."""
    family: str = ""
    codes: tuple[str, ...] = ()
    label: bool = True
    """False where `chosen` is an answer to unlearn (unpaired training)."""
    marks: tuple[Mark, ...] = ()
    """Where the sides fail; `focus` reads them."""
    unplaced: tuple[str, ...] = ()
    """What is wrong with each mark that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """What a training run needs beside its data and its stage's settings."""

    seed: int = 42
    dtype: str = "auto"
    """As in `models.load`."""
    resume: bool = True
    """Go on from the last checkpoint of an interrupted run with the same inputs."""
    progress: Callable[[int, int, float], None] | None = None
    """Called with (optimizer step, all steps, loss) after each step."""
    say: Callable[[str], None] | None = None
    """Called with each early warning."""
    report_to: tuple[str, ...] = ()
    """Trackers that get losses and metrics; none unless asked, since they may send them away."""
    budget: Budget | None = None
    """How long a prompt may be; None leaves every prompt whole."""
    gradient_checkpointing: str = "auto"
    """Recompute activations: `auto` does where they would not fit; `always`, `never`."""
    control: bool = False
    """True for the control arm: supervised training on the chosen sides of pairs."""
    images: Gallery | Path | None = None
    """Where the images are that prompts name, perhaps with how large they are seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a stage left behind."""

    adapter: Path
    """The adapter folder; with `steps == 0` the adapter that was given, unchanged."""
    steps: int
    """Optimizer steps, those before a resume included."""
    rows: int
    """Rows that were trained on."""
    set_aside: tuple[SetAside, ...]
    log: tuple[dict[str, Any], ...]
    """One dict per logged step, as the trainer reports it, and one `note` per notable event."""
    sha256: str
    """Of the adapter's weights file; empty where there is none."""
    stopped: str = ""
    """Why training ended before its last step; empty where it did not."""
    focus: Mapping[str, Any] = field(default_factory=dict)
    """Of DPO: which tokens counted, and in how many pairs their place was known (`Focus.facts`)."""


Counts = tuple[tuple[float, ...], tuple[float, ...]]
"""Of the chosen and of the rejected side; a number for each token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """One row in token ids; a training sequence is `prompt + chosen` or `prompt + rejected`."""

    id: str
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    """Completion with its end-of-turn."""
    rejected: tuple[int, ...] | None = None
    """Completion; with its end-of-turn unless the row says `cut`."""
    label: bool = True
    """False where `chosen` is to be unlearned."""
    counts: Counts | None = None
    """What each token counts in the preference, where that depends on more than the ids."""

    @property
    def length(self) -> int:
        """Tokens of the longer sequence."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected or ()))


class Template(Protocol):
    """The part of `models.Template` that rows need."""

    def encode(
        self, messages: Sequence[Message], context: Context, *, answer: Message, end: bool = True
    ) -> Encoded:
        """Prompt and answer as token ids, or why they make no training row."""

    def prompt_ids(self, messages: Sequence[Message], context: Context) -> list[int]:
        """Token ids of a prompt, up to where the answer begins."""


def tokenise(
    rows: Sequence[Row],
    template: Template,
    *,
    max_length: int,
    pairs: bool,
    limit: int = 0,
    budget: Budget | None = None,
    window: int = sys.maxsize,
) -> tuple[list[Ids], list[SetAside]]:
    """Token ids of the rows that can be trained on, in their order, and the others with reasons.

    Reasons: `template` (the chat template does not render prompt and answer as prompt + answer),
    `image` (an image of the prompt cannot be shown to the model),
    `too-long` (longer than `max_length` tokens or the model's `window`, prompt and answer together,
    or a prompt that no `budget` makes short enough), `lost-value` (the accepted answer names what
    stands only in turns that were left out to fit the budget: it would teach to make values up),
    `same-sides` (equal after the template), `no-rejected`, `copy` (the same tokens as an earlier
    row), `over-limit`
    (with a `limit` above 0: that many rows are kept already).
    """
    kept: list[Ids] = []
    aside: list[SetAside] = []
    seen: set[str] = set()
    for row in rows:
        if limit > 0 and len(kept) == limit:
            said = f"not drawn: at most {limit} of {len(rows)} rows are trained on"
            aside.append(set_aside(row, "over-limit", said))
            continue
        ids = _fitting(row, template, pairs, budget)
        fault = ids if not isinstance(ids, Ids) else _fault(ids, max_length, window, seen)
        if isinstance(ids, Ids) and fault is None:
            seen.add(row_key(ids))
            kept.append(ids)
        elif fault is not None:
            aside.append(set_aside(row, *fault))
    return kept, aside


def usable(
    rows: Sequence[Row],
    template: Template,
    *,
    config: SftConfig | DpoConfig | KtoConfig,
    run: TrainSettings,
) -> tuple[int, Counter[str]]:
    """How many rows a stage would train on, and how many it would set aside, by reason.

    Rows that a limit leaves undrawn are neither. KTO uses none where all have one label.
    """
    kept, aside = tokenise(
        evenly(rows, seed=run.seed),
        template,
        max_length=config.max_length,
        pairs=isinstance(config, DpoConfig),
        limit=config.max_pairs if isinstance(config, DpoConfig) else config.max_rows,
        budget=run.budget,
    )
    counts = Counter(each.reason for each in aside if each.reason != "over-limit")
    lone = isinstance(config, KtoConfig) and len({row.label for row in kept}) < 2
    return 0 if lone else len(kept), counts


def _fitting(
    row: Row, template: Template, pairs: bool, budget: Budget | None
) -> Ids | tuple[str, str]:
    """The row in token ids, its prompt shortened where it is over the budget."""
    ids = _ids(row, template, pairs)
    if not isinstance(ids, Ids) or budget is None or len(ids.prompt) <= budget.max_prompt:
        return ids
    kept = fitted(template, row.prompt, row.context, budget=budget)
    if kept is None:
        said = f"a prompt of {len(ids.prompt)} tokens, of which at most {budget.max_prompt} fit"
        return "too-long", said
    value = lost(row.chosen, row.prompt, kept) if row.label else None
    if value is not None:
        return "lost-value", "the answer names a value that only turns left out to fit hold"
    return _ids(replace(row, prompt=kept), template, pairs)


def _ids(row: Row, template: Template, pairs: bool) -> Ids | tuple[str, str]:
    whole = row.label or not row.cut
    chosen = template.encode(row.prompt, row.context, answer=row.chosen, end=whole)
    if chosen.refused is not None:
        return chosen.reason, f"{'accepted' if row.label else 'failed'} answer: {chosen.refused}"
    if not pairs:
        prompt, answer = chosen.prompt_ids, chosen.answer_ids
        return Ids(id=row.id, prompt=prompt, chosen=answer, label=row.label)
    if row.rejected is None:
        return "no-rejected", "preference training needs a rejected answer"
    rejected = template.encode(row.prompt, row.context, answer=row.rejected, end=not row.cut)
    if rejected.refused is not None:
        return rejected.reason, f"rejected answer: {rejected.refused}"
    return Ids(
        id=row.id,
        prompt=chosen.prompt_ids,
        chosen=chosen.answer_ids,
        rejected=rejected.answer_ids,
    )


def _fault(ids: Ids, max_length: int, window: int, seen: set[str]) -> tuple[str, str] | None:
    if ids.chosen == ids.rejected:
        return "same-sides", "both answers are the same tokens after the chat template"
    if ids.length > max_length:
        return "too-long", f"{ids.length} tokens, at most {max_length} (max_length) are trained on"
    if ids.length > window:
        return "too-long", f"{ids.length} tokens, the model reads at most {window}"
    return ("copy", "the same tokens as an earlier row") if row_key(ids) in seen else None


def set_aside(row: Row, reason: str, said: str) -> SetAside:
    """A row that is not trained on, traced to where its accepted answer stood in the logs."""
    origins = row.chosen.origins
    origin = origins[0] if origins else Origin(file="", format="row", row=row.id)
    return SetAside(origin=origin, reason=reason, said=f"row {row.id}: {said}", room="train")


def evenly(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """The rows in an order of which every beginning is spread evenly over the families.

    Every family gives its first row before any gives its second; which row of a family is its
    first, and which family comes first, is drawn with `seed`.
    """
    dice = random.Random(f"evenly/{seed}")
    turns: dict[str, int] = defaultdict(int)
    ranked: list[tuple[int, int, Row]] = []
    for place, row in enumerate(dice.sample(list(rows), len(rows))):
        family = row.family or row.id
        ranked.append((turns[family], place, row))
        turns[family] += 1
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])]


def plan(
    count: int, *, batch: int, accumulate: int, epochs: float, max_steps: int
) -> tuple[int, int]:
    """(optimizer steps, micro-batches) over `count` rows, in `batches` or in `mixed_batches`.

    `max_steps` where it is positive (rows come again as often as needed), else by `epochs`.
    """
    if max_steps > 0:
        return max_steps, max_steps * accumulate
    micro = math.ceil(epochs * math.ceil(count / batch))
    return math.ceil(micro / accumulate), micro


def batches(rows: Sequence[Ids], *, batch: int, count: int, seed: int) -> list[list[int]]:
    """Indices into `rows` for `count` micro-batches of at most `batch` rows.

    Every epoch has each row once. Rows of one session or prompt stand together and rows of a batch
    are alike in their first tokens and in length, so that much is read once and little is padded;
    the batches of an epoch are about as large as each other and come in random order. The same
    arguments give the same batches.
    """
    dice = random.Random(f"batches/{seed}")
    units = _sessions(rows)
    crowds = Counter(row.prompt[:_TRUNK] for row in rows)
    out: list[list[int]] = []

    def place(unit: list[int]) -> tuple[tuple[int, ...], int]:
        trunk = rows[unit[0]].prompt[:_TRUNK]
        return trunk if crowds[trunk] >= batch else (), max(rows[at].length for at in unit) // 16

    while rows and len(out) < count:
        epoch = sorted(dice.sample(units, len(units)), key=place)
        groups = _evened(epoch, batch)
        dice.shuffle(groups)
        out.extend(groups)
    return out[:count]


def mixed_batches(rows: Sequence[Ids], *, batch: int, count: int, seed: int) -> list[list[int]]:
    """Indices into labelled `rows` for `count` micro-batches of at most `batch` rows.

    Every epoch has each row once. Both labels are spread evenly over it, so that a batch holds
    them in much the proportion of the whole; rows of one prompt stand together. The batches of an
    epoch are about as large as each other: one row alone would have no partner for the KL term.
    """
    dice = random.Random(f"mixed/{seed}")
    prompts: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        prompts[row.prompt].append(at)
    kinds: dict[frozenset[bool], list[list[int]]] = defaultdict(list)
    for unit in prompts.values():
        kinds[frozenset(rows[at].label for at in unit)].append(unit)
    out: list[list[int]] = []
    while rows and len(out) < count:
        spread = [
            ((place + dice.random()) / len(units), unit)
            for _, units in sorted(kinds.items(), key=lambda kind: sorted(kind[0]))
            for place, unit in enumerate(dice.sample(units, len(units)))
        ]
        out.extend(_evened([unit for _, unit in sorted(spread)], batch))
    return out[:count]


def _evened(units: Sequence[Sequence[int]], batch: int) -> list[list[int]]:
    """The rows in as few groups of at most `batch` as there can be, all about as large.

    A short last group would hold the longest rows, whatever the seed, and give each of them the
    weight of several. Groups end where a unit does where that moves the end by a quarter of
    `batch` at most.
    """
    order = [at for unit in units for at in unit]
    whole = set(itertools.accumulate(map(len, units)))
    count = math.ceil(len(order) / batch)
    ends = [0]
    for left in range(count - 1, -1, -1):
        start = ends[-1]
        even = start + (len(order) - start) / (left + 1)
        low, high = max(start + 1, len(order) - left * batch), min(start + batch, len(order) - left)
        near = range(math.ceil(even - batch / 4), math.floor(even + batch / 4) + 1)
        fit = [at for at in near if at in whole and low <= at <= high] or [
            min(max(round(even), low), high)
        ]
        ends.append(min(fit, key=lambda at: abs(at - even)))
    return [order[a:b] for a, b in itertools.pairwise(ends)]


_TRUNK = 64
"""First tokens by which prompts are taken to have the same instructions and tools."""


def _sessions(rows: Sequence[Ids]) -> list[list[int]]:
    """Row indices by session: prompts that go on from the first prompt of the group."""
    out: list[list[int]] = []
    for at in sorted(range(len(rows)), key=lambda at: rows[at].prompt):
        first = rows[out[-1][0]].prompt if out else None
        if first is not None and rows[at].prompt[: len(first)] == first:
            out[-1].append(at)
        else:
            out.append([at])
    return out


def digest(parts: Iterable[object]) -> str:
    """SHA-256 over the `repr` of plain values, in their order: the key of a stage's inputs."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(repr(part).encode("utf-8", "surrogatepass"))
        sha.update(b"\x00")
    return sha.hexdigest()


def row_key(ids: Ids) -> str:
    """Content id of one tokenised row."""
    unwanted = () if ids.label else ("unwanted",)
    counts = () if ids.counts is None else (repr(ids.counts),)
    return content_id(repr(ids.prompt), repr(ids.chosen), repr(ids.rejected), *unwanted, *counts)
