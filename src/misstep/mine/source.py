"""What every chosen-source is given and gives: the corpus, the desk, and candidates.

In: sessions with their verdicts and findings. Out of a source: `Candidate`s, which the gate then
judges. A source proposes; it never decides, and it never sees a held-out session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from rapidfuzz.distance import Levenshtein

from misstep import store
from misstep.chat import prompt_keys
from misstep.chat import values_of as values_of
from misstep.codes import CODES
from misstep.types import (
    Context,
    Finding,
    Message,
    Origin,
    Prompt,
    Session,
    Verdict,
    content_id,
)

if TYPE_CHECKING:
    from misstep.mine.decisions import Decision
    from misstep.mine.desk import Desk
    from misstep.mine.index import Index
    from misstep.validate import Judged

_COMPARED = 8_000
"""Characters of an answer that `distance` looks at."""
_ATTACHED = re.compile(r"^blake2b:[0-9a-f]{32}$", re.M)
"""The line that stands in a result for what was no text (`chat.content_hash`)."""
_FLOOD = 40
"""Outer white space of this many characters is content: half of what the detectors call a flood."""


class Template(Protocol):
    """The part of a model's chat template that the gate needs."""

    def answer_ids(self, answer: Message, end: bool = True) -> list[int]:
        """Token ids of an answer, with or without the end of turn."""

    def prompt_ids(self, messages: Sequence[Message], context: Context) -> list[int]:
        """Token ids of a prompt, up to where the answer begins."""

    def control_in(self, text: str) -> str | None:
        """The first control token of the chat that a text spells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Judged sessions; steps are keyed by (session id, message index)."""

    sessions: Mapping[str, Session]
    verdicts: Mapping[tuple[str, int], Verdict]
    findings: Mapping[tuple[str, int], tuple[Finding, ...]]
    index: Index | None = None
    """Every step without opening its session; `index.index_of` makes one where there is none."""
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    """What a person said of pairs of this corpus, by pair id (`decisions.py`)."""
    images: Path | Collection[str] | None = None
    """Folder of the images that were kept, or their names; None where none were."""

    def unfit(self, prompt: Prompt) -> str | None:
        """Why the prompt cannot stand in a row; None if it can."""
        return unfit(self.messages(prompt), self.images)

    def answer(self, prompt: Prompt) -> Message:
        """The logged answer to the prompt."""
        return self.sessions[prompt.session].messages[prompt.step]

    def messages(self, prompt: Prompt) -> tuple[Message, ...]:
        """The messages of the prompt."""
        return self.sessions[prompt.session].messages[: prompt.step]

    def context(self, prompt: Prompt) -> Context:
        """What the request offered."""
        return self.sessions[prompt.session].context_of(prompt.step)

    def bare_keys(self, session: str) -> Mapping[int, str]:
        """Content key of each step's prompt, without what its request offered."""
        if self.index is not None:
            return self.index.bare_keys(session)
        return prompt_keys(self.sessions[session], request=False)

    def verdict(self, prompt: Prompt) -> Verdict:
        """The logged answer's verdict; unjudged where nobody looked."""
        key = (prompt.session, prompt.step)
        unseen = Verdict(session=key[0], step=key[1], state="unjudged", why="no verdict")
        return self.verdicts.get(key, unseen)

    def defects(self, prompt: Prompt) -> tuple[Finding, ...]:
        """Defects of the logged answer that the model caused."""
        found = self.findings.get((prompt.session, prompt.step), ())
        return tuple(f for f in found if f.level == "defect" and f.cause == "model")

    def failed(self) -> tuple[Prompt, ...]:
        """All failed steps, in an order that does not depend on that of the logs."""
        if self.index is not None:
            found = map(self.index.prompt, self.index.in_state("fail"))
            return tuple(sorted(found, key=lambda prompt: (prompt.session, prompt.step)))
        keys = sorted(key for key, verdict in self.verdicts.items() if verdict.state == "fail")
        return tuple(Prompt(session=name, step=step) for name, step in keys)


