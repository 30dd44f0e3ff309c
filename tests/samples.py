"""The sample logs of a format, and what they must read to.

`python tests/samples.py NAME…` writes `sample_logs/NAME/expected.json` anew: the counts, and every
session in the lossless form of `store.encode`, one a line. Read the difference before you keep it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from misstep import store
from misstep.config import IngestConfig
from misstep.ingest import Ingested, ingest

LOGS = Path(__file__).parents[1] / "sample_logs"
BESIDE = ("make/", "make*.py", "make*.mjs", "README.md", "expected.json", "tools.json")


def read_sample(name: str) -> Ingested:
    """All that `sample_logs/NAME` holds, without what stands beside the logs."""
    tools = LOGS / name / "tools.json"
    given = str(tools) if tools.exists() else None
    return ingest([LOGS / name], config=IngestConfig(exclude=BESIDE, tools=given))


def golden(got: Ingested) -> bytes:
    """The text of `expected.json`."""
    counts = {
        "used": got.counts.used,
        "ignored": {k: n for k, n in got.counts.ignored.items() if k != "excluded"},
        "set_aside": got.counts.set_aside,
        "formats": {name: book.sessions for name, book in got.counts.formats.items()},
    }
    rows = b",\n".join(store.encode(session) for session in got.sessions)
    return b'{"counts": ' + orjson.dumps(counts) + b',\n"sessions": [\n' + rows + b"\n]}\n"


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        (LOGS / folder / "expected.json").write_bytes(golden(read_sample(folder)))
