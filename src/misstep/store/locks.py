"""One process of misstep in a folder at a time.

In: a folder, or a lock file of it. Out: the system's own lock for as long as a block lasts: a
process that was killed leaves nothing locked, whatever files it leaves. Where the place knows no
locks (some network drives), nobody is kept out.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from misstep.errors import InUse
from misstep.store.files import is_writer, telling

LOCK = ".misstep.lock"
"""In a folder that is worked in; it goes with the work."""
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_FAR = 1 << 30
"""The locked byte on Windows, where nobody else can read what a lock covers: beyond the file."""


def take(path: Path, *, mode: int = 0o600) -> int | None:
    """The lock file, made where there is none, open and locked; None where another has it.

    Args:
        mode: of a new file, before the umask.

    Raises:
        StageError: it cannot be written.
    """
    with telling(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        _lock(handle)
    except OSError as error:
        if error.errno in _TAKEN:
            os.close(handle)
            return None
    return handle


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def working(folder: Path, *, new: bool = False) -> Iterator[None]:
    """Keep a folder that is written to this process; of several that train together, to the first.

    Args:
        new: make the folder where there is none; else nothing is done there, or in what is a file.

    Raises:
        InUse: another process works in it.
        StageError: it cannot be written.
    """
    if new and is_writer():
        with telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir() or not is_writer():
        yield
        return
    path = folder / LOCK
    handle = take(path, mode=0o666)
    while handle is not None and not _stands(handle, path):
        os.close(handle)  # whoever had it before has just removed the file
        handle = take(path, mode=0o666)
    if handle is None:
        raise InUse(f"another misstep works in {folder}; wait for it or name another folder")
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            path.unlink()
        os.close(handle)


def _stands(handle: int, path: Path) -> bool:
    """Whether the open file is the one that a name leads to."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
