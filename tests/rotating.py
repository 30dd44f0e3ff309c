"""Writes logs as agents and log rotation do, until its time is up.

Usage: python rotating.py FOLDER SECONDS SEED PAUSE
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
import time
from pathlib import Path

MOST = 60_000
"""Bytes at which a file is rotated."""


def row(draw: random.Random, number: int) -> bytes:
    """One session a line; a third of the calls is broken."""
    arguments = '{"n": ' if draw.random() < 0.33 else json.dumps({"n": number})
    call = {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    }
    messages = [
        {"role": "user", "content": f"task {number} {draw.random()}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    return json.dumps({"messages": messages}).encode() + b"\n"


def change(folder: Path, draw: random.Random, number: int) -> None:
    """One thing that happens to a log folder."""
    path = folder / f"agent-{draw.randrange(3)}.jsonl"
    kind = draw.random()
    line = row(draw, number)
    if kind < 0.7 or not path.exists():
        with path.open("ab") as out:
            out.write(line)
    elif kind < 0.8:  # a line in two halves
        with path.open("ab") as out:
            out.write(line[:30])
            out.flush()
            time.sleep(0.02)
            out.write(line[30:])
    elif kind < 0.86:
        os.truncate(path, draw.randrange(path.stat().st_size + 1))
    elif kind < 0.9:  # rewritten in place
        lines = path.read_bytes().splitlines(keepends=True)
        draw.shuffle(lines)
        path.write_bytes(b"".join(lines))
    elif kind < 0.94 or path.stat().st_size > MOST:
        old = path.with_name(path.name + ".1")
        if old.exists():
            packed = path.with_name(f"{path.name}.{draw.randrange(4)}.gz")
            packed.write_bytes(gzip.compress(old.read_bytes()))
        path.replace(old)
    elif kind < 0.97:
        path.unlink()
    else:
        path.write_bytes(b"")


def main(folder: Path, seconds: float, seed: int, pause: float) -> None:
    draw, end, number = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        change(folder, draw, number)
        number += 1
        time.sleep(draw.random() * 2 * pause)
    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
