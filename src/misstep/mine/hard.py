"""Hard negatives: which of several failures of one prompt come first, since a prompt has a share.

In: failures of a prompt, each beside the chosen side that it would be paired with. Out: sort keys;
less comes first. `mine.hard_negatives` names the order:

- `nearest`: the failure that differs least from its chosen side, so that a pair teaches what went
  wrong and nothing else.
- `frequent`: the failure made most often, alike ones counted together; it is what the model does.
- `random`: by a hash of the content and the seed of the split, for comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from misstep.mine.source import canonical, distance
from misstep.types import Finding, Message, Prompt, content_id

if TYPE_CHECKING:
    from misstep.mine.desk import Desk

Signature = tuple[tuple[str, str, str], ...]
"""What an answer failed by: code, tool and place of each defect, sorted."""
Key = tuple[float, float, str]


def signature(answer: Message, defects: Iterable[Finding]) -> Signature:
    """What makes failures alike."""
    calls = answer.calls
    found = {
        (f.code, calls[f.call].name if f.call is not None and f.call < len(calls) else "", f.where)
        for f in defects
    }
    return tuple(sorted(found))


def made(desk: Desk, prompt: Prompt) -> Counter[Signature]:
    """How often each failure stands at this prompt: in the log, and among the sampled answers."""
    key = ("hard", desk.part(prompt), desk.key(prompt))
    if key not in desk.memo:
        desk.memo[key] = Counter(_failures(desk, prompt))
    counted: Counter[Signature] = desk.memo[key]
    return counted


def _failures(desk: Desk, prompt: Prompt) -> Iterable[Signature]:
    for same in desk.same_prompt(prompt):
        if desk.corpus.verdict(same).state == "fail":
            yield signature(desk.corpus.answer(same), desk.corpus.defects(same))
        demand = desk.demands_call(same)
        for answer in desk.answers.get(same, ()):
            findings, verdict = desk.judge(same, answer, demand_call=demand)
            if verdict.state == "fail":
                yield signature(answer, _defects(findings))


def _defects(findings: Iterable[Finding]) -> list[Finding]:
    return [f for f in findings if f.level == "defect" and f.cause == "model"]


def key_of(
    desk: Desk, prompt: Prompt, *, chosen: Message, failed: Message, defects: Iterable[Finding]
) -> Key:
    """The sort key of a failure by the setting."""
    kind = desk.config.hard_negatives
    if kind == "random":
        return 0.0, 0.0, content_id("hard", str(desk.config.split_seed), canonical(failed))
    near = distance(chosen, failed)
    often = made(desk, prompt)[signature(failed, defects)] if kind == "frequent" else 0
    return -float(often), near, canonical(chosen)


def defects_of(desk: Desk, prompt: Prompt, answer: Message) -> list[Finding]:
    """The defects of a sampled answer at its prompt."""
    return _defects(desk.judge(prompt, answer, demand_call=desk.demands_call(prompt))[0])
