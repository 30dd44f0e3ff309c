"""The held-out prompts: which they are, what the log accepted there, and the guard against leaks.

In: a corpus (sessions and their verdicts) and a split, as `mine` makes them. Out: a tuple of
`Held`, at most `prompts_per_family` per held-out family. A prompt is chosen by the hash of its
content, never by its outcome, so failed and clean logged steps come as they lie in the logs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from misstep.config import EvalConfig
from misstep.errors import LeakError
from misstep.types import Message, Prompt, Session, Verdict

_RETRY_REACH = 3
"""Later steps of the session in which a retry of a failed step is looked for."""
_Key = tuple[str, int]


class CorpusLike(Protocol):
    """What is read of a corpus; steps are keyed by (session id, message index)."""

    @property
    def sessions(self) -> Mapping[str, Session]: ...
    @property
    def verdicts(self) -> Mapping[_Key, Verdict]: ...
    def bare_keys(self, session: str) -> Mapping[int, str]:
        """`chat.prompt_keys` of the session's steps, without the request."""


class SplitLike(Protocol):
    """What is read of a split, both keyed by session id."""

    @property
    def part(self) -> Mapping[str, str]: ...
    @property
    def family(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One held-out prompt."""

    prompt: Prompt
    family: str
    demand_call: bool
    """The accepted step makes a call, so an answer without one fails (NO_CALL)."""
    accepted: Message | None
    """A clean answer from the log to this prompt: the step itself, a sibling or a retry."""
    logged: Verdict
    hash: str = ""
    """Content hash of the prompt, `chat.prompt_keys` without the request."""


def check_leak(held: Collection[str], trained: Collection[str]) -> None:
    """Compare content hashes of held-out and trained prompts, as `Held.hash` has them.

    Raises:
        LeakError: a prompt is in both.
    """
    leaked = sorted(set(held) & set(trained))
    if leaked:
        raise LeakError(
            f"{len(leaked)} of {len(set(held))} held-out prompts were trained on (first content "
            f"hash {leaked[0]}); a figure from them would be worthless. Evaluate on the held-out "
            f"families of the run that trained the adapter, or mine and train again"
        )


def held_out(corpus: CorpusLike, split: SplitLike, config: EvalConfig) -> tuple[Held, ...]:
    """The prompts to evaluate on, ordered by family.

    Left out: steps that no validator could judge in the log, prompts without any message, and
    prompts whose very text also stands in a session outside the held-out part.
    A prompt that several families share is asked once, in the first of them: the same question
    answered again is no second family.
    Of more than `max_prompts` prompts the families give one each in turn, those with the smallest
    content hash first: one long document does not crowd out the others.
    """
    steps = _heldout_steps(corpus, split)
    elsewhere = _hashes_elsewhere(corpus, split, set(steps))
    families: dict[str, list[tuple[str, _Key]]] = defaultdict(list)
    for at, keys in steps.items():
        key = next((k for k in keys if _state(corpus, k) != "unjudged" and k[1] > 0), None)
        if key is not None and at not in elsewhere:
            families[split.family.get(key[0], key[0])].append((at, key))
    picked = [
        (turn, at, key)
        for found in families.values()
        for turn, (at, key) in enumerate(sorted(found)[: config.prompts_per_family])
    ]
    kept = sorted(picked)[: config.max_prompts]
    held = (_held(corpus, split, (key, steps[at]), at) for _, at, key in kept)
    return tuple(sorted(held, key=lambda each: (each.family, each.hash)))


def _heldout_steps(corpus: CorpusLike, split: SplitLike) -> dict[str, list[_Key]]:
    """Held-out steps by the content hash of their prompt, in a fixed order."""
    steps: dict[str, list[_Key]] = defaultdict(list)
    for name in sorted(corpus.sessions):
        if split.part.get(name) == "heldout":
            for step, at in corpus.bare_keys(name).items():
                steps[at].append((name, step))
    return steps


def _hashes_elsewhere(corpus: CorpusLike, split: SplitLike, wanted: set[str]) -> set[str]:
    return {
        at
        for name in corpus.sessions
        if split.part.get(name) != "heldout"
        for at in corpus.bare_keys(name).values()
        if at in wanted
    }


def _held(corpus: CorpusLike, split: SplitLike, at: tuple[_Key, Sequence[_Key]], text: str) -> Held:
    key, same_prompt = at
    family = split.family.get(key[0], key[0])
    siblings = [other for other in same_prompt if split.family.get(other[0], other[0]) == family]
    accepted = _accepted(corpus, key, siblings)
    return Held(
        prompt=Prompt(session=key[0], step=key[1]),
        family=family,
        demand_call=accepted is not None and bool(accepted.calls),
        accepted=accepted,
        logged=corpus.verdicts[key],
        hash=text,
    )


def _accepted(corpus: CorpusLike, key: _Key, siblings: Sequence[_Key]) -> Message | None:
    """A clean step at this prompt: its own, else a sibling's, else the retry that followed."""
    retries = [retry for other in (key, *siblings) for retry in _retries(corpus, other)]
    for candidate in (key, *siblings, *retries):
        if _state(corpus, candidate) == "pass":
            return corpus.sessions[candidate[0]].messages[candidate[1]]
    return None


def _retries(corpus: CorpusLike, key: _Key) -> Iterator[_Key]:
    """Steps soon after a failed one, before a user speaks, that call the same tool again."""
    messages = corpus.sessions[key[0]].messages
    names = {call.name for call in messages[key[1]].calls}
    reach = 0
    for i in range(key[1] + 1, len(messages)):
        message = messages[i]
        if message.role == "user" and message.actor != "harness":
            return
        if message.role == "assistant":
            reach += 1
            if reach > _RETRY_REACH:
                return
            if message.calls and (not names or names & {call.name for call in message.calls}):
                yield key[0], i


def _state(corpus: CorpusLike, key: _Key) -> str:
    verdict = corpus.verdicts.get(key)
    return "unjudged" if verdict is None else verdict.state
