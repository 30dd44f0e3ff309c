"""JSON-Schema-Test-Suite through misstep's own validator (`schema.compiled` and `breaches`).

`run` needs MISSTEP_CORPUS (a folder with suites/JSON-Schema-Test-Suite). A row per draft and part:
required tests, optional ones, formats. The first two are read as the draft says (`validate.formats:
draft`: since 2019-09 a format is a note), the tests of formats with formats asserted, as misstep
does by default. The suite's `remotes/` are the documents that a schema may refer to
(`validate.documents`); nothing is fetched. Fourth, the required tests once more with formats
asserted: what the default changes. Each test that differs is listed.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from misstep.validate.documents import Documents
from misstep.validate.schema import Reading, breaches, compiled

DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
PARTS = {
    "required": ("*.json", "draft"),
    "optional": ("optional/*.json", "draft"),
    "format": ("optional/format/*.json", "always"),
    "required by default": ("*.json", "always"),
}
"""By part: its files, and how formats are read."""
SUITE = "suites/JSON-Schema-Test-Suite"
_HOST = "http://localhost:1234/"


def run(quick: bool) -> dict[str, Any]:
    """Every test of every draft, whatever `quick` says: it takes seconds."""
    root = Path(os.environ["MISSTEP_CORPUS"]) / SUITE
    rows = [row(root, draft, part) for draft in DRAFTS for part in PARTS]
    ratios = {}
    for part in PARTS:
        of = [one for one in rows if one["part_of_suite"] == part]
        share = sum(one["agreed"] for one in of) / sum(one["n"] for one in of)
        ratios[f"schema_{part.replace(' ', '_')}_share"] = share
    return {"rows": rows, "ratios": ratios}


def row(root: Path, draft: str, part: str) -> dict[str, Any]:
    """One part of one draft: tests, those that agree, where the others stand."""
    start = time.perf_counter()
    results = list(_results(root, draft, part))
    differ = Counter(where for agrees, where in results if not agrees)
    return {
        "arm": "misstep",
        "work": f"{draft} {part}",
        "part_of_suite": part,
        "n": len(results),
        "agreed": sum(agrees for agrees, _ in results),
        "differ": [{"file": name, "tests": count} for name, count in sorted(differ.items())],
        "seconds": round(time.perf_counter() - start, 3),
    }


def _results(root: Path, draft: str, part: str) -> Iterator[tuple[bool, str]]:
    pattern, formats = PARTS[part]
    reading = Reading(formats=formats, documents=remotes(root, draft))
    for path in sorted((root / "tests" / draft).glob(pattern)):
        for group in json.loads(path.read_text(encoding="utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DRAFTS[draft]} | schema
            known = compiled(json.dumps(schema), reading)
            for test in group["tests"]:
                fits = not any(True for _ in breaches(known, test["data"]))
                agrees = not known.problem and fits == test["valid"]
                yield agrees, f"{path.stem}: {group['description']}"


def remotes(root: Path, draft: str) -> Documents:
    """The suite's remote documents; those without `$schema` are of the draft that is tested."""
    found = []
    for path in sorted((root / "remotes").rglob("*.json")):
        at = path.relative_to(root / "remotes").as_posix()
        document = json.loads(path.read_text(encoding="utf-8"))
        home = at.split("/")[0]
        if isinstance(document, dict) and not home.startswith("v"):
            document = {"$schema": DRAFTS.get(home, DRAFTS[draft])} | document
            found.append((_HOST + at, json.dumps(document)))
    return tuple(found)
