"""Chosen-source `repair`: the failed answer itself, with the least edit that makes it valid.

In: a failed step. Out: at most one candidate: the answer after edits that its findings and the
schema decide (`json_mend`, `repair_values`), each listed on the pair, the result judged again by
the validators. No value is invented: what stands in the chosen side stood in the rejected one, or
is a name that the schema gives. Every character that no edit names stays.

Beside the edit the chosen side is what the failing model wrote. So it is left alone where anything
else speaks against it: a suspicion, an error of the tool that no edit explains, a call that was
stopped in the middle, another call that the same session then got through, a value in a call that
nothing before the step supports (`supported`). It is asked last, about failures that nothing else
paired.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from misstep.mine import repair_names, repair_values
from misstep.mine.json_mend import mended
from misstep.mine.repair_values import Spot
from misstep.mine.schema_paths import arguments_of
from misstep.mine.source import Candidate, Source, blamable, canonical
from misstep.mine.supported import Heard, heard, unsupported
from misstep.mine.trim import CUT_REASONS
from misstep.types import Context, Finding, Message, Part, Prompt, ToolSpec
from misstep.validate.strict_json import parse

if TYPE_CHECKING:
    from misstep.mine.desk import Desk

ROUNDS = 12
"""Edits of one answer at most; more is another answer."""
_FENCE = re.compile(r"\s*```[^\n`{\[]*\n(?P<body>[^`]*?)\s*```\s*")
_SYNTAX = frozenset({"ARGS_UNPARSABLE", "JSON_TRUNCATED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A failed answer made valid."""

    answer: Message
    edits: tuple[str, ...]


def find(desk: Desk) -> Iterator[Candidate]:
    """One candidate per failed step that can be repaired."""
    for prompt in desk.failed():
        if blamable(desk.corpus.verdict(prompt).codes):
            answer = desk.corpus.answer(prompt)
            made = repaired(desk, prompt, answer, desk.corpus.defects(prompt))
            if made is not None:
                yield Candidate(
                    prompt=prompt,
                    chosen=made.answer,
                    rejected=answer,
                    source="repair",
                    edits=made.edits,
                )


REPAIR = Source(
    name="repair",
    about="the failed answer itself after the least edit that its schema decides",
    find=find,
    fallback=True,
)


def repaired(
    desk: Desk, prompt: Prompt, answer: Message, logged: tuple[Finding, ...] = ()
) -> Repair | None:
    """The answer after all edits; None where one is not decided, or something speaks against it.

    `logged` is what the log holds against the answer beside what judging it again shows.
    """
    bench = _Bench(desk, prompt)
    demand = desk.demands_call(prompt)
    edits: list[str] = []
    touched: set[int | None] = set()
    made = answer
    for _ in range(ROUNDS):
        findings, verdict = desk.judge(prompt, made, demand_call=demand)
        wrong = [f for f in findings if f.level == "defect" and f.cause == "model"]
        if not wrong:
            break
        edit = next((e for f in _ordered(wrong) if (e := _edit(made, f, bench))), None)
        if edit is None:
            return None
        made, said, call = edit
        edits.append(said)
        touched.add(call)
    else:
        return None
    unexplained = any(f.code == "TOOL_ERROR" and f.call not in touched for f in logged)
    if not edits or unexplained or any(_speaks(f) for f in findings) or verdict.state == "fail":
        return None
    retry = desk.retry(prompt)
    if retry is not None and canonical(retry.chosen) != canonical(made):
        return None
    if any(unsupported(c, bench.tools.get(c.name), bench.heard, answer) for c in made.calls):
        return None
    return Repair(answer=made, edits=tuple(edits))


def _ordered(wrong: list[Finding]) -> list[Finding]:
    """Text first, since nothing else is known before it can be read; then names, then values."""
    return sorted(wrong, key=lambda f: (not _of_text(f), f.code != "TOOL_UNKNOWN"))


def _of_text(finding: Finding) -> bool:
    return finding.code.startswith("JSON_") or finding.code in _SYNTAX


def _speaks(finding: Finding) -> bool:
    """Whether a finding that is no defect keeps the model's own words from being a better answer.

    A property that an open schema does not name was there before and may stay.
    """
    return (
        finding.level == "suspect"
        and finding.cause == "model"
        and "open_schema" not in finding.tags
    )


