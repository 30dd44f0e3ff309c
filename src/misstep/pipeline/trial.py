"""A prompt of one's own, put to the base model and to what a run made of it.

In: a run folder and a text. Out: one answer of each, judged by the validators of the run. What is
offered beside the text (tools, system prompt, response schema) is that of a logged session, or of a
tools file. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import ingest, models, store, validate
from misstep.chat import from_chat, to_chat
from misstep.config import RunConfig
from misstep.errors import InputError
from misstep.pipeline.kept import judged_of
from misstep.report.words import many, visible
from misstep.types import Context, Finding, Message, Session, Verdict

ADAPTER = "adapter"
_SHOWN = 20
"""Lines of a text at most; all of it is in `trial_json`."""
_STATES = {"pass": "passes", "fail": "fails", "unjudged": "not judged"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one model answered."""

    arm: str
    """`base` or `adapter`."""
    answer: Message
    findings: tuple[Finding, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is put to the models."""

    text: str
    like: str | None = None
    """Id of a logged session, or its beginning: its system prompt, tools and schema are offered."""
    tools: Path | None = None
    """A tools file, in the place of the session's tools."""
    temperature: float = 0.0
    max_new_tokens: int = 256
    seed: int = 0


def trial(folder: Path, asked: Asked, config: RunConfig) -> list[Tried]:
    """The answers of the base model and of the run's adapter, in this order.

    Raises:
        InputError: the folder holds no adapter or no scan, or no session has that id.
        ModelError: the base cannot be loaded, or its template refuses the prompt.
    """
    adapter = folder / ADAPTER
    if not (adapter / "adapter_config.json").exists():
        raise InputError(f"{folder}: holds no adapter; train one first: misstep run LOGS -o RUN")
    start, context = offered(folder, asked, config)
    prompt = (*start, from_chat({"role": "user", "content": asked.text}))
    tried = []
    for arm, path in (("base", None), (ADAPTER, adapter)):
        loaded = models.load(config.model, adapter=path, dtype=config.dtype)
        answer = _answer(loaded, prompt, context, asked)
        findings, verdict = _judged(prompt, context, answer, config)
        tried.append(Tried(arm=arm, answer=answer, findings=findings, verdict=verdict))
    return tried


def offered(folder: Path, asked: Asked, config: RunConfig) -> tuple[tuple[Message, ...], Context]:
    """The system prompt, and what the request offers."""
    start: tuple[Message, ...] = ()
    context, tools = Context(), asked.tools or config.ingest.tools
    if asked.like is not None:
        session = _session(folder, asked.like)
        start = tuple(m for m in session.messages[:1] if m.role == "system")
        context = session.context_of(next(iter(session.steps), 0))
        tools = asked.tools
    if tools is not None:
        context = ingest.offering(context, ingest.read_tools(Path(tools)))
    return start, context


def _session(folder: Path, name: str) -> Session:
    found = [s for s, _ in judged_of(store.RunFolder(folder)) if s.id.startswith(name)]
    if len(found) != 1:
        why = f"{len(found)} sessions begin with {name!r}" if found else f"no session {name!r}"
        raise InputError(f"{folder}: {why}; the pairs of the run name theirs in `session`")
    return found[0]


def _answer(
    loaded: models.Loaded, prompt: Sequence[Message], context: Context, asked: Asked
) -> Message:
    ids = loaded.template.prompt_ids(prompt, context)
    room = loaded.window - asked.max_new_tokens
    if len(ids) > room:
        raise InputError(
            f"the prompt has {len(ids)} tokens and the model's window leaves {room}; "
            f"ask for less, or for fewer --max-new-tokens"
        )
    ((answer,),) = models.sample(
        loaded,
        [ids],
        seed=asked.seed,
        temperature=asked.temperature,
        max_new_tokens=asked.max_new_tokens,
    )
    message = loaded.template.parse(answer.text, context)
    return replace(message, finish_reason=answer.finish_reason, context=0)


def _judged(
    prompt: Sequence[Message], context: Context, answer: Message, config: RunConfig
) -> tuple[tuple[Finding, ...], Verdict]:
    session = Session(id="trial", format="trial", messages=(*prompt, answer), contexts=(context,))
    return validate.judge(session, len(prompt), answer, settings=validate.settings(config.validate))


def trial_json(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """The answers as plain values."""
    return [
        {
            "arm": one.arm,
            "answer": to_chat([one.answer])[0],
            "finish_reason": one.answer.finish_reason,
            "state": one.verdict.state,
            "codes": list(one.verdict.codes),
            "findings": [
                {"code": f.code, "level": f.level, "where": f.where, "evidence": f.evidence}
                for f in one.findings
            ],
        }
        for one in tried
    ]


def trial_text(tried: Sequence[Tried]) -> str:
    """The answers one below the other, each with its verdict and what was found."""
    return "\n\n".join("\n".join(_lines(one)) for one in tried)


def _lines(one: Tried) -> Iterator[str]:
    why = ", ".join(one.verdict.codes) or one.verdict.why
    yield f"{one.arm}: {_STATES[one.verdict.state]}{f' ({why})' if why else ''}"
    if one.answer.text:
        lines = visible(one.answer.text).splitlines()
        yield from (f"  {line}" for line in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"  … {many(len(lines) - _SHOWN, 'more line')}"
    for call in one.answer.calls:
        yield f"  {visible(call.name)} {visible(call.arguments)}"
    for finding in one.findings:
        place = f" at {finding.where}" if finding.where else ""
        yield f"  {finding.level} {finding.code}{visible(place)}: {visible(finding.evidence)}"
