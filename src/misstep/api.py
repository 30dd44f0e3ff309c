"""The front door for programs: the same work as the command line, with values instead of words.

In: paths and a `RunConfig`. Out: values, or texts ready to print. Errors are those of `errors`.
What a call needs is imported when it is first asked for, so that a scan loads no more than a scan.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from misstep import store
from misstep.config import RunConfig, load_config
from misstep.errors import InputError

if TYPE_CHECKING:
    from misstep.pipeline.checks import held_to, told_held
    from misstep.pipeline.compare import Comparison, compare
    from misstep.pipeline.explain import explain
    from misstep.pipeline.forget import forget
    from misstep.pipeline.forgetting import Forgotten
    from misstep.pipeline.funnel import funnel
    from misstep.pipeline.limits import Excess, exceeded, limits_of, nothing_judged
    from misstep.pipeline.linting import lint, lint_text
    from misstep.pipeline.loop import evaluate, mine, run, train
    from misstep.pipeline.outputs import refuse_outputs
    from misstep.pipeline.parts import left_by
    from misstep.pipeline.plan import plan, training_plan
    from misstep.pipeline.pushing import push
    from misstep.pipeline.reviewing import Review
    from misstep.pipeline.scan import Scanned, Told, finding_rows, scan, tell
    from misstep.pipeline.since import state_folder
    from misstep.pipeline.starter import starter, starter_json, starter_text, write_starter
    from misstep.pipeline.trial import Asked, trial, trial_json, trial_text
    from misstep.pipeline.watching import Watch, updates

__all__ = [
    "Asked",
    "RunConfig",
    "Scanned",
    "Told",
    "Watch",
    "compare",
    "comparison_text",
    "evaluate",
    "exceeded",
    "excess_text",
    "explain",
    "finding_rows",
    "forget",
    "forget_text",
    "funnel",
    "held_to",
    "left_by",
    "limits_of",
    "lint",
    "lint_text",
    "load_config",
    "merge",
    "mine",
    "mine_text",
    "nothing_judged",
    "plan",
    "push",
    "recipe_text",
    "recipes_text",
    "refuse_outputs",
    "review",
    "review_screen",
    "run",
    "run_text",
    "scan",
    "scan_text",
    "scores",
    "share_text",
    "starter",
    "starter_json",
    "starter_text",
    "state_folder",
    "tell",
    "told_held",
    "train",
    "training_plan",
    "trial",
    "trial_json",
    "trial_text",
    "updates",
    "write_findings",
    "write_sarif",
    "write_scan_html",
    "write_set_aside",
    "write_starter",
    "writing",
]


_PLACES = {
    "compare": "compare",
    "evaluate": "loop",
    "explain": "explain",
    "forget": "forget",
    "funnel": "funnel",
    "held_to": "checks",
    "told_held": "checks",
    "left_by": "parts",
    "exceeded": "limits",
    "limits_of": "limits",
    "nothing_judged": "limits",
    "lint": "linting",
    "lint_text": "linting",
    "mine": "loop",
    "run": "loop",
    "train": "loop",
    "plan": "plan",
    "push": "pushing",
    "refuse_outputs": "outputs",
    "training_plan": "plan",
    "Scanned": "scan",
    "Told": "scan",
    "finding_rows": "scan",
    "scan": "scan",
    "tell": "scan",
    "state_folder": "since",
    "Asked": "trial",
    "trial": "trial",
    "trial_json": "trial",
    "trial_text": "trial",
    "Watch": "watching",
    "updates": "watching",
    "starter": "starter",
    "starter_json": "starter",
    "starter_text": "starter",
    "write_starter": "starter",
}
"""The module of `pipeline` in which a name stands."""


def __getattr__(name: str) -> Any:
    """A name of `pipeline`, imported when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"misstep.pipeline.{_PLACES[name]}")
    return getattr(module, name)


def scan_text(scanned: Scanned | Told, *, colour: bool = False, width: int = 80) -> str:
    """The summary of a scan for a terminal."""
    from misstep import report

    return report.scan_summary(scanned.summary, colour=colour, width=width)


def run_text(folder: Path, *, colour: bool = False, width: int = 80) -> str:
    """The summary of a run folder for a terminal."""
    from misstep import report
    from misstep.pipeline.view import view

    return report.terminal_summary(view(folder), colour=colour, width=width)


def recipes_text() -> str:
    """The recipes for a terminal: name, one sentence, stages, needs."""
    from misstep.recipes import PRESETS, RECIPES

    lines = []
    for each in RECIPES:
        lines += [each.name, f"  {each.about}", f"  stages  {' → '.join(each.stages)}"]
        lines += [f"  needs   {each.needs}"]
    return "\n".join((*lines, f"Presets of each: {', '.join(PRESETS)} (--preset)."))


def recipe_text(name: str) -> str:
    """The YAML of a recipe.

    Raises:
        UnknownName: there is none of this name.
    """
    from misstep.recipes import recipe

    return recipe(name).text


def comparison_text(found: Comparison, *, colour: bool = False, width: int = 80) -> str:
    """A comparison of two sets of logs for a terminal."""
    from misstep import report

    return report.comparison_text(found.to_json(), colour=colour, width=width)


