"""Checkpoints that a kill left behind, and disks that fill.

In: paths. Out: the checkpoint to go on from; a `StageError` in place of the many ways in which
libraries report that there is no space left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from misstep.errors import StageError
from misstep.train import ranks

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_SIGNS = (
    "No space left",
    "os error 28",
    "PytorchStreamWriter failed",
    "unexpected pos",
    "iostream error",
)
"""How safetensors and torch.save word it; the last two are torch's, for a write that fell short."""


def last_checkpoint(work: Path) -> str | None:
    """The newest checkpoint that was written whole; those cut short by a kill are removed.

    `trainer_state.json` is the last file that a checkpoint gets.
    """
    found = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for folder in reversed(found):
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            if ranks.is_main():
                shutil.rmtree(folder, ignore_errors=True)
        else:
            return str(folder)
    return None


def keep(path: Path, value: Any) -> None:
    """Write a value as JSON, all or nothing, once for all processes."""
    if ranks.is_main():
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(value), encoding="utf-8")
        fresh.replace(path)
    ranks.wait()


@contextlib.contextmanager
def room_on_disk(path: Path) -> Iterator[None]:
    """Turn "no space left" in any of its forms into a `StageError` that names the path."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if full or any(sign in str(error) for sign in _FULL_SIGNS):
            raise StageError(
                f"{path}: no space left on the disk; free some and run the same command again, "
                "it goes on from the last checkpoint"
            ) from error
        raise


def file_sha(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
