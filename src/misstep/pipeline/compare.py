"""Two sets of logs set against each other: did the new model, prompt or harness fail less?

In: two paths, each with logs or a run folder. Out: a `Comparison`. Sessions of the two match where
the user's first message is the same, whatever system prompt and tools stand before it. A run folder
keeps the verdicts of its scan; where those were made with other settings than the other side's, the
two are not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from misstep import ingest, report, store
from misstep.config import RunConfig, load_config
from misstep.errors import InputError
from misstep.evaluate import Contrast, Tried, contrasts
from misstep.pipeline.gather import gathered
from misstep.pipeline.job import Progress, silent
from misstep.pipeline.kept import FILES
from misstep.pipeline.limits import look_closer
from misstep.types import Session, Verdict, content_id

CONFIG = "config.yaml"
"""In a run folder: the settings that it was made with."""
_SESSION = msgspec.json.Decoder(Session)
_VERDICT = msgspec.json.Decoder(Verdict)
_VERDICTS = msgspec.json.Decoder(tuple[Verdict, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One side in figures."""

    path: str
    sessions: int
    steps: int
    unjudged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both sides, the total first and then every code."""

    first: Sample
    second: Sample
    contrasts: tuple[Contrast, ...]

    @property
    def total(self) -> Contrast:
        """All codes together."""
        return self.contrasts[0]

    @property
    def nothing(self) -> str | None:
        """Why there is nothing to compare, and what to do; None where both sides were judged."""
        bare = [side for side in (self.first, self.second) if side.steps == side.unjudged]
        if not bare:
            return None
        paths = [Path(side.path) for side in bare]
        return f"{report.nothing_compared(self.to_json())}; {look_closer(paths)}"

    def to_json(self) -> dict[str, Any]:
        """What `misstep compare --json` prints; schemas/comparison.json."""
        return {
            "first": asdict(self.first),
            "second": asdict(self.second),
            "verdict": self.total.word,
            "contrasts": [asdict(each) for each in self.contrasts],
        }


def compare(
    first: Path, second: Path, config: RunConfig, *, progress: Progress = silent
) -> Comparison:
    """Read and judge both with the same settings, and set their failures against each other.

    Raises:
        InputError: a path does not exist, a tools or schema file cannot be used, or the two sides
            were judged with different settings.
    """
    _check_judging(first, second, config)
    sides = []
    for path in (first, second):
        steps = Counter[str]()
        tried = list(_tried(path, config, steps, progress))
        sample = Sample(
            path=ingest.printed(path),
            sessions=len(tried),
            steps=steps.total(),
            unjudged=steps["unjudged"],
        )
        sides.append((sample, tried))
    (one, before), (other, after) = sides
    found = contrasts(before, after, confidence=config.eval.confidence)
    return Comparison(first=one, second=other, contrasts=tuple(found))


def _tried(
    path: Path, config: RunConfig, steps: Counter[str], progress: Progress
) -> Iterator[Tried]:
    for session, verdicts in _judged(path, config, progress):
        steps.update(verdict.state for verdict in verdicts)
        yield Tried(
            task=_task(session),
            judged=sum(verdict.state != "unjudged" for verdict in verdicts),
            failed=sum(verdict.state == "fail" for verdict in verdicts),
            codes=Counter(code for verdict in verdicts for code in verdict.codes),
        )


def _judged(
    path: Path, config: RunConfig, progress: Progress
) -> Iterator[tuple[Session, Sequence[Verdict]]]:
    if _is_run(path):
        yield from _kept(path)
        return
    with gathered([path], config, wants=("session", "verdicts"), progress=progress) as found:
        both = zip(found.ledger.kept("session"), found.ledger.kept("verdicts"), strict=True)
        for (session, _), (verdicts, _) in both:
            yield _SESSION.decode(session), _VERDICTS.decode(verdicts)


def _is_run(path: Path) -> bool:
    return all((path / name).exists() for name in FILES)


def _check_judging(first: Path, second: Path, config: RunConfig) -> None:
    """Refuse two sides of which one was asked for more than the other."""
    one, other = (_judging(path, config) for path in (first, second))
    differing = [name for name in one if one[name] != other[name]]
    if not differing:
        return
    told = "; ".join(f"validate.{key}: {one[key]!r} and {other[key]!r}" for key in differing)
    run = first if _is_run(first) else second
    raise InputError(
        f"{ingest.printed(first)} and {ingest.printed(second)} are judged with different settings "
        f"({told}), which alone can make one fail more. Give logs beside a run the settings of "
        f"that run, --config {ingest.printed(run / CONFIG)}, or compare the logs of both"
    )


def _judging(path: Path, config: RunConfig) -> dict[str, Any]:
    """The settings on which verdicts depend, by name: the run's own, or those that are given."""
    kept = path / CONFIG
    used = load_config(kept) if _is_run(path) and kept.exists() else config
    found = asdict(used.validate)
    for name in ("redact", "time_limit"):
        del found[name]
    for name in ("schema", "documents"):
        found[name] = found[name] and str(Path(found[name]).resolve())
    return found


def _kept(folder: Path) -> Iterator[tuple[Session, Sequence[Verdict]]]:
    """What a run folder holds; sessions stand in one order in all of its files."""
    rows = store.read_stream(folder / "verdicts.parquet", ("session", "verdict"))
    judged = groupby(rows, key=itemgetter(0))
    name, said = next(judged, ("", iter(())))
    for own, data in store.read_stream(folder / "sessions.parquet", ("id", "session")):
        verdicts: list[Verdict] = []
        if own == name:
            verdicts = [_VERDICT.decode(text) for _, text in said]
            name, said = next(judged, ("", iter(())))
        yield _SESSION.decode(data), verdicts


def _task(session: Session) -> str:
    """Content of the user's first message; empty for a session that goes on from another."""
    if session.prefix:
        return ""
    said = next((m for m in session.messages if m.role == "user" and m.text.strip()), None)
    return "" if said is None else content_id(" ".join(said.text.split()))
