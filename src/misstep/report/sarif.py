"""Findings as SARIF 2.1.0, which code scanning services show beside a change.

In: finding rows (schemas/finding.json), and how the name of a log leads to a file. Out: one JSON
file, the gravest findings first. Each code that was found is a rule; a defect is an error, a
suspect a warning, an info a note; the place is the file and the line that the step was logged on.
Names are percent-coded, control and direction characters of logged text are spelled, and no more of
the text is quoted than the finding's evidence. Format: OASIS, "Static Analysis Results Interchange
Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from misstep import __version__, store
from misstep.codes import CODES
from misstep.report.view import Row
from misstep.report.words import visible

MAX_RESULTS = 5_000
"""Results of a run that are written; GitHub shows as many and refuses files over 10 MB packed."""
MAX_TEXT = 1_000
"""Characters of a message."""
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Mapping[str, str] = {"defect": "error", "suspect": "warning", "info": "note"}
Where = Callable[[str], str]
"""From the name of a log as a finding has it to a path, relative to the repository if it can be."""


def write_sarif(
    rows: Iterable[Row], path: Path, *, where: Where, clean: Callable[[str], str]
) -> int:
    """Write the findings, the gravest first, as many as fit; gives how many were left out.

    Args:
        clean: takes the secrets out of a text.

    Raises:
        StageError: the file cannot be written.
    """
    kept: dict[str, list[Row]] = {level: [] for level in LEVELS}
    total = 0
    for row in rows:
        total += 1
        if len(kept[row["level"]]) < MAX_RESULTS:
            kept[row["level"]].append(row)
    chosen = [row for level in kept.values() for row in level][:MAX_RESULTS]
    store.write_json(path, _log(chosen, total, where, clean))
    return total - len(chosen)


def _log(rows: list[Row], total: int, where: Where, clean: Callable[[str], str]) -> dict[str, Any]:
    codes = list(dict.fromkeys(str(row["code"]) for row in rows))
    driver = {
        "name": "misstep",
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, codes, where, clean) for row in rows],
        "properties": {"findings": total, "leftOut": total - len(rows)},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str) -> dict[str, Any]:
    code = CODES.get(name)
    if code is None:
        return {"id": visible(name), "shortDescription": {"text": "a validator of your own"}}
    offline = "" if code.offline else " One replayed step cannot show it."
    return {
        "id": name,
        "shortDescription": {"text": code.meaning},
        "fullDescription": {"text": f"{code.meaning[0].upper()}{code.meaning[1:]}.{offline}"},
        "help": {"text": f"{name}: {code.meaning}. docs/codes.md defines the code."},
        "defaultConfiguration": {"level": LEVELS[code.level]},
        "properties": {"tags": [code.group]},
    }


def _result(
    row: Row, codes: list[str], where: Where, clean: Callable[[str], str]
) -> dict[str, Any]:
    said = visible(clean(str(row["evidence"])))[:MAX_TEXT]
    code = visible(str(row["code"]))
    at = f" at {visible(clean(str(row['where'])))[:200]}" if row.get("where") else ""
    place = f"step {row['step']} of session {visible(str(row['session']))}"
    return {
        "ruleId": code,
        "ruleIndex": codes.index(str(row["code"])),
        "level": LEVELS[row["level"]],
        "message": {"text": f"{code}{at}: {said or 'no more is known'} ({place})"},
        "locations": [{"physicalLocation": _location(row["origin"], where)}],
        "partialFingerprints": {"misstep/v1": _fingerprint(row)},
    }


def _location(origin: Row, where: Where) -> dict[str, Any]:
    path = where(str(origin["file"] or "unknown"))
    uri = quote(path.encode("utf-8", "replace"), safe="/" if "://" not in path else "/:?=&")
    if path.startswith("/"):
        uri = f"file://{uri}"
    found: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if origin.get("line"):
        found["region"] = {"startLine": origin["line"]}
    return found


def _fingerprint(row: Row) -> str:
    """The same finding in the same session has the same one, wherever its file lies."""
    parts = (row["session"], row["step"], row["call"], row["code"], row.get("where"))
    text = "\x1f".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