def gather(sessions: Iterable[Session], judged: Iterable[Judged]) -> Corpus:
    """The corpus of sessions and what `validate` said about each."""
    from misstep.mine.index import index_of  # the index knows the corpus

    findings: dict[tuple[str, int], list[Finding]] = {}
    verdicts: dict[tuple[str, int], Verdict] = {}
    for each in judged:
        for finding in each.findings:
            findings.setdefault((finding.session, finding.step), []).append(finding)
        verdicts.update({(v.session, v.step): v for v in each.verdicts})
    found = Corpus(
        sessions={session.id: session for session in sessions},
        verdicts=verdicts,
        findings={key: tuple(found) for key, found in findings.items()},
    )
    return replace(found, index=index_of(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Two answers to one prompt, before the gate."""

    prompt: Prompt
    chosen: Message
    rejected: Message
    source: str
    edits: tuple[str, ...] = ()
    """What was changed on the chosen side."""
    logged: Verdict | None = None
    """The log's verdict on the chosen answer, where the chosen comes from the log."""
    retried: tuple[Prompt, int] | None = None
    """For a retry: the failed step, and the index of the step that the chosen comes from."""
    wrong: tuple[Finding, ...] = ()
    """Defects of the rejected side that the log shows and replaying the prompt cannot."""
    feedback: tuple[str, ...] = ()
    """How the log's feedback was used (`feedback.py`)."""
    vetoed: str = ""
    """Why the log's feedback forbids the chosen side; the gate refuses it (`FAILED_TASK`)."""
    signed: str = ""
    """The human's word that prefers the chosen side; it stands in for a validator's."""
    votes: int | None = None
    """Of a sampled chosen side: clean answers to the prompt that mean the same, itself counted."""
    behind: float | None = None
    """Of a rejected side without a defect: how much less it agrees with what was accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One way to find something better."""

    name: str
    about: str
    find: Callable[[Desk], Iterator[Candidate]]
    fallback: bool = False
    """True where it is asked only about failures that no other source paired."""


def canonical(answer: Message) -> str:
    """The content of an answer: texts and calls; a little outer white space, ids and reasoning
    left out."""
    calls = [f"{call.name}\x1f{_bare(call.arguments)}" for call in answer.calls]
    return "\x1e".join([_bare(answer.text), *calls])


def meaning(answer: Message) -> str:
    """`canonical`, with arguments that are JSON in one spelling: order of keys, white space."""
    calls = [f"{call.name}\x1f{_spelled(call.arguments)}" for call in answer.calls]
    return "\x1e".join([_bare(answer.text), *calls])


def _spelled(arguments: str) -> str:
    try:
        return respelled(orjson.loads(arguments), _bare(arguments))
    except orjson.JSONDecodeError:
        return _bare(arguments)


def respelled(value: Any, bare: str) -> str:
    """JSON with its keys in order; the bare text where it is nested too deep to be written again.

    orjson reads 1024 levels and writes 254.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        return bare


def _bare(text: str) -> str:
    """Without outer white space, unless there is so much of it that it may be the fault itself."""
    bare = text.strip()
    return bare if len(text) - len(bare) < _FLOOD else text


def distance(left: Message, right: Message) -> float:
    """Levenshtein distance over the longer length of both contents, in [0, 1]."""
    return Levenshtein.normalized_distance(
        canonical(left)[:_COMPARED], canonical(right)[:_COMPARED]
    )


def tools_of(answer: Message) -> frozenset[str]:
    """Names of the tools that an answer calls."""
    return frozenset(call.name for call in answer.calls)


def texts_of(answer: Message) -> Iterator[str]:
    """Everything that the model wrote in an answer."""
    yield answer.text
    yield answer.reasoning
    for call in answer.calls:
        yield call.name
        yield call.arguments


def keeps_tools(chosen: Message, rejected: Message, offered: Collection[str]) -> bool:
    """The chosen side calls what the rejected side called, where that was a choice on offer.

    A failure inside the arguments of an offered tool teaches better arguments only if the chosen
    side stays with the tool. Otherwise the tools that are easy to call drive out the hard ones:
    fewer failures, and the wrong tool.
    """
    called = tools_of(rejected)
    return not called or not called <= set(offered) or tools_of(chosen) == called


def origins_of(*messages: Message) -> tuple[Origin, ...]:
    """Where the messages were read, each place once."""
    return tuple(dict.fromkeys(origin for message in messages for origin in message.origins))


def blamable(codes: Iterable[str]) -> tuple[str, ...]:
    """The codes that are no agent loops: those that one answer alone can be blamed for."""
    return tuple(c for c in codes if c not in CODES or CODES[c].group != "agent-loop")


def unfit(messages: Sequence[Message], images: Path | Collection[str] | None = None) -> str | None:
    """Why a prompt cannot stand in a row, None if it can: its images must have been kept.

    An image in a result is text by then, the hash that ingest names it by: no row can show it.
    """
    if not messages:
        return "there is no message before the step"
    texts = (result.text for message in messages for result in message.results)
    if any("blake2b:" in text and _ATTACHED.search(text) for text in texts):
        return "a result in the prompt holds an image or a document, which a row cannot show"
    for part in (part for message in messages for part in message.parts if part.kind == "image"):
        if not store.is_image_name(part.text):
            return "the prompt holds an image whose bytes the log does not hold"
        if not _kept(part.text or "", images):
            return "the prompt holds an image that was not kept; a run folder keeps them"
    return None


def _kept(name: str, images: Path | Collection[str] | None) -> bool:
    if isinstance(images, Path):
        return store.image_path(images, name).exists()
    return images is not None and name in images


def answer_id(prompt_key: str, answer: Message) -> str:
    """Content id of one answer to one prompt."""
    return content_id(prompt_key, canonical(answer))


def own_share(sessions: Iterable[Session], names: Sequence[str]) -> float:
    """Share of the logged steps that the model itself wrote, in [0, 1]; 0.0 without steps.

    A step is its own where the logged model name equals one of `names` (case and everything
    before the last slash aside).
    """
    wanted = {short_name(name) for name in names}
    steps = [session.messages[step] for session in sessions for step in session.steps]
    own = sum(step.model is not None and short_name(step.model) in wanted for step in steps)
    return own / len(steps) if steps else 0.0


def short_name(name: str) -> str:
    """A model's name without what stands before the last slash, casefolded."""
    return name.rstrip("/").rsplit("/", 1)[-1].casefold()