def merge(
    run: Path,
    out: Path,
    *,
    model: str | None = None,
    config: Path | None = None,
    dtype: str = "auto",
) -> Path:
    """Base and adapter of a run (or of an adapter folder) as one model folder; gives `out`.

    The base is `model`, else the one that the adapter's note names, else that of `config`.

    Raises:
        InputError: there is no adapter, or `out` is there already.
        ModelError: the base cannot be loaded, or the adapter belongs to another one.
    """
    from misstep import models, train

    adapter = run if (run / "adapter_config.json").exists() else run / "adapter"
    if not (adapter / "adapter_config.json").exists():
        for whole in (run, adapter):
            if (whole / models.ADAPTER_NOTE).exists():
                raise InputError(
                    f"{whole}: is a model folder already, all of whose weights were trained "
                    f"(lora.enabled: false); nothing is to be merged, give it as --model"
                )
        raise InputError(f"{run}: holds no adapter; give a run folder or an adapter folder")
    named = models.named_base(adapter)
    if model is None and named is None and config is None:
        raise InputError(f"{adapter}: does not say which model it was trained on; give --model")
    return train.merge(model or named or load_config(config).model, adapter, out, dtype=dtype)


def scores(folder: Path) -> Mapping[str, Any]:
    """What `scores.json` holds.

    Raises:
        InputError: the folder holds none.
    """
    path = folder / "scores.json"
    if not path.exists():
        raise InputError(f"{folder}: no scores.json; run `misstep run` or `misstep eval` first")
    found: Mapping[str, Any] = store.read_json(path)
    return found


def review(folder: Path, config: RunConfig | None = None, reviewer: str = "") -> Review:
    """The pairs of a run folder or of a file of its rows, for a person to decide about.

    Raises:
        InputError: there are none, or a row or a decision cannot be read.
    """
    from misstep.pipeline.reviewing import Review

    return Review.of(folder, config, reviewer)


def review_screen(sitting: Review, wanted: str = "") -> None:
    """Show the pairs in the terminal until the person leaves.

    Raises:
        SetupError: no pair is `wanted`, or there is no terminal.
        ExtraMissing: Textual is not installed.
    """
    from misstep.pipeline.reviewing import screen

    screen(sitting, wanted)


def mine_text(facts: Mapping[str, Any], folder: Path) -> str:
    """The counts of mining for a terminal."""
    from misstep.report.words import many

    failed = many(facts["failed_steps"], "failed step")
    lines = [f"{many(facts['pairs'], 'pair')} from {failed} in {folder}"]
    for title in ("parts", "sources", "codes", "refused"):
        counts = ", ".join(f"{name} {count}" for name, count in facts[title].items())
        lines.append(f"  {title:8} {counts or 'none'}")
    lines.append(f"  unpaired {facts['unpaired']}")
    for name, told in facts["files"].get("outputs", {}).items():
        if told["set_aside"]:
            why = ", ".join(f"{reason} {count}" for reason, count in told["set_aside"].items())
            written = many(sum(told["files"].values()), "row")
            left = f"{sum(told['set_aside'].values())} left out ({why})"
            lines.append(f"  {name:8} {written}, {left}: see {name}/set_aside.jsonl")
    return "\n".join(lines)


def share_text(folder: Path) -> str:
    """What of a folder of pairs may be shared, in a line for a terminal."""
    from misstep import mine

    figures = mine.Figures.of_json(store.read_json(folder / mine.FIGURES))
    return f"  share    {mine.shared_text(folder, figures)}"


def forget_text(done: Forgotten) -> list[str]:
    """What forgetting did, in lines for a terminal."""
    from misstep.pipeline.forget import told

    return list(told(done))


def writing(config: RunConfig, names: Sequence[str]) -> RunConfig:
    """The settings with these formats written beside what they name already.

    Raises:
        UnknownName: there is no such format.
    """
    from dataclasses import replace

    from misstep import mine

    known = tuple(dict.fromkeys((*config.mine.outputs, *names)))
    mine.chosen_outputs(known)
    return replace(config, mine=replace(config.mine, outputs=known))


def write_findings(scanned: Scanned, path: Path) -> None:
    """Every finding as one JSON object a line (schemas/finding.json)."""
    from misstep.pipeline.scan import finding_rows

    store.write_jsonl(path, finding_rows(scanned), schema="finding")


def write_set_aside(scanned: Scanned, path: Path) -> None:
    """Every record that could not be used as one JSON object a line (schemas/set-aside.json)."""
    store.write_jsonl(path, scanned.set_aside, schema="set-aside")


def write_sarif(
    findings: Path, out: Path, logs: Sequence[Path | str] = (), *, redact: bool = True
) -> int:
    """Findings (a file of `tell(..., findings=…)`) as SARIF 2.1.0; gives how many did not fit.

    Args:
        logs: what was scanned; names of logs become paths below the working folder by them.
    """
    import orjson

    from misstep import redact as redaction
    from misstep import report
    from misstep.pipeline.paths import paths_below

    def clean(text: str) -> str:
        return redaction.redact(text, personal=True).text if redact else text

    with findings.open("rb") as lines:
        rows = map(orjson.loads, lines)
        return report.write_sarif(rows, out, where=paths_below(logs), clean=clean)


def excess_text(found: Excess) -> str:
    """An exceeded limit in a sentence."""
    from misstep.report.words import number, percent

    what = "steps failed" if found.limit.code is None else f"steps show {found.limit.code}"
    between = f"{100 * found.low:.1f}–{100 * found.high:.1f}"
    return (
        f"{number(found.k)} of {number(found.n)} {what}, {percent(found.value)} [{between}]; "
        f"--max-rate allows {percent(found.limit.most)}"
    ).replace("\N{NO-BREAK SPACE}", " ")


def write_scan_html(scanned: Scanned | Told, path: Path) -> None:
    """The failure part of the report as one file, without secrets.

    Raises:
        InputError: the scan was told without its page (`tell(..., page=True)`).
    """
    from misstep import report
    from misstep.pipeline.scan import Scanned, page_of
    from misstep.pipeline.view import scan_view

    page = page_of(scanned) if isinstance(scanned, Scanned) else scanned.page
    if page is None:
        raise InputError("this scan holds no page; ask for it with tell(..., page=True)")
    report.write_scan(scan_view(scanned.summary, page, path.stem), path)
