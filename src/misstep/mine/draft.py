"""What a gate rule looks at: a candidate with both sides judged, and the rule itself.

In: a candidate. Out: a `Draft`. Both sides are judged in the place of the step, on the original
prompt, by the validators that judged the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from misstep.mine.desk import Desk
from misstep.mine.placing import with_place
from misstep.mine.source import Candidate, answer_id, canonical
from misstep.mine.trim import Trimmed, trim
from misstep.types import Finding, Message, Prompt, Verdict, content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A candidate with everything that the rules look at."""

    candidate: Candidate
    chosen_findings: tuple[Finding, ...]
    chosen_verdict: Verdict
    rejected_findings: tuple[Finding, ...]
    """Defects that the model caused; for a logged step those of the log too."""
    rejected_score: float | None
    trimmed: Trimmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One reason to refuse a candidate."""

    code: str
    about: str
    check: Callable[[Desk, Draft], str | None]
    """A sentence that says what is wrong, or None."""


def draft(desk: Desk, candidate: Candidate) -> Draft:
    """Judge both sides of a candidate on its prompt."""
    prompt = candidate.prompt
    demand = desk.demands_call(prompt)
    chosen, verdict = desk.judge(prompt, candidate.chosen, demand_call=demand)
    findings, rejected = desk.judge(prompt, candidate.rejected, demand_call=demand)
    defects = [f for f in findings if f.level == "defect" and f.cause == "model"]
    scores = [rejected.score]
    if canonical(desk.corpus.answer(prompt)) == canonical(candidate.rejected):
        known = {(f.code, f.call, f.where) for f in defects}
        logged = desk.corpus.defects(prompt)
        defects += [f for f in logged if (f.code, f.call, f.where) not in known]
        scores.append(desk.corpus.verdict(prompt).score)
    if candidate.wrong:
        known = {(f.code, f.call, f.where) for f in defects}
        defects += [f for f in candidate.wrong if (f.code, f.call, f.where) not in known]
        scores.append(0.0)
    placed = with_place(candidate.rejected, defects)
    return Draft(
        candidate=candidate,
        chosen_findings=chosen,
        chosen_verdict=verdict,
        rejected_findings=tuple(placed),
        rejected_score=min((s for s in scores if s is not None), default=None),
        trimmed=trim(candidate.rejected, placed, periods=desk.config.trim_periods),
    )


def pair_id(desk: Desk, prompt: Prompt, *, chosen: Message, rejected: Message) -> str:
    """Content id of a pair: the prompt's content and both sides."""
    key = desk.key(prompt)
    return content_id(answer_id(key, chosen), answer_id(key, rejected))


def margin(d: Draft) -> float:
    """Score of chosen minus score of rejected; the log's score where only the log judged.

    1 where only a human told the sides apart; of two clean sides the difference in agreement.
    """
    if d.candidate.behind is not None:
        return d.candidate.behind
    score = d.chosen_verdict.score
    if score is None and d.candidate.logged is not None:
        score = d.candidate.logged.score
    got = (score or 0.0) - (d.rejected_score or 0.0)
    return 1.0 if d.candidate.signed and got <= 0 else got
