"""Lint: preference data of any origin held against the rules of the gate.

In: rows as `foreign` reads them, and what is known to be held out. Out: `Linted`: what is wrong
with each row, what could not be judged from the row alone, and what the set as a whole gives away.
A row knows no session: rules that ask the log are not asked, and `NOT_ASKED` says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from misstep import validate
from misstep.chat import prompt_keys
from misstep.config import MineConfig
from misstep.mine.desk import Desk
from misstep.mine.draft import draft
from misstep.mine.foreign import Loose
from misstep.mine.gate import RULES
from misstep.mine.near import Near, Texts, texts_of_pair
from misstep.mine.source import Candidate, Template, answer_id, canonical, gather
from misstep.mine.split import SHORT, Split, user_text
from misstep.mine.tells import Sides, Tell, tells
from misstep.models.budget import Budget
from misstep.types import Message, Prompt, Session, content_id

NOT_ASKED = {
    "HELDOUT_PROMPT": "asked as LEAK, of --heldout",
    "AMBIGUOUS": "asked as CONTRADICTION, among the rows",
    "DIFFERENT_TOOL": "which answers were accepted stands in the log alone",
    "LEARNED_LATER": "what followed the failure stands in the log alone",
    "FAILED_TASK": "how the session ended stands in the log alone",
    "FAMILY_SPLIT": "asked of the rows' own families",
    "LOOP_UNASKED": "which failures are wanted is a setting of mining",
    "FAILURE_UNASKED": "which failures are wanted is a setting of mining",
    "SCORE_MARGIN": "which answers were accepted stands in the log alone",
}
"""Rules of the gate that a row cannot answer, and why."""
UNSURE = ("UNFIT_PROMPT", "REJECTED_CLEAN", "UNJUDGED", "NO_MARGIN")
"""Rules whose objection says that misstep cannot tell, not that the row is wrong."""
_JUDGED = ("CHOSEN_FAILS", "UNJUDGED", "KEEPS_FAULT", "NO_MARGIN")
_ECHOES = {
    "SAME_SIDES": (*_JUDGED, "REJECTED_CLEAN", "DISAGREES"),
    "REJECTED_CLEAN": ("UNJUDGED", "NO_MARGIN"),
    "CHOSEN_LOOP": _JUDGED,
    "CHOSEN_FAILS": _JUDGED,
}
"""Rules that would say once more what an objection has said."""
SHAPES = {
    "NOT_A_PAIR": "the row is no preference pair",
    "UNPAIRED": "a side is missing",
    "SEVERAL_MESSAGES": "a side has more than one message: results would be trained on",
    "PROMPT_ENDS": "the prompt ends with an answer",
    "NO_TOOLS": "the chosen side calls a tool and the row offers none",
    "LABEL_MISSING": "an unpaired row without a label",
    "LABELS_DISAGREE": "an equal answer to an equal prompt has the other label",
    "DUPLICATE": "the same prompt and sides stand in another row",
    "NEAR_DUPLICATE": "prompt and sides are all but those of another row",
    "CONTRADICTION": "an answer to an equal prompt is chosen in one row and rejected in another",
    "LEAK": "the prompt is held out",
    "FAMILY_SPLIT": "the family is held out, or stands in train and dev",
}
"""What lint alone finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heldout:
    """What must not be trained on."""

    hashes: frozenset[str] = frozenset()
    """Content hashes of prompts (`chat.prompt_keys` without the request)."""
    families: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    """Normalised user texts of `split.SHORT` characters or more."""
    prompts: tuple[tuple[Message, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What rows are held against."""

    config: MineConfig
    settings: validate.Settings
    heldout: Heldout | None = None
    template: Template | None = None
    budget: Budget | None = None
    images: Path | None = None
    """Folder of the images that prompts name, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One thing about one row."""

    code: str
    place: str
    said: str


@dataclass(slots=True, kw_only=True)
class Linted:
    """What lint says of a set."""

    rows: int = 0
    pairs: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    """Unpaired rows by label."""
    wrong: list[Objection] = field(default_factory=list)
    unsure: list[Objection] = field(default_factory=list)
    clean: int = 0
    """Rows about which nothing is wrong and nothing is unsure."""
    tells: tuple[Tell, ...] = ()
    lengths: tuple[tuple[int, int], ...] = ()
    """Characters of (chosen, rejected) of every pair."""


def lint(rows: Iterable[Loose], judging: Judging) -> Linted:
    """Hold every row against the gate, against the other rows, and against what is held out."""
    found = Linted()
    others = _Others(judging)
    sides: list[Sides] = []
    lengths: list[tuple[int, int]] = []
    for row in rows:
        found.rows += 1
        wrong = [*row.wrong, *others.objections(row)]
        unsure: list[tuple[str, str]] = []
        if row.label is not None:
            name = str(row.label).lower()
            found.labels[name] = found.labels.get(name, 0) + 1
        if row.chosen is not None and row.rejected is not None:
            found.pairs += 1
            for code, said in _gate(row, judging):
                (unsure if code in UNSURE else wrong).append((code, said))
            group = row.family or content_id(*map(canonical, row.prompt))
            sides.append(Sides(chosen=row.chosen, rejected=row.rejected, group=group))
            lengths.append((len(canonical(row.chosen)), len(canonical(row.rejected))))
        found.wrong += [Objection(code=c, place=row.place, said=s) for c, s in wrong]
        found.unsure += [Objection(code=c, place=row.place, said=s) for c, s in unsure]
        found.clean += not wrong and not unsure
    found.tells, found.lengths = tells(sides), tuple(lengths)
    return found


def session_of(row: Loose, answer: Message) -> Session:
    """The row as a conversation of which `answer` is the only judged step."""
    asked = tuple(
        replace(m, context=0) if m.role == "assistant" else m for m in (*row.prompt, answer)
    )
    return Session(
        id=content_id(row.place), format="pairs", messages=asked, contexts=(row.context,)
    )


def _gate(row: Loose, judging: Judging) -> Iterator[tuple[str, str]]:
    """What the gate's rules say, as far as a row can answer them."""
    if row.chosen is None or row.rejected is None:
        return
    session = session_of(row, row.rejected)
    prompt = Prompt(session=session.id, step=len(row.prompt))
    desk = Desk(
        corpus=replace(gather([session], []), images=judging.images),
        split=Split(part={session.id: "train"}, family={session.id: row.family}),
        config=judging.config,
        settings=judging.settings,
        template=judging.template,
        budget=judging.budget,
    )
    # who made the pair may have meant another tool, as a gold answer may; our own rows name theirs
    source = row.source or "reference"
    candidate = Candidate(prompt=prompt, chosen=row.chosen, rejected=row.rejected, source=source)
    d = draft(desk, candidate)
    spoken = set(NOT_ASKED)
    for rule in sorted(RULES, key=lambda rule: rule.code != "SAME_SIDES"):
        said = None if rule.code in spoken else rule.check(desk, d)
        if said is not None:
            yield rule.code, said
            spoken.update(_ECHOES.get(rule.code, ()))


class _Others:
    """What rows say of each other, and of what is held out."""

    def __init__(self, judging: Judging) -> None:
        self._held = judging.heldout or Heldout()
        self._near = Near(judging.config.near_duplicate)
        self._seen: dict[str, str] = {}
        self._sides: dict[str, tuple[bool, str]] = {}
        self._parts: dict[str, str] = {}
        self._prompts = Near(judging.config.near_duplicate)
        for at, prompt in enumerate(self._held.prompts):
            self._prompts.add(_prompt_texts(str(at), prompt))

    def objections(self, row: Loose) -> Iterator[tuple[str, str]]:
        """What the rows before, and the held-out part, say against this one."""
        yield from self._leaks(row)
        if row.chosen is None:
            return
        key = content_id(*(f"{m.role}\x1f{canonical(m)}" for m in row.prompt))
        if row.rejected is not None:
            yield from self._copies(row, key, row.chosen, row.rejected)
            judged = ((row.chosen, True), (row.rejected, False))
            yield from self._contradictions(key, judged, row, code="CONTRADICTION")
        elif row.label is not None:
            labelled = ((row.chosen, row.label),)
            yield from self._contradictions(key, labelled, row, code="LABELS_DISAGREE")

    def _copies(
        self, row: Loose, key: str, chosen: Message, rejected: Message
    ) -> Iterator[tuple[str, str]]:
        name = content_id(answer_id(key, chosen), answer_id(key, rejected))
        if name in self._seen:
            yield "DUPLICATE", f"the same prompt and sides as {self._seen[name]}"
            return
        texts = texts_of_pair(name, row.prompt, chosen, rejected)
        like = self._near.like(texts)
        if like is not None:
            yield "NEAR_DUPLICATE", f"prompt and sides are all but those of {self._seen[like]}"
        self._seen[name] = row.place
        self._near.add(texts)

    def _contradictions(
        self, key: str, judged: Sequence[tuple[Message, bool]], row: Loose, *, code: str
    ) -> Iterator[tuple[str, str]]:
        if len({answer_id(key, answer) for answer, _ in judged}) < len(judged):
            return  # a row that contradicts itself: SAME_SIDES
        for answer, good in judged:
            name = answer_id(key, answer)
            before = self._sides.setdefault(name, (good, row.place))
            if before[0] != good:
                yield code, f"{before[1]} says the opposite of an equal answer to an equal prompt"

    def _leaks(self, row: Loose) -> Iterator[tuple[str, str]]:
        if row.family:
            part = self._parts.setdefault(row.family, row.part)
            if row.family in self._held.families:
                yield "FAMILY_SPLIT", f"its family {row.family} is held out"
            elif part != row.part:
                yield "FAMILY_SPLIT", f"its family {row.family} stands in {part} and {row.part}"
        said = self._leak(row)
        if said is not None:
            yield "LEAK", said

    def _leak(self, row: Loose) -> str | None:
        held = self._held
        if held.hashes and row.chosen is not None:
            session = session_of(row, row.chosen)
            if prompt_keys(session, request=False)[len(row.prompt)] in held.hashes:
                return "the prompt equals a held-out one"
        users = [user_text(m) for m in row.prompt if m.role == "user"]
        if any(text in held.users for text in users if len(text) >= SHORT):
            return "a user asks in the prompt for what a held-out prompt asks for"
        if held.prompts and self._prompts.like(_prompt_texts("", row.prompt)) is not None:
            return "the prompt is all but a held-out one"
        return None


def _prompt_texts(name: str, prompt: Sequence[Message]) -> Texts:
    nothing = Message(role="assistant")
    return texts_of_pair(name, prompt, nothing, nothing)


def heldout_of(
    rows: Iterable[Loose], hashes: Collection[str] = (), families: Collection[str] = ()
) -> Heldout:
    """What is held out: prompts of rows, content hashes and families."""
    prompts = [row.prompt for row in rows if row.prompt]
    users = {user_text(m) for prompt in prompts for m in prompt if m.role == "user"}
    return Heldout(
        hashes=frozenset(hashes),
        families=frozenset(families),
        users=frozenset(text for text in users if len(text) >= SHORT),
        prompts=tuple(prompts),
    )


def counted(found: Iterable[Objection]) -> dict[str, list[Objection]]:
    """Objections by code, the commonest first."""
    by_code: dict[str, list[Objection]] = defaultdict(list)
    for each in found:
        by_code[each.code].append(each)
    return dict(sorted(by_code.items(), key=lambda item: (-len(item[1]), item[0])))
