"""Lint of preference data: files found and read, rows judged, figures with intervals.

In: a file or folder of pairs of any origin (docs/lint.md), settings, perhaps a file of held-out
prompts and a model. Out: one plain dict, and its text for a terminal. Nothing is written, no
weights are loaded; the model's tokenizer alone answers what is asked in tokens.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from misstep import models, store, validate
from misstep.config import RunConfig
from misstep.errors import InputError
from misstep.evaluate.metrics import wilson
from misstep.mine import foreign
from misstep.mine.lint import NOT_ASKED, Heldout, Judging, Linted, Objection, counted, heldout_of
from misstep.mine.lint import lint as lint_rows
from misstep.pipeline.job import IMAGES
from misstep.redact import redact
from misstep.report.words import count_of

_SUFFIXES = (".jsonl", ".json", ".parquet")
_EXAMPLES = 3
TOLD_APART = 0.75
"""A feature is a tell where the low end of its interval lies above this share of the pairs."""
_LEAST = 20
"""Pairs from which on a share is worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    value: object
    place: str
    part: str


def lint(
    path: Path,
    config: RunConfig,
    *,
    heldout: Path | None = None,
    tokens: bool = False,
) -> dict[str, Any]:
    """What is wrong with the pairs at `path`; `faulty` is true where anything is.

    Args:
        heldout: a file of held-out prompts; without it, `heldout.parquet` of a run folder.
        tokens: also ask what needs the tokenizer of `config.model`.

    Raises:
        InputError: a path holds no rows.
        ModelError: the model's tokenizer cannot be used.
    """
    held_path = heldout or (path / "heldout.parquet" if path.is_dir() else None)
    held = _heldout(held_path, own=heldout is None) if held_path and held_path.exists() else None
    if heldout is not None and held is None:
        raise InputError(f"{heldout}: does not exist; give a file of held-out prompts")
    images = _images(path)
    judging = Judging(
        config=config.mine,
        settings=validate.settings(config.validate),
        heldout=held,
        template=models.load_tokenizer(config.model, images=images)[1] if tokens else None,
        images=images,
        budget=models.budget_of(config) if tokens else None,
    )
    files = _files(path)
    found = lint_rows((_loose(row) for file in files for row in _rows(file, path)), judging)
    if not found.rows:
        raise InputError(f"{path}: holds no rows; give JSONL, JSON or Parquet with pairs")
    return _facts(found, path, files=files, judging=judging)


def _images(path: Path) -> Path | None:
    """Where a run folder, or one that holds pairs of a run, keeps its images."""
    homes = (path, path.parent, path.parent.parent)
    return next((home / IMAGES for home in homes if (home / IMAGES).is_dir()), None)


def _files(path: Path) -> list[Path]:
    """The files of rows under a path; of a run folder those of pairs and unpaired failures.

    Of files that differ in their suffix alone the Parquet one is read: they hold the same rows.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: does not exist; give a file or folder of pairs")
    own = [path / name for name in ("pairs", "unpaired") if (path / name).is_dir()]
    found = {
        file
        for folder in own or [path]
        for file in folder.rglob("*")
        if file.suffix in _SUFFIXES and file.is_file()
    }
    doubles = {file for file in found if file.suffix != ".parquet"}
    return sorted(f for f in found if f not in doubles or f.with_suffix(".parquet") not in found)


def _rows(file: Path, root: Path) -> Iterator[_Row]:
    """The rows of one file; what is no JSON is a row of text, which is then no pair."""
    name = str(file.relative_to(root)) if file != root else file.name
    part = next((part for part in ("train", "dev") if file.stem.startswith(part)), "")
    if file.suffix == ".parquet":
        values = enumerate(store.read_rows(file), 1)
        yield from (_Row(value=row, place=f"{name} row {at}", part=part) for at, row in values)
        return
    data = file.read_bytes()
    if file.suffix == ".json":
        listed = _json(data)
        for at, value in enumerate(listed if isinstance(listed, list) else [listed], 1):
            yield _Row(value=value, place=f"{name} element {at}", part=part)
        return
    for at, line in enumerate(data.splitlines(), 1):
        if line.strip():
            yield _Row(value=_json(line), place=f"{name} line {at}", part=part)


def _json(data: bytes) -> object:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data[:80].decode("utf-8", "replace")


def _loose(row: _Row) -> foreign.Loose:
    loose = foreign.read_row(row.value, row.place)
    loose.part = row.part
    return loose


def _heldout(path: Path, *, own: bool) -> Heldout | None:
    """Hashes and families of a run's `heldout.parquet`, or the prompts of rows of any form.

    `own`: it is the folder's, and None where that holds nothing out.
    """
    rows = [row.value for row in _rows(path, path)]
    if own and not rows:
        return None
    known = [row for row in rows if isinstance(row, Mapping)]
    hashes = {str(row["hash"]) for row in known if row.get("hash")}
    families = {str(row["family"]) for row in known if row.get("family")}
    prompts = [foreign.read_row(_as_row(row), path.name) for row in known if not row.get("hash")]
    if not hashes and not any(loose.prompt for loose in prompts):
        raise InputError(
            f"{path}: holds no held-out prompts; expected heldout.parquet of a run, or rows with "
            f"`prompt`, `messages`, `question` or `text`"
        )
    return heldout_of(prompts, hashes, families)


def _as_row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rows of other names as prompts."""
    names = ("prompt", "messages", "question", "input", "text")
    given = next((row[name] for name in names if row.get(name)), None)
    return {"prompt": given, "completion": None, "label": True}


