"""Mining: from judged sessions to preference pairs, with a reason for everything left out.

In: a corpus, a split, settings of the miner and of the validators, and what the user or a model
adds (references, sampled answers). Out: `Mined`. What comes in is what goes out: every failed step
outside the held-out part is the rejected side of a pair or an `Unpaired` row, and every candidate
is a pair or a `Refused`. The result does not depend on the order of the sessions. No model is
loaded, no file is read or written, and nothing of a held-out family is paired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from misstep import validate
from misstep.config import MineConfig
from misstep.errors import UnknownName
from misstep.mine.desk import Desk
from misstep.mine.door import CRASHED, Door
from misstep.mine.find import Finder, Found, Here, Load
from misstep.mine.human import HUMAN
from misstep.mine.index import index_of
from misstep.mine.loose import Unpaired, unasked
from misstep.mine.order import in_order
from misstep.mine.recovery import RECOVERY
from misstep.mine.reference import REFERENCE, Reference
from misstep.mine.repair import REPAIR
from misstep.mine.resample import OWN, RESAMPLE
from misstep.mine.retry import RETRY
from misstep.mine.reviewed import words_on
from misstep.mine.sibling import SIBLING
from misstep.mine.source import Corpus, Source, Template, canonical
from misstep.mine.split import Split
from misstep.models.budget import Budget
from misstep.types import Message, Pair, Prompt, Refused

SOURCES: tuple[Source, ...] = (
    RESAMPLE,
    HUMAN,
    SIBLING,
    REFERENCE,
    RETRY,
    RECOVERY,
    REPAIR,
)
"""Every way to find something better. A new one is one file and one entry here.

The order is the order in which pairs enter: first those whose two sides were written to the very
prompt, last those whose chosen side was written with the failure in view. A `fallback` source is
asked when all others are through, about the failures that are left.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """What mining gave."""

    pairs: tuple[Pair, ...]
    refused: tuple[Refused, ...]
    unpaired: tuple[Unpaired, ...]
    counts: Mapping[str, Any]
    """`failed_steps pairs refused sources codes unpaired` and more; see `_counts`."""
    homes: Mapping[str, str | None]
    """By pair id the session that the chosen side comes from; None where it stands in no log."""


def mine(
    corpus: Corpus,
    *,
    split: Split,
    config: MineConfig,
    settings: validate.Settings,
    references: Sequence[Reference] = (),
    answers: Mapping[Prompt, Sequence[Message]] | None = None,
    template: Template | None = None,
    budget: Budget | None = None,
) -> Mined:
    """Pairs of the train and dev families.

    Args:
        answers: what the model under training answers to logged prompts (see `resample_prompts`).
        template: the chat template of that model, if known: sides must differ after it.
        budget: with a template, the tokens that prompt and sides must fit into.

    Raises:
        UnknownName: `config.sources` names a source that does not exist.
    """
    desk = Desk(
        corpus=corpus if corpus.index is not None else replace(corpus, index=index_of(corpus)),
        split=split,
        config=config,
        settings=settings,
        references=tuple(references),
        answers=answers or {},
        template=template,
        budget=budget,
    )
    return paired(desk)


def paired(desk: Desk, finder: Finder = Here) -> Mined:
    """Pairs of everything on a desk.

    Args:
        finder: who asks the sources; the result does not depend on it.

    Raises:
        UnknownName: `config.sources` names a source that does not exist.
    """
    config = desk.config
    door = Door(config)
    sources = chosen_sources(config)
    found = finder(desk, [s for s in sources if not s.fallback])
    door.enter(in_order(found.first(), config.hard_negatives))
    for source in (s for s in sources if s.fallback):
        done = door.paired | door.reviewed_out
        left = [prompt for prompt in desk.failed() if desk.logged_id(prompt) not in done]
        door.enter(in_order(found.last(source, left), config.hard_negatives))
    door.refused.extend(found.lost())
    unpaired = tuple(_unpaired(desk, found, door.paired | door.reviewed_out))
    return Mined(
        pairs=tuple(sorted(door.pairs, key=lambda p: p.id)),
        refused=tuple(sorted(door.refused, key=_refused_order)),
        unpaired=unpaired,
        counts=_counts(desk, door, unpaired),
        homes=door.homes,
    )


