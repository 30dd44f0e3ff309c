"""JSON-Schema-Test-Suite through misstep's own validator (`schema.compiled` and `breaches`).

`run` needs MISSTEP_CORPUS (a folder with suites/JSON-Schema-Test-Suite). A row per draft and part:
required tests, optional ones, formats. Nothing is fetched: where a schema names a remote document,
the suite's `remotes/` are put into it (bundled under `$defs`, each with its `$id`). Each test that
still differs is listed with its reason: a custom metaschema is read as the standard one, and
formats are checked where the newest draft only notes them. `agreed` counts what agrees outright;
`as_meant` also what differs for one of these reasons.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from misstep.validate.schema import breaches, compiled

DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
PARTS = {"required": "*.json", "optional": "optional/*.json", "format": "optional/format/*.json"}


def run(quick: bool) -> dict[str, Any]:
    """Every test of every draft, whatever `quick` says: it takes seconds."""
    root = Path(os.environ["MISSTEP_CORPUS"]) / "suites" / "JSON-Schema-Test-Suite" / "tests"
    rows = [_row(root / draft, draft, part) for draft in DRAFTS for part in PARTS]
    ratios = {}
    for part in PARTS:
        of = [row for row in rows if row["work"].endswith(part)]
        total = sum(row["n"] for row in of)
        ratios[f"schema_{part}_share"] = sum(row["as_meant"] for row in of) / total
        ratios[f"schema_{part}_outright"] = sum(row["agreed"] for row in of) / total
    return {"rows": rows, "ratios": ratios}


def _row(folder: Path, draft: str, part: str) -> dict[str, Any]:
    start = time.perf_counter()
    results = list(_results(folder, draft, part))
    differ = Counter((reason, name) for agrees, reason, name in results if not agrees)
    return {
        "arm": "misstep",
        "work": f"{draft} {part}",
        "n": len(results),
        "agreed": sum(agrees for agrees, *_ in results),
        "as_meant": sum(agrees or reason != "" for agrees, reason, _ in results),
        "differ": [
            {"reason": reason or "unexplained", "file": name, "tests": count}
            for (reason, name), count in sorted(differ.items())
        ],
        "seconds": round(time.perf_counter() - start, 3),
    }


def _results(folder: Path, draft: str, part: str) -> Iterator[tuple[bool, str, str]]:
    for path in sorted(folder.glob(PARTS[part])):
        for group in json.loads(path.read_text(encoding="utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DRAFTS[draft]} | schema
            known = compiled(json.dumps(schema))
            if known.problem:
                known = compiled(json.dumps(_bundled(schema, folder.parents[1] / "remotes", draft)))
            for test in group["tests"]:
                fits = not known.problem and not any(True for _ in breaches(known, test["data"]))
                agrees = not known.problem and fits == test["valid"]
                yield agrees, "" if agrees else _reason(known.problem, schema, path), path.stem


def _bundled(schema: Any, remotes: Path, draft: str) -> Any:
    """The schema with the suite's remote documents inside."""
    old = draft in ("draft4", "draft6", "draft7")
    word = "id" if draft == "draft4" else "$id"
    home = "definitions" if old else "$defs"
    held = dict(schema.get(home, {}))
    for path in sorted(remotes.rglob("*.json")):
        at = path.relative_to(remotes).as_posix()
        document = json.loads(path.read_text(encoding="utf-8"))
        other = at.startswith(("draft", "v1")) and not at.startswith(f"{draft}/")
        if isinstance(document, dict) and not other:
            here = {word: f"http://localhost:1234/{at}"}
            held[f"remote {at}"] = {"$schema": DRAFTS[draft]} | document | here
    if "$ref" in schema and old:  # where it would hide its neighbours
        schema = {"$schema": DRAFTS[draft], "allOf": [{"$ref": schema["$ref"]}]}
    return schema | {home: held}


def _reason(problem: str, schema: Any, path: Path) -> str:
    text = json.dumps(schema)
    if path.stem == "vocabulary":
        return "a custom metaschema is read as the standard one"
    if "localhost:1234" in text or "not-cached" in text or "Resource" in problem:
        return "needs a remote document"
    if problem and ("json-schema.org" in problem or "urn:" in problem or "retriev" in problem):
        return "needs a remote document"
    if path.stem == "format" and path.parent.name != "optional":
        return "formats are checked"
    return ""
