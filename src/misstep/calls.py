"""The Python API: `misstep.scan`, `mine`, `train`, `evaluate`, `run`, `compare`.

In: paths, and settings as the command line takes them (`config` a YAML file or a `RunConfig`,
`settings` such as `{"dpo.beta": 0.1}` over it). Out: typed values; `.frame()` gives their rows as a
polars frame. Nothing is printed. Errors are those of `misstep.errors`. Type checkers see
`misstep.mine`, `misstep.train` and `misstep.evaluate` as modules: import the functions from here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from misstep import api
from misstep.config import RunConfig, dump_config, load_config
from misstep.errors import UnknownName
from misstep.types import Finding, Session, SetAside, Verdict

if TYPE_CHECKING:
    import polars

    from misstep.pipeline.compare import Comparison
    from misstep.pipeline.job import Progress

Logs = str | Path | Sequence[str | Path]
Config = RunConfig | str | Path | None
Settings = Mapping[str, Any] | None
Ending = Literal["ship", "do-not-ship", "nothing-to-train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What fails in some logs."""

    sessions: tuple[Session, ...]
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    """One a step."""
    set_aside: tuple[SetAside, ...]
    summary: Mapping[str, Any]
    """What `misstep scan --json` prints (schemas/summary.json)."""

    @property
    def judged(self) -> int:
        """Steps that a validator could hold against something."""
        return int(self.summary["steps"] - self.summary["unjudged_steps"])

    @property
    def failed(self) -> int:
        """Steps with a defect that the model caused."""
        return int(self.summary["failed_steps"])

    def frame(self, of: Literal["findings", "steps", "sessions"] = "findings") -> polars.DataFrame:
        """One row a finding, a step or a session."""
        rows = {"findings": self._findings, "steps": self._steps, "sessions": self._sessions}
        return _frame(rows[_known(of, rows)]())

    def write_html(self, path: str | Path) -> None:
        """The failure page, as `misstep scan --html` writes it."""
        api.write_scan_html(self._scanned(), Path(path))

    def _scanned(self) -> Any:
        return api.Scanned(
            sessions=self.sessions,
            findings=self.findings,
            verdicts=self.verdicts,
            set_aside=self.set_aside,
            summary=self.summary,
        )

    def _findings(self) -> list[dict[str, Any]]:
        rows = []
        for row in api.finding_rows(self._scanned()):
            origin = row.pop("origin")
            del row["loop"]
            rows.append(row | {f"origin_{key}": value for key, value in origin.items()})
        return rows

    def _steps(self) -> list[dict[str, Any]]:
        by_id = {session.id: session for session in self.sessions}
        rows = []
        for verdict in self.verdicts:
            message = by_id[verdict.session].messages[verdict.step]
            rows.append(
                {
                    "session": verdict.session,
                    "step": verdict.step,
                    "state": verdict.state,
                    "why": verdict.why,
                    "score": verdict.score,
                    "codes": list(verdict.codes),
                    "model": message.model,
                    "time": message.time,
                    "tools": [call.name for call in message.calls],
                }
            )
        return rows

    def _sessions(self) -> list[dict[str, Any]]:
        failed: dict[str, int] = {}
        for verdict in self.verdicts:
            failed[verdict.session] = failed.get(verdict.session, 0) + (verdict.state == "fail")
        return [
            {
                "id": each.id,
                "format": each.format,
                "family": each.family,
                "messages": len(each.messages),
                "steps": sum(1 for _ in each.steps),
                "failed_steps": failed.get(each.id, 0),
                "copies": each.copies,
            }
            for each in self.sessions
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """The pairs of a folder."""

    folder: Path
    pairs: int
    failed_steps: int
    unpaired: int
    sources: Mapping[str, int]
    codes: Mapping[str, int]
    refused: Mapping[str, int]
    """Candidates that are no pair, by the gate's reason."""
    facts: Mapping[str, Any]
    """Everything that `misstep mine --json` prints."""

    def frame(
        self, of: Literal["pairs", "unpaired"] = "pairs", part: str = "train"
    ) -> polars.DataFrame:
        """The rows of a part, `train` or `dev` (schemas/pair.json); empty where it has none."""
        import polars

        name = _known(of, ("pairs", "unpaired"))
        path = self.folder / name / f"{_known(part, ('train', 'dev'))}.parquet"
        return polars.read_parquet(path) if path.exists() else polars.DataFrame()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """An adapter and how it was made."""

    folder: Path
    adapter: Path | None
    """None where there was nothing to train."""
    steps: int
    """Of the preference stage."""
    said: str
    log: Sequence[Mapping[str, Any]]
    """What the trainer logged, `stage` beside TRL's names."""

    def frame(self) -> polars.DataFrame:
        """One row a logged step."""
        return _frame([dict(row) for row in self.log])


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Before and after on the held-out families."""

    folder: Path
    verdict: Ending
    why: str
    scores: Mapping[str, Any]
    """What scores.json holds (schemas/scores.json)."""

    def frame(
        self, of: Literal["scores", "paired", "guards", "collateral"] = "scores"
    ) -> polars.DataFrame:
        """The rates with their intervals, the comparisons with p, the guards, the collateral."""
        known = _known(of, ("scores", "paired", "guards", "collateral"))
        return _frame([dict(row) for row in self.scores.get(known, ())])


def scan(
    logs: Logs,
    *,
    config: Config = None,
    settings: Settings = None,
    progress: Progress | None = None,
) -> Scan:
    """Read and judge logs: what fails, where, how often. Needs no model.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        ConfigError: a setting cannot be used.
    """
    found = api.scan(_paths(logs), _config(config, settings), **_shown(progress))
    return Scan(
        sessions=found.sessions,
        findings=found.findings,
        verdicts=found.verdicts,
        set_aside=found.set_aside,
        summary=found.summary,
    )


def mine(
    logs: Logs,
    out: str | Path,
    *,
    model: str | None = None,
    config: Config = None,
    settings: Settings = None,
    progress: Progress | None = None,
) -> Mined:
    """Preference pairs from logs, written to the folder `out`.

    Args:
        model: also answers the logged prompts, and its own failures and successes are paired.

    Raises:
        SetupError: logs, settings or model cannot be used.
        StageError: a stage could not finish; the same call resumes.
    """
    folder, made = Path(out), _config(config, settings, model)
    resample = model is not None or made.endpoint.url is not None
    facts = api.mine(_paths(logs), folder, made, resample=resample, **_shown(progress))
    return Mined(
        folder=folder,
        pairs=facts["pairs"],
        failed_steps=facts["failed_steps"],
        unpaired=facts["unpaired"],
        sources=facts["sources"],
        codes=facts["codes"],
        refused=facts["refused"],
        facts=facts,
    )


def train(
    folder: str | Path,
    *,
    model: str | None = None,
    config: Config = None,
    settings: Settings = None,
    progress: Progress | None = None,
) -> Trained:
    """A LoRA adapter on the pairs of a folder: SFT, then DPO or KTO.

    Raises:
        SetupError: the folder holds no pairs, or settings or model cannot be used.
        StageError: training failed; the same call resumes.
    """
    from misstep.pipeline.view import view

    where = Path(folder)
    facts = api.train(where, _config(_own(where, config), settings, model), **_shown(progress))
    adapter = where / "adapter"
    return Trained(
        folder=where,
        adapter=adapter if facts["steps"] and adapter.exists() else None,
        steps=facts["steps"],
        said=facts["said"],
        log=[{"stage": each.stage, **row} for each in view(where).training for row in each.log],
    )


def evaluate(
    folder: str | Path,
    *,
    adapter: str | Path | None = None,
    model: str | None = None,
    config: Config = None,
    settings: Settings = None,
    progress: Progress | None = None,
) -> Evaluated:
    """How much rarer each failure is on the held-out families of a folder.

    Raises:
        InputError: there is no adapter, or the folder holds no scan.
        LeakError: a held-out prompt was trained on.
    """
    where = Path(folder)
    made = _config(_own(where, config), settings, model)
    given = None if adapter is None else Path(adapter)
    return _evaluated(where, api.evaluate(where, made, given, **_shown(progress)))


def run(
    logs: Logs,
    out: str | Path,
    *,
    model: str | None = None,
    config: Config = None,
    settings: Settings = None,
    progress: Progress | None = None,
) -> Evaluated:
    """The whole loop, from logs to a verdict, in the run folder `out`; the same call resumes.

    Raises:
        SetupError: logs, settings or model cannot be used.
        StageError: a stage could not finish.
    """
    folder = Path(out)
    api.run(_paths(logs), folder, _config(config, settings, model), **_shown(progress))
    return _evaluated(folder, api.scores(folder))


def compare(
    first: str | Path, second: str | Path, *, config: Config = None, settings: Settings = None
) -> Comparison:
    """Whether the second set of logs fails less than the first, with intervals.

    Raises:
        InputError: a path does not exist or holds no judged step.
    """
    return api.compare(Path(first), Path(second), _config(config, settings))


def _evaluated(folder: Path, scores: Mapping[str, Any]) -> Evaluated:
    return Evaluated(folder=folder, verdict=scores["verdict"], why=scores["why"], scores=scores)


def _paths(logs: Logs) -> list[Path]:
    return [Path(logs)] if isinstance(logs, str | Path) else [Path(each) for each in logs]


def _own(folder: Path, config: Config) -> Config:
    """The given settings, else those that the folder was made with."""
    own = folder / "config.yaml"
    return own if config is None and own.exists() else config


def _config(config: Config, settings: Settings, model: str | None = None) -> RunConfig:
    named = dict(settings or {}) | ({} if model is None else {"model": model})
    if not isinstance(config, RunConfig):
        return load_config(None if config is None else Path(config), named)
    if set(named) - {"model"}:
        import yaml

        ground = yaml.safe_load(dump_config(config))
        return load_config(None, named, ground)
    return config if model is None else replace(config, model=model)


def _known(name: str, names: Collection[str]) -> Any:
    """The name of a frame.

    Raises:
        UnknownName: there is none of that name.
    """
    if name not in names:
        raise UnknownName("frame", name, names)
    return name


def _shown(progress: Progress | None) -> dict[str, Any]:
    return {} if progress is None else {"progress": progress}


def _frame(rows: Sequence[Mapping[str, Any]]) -> polars.DataFrame:
    import polars

    return polars.DataFrame(list(rows), infer_schema_length=None)
