"""Mining: from judged sessions to preference pairs, with a reason for everything left out.

In: a corpus, a split, settings of the miner and of the validators, and what the user or a model
adds (references, sampled answers). Out: `Mined`. What comes in is what goes out: every failed step
outside the held-out part is the rejected side of a pair or an `Unpaired` row, and every candidate
is a pair or a `Refused`. The result does not depend on the order of the sessions. No model is
loaded, no file is read or written, and nothing of a held-out family is paired.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from misstep import validate
from misstep.config import MineConfig
from misstep.errors import UnknownName
from misstep.mine import hard, watch
from misstep.mine.desk import Desk
from misstep.mine.door import Door
from misstep.mine.gate import Draft, draft, objection
from misstep.mine.human import HUMAN
from misstep.mine.recovery import RECOVERY
from misstep.mine.reference import REFERENCE, Reference
from misstep.mine.repair import REPAIR
from misstep.mine.resample import OWN, RESAMPLE, answered
from misstep.mine.retry import RETRY
from misstep.mine.reviewed import reviewed, words_on
from misstep.mine.sibling import SIBLING
from misstep.mine.source import Corpus, Source, Template, answer_id, canonical, origins_of
from misstep.mine.split import Split
from misstep.mine.trim import trim
from misstep.models.budget import Budget
from misstep.types import Finding, Message, Origin, Pair, Prompt, Refused, content_id

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
class Unpaired:
    """A failure without a partner: a KTO row with a False label."""

    id: str
    prompt: Prompt
    completion: Message
    source: str
    """`log`, or `resample` for an answer of the model under training."""
    codes: tuple[str, ...]
    edits: tuple[str, ...] = ()
    cut: bool = False
    """True where the completion carries no end-of-turn, because it never emitted one."""
    family: str = ""
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """What mining gave."""

    pairs: tuple[Pair, ...]
    refused: tuple[Refused, ...]
    unpaired: tuple[Unpaired, ...]
    counts: Mapping[str, Any]
    """`failed_steps pairs refused sources codes unpaired` and more; see `_counts`."""


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
        corpus=corpus,
        split=split,
        config=config,
        settings=settings,
        references=tuple(references),
        answers=answers or {},
        template=template,
        budget=budget,
    )
    door = Door(desk)
    sources = chosen_sources(config)
    door.enter(_in_order(desk, _drafts(desk, [s for s in sources if not s.fallback])))
    for source in (s for s in sources if s.fallback):
        done = door.paired | door.reviewed_out
        door.enter(_in_order(desk, _left(desk, _drafts(desk, [source]), done)))
    unpaired = tuple(_unpaired(desk, door.paired | door.reviewed_out))
    return Mined(
        pairs=tuple(sorted(door.pairs, key=lambda p: p.id)),
        refused=tuple(sorted(door.refused, key=_refused_order)),
        unpaired=unpaired,
        counts=_counts(desk, door, unpaired),
    )


def chosen_sources(config: MineConfig) -> tuple[Source, ...]:
    """The sources that the settings name, in the order of `SOURCES`."""
    known = {source.name: source for source in SOURCES}
    for name in config.sources:
        if name not in known:
            raise UnknownName("chosen-source", name, known)
    return tuple(source for source in SOURCES if source.name in config.sources)


def _drafts(desk: Desk, sources: Iterable[Source]) -> Iterator[tuple[int, Draft]]:
    for rank, source in enumerate(sources):
        for candidate in source.find(desk):
            yield rank, draft(desk, candidate)


def _left(
    desk: Desk, drafts: Iterable[tuple[int, Draft]], paired: set[str]
) -> Iterator[tuple[int, Draft]]:
    """Drafts whose rejected side is in no pair yet."""
    done = frozenset(paired)
    for rank, each in drafts:
        candidate = each.candidate
        if answer_id(desk.key(candidate.prompt), candidate.rejected) not in done:
            yield rank, each


def _in_order(
    desk: Desk, drafts: Iterable[tuple[int, Draft]]
) -> Iterator[tuple[Draft, tuple[str, str] | None]]:
    """Drafts in the order in which they enter: source, then one pair of each prompt at a time.

    Duplicates and shares depend on this order, so it is made of content alone.
    """
    turns: dict[tuple[int, str], list[tuple[str, Draft]]] = defaultdict(list)
    for rank, each in drafts:
        candidate = each.candidate
        key = desk.key(candidate.prompt)
        sides = content_id(answer_id(key, candidate.chosen), answer_id(key, candidate.rejected))
        turns[rank, key].append((sides, each))
    entries = [
        (rank, turn, sides, each)
        for (rank, _), group in turns.items()
        for turn, (sides, each) in enumerate(_by_turns(desk, group))
    ]
    ordered = sorted(entries, key=lambda e: (*e[:3], *_place(e[3])))
    for done, (_, _, _, each) in enumerate(ordered, start=1):
        watch.tell(done, len(ordered))
        yield reviewed(desk, each, objection(desk, each))


def _by_turns(desk: Desk, group: list[tuple[str, Draft]]) -> list[tuple[str, Draft]]:
    """Drafts of one prompt in the order in which they get their turn; hardest failures first."""
    if len(group) == 1:
        return group
    if group[0][1].candidate.source in OWN:
        return sorted(group, key=_entry_order) if _nearest(desk) else group

    def key(entry: tuple[str, Draft]) -> tuple[hard.Key, tuple[str, str, int]]:
        c, found = entry[1].candidate, entry[1].rejected_findings
        own = hard.key_of(desk, c.prompt, chosen=c.chosen, failed=c.rejected, defects=found)
        return own, _entry_order(entry)

    return sorted(group, key=key)


def _nearest(desk: Desk) -> bool:
    return desk.config.hard_negatives == "nearest"


def _entry_order(entry: tuple[str, Draft]) -> tuple[str, str, int]:
    return (entry[0], *_place(entry[1]))


def _place(each: Draft) -> tuple[str, int]:
    prompt = each.candidate.prompt
    return prompt.session, prompt.step


def _refused_order(refused: Refused) -> tuple[str, int, str, str, str]:
    prompt = refused.prompt
    return prompt.session, prompt.step, refused.source, refused.reason, refused.said


def _unpaired(desk: Desk, paired: set[str]) -> Iterator[Unpaired]:
    """Failures that are no rejected side, each content once."""
    seen = set(paired)
    for prompt, answer, source, defects in _failures(desk):
        key = answer_id(desk.key(prompt), answer)
        if key in seen or desk.holds_heldout(prompt) or desk.corpus.unfit(prompt):
            continue
        seen.add(key)
        trimmed = trim(answer, defects, periods=desk.config.trim_periods)
        yield Unpaired(
            id=key,
            prompt=prompt,
            completion=trimmed.answer,
            source=source,
            codes=tuple(sorted({f.code for f in defects})),
            edits=trimmed.edits,
            cut=trimmed.cut,
            family=desk.family(prompt),
            origins=origins_of(answer),
        )


_Failure = tuple[Prompt, Message, str, tuple[Finding, ...]]


def _failures(desk: Desk) -> Iterator[_Failure]:
    """Every failed answer outside the held-out part: of the log, then of the model's own."""
    for prompt in desk.failed():
        yield prompt, desk.corpus.answer(prompt), "log", desk.corpus.defects(prompt)
    if all(source is not RESAMPLE for source in chosen_sources(desk.config)):
        return
    for prompt in answered(desk):
        demand = desk.demands_call(prompt)
        for answer in sorted(desk.answers[prompt], key=canonical):
            findings, verdict = desk.judge(prompt, answer, demand_call=demand)
            if verdict.state == "fail":
                wrong = (f for f in findings if f.level == "defect" and f.cause == "model")
                yield prompt, answer, RESAMPLE.name, tuple(wrong)


def _counts(desk: Desk, door: Door, unpaired: Sequence[Unpaired]) -> dict[str, Any]:
    """The figures of `misstep mine --json`, and what makes them add up.

    `failed_steps` = `heldout_failed` + `paired_failures` + `unpaired_failures` +
    `repeated_failures` (an equal answer to an equal prompt) + `left_out` (the prompt holds
    held-out text, is empty, or lacks its image). `candidates` = `pairs` + the sum of `refused`.
    """
    pairs, refused = door.pairs, door.refused
    failed = desk.failed()
    ids = {prompt: answer_id(desk.key(prompt), desk.corpus.answer(prompt)) for prompt in failed}
    loose = {row.id for row in unpaired if row.source == "log"}
    first = {key: prompt for prompt, key in reversed(list(ids.items()))}
    once = [prompt for prompt, key in ids.items() if first[key] == prompt]
    paired = [prompt for prompt in once if ids[prompt] in door.paired]
    return {
        "failed_steps": len(desk.corpus.failed()),
        "heldout_failed": len(desk.corpus.failed()) - len(failed),
        "paired_failures": len(paired),
        "unpaired_failures": len(loose),
        "repeated_failures": len(failed) - len(once),
        "left_out": len(once) - len(paired) - len(loose),
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
