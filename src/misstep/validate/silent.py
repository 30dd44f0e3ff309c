"""Failures that raise no error: cut answers, empty ones, calls written as text, leaked tokens.

In: a step. Out: TRUNCATED, EMPTY_OUTPUT, TOOL_AS_TEXT, TOKEN_LEAK. None of them shows that an
answer is right, so this validator never judges a step to be clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from misstep.dialects import Markup, markup
from misstep.redact import clip, cut
from misstep.types import Channel, Finding
from misstep.validate.text_loop import CUT
from misstep.validate.validator import Step, Validator

_TOKEN = re.compile(
    r"<[|｜][A-Za-z_▁/]{2,40}[|｜]>|</?(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|</s>\s*\Z"
)

_ENVELOPE = re.compile(r"^[ \t]*<tool_call>\s*(?P<body>.{0,2000}?)(?:</tool_call>|\Z)", re.M | re.S)


def _check(step: Step) -> Iterable[Finding]:
    if step.calls and step.finish not in CUT:
        usage, limit = step.message.usage, step.context.max_tokens
        if (usage is None or limit is None) and not _may_leak(step):
            return ()  # true of most steps
    return _silent(step)


def _silent(step: Step) -> Iterator[Finding]:
    yield from _truncated(step)
    if not step.calls:
        yield from _empty(step)
        yield from _as_text(step)
    if _may_leak(step):
        yield from _leaks(step)


def _truncated(step: Step) -> Iterator[Finding]:
    if step.context.max_tokens == 1:
        return  # one token is a probe or a label: no answer could have gone on
    if step.finish in CUT:
        said = f"finish_reason is {step.message.finish_reason!r}"
        yield step.find("TRUNCATED", "content", evidence=said)
        return
    usage, limit = step.message.usage, step.context.max_tokens
    made = None if usage is None else usage.output_tokens
    if made is not None and limit is not None and made >= limit > 0:
        yield step.find(
            "TRUNCATED",
            "content",
            # a stop exactly at the limit can be chance; without a finish reason nothing speaks
            # for it
            level="suspect" if step.finish else "defect",
            tags=("inferred",),
            evidence=f"{made} tokens written with max_tokens {limit}",
        )


def _empty(step: Step) -> Iterator[Finding]:
    if step.withheld or step.text[step.prefilled :].strip():
        return
    if any(part.kind in ("image", "result") for part in step.message.parts):
        return
    beside = " beside reasoning" if step.reasoning.strip() else ""
    yield step.find(
        "EMPTY_OUTPUT",
        "content",
        # without a finish reason the log may have lost the rest of the message
        level="defect" if step.finish else "suspect",
        evidence=f"expected an answer or a call; got "
        f"{len(step.text) - step.prefilled} characters of text{beside}",
    )


def _as_text(step: Step) -> Iterator[Finding]:
    if step.rejected:
        why = step.message.error or step.message.fault or ""
        finish = step.message.finish_reason or ""  # a secret in small letters is no pattern
        said = f"the provider could not read the call: {finish} {why}"
        yield step.find("TOOL_AS_TEXT", "content", tags=("provider_rejected",), evidence=said)
        return
    if not step.tools:
        return
    found = markup(step.text, step.tools.keys())
    if found:
        yield _call_in(step, "content", step.text, found[0])
        return
    found = markup(step.reasoning, step.tools.keys())
    if found:
        yield _call_in(step, "reasoning", step.reasoning, found[0])
        return
    broken = _nameless(step.text)
    if broken is not None:
        shown = cut(step.text, broken[0], broken[0] + 160)
        said = f"a call envelope without a name: {shown!r}"
        yield step.find("TOOL_AS_TEXT", "content", span=broken, tags=("nameless",), evidence=said)


def _nameless(text: str) -> tuple[int, int] | None:
    """The first call envelope at the head of a line, outside code fences, that names no tool."""
    for found in _ENVELOPE.finditer(text):
        fenced = text.count("```", 0, found.start()) % 2
        if not fenced and '"name"' not in found["body"] and "<" not in found["body"][:1]:
            return found.span()
    return None


def _call_in(step: Step, channel: Channel, text: str, found: Markup) -> Finding:
    thought_aloud = channel == "reasoning" and step.text.strip() != ""
    return step.find(
        "TOOL_AS_TEXT",
        channel,
        level="suspect" if thought_aloud else "defect",
        span=(found.start, found.end),
        tags=(found.dialect,),
        evidence=f"{found.dialect} call of {found.name!r} in plain text: "
        f"{cut(text, found.start, found.start + 160)!r}",
    )


def _leaks(step: Step) -> Iterator[Finding]:
    texts: list[tuple[Channel, str, int | None]] = [("content", step.text, None)]
    for index, call in enumerate(step.calls):
        texts.append(("arguments", call.name, index))
        texts.append(("arguments", call.arguments, index))
    for channel, text, call_index in texts:
        found = _TOKEN.search(text)
        if found is not None and not _spoken_of(step, found[0]):
            yield step.find(
                "TOKEN_LEAK",
                channel,
                call=call_index,
                span=found.span(),
                evidence=f"control token {found[0]!r} in {clip(text, 120)!r}",
            )


def _may_leak(step: Step) -> bool:
    """A quick look: false only where no control token stands in the texts of a step."""
    if "<" in step.text or "INST]" in step.text:
        return True
    for call in step.calls:
        if "<" in call.arguments or "INST]" in call.arguments or "<" in call.name:
            return True
        if "INST]" in call.name:
            return True
    return False


def _spoken_of(step: Step, token: str) -> bool:
    """True where the prompt itself holds the token: then it is a topic, not a leak."""
    before = step.session.messages[: step.index]
    return any(
        token in (part.text or (part.result.text if part.result else ""))
        for message in before
        for part in message.parts
    )


VALIDATOR = Validator(
    name="silent",
    codes=("TRUNCATED", "EMPTY_OUTPUT", "TOOL_AS_TEXT", "TOKEN_LEAK"),
    check=_check,
)
