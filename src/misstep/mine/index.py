"""The index: every step of a corpus, by number, in a few dozen bytes each.

In: the facts of each session and its verdicts. Out: answers to what mining asks of all steps: which
have the same prompt, which failed, what stands for a prompt or an answer; so that only the sessions
that a pair is made of are ever opened. A step costs about 40 bytes, a session about 400.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

import msgspec
from msgspec.structs import replace

from misstep.mine.facts import Fact, StepFact, fact_of
from misstep.mine.source import Corpus, short_name
from misstep.mine.split import Head
from misstep.types import Prompt, Session, Verdict, content_id

_HEAD = msgspec.msgpack.Decoder(Head)
_NONE = 0


class Index:
    """All steps of a corpus; a row is a step's number."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._heads: list[bytes] = []
        self._starts = array("L", [0])
        self._tasks = array("Q")
        self._task_starts = array("L", [0])
        self._sessions = array("L")
        self._steps = array("L")
        self._keys = array("Q")
        self._bare = array("Q")
        self._answers = array("Q")
        self._verdicts = array("L")
        self._known: list[Verdict | None] = [None]
        self._numbered: dict[Verdict, int] = {}
        self.models: dict[str, int] = {}
        """Steps by the short name of the model that wrote them."""
        self.voiced: list[str] = []
        """Sessions in which a human's word may sign a pair."""

    @classmethod
    def of(cls, sessions: Iterable[Session], verdicts: Mapping[tuple[str, int], Verdict]) -> Index:
        """The index of sessions that are at hand."""
        index = cls()
        for session in sessions:
            found = (verdicts.get((session.id, step)) for step in session.steps)
            index.add(fact_of(session), [v for v in found if v is not None])
        return index

    def add(self, fact: Fact, verdicts: Iterable[Verdict]) -> None:
        """Take in one session."""
        self.put(fact, {verdict.step: self._number(verdict) for verdict in verdicts})

    @classmethod
    def listed(cls, known: Sequence[Verdict | None]) -> Index:
        """An empty index that knows what is said of steps, by number (`said`), for `put`."""
        index = cls()
        index._known = list(known)
        return index

    def put(self, fact: Fact, said: Mapping[int, int]) -> None:
        """Take in one session; `said` is of each step the number of what is said of it."""
        number = len(self._names)
        self._names.append(fact.head.id)
        self._numbers[fact.head.id] = number
        self._heads.append(msgspec.msgpack.encode(fact.head))
        for step in fact.steps:
            self._sessions.append(number)
            self._steps.append(step.step)
            self._keys.append(step.key)
            self._bare.append(step.bare)
            self._answers.append(step.answer)
            self._verdicts.append(said.get(step.step, _NONE))
        self._starts.append(len(self._steps))
        self._tasks.extend(fact.tasks)
        self._task_starts.append(len(self._tasks))
        if fact.voiced:
            self.voiced.append(fact.head.id)
        for name, count in fact.models.items():
            self.models[name] = self.models.get(name, 0) + count

    def fact(self, session: str) -> Fact:
        """What `add` was given of a session; the models that wrote it are not kept session by
        session."""
        at = self._numbers[session]
        steps = [
            StepFact(self._steps[row], self._keys[row], self._bare[row], self._answers[row])
            for row in self.rows(session)
        ]
        return Fact(
            head=_HEAD.decode(self._heads[at]),
            steps=steps,
            tasks=list(self.tasks(session)),
            models={},
            voiced=session in self._speaking,
        )

    @cached_property
    def _speaking(self) -> frozenset[str]:
        return frozenset(self.voiced)

    def _number(self, verdict: Verdict) -> int:
        """Verdicts that say the same of other steps are kept once."""
        same = replace(verdict, session="", step=0)
        number = self._numbered.setdefault(same, len(self._known))
        if number == len(self._known):
            self._known.append(same)
        return number

    def __len__(self) -> int:
        return len(self._steps)

    def share(self, names: Iterable[str]) -> float:
        """Share of the steps that one of these models wrote, in [0, 1] (`source.own_share`)."""
        own = sum(self.models.get(name, 0) for name in {short_name(name) for name in names})
        return own / len(self) if len(self) else 0.0

    @property
    def names(self) -> Sequence[str]:
        """Ids of the sessions, in their order."""
        return self._names

    def heads(self) -> Iterator[Head]:
        """What the split needs, session by session."""
        return map(_HEAD.decode, self._heads)

    def tasks(self, session: str) -> Sequence[int]:
        """`Fact.tasks` of the session."""
        at = self._numbers[session]
        return self._tasks[self._task_starts[at] : self._task_starts[at + 1]]

    def rows(self, session: str) -> range:
        """The rows of a session's steps."""
        at = self._numbers[session]
        return range(self._starts[at], self._starts[at + 1])

    def row(self, session: str, step: int) -> int:
        """The row of a step.

        Raises:
            KeyError: there is no such step.
        """
        rows = self.rows(session)
        at = bisect_left(self._steps, step, rows.start, rows.stop)
        if at == rows.stop or self._steps[at] != step:
            raise KeyError((session, step))
        return at

    def prompt(self, row: int) -> Prompt:
        """The step of a row."""
        return Prompt(session=self._names[self._sessions[row]], step=self._steps[row])

    def session(self, row: int) -> str:
        """The session of a row."""
        return self._names[self._sessions[row]]

    def key(self, row: int) -> str:
        """Content key of the step's prompt, as `chat.prompt_keys` gives it."""
        return f"{self._keys[row]:016x}"

    def bare(self, row: int) -> str:
        """The same without what the request offered."""
        return f"{self._bare[row]:016x}"

    def bare_keys(self, session: str) -> dict[int, str]:
        """`bare` of each step of a session."""
        return {self._steps[row]: self.bare(row) for row in self.rows(session)}

    def keys(self, session: str) -> Iterator[int]:
        """Content keys of the session's prompts; one without any message is nobody's equal."""
        return (self._keys[row] for row in self.rows(session) if self._steps[row])

    def alike(self, session: str, met: set[int]) -> Iterator[str]:
        """Sessions with a prompt that stands in this one too, by the prompts that are not yet met;
        a session may come more than once."""
        for key in self.keys(session):
            if key not in met:
                met.add(key)
                yield from map(self.session, self._with_key(key))

    def answer(self, row: int) -> str:
        """Content id of the step's answer to its prompt (`source.answer_id`)."""
        return f"{self._answers[row]:016x}"

    def verdict(self, row: int) -> Verdict | None:
        """What was said of the step; None where nobody looked."""
        known = self._known[self._verdicts[row]]
        prompt = self.prompt(row)
        return known and replace(known, session=prompt.session, step=prompt.step)

    def said(self, row: int) -> Verdict | None:
        """The same, without its place: one value for all steps of which it is said."""
        return self._known[self._verdicts[row]]

    def in_state(self, state: str) -> Iterator[int]:
        """Rows of the steps with this verdict."""
        wanted = {at for at, v in enumerate(self._known) if v is not None and v.state == state}
        return (row for row, at in enumerate(self._verdicts) if at in wanted)

    def same_prompt(self, key: str) -> list[int]:
        """Rows of the steps with this content key, ordered by session and step."""
        rows = self._with_key(int(key, 16))
        return sorted(rows, key=lambda row: (self.session(row), self._steps[row]))

    def _with_key(self, wanted: int) -> Sequence[int]:
        keys, order = self._keys, self._by_key
        start = bisect_left(order, wanted, key=keys.__getitem__)
        stop = start
        while stop < len(order) and keys[order[stop]] == wanted:
            stop += 1
        return order[start:stop]

    @cached_property
    def _by_key(self) -> array[int]:
        return array("L", sorted(range(len(self._keys)), key=self._keys.__getitem__))