def chosen_sources(config: MineConfig) -> tuple[Source, ...]:
    """The sources that the settings name, in the order of `SOURCES`."""
    known = {source.name: source for source in SOURCES}
    for name in config.sources:
        if name not in known:
            raise UnknownName("chosen-source", name, known)
    return tuple(source for source in SOURCES if source.name in config.sources)


def _refused_order(refused: Refused) -> tuple[str, int, str, str, str]:
    prompt = refused.prompt
    return prompt.session, prompt.step, refused.source, refused.reason, refused.said


def _unpaired(desk: Desk, found: Found, paired: set[str]) -> Iterator[Unpaired]:
    """Failures that are no rejected side, each content once: of the log, then the model's own."""
    seen = set(paired)
    lost = {each.prompt for each in found.lost()}
    waiting: Iterator[tuple[str, Load]] = (
        (desk.logged_id(prompt), partial(found.logged, prompt))
        for prompt in desk.failed()
        if prompt not in lost
    )
    if RESAMPLE in chosen_sources(desk.config):
        waiting = chain(waiting, found.sampled())
    for name, load in waiting:
        loose = load() if name not in seen else None
        if loose is not None:
            seen.add(name)
            yield loose


def _counts(desk: Desk, door: Door, unpaired: Sequence[Unpaired]) -> dict[str, Any]:
    """The figures of `misstep mine --json`, and what makes them add up.

    `failed_steps` = `heldout_failed` + `paired_failures` + `unpaired_failures` +
    `repeated_failures` (an equal answer to an equal prompt) + `left_out` (the prompt holds
    held-out text, is empty, or lacks its image; an equal answer to an equal prompt passed) +
    `unasked_failures`, where `mine.rejected` leaves any out + `crashed_failures`, where there are
    any (mining its session ended a process, time and again). `candidates` = `pairs` + the sum of
    `refused`.
    """
    pairs, refused = door.pairs, door.refused
    failed = desk.failed()
    ids = {prompt: desk.logged_id(prompt) for prompt in failed}
    loose = {row.id for row in unpaired if row.source == "log"}
    first = {key: prompt for prompt, key in reversed(list(ids.items()))}
    once = [prompt for prompt, key in ids.items() if first[key] == prompt]
    paired = [prompt for prompt in once if ids[prompt] in door.paired]
    lost = {each.prompt for each in refused if each.reason == CRASHED}
    ends = door.paired | loose
    crashed = [prompt for prompt in once if prompt in lost and ids[prompt] not in ends]
    away = {*ends, *(ids[prompt] for prompt in crashed)}
    others = sum(ids[prompt] not in away and unasked(desk, prompt) for prompt in once)
    return {
        "failed_steps": len(desk.corpus.failed()),
        "heldout_failed": len(desk.corpus.failed()) - len(failed),
        "paired_failures": len(paired),
        "unpaired_failures": len(loose),
        "repeated_failures": len(failed) - len(once),
        **({"unasked_failures": others} if others else {}),
        **({"crashed_failures": len(crashed)} if lost else {}),
        "left_out": len(once) - len(paired) - len(loose) - others - len(crashed),
        "candidates": len(pairs) + len(refused),
        "pairs": len(pairs),
        "parts": _tally(desk.part(pair.prompt) for pair in pairs),
        "refused": _tally(each.reason for each in refused),
        "sources": _tally(pair.source for pair in pairs),
        "codes": _tally(code for pair in pairs for code in pair.codes),
        "reviewed": _tally(words_on(desk.corpus.decisions, pairs, refused)),
        "own_pairs": sum(pair.source in OWN for pair in pairs),
        "unpaired": len(unpaired),
        "families": desk.split.counts(),
        "length_ratio": _length_ratios(pairs),
    }


def _tally(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _length_ratios(pairs: Sequence[Pair]) -> dict[str, float]:
    """Characters of all chosen over all rejected sides, per source: far from 1 teaches length."""
    sizes: dict[str, tuple[int, int]] = {}
    for pair in pairs:
        chosen, rejected = sizes.get(pair.source, (0, 0))
        size = (chosen + len(canonical(pair.chosen)), rejected + len(canonical(pair.rejected)))
        sizes[pair.source] = size
    return {name: round(c / max(r, 1), 3) for name, (c, r) in sorted(sizes.items())}
