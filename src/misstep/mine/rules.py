"""Gate rules about what the sides teach: which is right, how it is known, and what came when.

In: the desk and a draft. Out of each rule: a sentence that says what is wrong, or None.

A chosen side must be judged, not merely unblamed: a validator that could have failed it looked at
it here, or, for an answer from the log, the log's own verdict on it is a pass (a tool that took
the call is such a judge; replaying one step cannot ask it again).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from misstep import validate
from misstep.codes import CODES
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft, margin
from misstep.mine.source import blamable, keeps_tools, texts_of, tools_of, values_of
from misstep.redact import clip
from misstep.types import Finding, Message, Part, ToolCall, Verdict

_NUMBER = re.compile(r"\d+")


def heldout(desk: Desk, d: Draft) -> str | None:
    """Text of the held-out part would make its figure worthless."""
    if desk.part(d.candidate.prompt) == "heldout" or desk.holds_heldout(d.candidate.prompt):
        return "the prompt holds text of a held-out session"
    return None


def unfit_prompt(desk: Desk, d: Draft) -> str | None:
    """Rows are chat text, and images that were kept."""
    return desk.corpus.unfit(d.candidate.prompt)


def rejected_clean(desk: Desk, d: Draft) -> str | None:
    """A failure that the model did not cause never trains it."""
    told = d.candidate.wrong or d.candidate.behind is not None
    if told or blamable(f.code for f in d.rejected_findings):
        return None
    return "the rejected side has no defect of its own that the model caused"


def _counts(level: str, group: str) -> bool:
    """Whether a finding that is no defect keeps an answer from being a chosen side.

    Suspects of provenance and of code do not: refusing them took a quarter of the demo's pairs, and
    what they are worth is not measured on the dev part yet (design/demo.md).
    """
    return level == "suspect" and group not in ("provenance", "code")


def chosen_fails(desk: Desk, d: Draft) -> str | None:
    """What the validators say of the chosen side on this prompt."""
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


def unjudged(desk: Desk, d: Draft) -> str | None:
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


def loop(desk: Desk, d: Draft) -> str | None:
    """Repetition in the text, in an argument, or of a whole call that nobody asked for so often."""
    loops = [f.code for f in d.chosen_findings if "loop" in _group(f)]
    if loops:
        return f"the chosen side repeats itself: {loops[0]}"
    made = Counter((call.name, call.arguments) for call in d.candidate.chosen.calls)
    most = max(made.values(), default=0)
    if most > 1 and str(most) not in _NUMBER.findall(_asked(desk, d)):
        return f"the chosen side makes the same call {most} times, and nobody asked for {most}"
    return None


def _asked(desk: Desk, d: Draft) -> str:
    """What the user said last."""
    messages = reversed(desk.corpus.messages(d.candidate.prompt))
    return next((m.text for m in messages if m.role == "user" and m.text), "")


def no_margin(desk: Desk, d: Draft) -> str | None:
    """The validators see no difference, or too small a one."""
    got = margin(d)
    if d.candidate.behind is not None or got > desk.config.min_margin:
        return None
    wanted = desk.config.min_margin
    return f"the chosen side scores no higher ({got:+.3f}; more than {wanted:g} is wanted)"


def different_tool(desk: Desk, d: Draft) -> str | None:
    """Another tool than any accepted answer calls."""
    right = {tools_of(each.answer) for each in desk.accepted(d.candidate.prompt)}
    got = tools_of(d.candidate.chosen)
    if not right or got in right:
        return None
    expected = " or ".join(sorted(map(_spell, right)))
    return f"the accepted answer calls {expected}, the chosen side calls {_spell(got)}"


def other_tool(desk: Desk, d: Draft) -> str | None:
    """For pairs of samples: gold answers and recoveries may name another tool on purpose, and so
    may a retry, but not where a call that was written as text only had to be made."""
    offered = {tool.name for tool in desk.corpus.context(d.candidate.prompt).tools}
    chosen, rejected = d.candidate.chosen, d.candidate.rejected
    if d.candidate.source == "retry" and not rejected.calls:
        named = {name for name in offered if f'"{name}"' in rejected.text}
        if named and not named & tools_of(chosen):
            wrote = _spell(frozenset(named))
            return f"the failed side wrote down a call of {wrote}, the chosen side makes another"
    if d.candidate.source in ("reference", "retry", "recovery", "human"):
        return None
    if keeps_tools(chosen, rejected, offered):
        return None
    called, got = _spell(tools_of(rejected)), _spell(tools_of(chosen))
    return f"the failed side calls {called}, the chosen side {got}: a lesson about another choice"


def learned_later(desk: Desk, d: Draft) -> str | None:
    """A value that only what followed the failure could have told (an id from an error text)."""
    if d.candidate.retried is None:
        return None
    failed, step = d.candidate.retried
    before = desk.corpus.messages(d.candidate.prompt)
    after = desk.corpus.sessions[failed.session].messages[failed.step + 1 : step]
    chosen, rejected = d.candidate.chosen, d.candidate.rejected
    new = _values(chosen) - _values(rejected)
    if not chosen.calls:  # a text that is no JSON gave its values all the same
        new = {value for value in new if value not in rejected.text.casefold()}
    if not new:
        return None
    heard = "\n".join(_heard(after))
    tools = desk.corpus.context(d.candidate.prompt).tools
    known = "\n".join([*_heard(before), *(t.parameters or "" for t in tools)])
    known += "\n".join(t.description or "" for t in tools)
    told = sorted(v for v in new if v in heard.casefold() and v not in known.casefold())
    return f"the value {clip(told[0], 60)!r} was learned after the failure" if told else None


def _values(answer: Message) -> set[str]:
    """Of its calls; of an answer without any, of the JSON that its text is."""
    if answer.calls:
        return values_of(answer)
    call = ToolCall(name="", arguments=answer.text)
    return values_of(Message(role="assistant", parts=(Part(kind="call", call=call),)))


def _spell(tools: frozenset[str]) -> str:
    return " and ".join(sorted(tools)) or "no tool"


def _heard(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        yield from texts_of(message)
        yield from (result.text for result in message.results)
