"""Validators of the user's own: declared with `validator`, named by import path or entry point.

In: `package.module:name` paths and the entry-point group `misstep.validators`. Out: `Own` values
and what they find. Their functions are guarded: what one throws, and a finding that is none, is
*its* error (VALIDATOR_ERROR, info), drops what it said about that step, and leaves the step
unjudged unless our own validators failed it; so does a question that takes too long. This is one of
the places where any exception is caught, as at the log formats of plug-ins. Worker processes import
the same paths again.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

import msgspec

from misstep import store
from misstep.codes import CODES, OURS, Code, register
from misstep.errors import ConfigError, SetupError
from misstep.redact import clip
from misstep.types import Cause, Finding
from misstep.validate.policy import Policy
from misstep.validate.time_limit import TooLong, limited
from misstep.validate.validator import MAX_EVIDENCE, Step, never

GROUP = "misstep.validators"
FAULT = "VALIDATOR_ERROR"
_NAME = re.compile(r"[A-Z][A-Z0-9_]*[A-Z0-9]\Z")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")

Check = Callable[[Any], Iterable[Finding]]
"""A function of a `Step`, or of the `Sequence[Step]` of one session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A validator that a user declared."""

    name: str
    codes: tuple[Code, ...]
    """Every code that `check` can emit."""
    check: Check
    judges: Callable[[Step], bool]
    """Whether it looked at a step and could have failed it."""
    of: Literal["step", "session"] = "step"

    @property
    def offline(self) -> bool:
        """True where replaying one step can show one of the codes."""
        return any(code.offline for code in self.codes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the codes."""
        return tuple(code.name for code in self.codes)


@dataclass(slots=True)
class Heard:
    """What the user's validators say of one step."""

    findings: list[Finding] = field(default_factory=list)
    judges: list[Own] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """One sentence for each that failed."""

    def judging(self, step: Step) -> Iterator[Own]:
        """The judges that could still have failed the step, after the user's policy."""
        policy = step.settings.policy or Policy()
        return (own for own in self.judges if policy.can_fail(own.names, step))


def validator(
    *codes: Code,
    of: Literal["step", "session"] = "step",
    judges: Callable[[Step], bool] = never,
    name: str | None = None,
) -> Callable[[Check], Own]:
    """Declare a function as a validator; a decorator.

    Args:
        codes: every code that it can emit: name, group, meaning, level, offline.
        of: `step` hands it a `Step`, `session` all steps of a session in their order.
        judges: whether it looked at a step and could have failed it; without it a step that only
            this validator looked at stays unjudged.
        name: shown name; the function's own without it.

    Raises:
        SetupError: a code is declared wrongly.
    """
    _declared(codes)

    def declare(check: Check) -> Own:
        return Own(name=name or check.__name__, codes=codes, check=check, judges=judges, of=of)

    return declare


def _declared(codes: Sequence[Code]) -> None:
    for code in codes:
        if not isinstance(code, Code):
            raise SetupError(f"a validator's code: expected a misstep.validate.Code, got {code!r}")
        if not _NAME.match(code.name):
            raise SetupError(f"code {code.name!r}: expected capitals, as in DATE_IMPOSSIBLE")
        if code.name in OURS:
            raise SetupError(f"code {code.name!r} is misstep's own; choose another name")
        if code.level not in ("defect", "suspect", "info") or not code.group or not code.meaning:
            raise SetupError(f"code {code.name!r}: expected a level, a group and a meaning")
    if not codes:
        raise SetupError("a validator without codes; declare each that it can emit")