# --- what is said ------------------------------------------------------------------------------


def _facts(found: Linted, path: Path, *, files: Sequence[Path], judging: Judging) -> dict[str, Any]:
    wrong, unsure = counted(found.wrong), counted(found.unsure)
    tells = [_tell(tell.feature, tell.right, tell.n, tell.rule) for tell in found.tells]
    skipped = dict(NOT_ASKED)
    if judging.template is None:
        for code in ("PROMPT_LONG", "CHOSEN_LONG", "REJECTED_LONG", "LOST_VALUE"):
            skipped[code] = "asked with --model"
    if judging.heldout is None:
        skipped["LEAK"] = "asked with --heldout"
    return {
        "path": str(path),
        "files": len(files),
        "rows": found.rows,
        "pairs": found.pairs,
        "labels": found.labels,
        "clean": found.clean,
        "wrong": {code: len(each) for code, each in wrong.items()},
        "unsure": {code: len(each) for code, each in unsure.items()},
        "examples": {code: _examples(each) for code, each in {**wrong, **unsure}.items()},
        "not_asked": skipped,
        "length": _length(found.lengths),
        "tells": tells,
        "faulty": bool(wrong) or any(tell["flagged"] for tell in tells),
    }


def _examples(found: Sequence[Objection]) -> list[dict[str, str]]:
    return [{"place": e.place, "said": redact(e.said).text} for e in found[:_EXAMPLES]]


def _tell(feature: str, right: float, n: int, rule: str) -> dict[str, Any]:
    at = wilson(right, n) if n else None
    low, high = (at.low, at.high) if at is not None else (0.0, 1.0)
    return {
        "feature": feature,
        "accuracy": round(right / n, 4) if n else None,
        "low": round(low, 4),
        "high": round(high, 4),
        "n": n,
        "rule": redact(rule).text,
        "flagged": n >= _LEAST and low > TOLD_APART,
    }


def _length(sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """How the lengths of the sides compare: medians, ratio of the sums, how often one is longer."""
    if not sizes:
        return {}
    longer, n = sum(c > r for c, r in sizes), len(sizes)
    at = wilson(longer, n)
    return {
        "median_chosen": statistics.median(c for c, _ in sizes),
        "median_rejected": statistics.median(r for _, r in sizes),
        "ratio": round(sum(c for c, _ in sizes) / max(sum(r for _, r in sizes), 1), 3),
        "chosen_longer": round(longer / n, 4),
        "low": round(at.low, 4),
        "high": round(at.high, 4),
        "n": n,
    }


def lint_text(facts: Mapping[str, Any]) -> str:
    """The report for a terminal."""
    labels = ", ".join(f"{name} {count}" for name, count in sorted(facts["labels"].items()))
    lines = [
        f"{count_of(facts['rows'], 'row')} in {count_of(facts['files'], 'file')} of "
        f"{facts['path']}: {count_of(facts['pairs'], 'pair')}"
        f"{f', labels {labels}' if labels else ''}; {facts['clean']} without objection"
    ]
    for title, counts in (("wrong", facts["wrong"]), ("cannot be told", facts["unsure"])):
        if counts:
            lines.append(f"{title}:")
        for code, count in counts.items():
            lines.append(f"  {count:6} {code}")
            lines += [f"         {e['place']}: {e['said']}" for e in facts["examples"][code]]
    length = facts["length"]
    if length:
        lines.append(
            f"length: chosen/rejected {length['ratio']:g} in all; the chosen side is the longer in "
            f"{length['chosen_longer']:.0%} [{length['low']:.0%}, {length['high']:.0%}] of "
            f"{length['n']}"
        )
    lines += _tell_lines(facts["tells"])
    lines.append("not asked:")
    reasons: dict[str, list[str]] = {}
    for code, why in facts["not_asked"].items():
        reasons.setdefault(why, []).append(code)
    lines += [f"  {' '.join(codes)}: {why}" for why, codes in reasons.items()]
    lines.append("faults found" if facts["faulty"] else "no fault found")
    return "\n".join(lines)


def _tell_lines(tells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if tells and tells[0]["n"]:
        yield f"pairs whose sides one feature alone tells apart (a tell above {TOLD_APART:.0%}):"
    for tell in tells[:4]:
        if tell["n"]:
            mark = "TELL  " if tell["flagged"] else "      "
            share = f"{tell['accuracy']:.0%} [{tell['low']:.0%}, {tell['high']:.0%}]"
            yield f"  {mark}{tell['feature']}: {share}; {tell['rule']}"