class Verdicts(Mapping[tuple[str, int], Verdict]):
    """The verdicts of an index, by session id and step."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __getitem__(self, at: tuple[str, int]) -> Verdict:
        verdict = self._index.verdict(self._index.row(*at))
        if verdict is None:
            raise KeyError(at)
        return verdict

    def __iter__(self) -> Iterator[tuple[str, int]]:
        index = self._index
        for row in range(len(index)):
            if index.verdict(row) is not None:
                prompt = index.prompt(row)
                yield prompt.session, prompt.step

    def __len__(self) -> int:
        return sum(1 for _ in self)


def index_of(corpus: Corpus) -> Index:
    """The corpus' own index; made on the spot for a corpus that has none."""
    return corpus.index or Index.of(corpus.sessions.values(), corpus.verdicts)


def in_turn(
    families: Mapping[str, Sequence[int]], seed: int, order: Callable[[int], str]
) -> Iterator[int]:
    """One row of each family, then a second of each, and so on; families in seeded order.

    `order` sorts the rows of a family. A family is sorted when its first turn comes, so that who
    takes few rows pays for few.
    """

    def queue(rows: Sequence[int]) -> Iterator[int]:
        yield from sorted(rows, key=order)

    names = sorted(families, key=lambda name: content_id(name, str(seed)))
    live = [queue(families[name]) for name in names]
    while live:
        left = []
        for waiting in live:
            for row in islice(waiting, 1):
                yield row
                left.append(waiting)
        live = left
