"""Worker processes on this machine: pieces of work out, results back, crashes survived.

In: a `Job` and pieces of work, both picklable. Out: (number of the piece, result) in the order in
which pieces are done. A piece on which a worker dies or raises is tried once more, in a fresh
process; if that fails too its result is a `Crash`. A `MisstepError` ends the run. Processes are
never forked from this one, which may have threads; they do not import the program's main module,
so a script needs no guard.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from misstep.errors import MisstepError

PRELOAD = "misstep.pipeline.unit"
"""What the server from which workers are forked imports once."""
WORTH = 8_000_000
"""Bytes below which starting workers costs more than they save."""
_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker does; both functions must be importable by name."""

    prepare: Callable[[Any], Any]
    """Called once in each process with `given`; its result is handed to each call of `work`."""
    given: Any
    work: Callable[[Any, Any], Any]
    """Called with what `prepare` gave and one piece of work."""
    did: str = "read"
    """What a process does with a piece, for what is said where it ends over one."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A piece of work that failed twice."""

    said: str
    """One sentence: how the process ended, or what it raised."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A wrong set-up or a full disk, which ends the whole run."""

    error: MisstepError


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    at: int | None = None
    """Number of the piece at hand."""


class Engine:
    """Up to `workers` processes; with one, the work is done in this process.

    In a `with` block the processes stay from one run of a job to the next.
    """

    def __init__(self, workers: int) -> None:
        self.workers = max(workers, 1)
        self._stays = False
        self._pool: _Pool | None = None

    def __enter__(self) -> Engine:
        self._stays = True
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stays = False
        if self._pool is not None:
            self._pool.close(at_once=kind is not None)
            self._pool = None

    def run(self, job: Job, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        """The result of each piece with its number, counted from 0.

        In this process (one worker) a piece that raises is tried once more in a process of its own.
        """
        if not self._stays:
            with _Pool(job, self.workers) as pool:
                yield from pool.run(pieces)
            return
        if self._pool is not None and self._pool.job is not job:
            self._pool.close(at_once=False)
            self._pool = None
        self._pool = self._pool or _Pool(job, self.workers)
        yield from self._pool.run(pieces)


class _Pool:
    """The processes of one run."""

    def __init__(self, job: Job, workers: int) -> None:
        self.job = job
        self._size = workers
        self._kit: Any = None
        """Of this process, where it does the work."""
        self._context = _context()
        self._workers: list[_Worker] = []

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(at_once=kind is not None)

    def close(self, *, at_once: bool) -> None:
        """End all processes."""
        for worker in self._workers:
            if not at_once:
                with contextlib.suppress(OSError):
                    worker.pipe.send(None)
            else:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(_GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def run(self, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        return self._here(pieces) if self._size == 1 else self._there(pieces)

    def _here(self, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        job = self.job
        for number, piece in enumerate(pieces):
            self._kit = job.prepare(job.given) if self._kit is None else self._kit
            try:
                result = job.work(self._kit, piece)
            except MisstepError:
                raise
            except Exception:  # noqa: BLE001 - one unreadable file must not end the run
                self._kit = None
                result = self.alone(piece)
            yield number, result

    def _there(self, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        todo = enumerate(pieces)
        held: dict[int, Any] = {}
        doubtful: deque[int] = deque()
        done = False
        while True:
            while not done and len(held) - len(doubtful) < self._size:
                number, piece = next(todo, (-1, None))
                done = number < 0
                if not done:
                    held[number] = piece
                    self._give(self._idle(), number, piece)
            busy = [worker for worker in self._workers if worker.at is not None]
            if not busy:
                break
            for worker in self._ready(busy):
                at, result = worker.at, self._result(worker)
                if at is None:
                    continue
                if isinstance(result, Crash):
                    doubtful.append(at)
                else:
                    del held[at]
                    yield at, result
        for number in doubtful:
            yield number, self.alone(held.pop(number))

    def alone(self, piece: Any) -> Any | Crash:
        """One piece in a fresh process."""
        worker = self._start()
        self._give(worker, 0, piece)
        self._ready([worker])
        result = self._result(worker)
        if worker in self._workers:
            self._drop(worker)
        return result

    def _ready(self, busy: list[_Worker]) -> list[_Worker]:
        by_handle: dict[Any, _Worker] = {}
        for worker in busy:
            by_handle[worker.pipe] = worker
            by_handle[worker.process.sentinel] = worker
        found = wait(list(by_handle))
        return list({id(by_handle[handle]): by_handle[handle] for handle in found}.values())

    def _result(self, worker: _Worker) -> Any | Crash:
        """What a worker sends; a dead or a failed one is dropped."""
        try:
            if worker.pipe.poll():
                result = worker.pipe.recv()
                worker.at = None
                if isinstance(result, _Told):
                    raise result.error
                if isinstance(result, Crash):
                    self._drop(worker)
                return result
        except (EOFError, OSError):
            pass
        worker.process.join(_GRACE)
        code = worker.process.exitcode
        self._drop(worker)
        return Crash(f"the process that {self.job.did} it ended with {_ending(code)}")

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()

    def _idle(self) -> _Worker:
        return next((w for w in self._workers if w.at is None), None) or self._start()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self.job), daemon=True)
        with _no_main(), _undisturbed():
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker, number: int, piece: Any) -> None:
        worker.at = number
        with contextlib.suppress(OSError):  # a worker that is dead by now is seen when it is read
            worker.pipe.send(piece)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits while a process is being started: half a start leaves a traceback behind."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # its start would lift the block again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, job: Job) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and ends its workers
    _end_with_parent()
    kit: Any = None
    ready = False
    while True:
        try:
            piece = pipe.recv()
        except EOFError:
            return
        if piece is None:
            return
        try:
            if not ready:
                kit, ready = job.prepare(job.given), True
            result = job.work(kit, piece)
        except MisstepError as error:
            result = _Told(error)
        except Exception as error:  # noqa: BLE001 - one unreadable file must not end the run
            result = Crash(f"{type(error).__name__}: {error}"[:300])
        pipe.send(result)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends too, whatever it is doing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}"
    return f"exit code {code}"


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    return context


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Workers need nothing of the main module; running it again would do its work again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def expect(sizes: Iterable[int], workers: int) -> None:
    """Begin to load what workers need, while this process still loads its own part.

    Args:
        sizes: bytes of the files to be read; nothing is begun for less than `WORTH` in all.
        workers: as many will be asked for; 0 for one a core.
    """
    if (workers or cores()) == 1 or "forkserver" not in multiprocessing.get_all_start_methods():
        return
    total = 0
    for size in sizes:
        total += size
        if total >= WORTH:
            _context()
            with _no_main(), _undisturbed():
                forkserver.ensure_running()
            return


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
