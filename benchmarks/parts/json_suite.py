"""JSONTestSuite through misstep's strict reader: which texts have a value, and with which code.

`run` needs MISSTEP_CORPUS (a folder with suites/JSONTestSuite). A row per kind of file: `y_*` must
have a value, `n_*` must not, `i_*` may do either and are only counted. `right_share` is the ratio.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from misstep.validate.strict_json import parse

TWICE = {"y_object_duplicated_key", "y_object_duplicated_key_and_value"}
"""Files that must parse and carry JSON_DUP_KEY alone."""


def run(quick: bool) -> dict[str, Any]:
    """Every file of the suite, whatever `quick` says: it takes a second."""
    folder = Path(os.environ["MISSTEP_CORPUS"]) / "suites" / "JSONTestSuite" / "test_parsing"
    rows, right, judged = [], 0, 0
    for kind in "yni":
        files = sorted(folder.glob(f"{kind}_*.json"))
        start = time.perf_counter()
        got = {f.stem: parse(f.read_bytes().decode("utf-8", "surrogateescape")) for f in files}
        seconds = time.perf_counter() - start
        wrong = [name for name, one in got.items() if not _right(kind, name, one)]
        codes = Counter(one.fault.code for one in got.values() if one.fault is not None)
        rows.append(
            {
                "arm": "misstep",
                "work": f"{kind}_*.json",
                "n": len(files),
                "values": sum(one.ok for one in got.values()),
                "wrong": wrong,
                "codes": dict(sorted(codes.items())),
                "seconds": round(seconds, 4),
            }
        )
        if kind != "i":
            judged += len(files)
            right += len(files) - len(wrong)
    return {"rows": rows, "ratios": {"json_right_share": right / judged}}


def _right(kind: str, name: str, got: Any) -> bool:
    if kind == "i":
        return True
    if kind == "n":
        return not got.ok and got.fault is not None
    code = None if got.fault is None else got.fault.code
    return bool(got.ok) and code == ("JSON_DUP_KEY" if name in TWICE else None)
