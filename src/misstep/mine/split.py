"""Families, and the parts they go to: train, dev, heldout.

In: sessions. Out: a `Split` that gives each session its family and its part; no family is in two
parts. Nothing is read but the sessions themselves.

The family rule:

1. A session and its parent (fork, rewind, sub-agent) are of one family, whatever else holds.
2. A session whose log names a `family` is of that family; its task text unites it with nothing.
3. Sessions with the same task text are of one family. The task text is what the user said before
   the first answer (text and image names), Unicode-normalised, casefolded, white space collapsed.
4. A task text of fewer than 32 characters ("hi", "continue") names no task once it is shared by
   more sessions than a cap, the larger of 20 and 5 % of all sessions. Then the user's next turn
   is added to the text; where even that is shared by too many, each session stands alone. A
   longer text is never divided: that would put one task on both sides.

What rule 4 may still leave on both sides, a prompt equal to a held-out one, the gate refuses.

The part of a family is a threshold on a hash of its id and the seed, so a family keeps its part
when logs are added. Where that gives an empty held-out or train part although there are two
families, the family nearest to the threshold moves; a single family is all train. With
`split: time` the families with the latest last message are held out, those just before are dev;
a family is one, so all of it goes where its last message is; families without a time are train.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from misstep.config import MineConfig
from misstep.errors import ConfigError
from misstep.types import Message, Session, content_id

PARTS = ("train", "dev", "heldout")
SHORT = 32
"""A task text of fewer characters may be a greeting rather than a task."""
_CAP, _CAP_SHARE = 20, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where each session belongs, both keyed by session id."""

    part: Mapping[str, str]
    family: Mapping[str, str]

    def counts(self) -> dict[str, int]:
        """Families per part."""
        parts = {family: self.part[name] for name, family in self.family.items()}
        return {part: sum(p == part for p in parts.values()) for part in PARTS}

    def largest(self) -> float:
        """Share of the sessions in the largest family, in [0, 1]."""
        sizes: dict[str, int] = defaultdict(int)
        for family in self.family.values():
            sizes[family] += 1
        return max(sizes.values(), default=0) / max(len(self.family), 1)


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What the split needs of one session."""

    id: str
    parent: str | None
    hint: bool
    """Whether the log names the family."""
    key: str
    """Content id of what unites it with others: hint, task text, or its own id."""
    size: int
    """Characters of the task text."""
    longer: str
    """Content id of the task text of two turns; empty where one turn says enough."""
    longer_size: int
    time: float | None
    """The last message's."""


def head_of(session: Session) -> Head:
    """The head of one session."""
    text = "" if session.family else task_text(session)
    longer = task_text(session, turns=2) if 0 < len(text) < SHORT else ""
    times = [message.time for message in session.messages if message.time is not None]
    return Head(
        id=session.id,
        parent=session.parent,
        hint=bool(session.family),
        key=content_id(_spelled(session, 1)),
        size=len(text),
        longer=content_id(f"task:{longer}") if longer else "",
        longer_size=len(longer),
        time=max(times, default=None),
    )


def split(
    sessions: Mapping[str, Session],
    config: MineConfig,
    seed: int,
    heads: Iterable[Head] | None = None,
) -> Split:
    """Families and parts of the sessions, which are keyed by id.

    Args:
        heads: what `head_of` gives for each of them, where that is known already.

    Raises:
        ConfigError: the shares leave nothing to train on, or `split: time` without any time.
    """
    if min(config.heldout, config.dev) < 0 or config.heldout + config.dev >= 1:
        raise ConfigError(
            f"mine.heldout {config.heldout} and mine.dev {config.dev}: expected shares that are "
            f"not negative and leave something to train on; lower one of them"
        )
    given = list(map(head_of, sessions.values()) if heads is None else heads)
    family = _families(given, sessions)
    by_time = config.split == "time"
    parts = _by_time(given, family, config) if by_time else _by_hash(family, config, seed)
    return Split(part={name: parts[family[name]] for name in family}, family=family)


