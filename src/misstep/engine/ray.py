"""Pieces of work as Ray tasks, on this machine or on a cluster.

In: a `Job` and pieces of work, as for the local engine. Out: the same. Where a task runs, and that
pieces and answers get there, is Ray's. A piece whose process dies or raises is tried once more; if
that fails too its result is a `Crash`. That a whole node is lost is not held against a piece.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from misstep.engine.local import Crash, Job, cores
from misstep.errors import ExtraMissing, MisstepError, SetupError

LOST = 8
"""How often the nodes under a piece may be lost."""
_AHEAD = 2
"""Tasks handed over for each core of the cluster: one at work, one at hand."""
_KITS: dict[str, Any] = {}
"""Of this process, where it is a worker: what `Job.prepare` gave, for the last job."""


class RayEngine:
    """A Ray cluster; in a `with` block the connection stays."""

    def __init__(self, address: str | None = None, workers: int = 0) -> None:
        """`address`: of a running cluster, or `auto`; without one Ray is started on this machine
        with so many workers (0: one a core)."""
        try:
            import ray
        except ImportError:
            raise ExtraMissing("ray", "ray") from None
        self.ray = ray
        self._address = address
        self._ours = False
        self._depth = 0
        self.workers = workers or cores()

    def __enter__(self) -> RayEngine:
        ray = self.ray
        if not ray.is_initialized():
            self._reach()
            self._ours = True
        self._depth += 1
        self.workers = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        return self

    def _reach(self) -> None:
        try:
            self.ray.init(**self._settings())
        except Exception as error:  # noqa: BLE001 - what is raised differs by version and address
            said = " ".join(str(error).split())[:300] or type(error).__name__
            if self._address is None:
                raise SetupError(
                    f"Ray cannot be started on this machine ({said}); leave --engine ray out, or "
                    f"give the address of a cluster with --ray-address"
                ) from None
            raise SetupError(
                f"no Ray cluster can be reached at {self._address} ({said}); start one there, "
                f"correct --ray-address, or leave it out to start Ray on this machine"
            ) from None

    def _settings(self) -> dict[str, Any]:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address is None:
            own = {"address": "local", "num_cpus": self.workers, "include_dashboard": False}
            return {**quiet, **own}
        return {**quiet, "address": self._address}

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._ours and not self._depth:
            self.ray.shutdown()
            self._ours = False

    def run(self, job: Job, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        """The result of each piece with its number, counted from 0.

        Raises:
            SetupError: the cluster cannot be reached.
        """
        with self, self.staying():
            yield from _Run(self.ray, job, self.workers * _AHEAD).results(enumerate(pieces))

    @contextlib.contextmanager
    def staying(self) -> Iterator[None]:
        """Say it where the cluster goes away inside.

        Raises:
            SetupError: it did.
        """
        try:
            yield
        except (ConnectionError, self.ray.exceptions.RaySystemError) as error:
            raise SetupError(
                f"the Ray cluster {self._address or 'on this machine'} is gone ({error}); "
                f"start it again and run the same command"
            ) from None


class _Run:
    """One job's tasks."""

    def __init__(self, ray: Any, job: Job, most: int) -> None:
        self._ray = ray
        self._most = most
        # what is raised comes back as a value, and tries are counted here: Ray would try a piece
        # for which there is not enough memory for ever
        self._task = ray.remote(max_retries=0, num_cpus=1)(_do)
        self._job = [ray.put(job)]
        self._name = uuid.uuid4().hex
        self._did = job.did
        self._pieces: dict[int, Any] = {}
        self._tries: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._open: dict[Any, int] = {}

    def results(self, todo: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any | Crash]]:
        done = False
        while True:
            while not done and len(self._open) < self._most:
                number, piece = next(todo, (-1, None))
                done = number < 0
                if not done:
                    self._pieces[number] = piece
                    self._hand(number)
            if not self._open:
                return
            ready, _ = self._ray.wait(list(self._open), num_returns=1)
            for reference in ready:
                number = self._open.pop(reference)
                result = self._result(reference, number)
                if result is not None:
                    del self._pieces[number]
                    yield number, result

    def _hand(self, number: int) -> None:
        reference = self._task.remote(self._name, self._job, self._pieces[number])
        self._open[reference] = number

    def _result(self, reference: Any, number: int) -> Any | Crash | None:
        """What a task came to; None where it is tried once more."""
        faults = self._ray.exceptions
        try:
            result = self._ray.get(reference)
        except (faults.NodeDiedError, faults.ObjectLostError, faults.LocalRayletDiedError):
            self._lost[number] = self._lost.get(number, 0) + 1
            if self._lost[number] <= LOST:
                self._hand(number)
                return None
            return Crash(f"the nodes that {self._did} it were lost {LOST} times")
        except faults.OutOfMemoryError:
            result = Crash(f"the process that {self._did} it was ended for want of memory")
        except faults.WorkerCrashedError:
            result = Crash(f"the process that {self._did} it ended unexpectedly")
        if isinstance(result, MisstepError):
            raise result
        if isinstance(result, Crash):
            self._tries[number] = self._tries.get(number, 0) + 1
            if self._tries[number] < 2:
                self._hand(number)
                return None
        return result


def _do(name: str, held: list[Any], piece: Any) -> Any:
    """One piece in a worker. The job is fetched once in each process."""
    import ray

    try:
        if name not in _KITS:
            _KITS.clear()
            job: Job = ray.get(held[0])
            _KITS[name] = (job.work, job.prepare(job.given))
        work, kit = _KITS[name]
        return work(kit, piece)
    except MisstepError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one unreadable file must not end the run
        _KITS.clear()
        return Crash(f"{type(error).__name__}: {error}"[:300])