class _Bench:
    """What edits of one answer look at."""

    def __init__(self, desk: Desk, prompt: Prompt) -> None:
        self.context = desk.corpus.context(prompt)
        self._demanded = desk.settings.response_schema
        self._before = desk.corpus.messages(prompt)

    @cached_property
    def heard(self) -> Heard:
        """What was said and what came back before the step."""
        return heard(self._before)

    @cached_property
    def tools(self) -> dict[str, ToolSpec]:
        """The tools on offer by name."""
        return {tool.name: tool for tool in self.context.tools}

    def spot(self, text: str, answer: Message, finding: Finding) -> Spot:
        """The place that a finding is about, with its schema."""
        if finding.call is None:
            schema = self.context.response_schema or self._demanded
            return Spot(text=text, finding=finding, schema=schema, heard=lambda: self.heard)
        name = answer.calls[finding.call].name
        others = [t for t in self.context.tools if t.name != name and t.parameters]
        return Spot(
            text=text,
            finding=finding,
            schema=next((t.parameters for t in self.context.tools if t.name == name), None),
            heard=lambda: self.heard,
            elsewhere=frozenset(n for t in others for n in arguments_of(t)),
        )


_Edited = tuple[Message, str, int | None]


def _edit(answer: Message, finding: Finding, bench: _Bench) -> _Edited | None:
    """The answer after one edit, what it was, and the call that it was made in."""
    if finding.code == "TOOL_UNKNOWN":
        return _named(answer, finding, bench.context)
    text = _text(answer, finding)
    if text is None or (_stopped(answer) and finding.channel == "arguments"):
        return None
    if _of_text(finding):
        done = _read(text, answer, finding)
    else:
        done = repair_values.edited(bench.spot(text, answer, finding))
    if done is None or done[0] == text:
        return None
    several = finding.call is not None and len(answer.calls) > 1
    said = f"{done[1]} (call {finding.call})" if several else done[1]
    made = _put(answer, finding, done[0])
    return (_finished(made) if done[1].endswith("close") else made), said, finding.call


def _named(answer: Message, finding: Finding, context: Context) -> _Edited | None:
    if finding.call is None:
        return None
    call = answer.calls[finding.call]
    name = repair_names.offered(call.name, [tool.name for tool in context.tools])
    if name is None:
        return None
    parts = tuple(
        replace(p, call=replace(call, name=name)) if p.call is call else p for p in answer.parts
    )
    return replace(answer, parts=parts), f"tool-name {name}", finding.call


def _read(text: str, answer: Message, finding: Finding) -> tuple[str, str] | None:
    """The text made JSON."""
    fence = _FENCE.fullmatch(text)
    if fence is not None:
        return fence["body"], "unfence"
    if finding.code == "JSON_DUP_KEY":
        return repair_values.without_twin(text)
    if finding.code in ("JSON_PROSE", "JSON_FENCED_PROSE") and finding.channel == "content":
        return _bare(text)
    done = mended(text, cut=_stopped(answer))
    return None if done is None else (done.text, " ".join(done.edits))


def _bare(text: str) -> tuple[str, str] | None:
    """The one JSON value of a text, where no bracket stands in the words around it."""
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    end = max(text.rfind("}"), text.rfind("]")) + 1
    if not starts or not parse(text[min(starts) : end]).ok:
        return None
    return text[min(starts) : end], "drop-words-around"


def _text(answer: Message, finding: Finding) -> str | None:
    """The text that a finding is about; None where it is spread over several parts."""
    if finding.channel == "arguments" and finding.call is not None:
        return answer.calls[finding.call].arguments
    texts = [part for part in answer.parts if part.kind == "text" and part.text]
    return texts[0].text if finding.channel == "content" and len(texts) == 1 else None


def _put(answer: Message, finding: Finding, text: str) -> Message:
    def put(part: Part) -> Part:
        if finding.channel == "content":
            return replace(part, text=text) if part.kind == "text" and part.text else part
        if part.call is not None and part.call is answer.calls[finding.call or 0]:
            return replace(part, call=replace(part.call, arguments=text, fault=None))
        return part

    return replace(answer, parts=tuple(map(put, answer.parts)), fault=None)


def _stopped(answer: Message) -> bool:
    return answer.end == "cut" or answer.finish_reason in CUT_REASONS


def _finished(answer: Message) -> Message:
    """A text that was stopped and now has its end."""
    if not _stopped(answer):
        return answer
    return replace(answer, end="complete", finish_reason="stop", usage=None)
