"""Sessions on their way to a worker: what mining needs of a few of them, without the rest.

In: a corpus, its split, and names of sessions. Out: a `Parcel`, plain and small, which the engine
carries to any process; there the same sessions are a corpus again, with all that is asked of them.
Sessions travel as they lie on their shelf, packed, and are read one at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from misstep import mine, store
from misstep.pipeline.shelf import Findings, Held, Sessions
from misstep.types import Verdict

ROOM = 8_000_000
"""Bytes of JSON whose values a worker keeps."""


class Box(msgspec.Struct, array_like=True, gc=False):
    """One session."""

    fact: mine.Fact
    part: str
    family: str
    said: list[int]
    """Of each step the number of its verdict in `Parcel.verdicts`; 0 where nobody looked."""
    session: bytes
    findings: bytes | None


class Parcel(msgspec.Struct, array_like=True, gc=False):
    """Sessions that travel together."""

    boxes: list[Box]
    verdicts: list[Verdict]
    """What is said of steps, each once, without its place."""
    heldout: list[int]
    """Content keys of the steps whose prompts are held out somewhere."""


@dataclass(frozen=True, slots=True)
class Packer:
    """Packs sessions of one corpus."""

    corpus: mine.Corpus
    split: mine.Split
    index: mine.Index
    heldout: Collection[int]
    """Content keys of all held-out prompts."""

    def pack(self, names: Iterable[str]) -> Parcel:
        """These sessions."""
        numbers: dict[int, int] = {}
        verdicts: list[Verdict] = []
        boxes, heldout = [], set[int]()
        for name in names:
            fact, said = self.index.fact(name), []
            for row in self.index.rows(name):
                verdict = self.index.said(row)
                if verdict is not None and id(verdict) not in numbers:
                    verdicts.append(verdict)
                    numbers[id(verdict)] = len(verdicts)
                said.append(0 if verdict is None else numbers[id(verdict)])
            heldout.update(step.key for step in fact.steps if step.key in self.heldout)
            boxes.append(
                Box(
                    fact=fact,
                    part=self.split.part[name],
                    family=self.split.family[name],
                    said=said,
                    session=self._session(name),
                    findings=self._findings(name),
                )
            )
        return Parcel(boxes=boxes, verdicts=verdicts, heldout=sorted(heldout))

    def size(self, name: str) -> int:
        """Bytes of a session, packed."""
        return len(self._session(name))

    def _session(self, name: str) -> bytes:
        sessions = self.corpus.sessions
        if isinstance(sessions, Sessions):
            return sessions.packed(name)
        return zstandard.compress(store.encode(sessions[name]), 1)

    def _findings(self, name: str) -> bytes | None:
        findings = self.corpus.findings
        if isinstance(findings, Findings):
            return findings.packed(name)
        steps = (findings.get((name, step)) for step in self.corpus.sessions[name].steps)
        found = [each for of_step in steps for each in of_step or ()]
        return zstandard.compress(store.encode(found), 1) if found else None


def corpus_of(
    parcel: Parcel,
    *,
    decisions: Mapping[str, mine.Decision],
    images: Path | Collection[str] | None,
) -> tuple[mine.Corpus, mine.Split]:
    """The sessions of a parcel, and where they belong."""
    held = Held()
    sessions, findings = Sessions(held, ROOM), Findings(held, ROOM // 4)
    index = mine.Index.listed([None, *parcel.verdicts])
    part, family = dict[str, str](), dict[str, str]()
    for box in parcel.boxes:
        name = box.fact.head.id
        steps = (step.step for step in box.fact.steps)
        index.put(box.fact, dict(zip(steps, box.said, strict=True)))
        sessions.put(name, box.session)
        if box.findings is not None:
            findings.put(name, box.findings)
        part[name], family[name] = box.part, box.family
    split = mine.Split(part=part, family=family)
    corpus = mine.Corpus(
        sessions=sessions,
        verdicts=mine.Verdicts(index),
        findings=findings,
        index=index,
        decisions=decisions,
        images=images,
    )
    return corpus, split
