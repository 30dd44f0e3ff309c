"""What one would write instead: DuckDB with a UDF, and pandas with jsonschema, on the same rows.

    python benchmarks/parts/scale_peers.py duckdb|pandas FOLDER

Both count the calls in `messages` whose arguments are no JSON, break the schema in `tools`, or name
an unknown tool: a small part of what `misstep scan` looks for. Validators are compiled once for
each list of tools. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema

Validators = dict[str, Any]


@lru_cache(maxsize=64)
def validators(tools: str) -> Validators:
    """One for each tool by its name."""
    functions = [tool["function"] for tool in json.loads(tools)]
    made = jsonschema.Draft202012Validator
    return {each["name"]: made(each["parameters"]) for each in functions}


def wrong(messages: list[dict[str, Any]], known: Validators) -> tuple[int, int]:
    """Calls, and wrong ones: no JSON, a broken schema, an unknown tool."""
    calls = bad = 0
    for message in messages:
        for call in message.get("tool_calls") or ():
            calls += 1
            function = call["function"]
            validator = known.get(function["name"])
            try:
                arguments = json.loads(function["arguments"])
            except ValueError:
                bad += 1
                continue
            bad += validator is None or not validator.is_valid(arguments)
    return calls, bad


def with_duckdb(folder: Path) -> tuple[int, int]:
    """`read_json` over all files, a UDF over each row."""
    import duckdb

    def udf(messages: str, tools: str) -> int:
        calls, bad = wrong(json.loads(messages), validators(tools))
        return calls * 1_000_000 + bad

    base = duckdb.connect()
    base.create_function("wrong", udf, ["VARCHAR", "VARCHAR"], "BIGINT")
    found = base.execute(
        "SELECT wrong(messages::VARCHAR, tools::VARCHAR) FROM read_json(?, columns = "
        "{messages: 'JSON', tools: 'JSON'}, format = 'newline_delimited', "
        "maximum_object_size = 33554432)",
        [str(folder / "*.jsonl")],
    ).fetchall()
    return sum(n // 1_000_000 for (n,) in found), sum(n % 1_000_000 for (n,) in found)


def with_pandas(folder: Path) -> tuple[int, int]:
    """`read_json` in chunks, a loop over the rows."""
    import pandas

    calls = bad = 0
    for file in sorted(folder.glob("*.jsonl")):
        for chunk in pandas.read_json(file, lines=True, chunksize=500):
            for messages, tools in zip(chunk["messages"], chunk["tools"], strict=True):
                more = wrong(messages, validators(json.dumps(tools)))
                calls, bad = calls + more[0], bad + more[1]
    return calls, bad


if __name__ == "__main__":
    work = {"duckdb": with_duckdb, "pandas": with_pandas}[sys.argv[1]]
    counted = work(Path(sys.argv[2]))
    print(json.dumps({"tool_calls": counted[0], "failed": counted[1]}))
