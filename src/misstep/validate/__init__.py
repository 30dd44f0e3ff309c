"""The validate room: sessions in, findings and verdicts out.

`validate` judges every step of a logged session; `judge` judges one answer in the place of a step
(a repaired, resampled or newly trained one) with the same validators, limited to the codes that a
replayed step can show. Nothing here reads a file but `settings`, and nothing here raises on what a
log or a model holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from misstep.codes import CODES
from misstep.config import ValidateConfig
from misstep.errors import InputError
from misstep.types import Finding, Message, Session, Verdict
from misstep.validate import (
    agent_loop,
    json_text,
    response_schema,
    silent,
    text_loop,
    tool_call,
    tool_error,
)
from misstep.validate.precedence import settle
from misstep.validate.schema import compiled
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Settings, Step, Validator
from misstep.validate.verdict import decide

__all__ = ["VALIDATORS", "Judged", "Settings", "Validator", "judge", "settings", "validate"]

VALIDATORS: tuple[Validator, ...] = (
    tool_call.VALIDATOR,
    json_text.VALIDATOR,
    response_schema.VALIDATOR,
    text_loop.VALIDATOR,
    agent_loop.VALIDATOR,
    silent.VALIDATOR,
    tool_error.VALIDATOR,
)
"""Every validator. A new one is one file, one line here, its cases and its row in docs/codes.md."""

_OFFLINE = tuple(validator for validator in VALIDATORS if validator.offline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found in the own steps of one session."""

    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]


def settings(config: ValidateConfig) -> Settings:
    """What the user demands of the steps; reads the schema file once.

    Raises:
        InputError: the schema file cannot be read or is no usable JSON Schema.
    """
    schema = None if config.schema is None else _schema_text(Path(config.schema))
    return Settings(response_schema=schema, json=config.json, expect_call=config.expect_call)


def _schema_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a JSON Schema file") from None
    problem = compiled(text).problem
    if problem:
        raise InputError(f"{path}: {' '.join(problem.split())}; give a JSON Schema file")
    return text


def validate(session: Session, settings: Settings) -> Judged:
    """Judge every own step of a session."""
    transcript = Transcript(session)
    findings: list[Finding] = []
    verdicts: list[Verdict] = []
    for index in session.steps:
        step = Step(session=session, index=index, settings=settings, transcript=transcript)
        found, verdict = _look(step, offline=False)
        findings.extend(found)
        verdicts.append(verdict)
    return Judged(findings=tuple(findings), verdicts=tuple(verdicts))


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
    view = Step(
        session=replayed,
        index=step,
        settings=settings,
        transcript=Transcript(replayed),
        demand_call=demand_call,
    )
    return _look(view, offline=True)


def _look(step: Step, *, offline: bool) -> tuple[tuple[Finding, ...], Verdict]:
    used = _OFFLINE if offline else VALIDATORS
    found = [f for v in used for f in v.check(step) if CODES[f.code].offline or not offline]
    settled = settle(step, found)
    return settled, decide(step, settled, [v.name for v in used if v.judges(step)])
