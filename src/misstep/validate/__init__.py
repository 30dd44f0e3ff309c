"""The validate room: sessions in, findings and verdicts out.

`validate` judges every step of a logged session; `judge` judges one answer in the place of a step
(a repaired, resampled or newly trained one) with the same validators, limited to the codes that a
replayed step can show. Nothing here reads a file but `settings`, and nothing here raises on what a
log or a model holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from misstep import store
from misstep.codes import CODES, Code
from misstep.config import ValidateConfig
from misstep.errors import InputError
from misstep.types import Finding, Message, Session, Verdict
from misstep.validate import (
    agent_cycle,
    agent_loop,
    agent_near,
    code,
    custom,
    effects,
    json_text,
    limit,
    monologue,
    promises,
    provenance,
    response_schema,
    same_error,
    silent,
    text_loop,
    tool_call,
    tool_error,
)
from misstep.validate.custom import Own, Whole, hear, validator
from misstep.validate.documents import documents
from misstep.validate.excuses import asked_of
from misstep.validate.missing import WANTS, counted
from misstep.validate.policy import policy_of
from misstep.validate.precedence import settle
from misstep.validate.published import published_loop, published_period, published_span
from misstep.validate.rota import Pick, Rota
from misstep.validate.running_on import running_on
from misstep.validate.schema import Reading, compiled
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Settings, Step, Validator
from misstep.validate.verdict import decide
from misstep.validate.worth import Worth, worth

__all__ = [
    "VALIDATORS",
    "WANTS",
    "Code",
    "Judged",
    "Own",
    "Settings",
    "Step",
    "Validator",
    "Worth",
    "asked_of",
    "compiled",
    "judge",
    "own_identity",
    "published_loop",
    "published_period",
    "published_span",
    "running_on",
    "settings",
    "validate",
    "validator",
    "worth",
]

VALIDATORS: tuple[Validator, ...] = (
    tool_call.VALIDATOR,
    json_text.VALIDATOR,
    response_schema.VALIDATOR,
    text_loop.VALIDATOR,
    agent_loop.VALIDATOR,
    agent_cycle.VALIDATOR,
    same_error.VALIDATOR,
    monologue.VALIDATOR,
    agent_near.VALIDATOR,
    limit.VALIDATOR,
    silent.VALIDATOR,
    tool_error.VALIDATOR,
    provenance.VALIDATOR,
    effects.VALIDATOR,
    promises.VALIDATOR,
    code.VALIDATOR,
)
"""Every validator. A new one is one file, one line here, its cases and its row in docs/codes.md."""

_ONLINE = Rota(VALIDATORS)
_OFFLINE = Rota([validator for validator in VALIDATORS if validator.offline])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found in the own steps of one session."""

    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    unchecked: Mapping[str, int] = field(default_factory=dict)
    """How often a check had nothing to go by, by the name in `WANTS`."""


def settings(config: ValidateConfig, *, own: bool = True) -> Settings:
    """What the user demands of the steps; reads the schema file once.

    Args:
        own: False leaves the user's own validators out, to show a run where they are not at hand.

    Raises:
        InputError: the schema file cannot be read or is no usable JSON Schema, or the documents
            that schemas refer to cannot be used.
        ConfigError: a level or an exemption names a code that nobody emits.
        SetupError: a validator of the user's cannot be loaded.
    """
    reading = _reading(config)
    schema = None if config.schema is None else _schema_text(Path(config.schema), reading)
    owned = custom.load(config.validators) if own else ()
    policy = policy_of(config, strict=own) if config.levels or config.exempt else None
    return Settings(
        response_schema=schema,
        reading=reading,
        json=config.json,
        expect_call=config.expect_call,
        own=owned,
        time_limit=config.time_limit,
        policy=policy,
        limits=config.limits,
        code=config.code,
        answer_code=config.answer_code,
    )


def own_identity(config: ValidateConfig) -> list[str]:
    """What tells whether the user's own validators or documents changed since steps were judged.

    Raises:
        SetupError: one cannot be loaded.
    """
    told = custom.identity(config.validators)
    if config.documents is not None:
        told.append(store.key_of("documents", documents(Path(config.documents))))
    return told


def _reading(config: ValidateConfig) -> Reading | None:
    if config.documents is None and config.formats == "always":
        return None
    known = () if config.documents is None else documents(Path(config.documents))
    return Reading(formats=config.formats, documents=known)


def _schema_text(path: Path, reading: Reading | None) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a JSON Schema file") from None
    problem = compiled(text, reading).problem
    if problem:
        raise InputError(f"{path}: {' '.join(problem.split())}; give a JSON Schema file")
    return text


def validate(session: Session, settings: Settings) -> Judged:
    """Judge every own step of a session."""
    transcript = Transcript(session, settings.limits)
    findings: list[Finding] = []
    verdicts: list[Verdict] = []
    steps: Iterable[Step] = (
        Step(session=session, index=index, settings=settings, transcript=transcript)
        for index in session.steps
    )
    whole = None
    if settings.own:
        steps = tuple(steps)
        whole = Whole(steps)
    asked = _ONLINE.of_session(transcript)
    for step in steps:
        found, verdict = _look(step, asked(step), whole, offline=False)
        findings.extend(found)
        verdicts.append(verdict)
    return Judged(
        findings=tuple(findings),
        verdicts=tuple(verdicts),
        unchecked=counted(session, transcript),
    )


def judge(
    session: Session,
    step: int,
    answer: Message,
    *,
    settings: Settings,
    demand_call: bool = False,
) -> tuple[tuple[Finding, ...], Verdict]:
    """Judge `answer` in the place of `step`, by the codes that a replayed step can show.

    `demand_call=True` makes an answer without a call a NO_CALL whatever the request said.
    """
    replayed = session.replayed(step, answer)
    transcript = Transcript(replayed, settings.limits)
    view = partial(Step, session=replayed, settings=settings, transcript=transcript)
    this = view(index=step, demand_call=demand_call)
    whole = None
    if settings.own:
        whole = Whole([*(view(index=at) for at in replayed.steps if at < step), this])
    return _look(this, _OFFLINE.pick(this), whole, offline=True)


def _look(
    step: Step, pick: Pick, whole: Whole | None, *, offline: bool
) -> tuple[tuple[Finding, ...], Verdict]:
    found: list[Finding] = []
    for check in pick.checks:
        found.extend(check(step))
    if offline:
        found = [f for f in found if CODES[f.code].offline]
    jury = pick.jury(step)
    own = None if whole is None else hear(step, whole, offline=offline)
    settled = settle(step, found if own is None else [*found, *own.findings])
    policy = step.settings.policy
    if policy is not None:
        settled = policy.apply(step, settled)
        jury = jury.those(lambda validator: policy.can_fail(validator.codes, step))
    if own is None:
        return settled, decide(step, settled, jury.names, groups=jury.groups)
    names, groups = [*jury.names], [*jury.groups]
    for judge in own.judging(step):
        names.append(judge.name)
        groups.extend(code.group for code in judge.codes)
    return settled, decide(step, settled, names, groups=groups, broken=own.broken)
