"""The gate: every pair passes all rules, or is refused with the code of the first that objects.

In: candidates. Out: a `Pair` or a `Refused` for each; nothing is dropped in between. Each rule is
one small function that says what is wrong, or None. Both sides are judged in the place of the
step, on the original prompt, by the validators that judged the log.

A chosen side must be judged, not merely unblamed: a validator that could have failed it looked at
it here, or, for an answer from the log, the log's own verdict on it is a pass (a tool that took
the call is such a judge; replaying one step cannot ask it again).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from misstep import validate
from misstep.codes import CODES
from misstep.mine.desk import Desk
from misstep.mine.source import (
    Candidate,
    blamable,
    canonical,
    keeps_tools,
    texts_of,
    tools_of,
    unfit,
    values_of,
)
from misstep.mine.trim import Trimmed, trim
from misstep.redact import clip, has_placeholder, has_secret
from misstep.types import Finding, Message, Verdict


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
    return Draft(
        candidate=candidate,
        chosen_findings=chosen,
        chosen_verdict=verdict,
        rejected_findings=tuple(defects),
        rejected_score=min((s for s in scores if s is not None), default=None),
        trimmed=trim(candidate.rejected, defects, periods=desk.config.trim_periods),
    )


# --- rules -------------------------------------------------------------------------------------


def _heldout(desk: Desk, d: Draft) -> str | None:
    if desk.part(d.candidate.prompt) == "heldout" or desk.holds_heldout(d.candidate.prompt):
        return "the prompt holds text of a held-out session"
    return None


def _unfit_prompt(desk: Desk, d: Draft) -> str | None:
    return unfit(desk.corpus.messages(d.candidate.prompt))


def _rejected_clean(desk: Desk, d: Draft) -> str | None:
    if blamable(f.code for f in d.rejected_findings):
        return None
    return "the rejected side has no defect of its own that the model caused"


def _counts(level: str, group: str) -> bool:
    """Whether a finding that is no defect keeps an answer from being a chosen side.

    Suspects of provenance and of code do not: refusing them took a quarter of the demo's pairs, and
    what they are worth is not measured on the dev part yet (design/demo.md).
    """
    return level == "suspect" and group not in ("provenance", "code")


def _chosen_fails(desk: Desk, d: Draft) -> str | None:
    wrong = [
        f
        for f in d.chosen_findings
        if f.cause == "model" and (f.level == "defect" or _counts(f.level, _group(f)))
    ]
    if wrong:
        return f"the chosen side is not clean here: {wrong[0].code} ({wrong[0].evidence[:120]})"
    if d.chosen_verdict.state == "fail":
        return f"the chosen side fails here: {', '.join(d.chosen_verdict.codes)}"
    return None


def _unjudged(desk: Desk, d: Draft) -> str | None:
    """For a fault in a call or in JSON, a search for repetition alone is no judge of the cure."""
    logged = d.candidate.logged
    judges = {*d.chosen_verdict.judges, *(logged.judges if _passed(logged) else ())}
    if any(_group(f) in ("json", "tool-call") for f in d.rejected_findings):
        judges -= _ONLY_LOOPS | _elsewhere(desk)
    if judges:
        return None
    return f"no validator could have failed the chosen side ({d.chosen_verdict.why or 'no schema'})"


def _passed(logged: Verdict | None) -> TypeGuard[Verdict]:
    return logged is not None and logged.state == "pass"


def _group(finding: Finding) -> str:
    return CODES[finding.code].group if finding.code in CODES else ""


_ONLY_LOOPS = frozenset(
    validator.name
    for validator in validate.VALIDATORS
    if all(CODES[code].group == "text-loop" for code in validator.codes)
)


def _elsewhere(desk: Desk) -> set[str]:
    """The user's validators that look for nothing in calls or JSON."""
    return {
        own.name
        for own in desk.settings.own
        if not any(code.group in ("json", "tool-call") for code in own.codes)
    }


def _loop(desk: Desk, d: Draft) -> str | None:
    loops = [f.code for f in d.chosen_findings if "loop" in _group(f)]
    return f"the chosen side repeats itself: {loops[0]}" if loops else None


def _same_sides(desk: Desk, d: Draft) -> str | None:
    chosen, rejected = d.candidate.chosen, d.trimmed.answer
    if canonical(chosen) == canonical(rejected):
        return "both sides say the same"
    if desk.template is not None and desk.template.answer_ids(
        chosen, end=False
    ) == desk.template.answer_ids(rejected, end=False):
        return "both sides are the same tokens in the chat template"
    return None


def _no_margin(desk: Desk, d: Draft) -> str | None:
    got = margin(d)
    if got > desk.config.min_margin:
        return None
    wanted = desk.config.min_margin
    return f"the chosen side scores no higher ({got:+.3f}; more than {wanted:g} is wanted)"


