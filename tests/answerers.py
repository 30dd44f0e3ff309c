"""Models that answer badly, for worker processes; in a module of its own, to be found by its name.

Each is `misstep.models.work` with a fault. What happened is noted beside the model, in the folder
`notes`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from misstep.models import Sheet, spread

MARKED = 5
"""The batch with this prompt is the one with the fault."""


def notes(kit) -> Path:
    folder = kit.loaded.ref.path / "notes"
    folder.mkdir(exist_ok=True)
    return folder


def noted(kit, piece):
    """Leaves a note of each batch that is answered: its process, and which try this is."""
    if isinstance(piece, Sheet):
        count = piece.batch.how["num_generations"]
        name = f"{count}-{'.'.join(map(str, piece.batch.at))}"
        tries = sum(1 for each in notes(kit).iterdir() if each.name.startswith(f"{name} "))
        (notes(kit) / f"{name} {tries} {os.getpid()}").touch()
    return spread.work(kit, piece)


def slow(kit, piece):
    """Takes its time, so that several workers come to work."""
    if isinstance(piece, Sheet):
        time.sleep(0.3)
    return noted(kit, piece)


def together(kit, piece):
    """Begins when two processes are ready to; one alone gives up waiting."""
    if isinstance(piece, Sheet):
        (notes(kit) / f"here-{os.getpid()}").touch()
        end = time.monotonic() + 60
        while len(list(notes(kit).glob("here-*"))) < 2 and time.monotonic() < end:
            time.sleep(0.02)
    return noted(kit, piece)


def is_marked(piece) -> bool:
    sampled = isinstance(piece, Sheet) and piece.batch.how["num_generations"] > 1
    return sampled and MARKED in piece.batch.at


def dies_once(kit, piece):
    flag = notes(kit) / "died"
    if is_marked(piece) and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(kit, piece)


def dies(kit, piece):
    if is_marked(piece):
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(kit, piece)


def raises(kit, piece):
    if isinstance(piece, Sheet):
        raise RuntimeError("out of memory")
    return spread.work(kit, piece)


def interrupted(kit, piece):
    """The person who waits gives up at the third batch."""
    if isinstance(piece, Sheet) and len(list(notes(kit).iterdir())) == 2:
        raise KeyboardInterrupt
    return noted(kit, piece)