def normalised(text: str) -> str:
    """The text as tasks are compared: NFKC, casefolded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def task_text(session: Session, turns: int = 1) -> str:
    """What the user said before the first answer; with `turns` 2, before the next one too.

    A turn is a run of user messages; of an image its name or hash counts.
    """
    texts: list[str] = []
    seen, speaking = 0, False
    for message in session.messages:
        if message.role == "user":
            seen += not speaking
            if seen > turns:
                break
            texts.append(user_text(message))
        speaking = message.role == "user"
    return "\n".join(text for text in texts if text)


def user_text(message: Message) -> str:
    """Normalised texts and image names of one message."""
    said = " ".join(p.text or "" for p in message.parts if p.kind in ("text", "image"))
    return normalised(said)


def families(sessions: Sequence[Session]) -> dict[str, str]:
    """Family id of each session id; equal for the same sessions in any order."""
    return _families(list(map(head_of, sessions)), {each.id: each for each in sessions})


def _families(heads: Sequence[Head], sessions: Mapping[str, Session]) -> dict[str, str]:
    keys = dict(_keys(heads))
    union = _Union()
    for head in heads:
        union.join(f"session:{head.id}", keys[head.id][0])
        if head.parent is not None:
            union.join(f"session:{head.id}", f"session:{head.parent}")
    # Named after the keys of its roots, so that a new sub-agent does not rename its family.
    roots: dict[int, dict[str, str]] = defaultdict(dict)
    others: dict[int, dict[str, str]] = defaultdict(dict)
    for head in heads:
        names = others if head.parent in keys else roots
        names[union.find(f"session:{head.id}")].setdefault(keys[head.id][0], head.id)
    ids = {root: _name(found, keys, sessions) for root, found in (others | roots).items()}
    return {head.id: ids[union.find(f"session:{head.id}")] for head in heads}


def _name(
    found: Mapping[str, str], keys: Mapping[str, tuple[str, int]], sessions: Mapping[str, Session]
) -> str:
    """The content id of the first key in the alphabet; `found` gives a session to each key."""
    if len(found) == 1:
        return next(iter(found))
    return content_id(min(_spelled(sessions[name], keys[name][1]) for name in found.values()))


def _spelled(session: Session, turns: int) -> str:
    """What unites a session with others, in full; `turns` 0: nothing does."""
    if session.family:
        return f"hint:{session.family}"
    text = task_text(session, turns) if turns else ""
    return f"task:{text}" if text else f"alone:{session.id}"


def _keys(heads: Sequence[Head]) -> Iterator[tuple[str, tuple[str, int]]]:
    """Session id, and the content id of its key with the turns that it is made of."""
    cap = max(_CAP, math.floor(_CAP_SHARE * len(heads)))
    tasks: dict[str, list[Head]] = defaultdict(list)
    for head in heads:
        tasks[head.key].append(head)
    for key, group in tasks.items():
        if group[0].hint or len(group) <= cap or group[0].size >= SHORT:
            yield from ((head.id, (key, 1)) for head in group)
        else:
            yield from _refined(group, cap)


def _refined(group: Sequence[Head], cap: int) -> Iterator[tuple[str, tuple[str, int]]]:
    """Keys of sessions whose first turn says too little."""
    longer: dict[str, list[Head]] = defaultdict(list)
    for head in group:
        longer[head.longer].append(head)
    for key, heads in longer.items():
        shared = len(heads) <= cap or heads[0].longer_size >= 2 * SHORT
        for head in heads:
            alone = content_id(f"alone:{head.id}")
            yield head.id, (key, 2) if shared else (alone, 0)


class _Union:
    """Disjoint sets over names (union-find with path halving)."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._above: list[int] = []

    def find(self, name: str) -> int:
        at = self._numbers.setdefault(name, len(self._above))
        above = self._above
        if at == len(above):
            above.append(at)
        while above[at] != at:
            above[at] = above[above[at]]
            at = above[at]
        return at

    def join(self, left: str, right: str) -> None:
        self._above[self.find(left)] = self.find(right)


def _by_hash(family: Mapping[str, str], config: MineConfig, seed: int) -> dict[str, str]:
    at = {name: _place(name, seed) for name in sorted(set(family.values()))}
    parts = {
        name: "heldout" if x < config.heldout else "dev" if x < config.heldout + config.dev else ""
        for name, x in at.items()
    }
    parts = {name: part or "train" for name, part in parts.items()}
    order = sorted(at, key=lambda name: (at[name], name))
    if len(order) == 1:
        return {order[0]: "train"}
    if order and "train" not in parts.values():
        parts[order[-1]] = "train"
    if order and config.heldout > 0 and "heldout" not in parts.values():
        parts[order[0]] = "heldout"
    return parts


def _place(family: str, seed: int) -> float:
    """A number in [0, 1) that depends on the family and the seed alone."""
    return int(content_id(family, str(seed)), 16) / 2**64


def _by_time(
    heads: Sequence[Head], family: Mapping[str, str], config: MineConfig
) -> dict[str, str]:
    last: dict[str, float] = {}
    for head in heads:
        if head.time is not None:
            name = family[head.id]
            last[name] = max(head.time, last.get(name, -math.inf))
    if heads and not last:
        raise ConfigError(
            f"mine.split 'time' needs messages with a time, and none of the {len(heads)} "
            f"sessions has one; use 'family'"
        )
    order = sorted(last, key=lambda name: (last[name], name), reverse=True)
    held = min(_share(config.heldout, len(order)), len(order) - 1)
    dev = min(_share(config.dev, len(order)), max(len(order) - 1 - held, 0))
    parts = dict.fromkeys(family.values(), "train")
    parts |= dict.fromkeys(order[:held], "heldout")
    return parts | dict.fromkeys(order[held : held + dev], "dev")


def _share(share: float, total: int) -> int:
    """The share as a number of families; at least one where the share is at least half a one."""
    return math.floor(share * total + 0.5)
