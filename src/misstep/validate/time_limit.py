"""A limit on the time of code that is not ours, by the alarm signal of the process.

Works in the main thread of a process on Unix, where nobody else has set the alarm; elsewhere the
code runs without a limit. Python code and its regular expressions are interrupted; a call into
foreign machine code is only when it returns.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLong(BaseException):
    """The time is up; no `Exception`, so that code which catches those does not keep it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Run the body for so long at most; 0 is no limit.

    Raises:
        TooLong: the time is up.
    """
    if not seconds or not _free():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooLong(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _free() -> bool:
    """Whether the alarm can be used here and nobody else does."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0