def _placeholder(desk: Desk, d: Draft) -> str | None:
    if any(map(has_placeholder, texts_of(d.candidate.chosen))):
        return "the chosen side holds the mark of a redaction"
    return None


def _secret(desk: Desk, d: Draft) -> str | None:
    if any(map(has_secret, texts_of(d.candidate.chosen))):
        return "the chosen side holds a secret"
    return None


def _different_tool(desk: Desk, d: Draft) -> str | None:
    right = {tools_of(each.answer) for each in desk.accepted(d.candidate.prompt)}
    got = tools_of(d.candidate.chosen)
    if not right or got in right:
        return None
    expected = " or ".join(sorted(map(_spell, right)))
    return f"the accepted answer calls {expected}, the chosen side calls {_spell(got)}"


def _other_tool(desk: Desk, d: Draft) -> str | None:
    """For pairs of samples: gold answers and recoveries may name another tool on purpose."""
    if d.candidate.source in ("reference", "retry"):
        return None
    offered = {tool.name for tool in desk.corpus.context(d.candidate.prompt).tools}
    chosen, rejected = d.candidate.chosen, d.candidate.rejected
    if keeps_tools(chosen, rejected, offered):
        return None
    called, got = _spell(tools_of(rejected)), _spell(tools_of(chosen))
    return f"the failed side calls {called}, the chosen side {got}: a lesson about another choice"


def _learned_later(desk: Desk, d: Draft) -> str | None:
    """A value that only what followed the failure could have told (an id from an error text)."""
    if d.candidate.retried is None:
        return None
    failed, step = d.candidate.retried
    before = desk.corpus.messages(d.candidate.prompt)
    after = desk.corpus.sessions[failed.session].messages[failed.step + 1 : step]
    new = values_of(d.candidate.chosen) - values_of(d.candidate.rejected)
    if not new:
        return None
    heard = "\n".join(_heard(after))
    tools = desk.corpus.context(d.candidate.prompt).tools
    known = "\n".join([*_heard(before), *(t.parameters or "" for t in tools)])
    known += "\n".join(t.description or "" for t in tools)
    told = sorted(v for v in new if v in heard.casefold() and v not in known.casefold())
    return f"the value {clip(told[0], 60)!r} was learned after the failure" if told else None


RULES: tuple[Rule, ...] = (
    Rule(
        code="HELDOUT_PROMPT", about="the prompt holds text of a held-out session", check=_heldout
    ),
    Rule(code="UNFIT_PROMPT", about="the prompt is empty or holds an image", check=_unfit_prompt),
    Rule(
        code="REJECTED_CLEAN",
        about="nothing is wrong with the rejected side",
        check=_rejected_clean,
    ),
    Rule(code="SAME_SIDES", about="the sides do not differ", check=_same_sides),
    Rule(code="CHOSEN_LOOP", about="the chosen side repeats itself", check=_loop),
    Rule(
        code="CHOSEN_FAILS",
        about="the chosen side is not clean on this prompt",
        check=_chosen_fails,
    ),
    Rule(code="UNJUDGED", about="no validator could have failed the chosen side", check=_unjudged),
    Rule(code="NO_MARGIN", about="the chosen side scores no higher", check=_no_margin),
    Rule(
        code="PLACEHOLDER",
        about="the chosen side holds the mark of a redaction",
        check=_placeholder,
    ),
    Rule(code="SECRET", about="the chosen side holds a secret", check=_secret),
    Rule(code="DIFFERENT_TOOL", about="accepted answers call another tool", check=_different_tool),
    Rule(
        code="OTHER_TOOL",
        about="the failure lies in the arguments and the chosen side calls another tool",
        check=_other_tool,
    ),
    Rule(
        code="LEARNED_LATER",
        about="the chosen side knows what only a later message told",
        check=_learned_later,
    ),
)
"""Every rule about one pair, in the order in which they are asked."""


def objection(desk: Desk, d: Draft) -> tuple[str, str] | None:
    """Code and sentence of the first rule that objects; None where all agree."""
    for rule in RULES:
        said = rule.check(desk, d)
        if said is not None:
            return rule.code, said
    return None


def margin(d: Draft) -> float:
    """Score of chosen minus score of rejected; the log's score where only the log judged."""
    score = d.chosen_verdict.score
    if score is None and d.candidate.logged is not None:
        score = d.candidate.logged.score
    return (score or 0.0) - (d.rejected_score or 0.0)


def _spell(tools: frozenset[str]) -> str:
    return " and ".join(sorted(tools)) or "no tool"


def _heard(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        yield from texts_of(message)
        yield from (result.text for result in message.results)
