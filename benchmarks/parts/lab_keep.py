"""What the laboratory keeps: every artefact in a folder named after all that it was made from.

In: a kind, facts that decide the artefact, and work that fills a folder. Out: the folder. It is
filled under another name and renamed when it is whole, so that a killed run leaves nothing that
looks finished; asked again, it is there. Work on a model is done in a process of its own, which
gives its memory back. Seconds are those of the processor (user and system, all threads): on a
shared machine the clock on the wall says little.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

FACTS = "facts.json"
Work = Callable[[Path], dict[str, Any]]


def home() -> Path:
    """The laboratory's folder: `MISSTEP_LAB`, else `misstep-lab` below the cache folder."""
    named = os.environ.get("MISSTEP_LAB")
    return Path(named) if named else Path.home() / ".cache" / "misstep-lab"


def key_of(*facts: object) -> str:
    """16 hex digits of plain values and dataclasses."""
    text = json.dumps(facts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def kept(kind: str, *facts: object, work: Work, apart: bool = False) -> Path:
    """The folder of an artefact, made now if it is not there.

    Args:
        work: fills the folder it is given, and returns what is worth knowing of it; that and what
            it cost stand in `FACTS`.
        apart: do the work in a process of its own; `work` must be picklable then.
    """
    folder = home() / kind / key_of(*facts)
    if (folder / FACTS).is_file():
        return folder
    fresh = folder.with_name(folder.name + ".new")
    fresh.mkdir(parents=True, exist_ok=True)
    say(f"{kind} {folder.name} …")
    if apart:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            told = pool.submit(_costed, work, fresh).result()
    else:
        told = _costed(work, fresh)
    told |= {"made_from": facts}
    (fresh / FACTS).write_text(json.dumps(told, indent=1, default=_plain), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    say(f"{kind} {folder.name}: {told['cpu_seconds']} s CPU, {told['peak_gb']} GB")
    return folder


def _costed(work: Work, folder: Path) -> dict[str, Any]:
    start = time.process_time()
    told = work(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    cost = {"cpu_seconds": round(time.process_time() - start, 1), "peak_gb": round(peak, 1)}
    return {**told, **cost}


def facts(folder: Path) -> dict[str, Any]:
    """What is known of an artefact."""
    found: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return found


def say(text: str) -> None:
    """One line with the time, for a log."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
