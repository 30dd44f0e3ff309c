"""Work for worker processes; in a module of its own, since they find it by its name."""

from __future__ import annotations

import os
import time
from pathlib import Path


def prepare(given):
    return given


def square(given, piece):
    return given + piece * piece


def dies_once(given, piece):
    """Ends its process the first time that a piece is met."""
    seen = Path(given) / str(piece)
    if piece == 3 and not seen.exists():
        seen.touch()
        os._exit(7)
    return piece


def dies(given, piece):
    if piece == 3:
        os._exit(7)
    return piece


def raises(given, piece):
    if piece == 3:
        raise ValueError("three")
    return piece


def name(given, piece):
    return __name__, os.getpid()


def sleeps(given, piece):
    Path(given, str(os.getpid())).touch()
    time.sleep(60)