def load(paths: Sequence[str]) -> tuple[Own, ...]:
    """The validators of installed plug-ins by name, then those of `paths`; registers their codes.

    Raises:
        SetupError: one cannot be loaded, or two declare the same name or the same code.
    """
    loaded = {path: _import(path) for path in paths}
    found = (*_plugged(), *loaded.values())
    for kind, names in (
        ("validators are named", [own.name for own in found]),
        ("validators declare the code", [name for own in found for name in own.names]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SetupError(f"two {kind} {twice[0]!r}; give one of them another")
    register(code for own in found for code in own.codes)
    return found


@cache
def _plugged() -> tuple[Own, ...]:
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(_own(point.load, f"plug-in {point.name!r} ({point.value})") for point in points)


def identity(paths: Sequence[str]) -> list[str]:
    """What tells whether a validator changed: the digest of its file, or its plug-in's version.

    Raises:
        SetupError: one cannot be loaded.
    """
    load(paths)
    files = [(path, sys.modules[path.partition(":")[0]].__file__) for path in paths]
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return [
        *(f"{path} {store.file_digest(Path(file)) if file else ''}" for path, file in files),
        *(f"{point.name} {point.value} {_version(point)}" for point in points),
    ]


def _version(point: EntryPoint) -> str:
    return "" if point.dist is None else point.dist.version


def _import(path: str) -> Own:
    if not _PATH.match(path):
        raise ConfigError(
            f"--validator {path}: expected package.module:function, for example checks:dates"
        )
    module, _, name = path.partition(":")
    here = os.getcwd()
    if here not in sys.path:  # as `python -m` does; a script's own folder is all that it sees
        sys.path.append(here)

    def get() -> Any:
        return vars(importlib.import_module(module))[name]

    return _own(get, f"--validator {path}")


def _own(get: Callable[[], Any], where: str) -> Own:
    try:
        loaded = get()
    except KeyError as error:
        raise SetupError(f"{where}: the module has no {error.args[0]!r}") from None
    except Exception as error:  # noqa: BLE001  a user's own code
        said = str(error) if isinstance(error, SetupError) else f"cannot be loaded: {error!r}"
        raise SetupError(f"{where}: {said}") from None
    if not isinstance(loaded, Own):
        raise SetupError(
            f"{where}: expected a function declared with @misstep.validate.validator, "
            f"got {type(loaded).__name__}; docs/validators.md shows how"
        )
    return loaded


def hear(step: Step, whole: Whole, *, offline: bool) -> Heard:
    """What the user's validators say of one step.

    Args:
        whole: the steps of the session, asked once for all of them.
        offline: only codes that a replayed step can show.
    """
    heard = Heard()
    for own in step.settings.own:
        if own.offline or not offline:
            _take(heard, own, step, whole.about(own, step))
    if offline:
        heard.findings = [f for f in heard.findings if CODES[f.code].offline]
    return heard


def _take(heard: Heard, own: Own, step: Step, found: list[Finding] | str) -> None:
    judges = found if isinstance(found, str) else _judges(own, step)
    if isinstance(found, str) or isinstance(judges, str):
        said = f"{own.name}: {judges}"
        heard.broken.append(said)
        cause: Cause = "infrastructure"
        heard.findings.append(step.find(FAULT, "transcript", cause=cause, evidence=said))
        return
    heard.findings.extend(found)
    if judges:
        heard.judges.append(own)


class Whole:
    """The steps of one session; a validator of sessions is asked once for all of them."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._said: dict[str, list[Finding] | str] = {}

    def about(self, own: Own, step: Step) -> list[Finding] | str:
        """What it finds in this step, or what went wrong."""
        if own.of == "step":
            return _guarded(own, step, [step])
        if own.name not in self._said:
            self._said[own.name] = _guarded(own, self._steps, self._steps)
        said = self._said[own.name]
        return said if isinstance(said, str) else [f for f in said if f.step == step.index]


def _guarded(own: Own, given: Any, steps: Sequence[Step]) -> list[Finding] | str:
    """The findings of one question, or the sentence that says why there are none."""
    try:
        with limited(steps[0].settings.time_limit):
            return list(_sound(own, own.check(given), steps))
    except (Exception, TooLong) as error:  # noqa: BLE001  a user's own code
        return _words(error)


def _judges(own: Own, step: Step) -> bool | str:
    try:
        with limited(step.settings.time_limit):
            return bool(own.judges(step))
    except (Exception, TooLong) as error:  # noqa: BLE001  a user's own code
        return _words(error)


def _words(error: BaseException) -> str:
    text = str(error) if isinstance(error, _Unsound | TooLong) else repr(error)
    return clip(" ".join(text.split()), MAX_EVIDENCE - 60)


class _Unsound(Exception):
    """A finding that is none."""


def _sound(own: Own, found: Iterable[Finding], steps: Sequence[Step]) -> Iterator[Finding]:
    """Each finding as the rest of misstep may rely on it."""
    by_index = {step.index: step for step in steps}
    for finding in found:
        if not isinstance(finding, Finding):
            raise _Unsound(f"yielded {type(finding).__name__}, expected a Finding (step.find)")
        known = msgspec.json.decode(msgspec.json.encode(finding), type=Finding)
        step = by_index.get(known.step)
        if step is None or known.session != step.session.id:
            raise _Unsound(f"a finding on step {known.step}, which it was not asked about")
        if known.code not in own.names:
            raise _Unsound(f"emitted {known.code}, which it does not declare")
        if known.call is not None and not 0 <= known.call < len(step.calls):
            raise _Unsound(f"a finding on call {known.call} of {len(step.calls)}")
        if known.span is not None and not 0 <= known.span[0] <= known.span[1]:
            raise _Unsound(f"a finding with the span {known.span}")
        if len(known.evidence) > MAX_EVIDENCE:
            raise _Unsound(f"evidence of more than {MAX_EVIDENCE} characters; step.find cuts it")
        yield replace(known, evidence=clip(known.evidence, MAX_EVIDENCE))
