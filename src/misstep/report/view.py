"""`RunView` and `ScanView`: everything that a report shows, as plain values of the pipeline.

The report rooms read nothing else: no run folder, no session, no model. Every field has a default.
Text of the logs arrives as it was
logged (redacted by the pipeline where that is configured); escaping is the report's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The log of one training stage."""

    stage: str
    """`sft`, `dpo` or the name of a control."""
    log: Sequence[Row] = ()
    """Rows as the trainer logs them: `step`, `loss` and what else it gives; units are TRL's."""
    steps: int = 0
    rows: int = 0
    """Rows or pairs trained on."""
    set_aside: Mapping[str, int] = field(default_factory=dict)
    """Rows not trained on: reason → count."""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A finished, a partial, or a scan-only run."""

    title: str = "misstep"
    """What the report is called; usually the name of the run folder or of the logs."""
    summary: Row = field(default_factory=dict)
    """The object of `misstep scan --json` (schemas/summary.json)."""
    page: Row = field(default_factory=dict)
    """Rows of the failure part, as in `ScanView.page`; empty where only figures are shown."""
    pages: Sequence[Row] = ()
    """Transcribed pages, where the run is one of documents (`templates/pages.html`)."""
    pairs: Sequence[Row] = ()
    """Pair rows: prompt chosen rejected (chat message lists), tools, id family source codes edits
    origin_chosen origin_rejected. Optional `marks`, what is marked in the rejected side:
    [{"channel": content | reasoning | arguments, "call": index or null, "start": 0, "end": 9,
    "code": "…", "evidence": "…"}], offsets in characters of that channel's text; with `named` the
    name of the call is marked."""
    pairs_total: int | None = None
    """Number of pairs in the run; None where `pairs` holds all of them."""
    pairs_train: int | None = None
    """Number of pairs of the train part; None where `pairs` holds all of them."""
    trained: int | None = None
    """Pairs trained on; None where no preference stage ran."""
    sources: Mapping[str, int] = field(default_factory=dict)
    """Pairs by chosen-source."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Candidate pairs that the gate refused: reason → count."""
    unpaired: int = 0
    """Failed steps for which no source had anything to choose."""
    on_policy_share: float | None = None
    """Share of the logged steps that the trained model itself wrote, in [0, 1]."""
    scores: Row | None = None
    """The object of `scores.json` (schemas/scores.json); None where nothing was evaluated."""
    timing: Sequence[Row] = ()
    """Rows of `timing.json`: model kind answers seconds loop_seconds loop_share."""
    spent: Sequence[Row] = ()
    """What the stages took, as in `timing.json`: stage round answers rows steps tokens seconds."""
    disagreements: Sequence[Row] = ()
    """Answers on which the rules about loops disagree, as in scores.json, with their `place`."""
    training: Sequence[Training] = ()
    rounds: Sequence[Row] = ()
    """Rounds of resampling and training, where there were several: round prompts answers pairs
    unpaired rows steps; None for what a round did not reach."""
    model: str | None = None
    """The base model as the user named it."""
    adapter: str | None = None
    """Where the adapter lies."""
    report: str | None = None
    """Where report.html lies."""
    config: Row = field(default_factory=dict)
    """The resolved settings, nested as in config.yaml."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock by stage."""
    version: str = ""
    """Version of misstep."""
    created: str = ""
    """ISO date and time, or empty for a byte-stable report."""
    notes: Sequence[str] = ()
    """Sentences that the reader should know, e.g. why nothing was trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """A scan: the failure part alone. All text was redacted by the pipeline."""

    title: str = "misstep"
    summary: Row = field(default_factory=dict)
    """The object of `misstep scan --json` (schemas/summary.json)."""
    page: Row = field(default_factory=dict)
    """Rows of the page, each optional. A rate is k n value low high, the interval Wilson's at 95 %.
    judged: steps. codes: rates with code, level. tools, models, days, months: rates of failed
    ones among those that count, with name and `all`. unknown: tool → unjudged
    steps that call it, the first of unknown_total. sessions: session place{file line format
    inside} steps judged failed strip share copies codes. examples: code → rows of code level
    evidence tags channel where session step model place blocks[{kind title runs[[text, look]]}].
    set_aside and ignored: format reason count, and said origin of the first set aside."""
    version: str = ""
    """Version of misstep."""
    created: str = ""
    """ISO date and time, or empty for a byte-stable page."""
