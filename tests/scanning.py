"""A scan since the last one, group by group and slowly, in a process that a test may kill.

Usage: python scanning.py LOGS STATE [RAY_ADDRESS]; says `read` after each group that is remembered.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from misstep.config import IngestConfig, RunConfig
from misstep.pipeline import gather, since


def killed_after(groups: int, logs: Path, state: Path, *address: str) -> int:
    """Start such a scan and kill it after so many groups; gives how many it said to have read."""
    command = [sys.executable, __file__, str(logs), str(state), *address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as scan:
        said = 0
        for _ in scan.stdout or ():
            said += 1
            if said >= groups:
                scan.send_signal(signal.SIGKILL)
                break
    return said


def main(logs: Path, state: Path, address: str | None = None) -> None:
    since.SAVE = 0.0
    gather.unit_size = lambda *_: 1
    engine = "local" if address is None else "ray"
    config = RunConfig(ingest=IngestConfig(workers=1, engine=engine, ray_address=address))

    def progress(label: str, done: int, total: int) -> None:
        if label == "reading" and done:
            sys.stdout.write("read\n")
            sys.stdout.flush()
            time.sleep(0.1)

    with since.gathered_since([logs], config, state, wants=since.SINCE, progress=progress):
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
