"""Pieces of work by Ray actors: processes that are costly to prepare, each prepared once.

In: a `Job` and pieces of work, as for the other engines. Out: the same. An actor has one piece at
a time. A piece whose actor dies or raises is tried once more, by another one or a fresh one; if
that fails too its result is a `Crash`. That a whole node is lost is not held against a piece. As
many actors are started as the cluster holds; those for which a node has room later join then.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from misstep.engine.local import Crash, Job
from misstep.engine.ray import LOST, RayEngine
from misstep.errors import MisstepError, SetupError

_CORES = 4
"""Cores of an actor at most, where nothing is said. With fewer, more actors share a node's memory,
each with what it has prepared."""
_STARTS = 3
"""So many actors may end while they are prepared; each further one is one less."""
_NODE_GONE = "its node has died"
"""How Ray says that an actor was lost with its node."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """No result: the node went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """How many actors, and what each takes."""

    workers: int = 0
    """0: as many as the nodes hold."""
    cpus: int = 0
    """0: one beside a GPU, else what the smallest node has, at most 4."""
    gpus: float = 0.0
    """0: one where there are any, else none."""


@dataclass(slots=True, eq=False)
class _Actor:
    handle: Any
    doing: Any
    """Reference of what it is at; None while it waits."""
    node: str = ""
    """Empty until it is prepared."""
    at: int | None = None
    """Number of the piece at hand."""


class RayActors:
    """Actors on a cluster; in a `with` block they stay from one run of a job to the next."""

    def __init__(self, engine: RayEngine, needs: Needs, *, expected: int = 1) -> None:
        """`expected`: pieces that will come in all, so that no actor is started for nothing."""
        self._engine = engine
        self._ray = engine.ray
        self._asked = needs
        self._expected = expected
        self._depth = 0
        self._actors: list[_Actor] = []
        self._job: Job | None = None
        self._made: Any = None
        self._held: list[Any] = []
        self._failed = 0
        self.workers = needs.workers

    def __enter__(self) -> RayActors:
        self._engine.__enter__()
        self._depth += 1
        if self._depth == 1:
            try:
                needs = self._fitting()
            except BaseException as error:
                self.__exit__(type(error))
                raise
            self.workers, self._failed = needs.workers, 0
            self._made = self._ray.remote(
                num_cpus=needs.cpus, num_gpus=needs.gpus, max_restarts=0, max_task_retries=0
            )(_Worker)
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self._end()
        self._engine.__exit__(kind, *rest)

    def run(self, job: Job, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        """The result of each piece with its number, counted from 0.

        Raises:
            SetupError: the cluster cannot be reached, or nothing can be prepared on it.
        """
        with self, self._engine.staying():
            if self._job is not job:
                self._end()
                self._job, self._held = job, [self._ray.put(job)]
            yield from self._results(job, enumerate(pieces))

    def _fitting(self) -> Needs:
        """What is asked for, with what the nodes have where nothing is said."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        needs = self._asked
        gpus = needs.gpus or float(any(node.get("GPU", 0) >= 1 for node in nodes))
        able = [node for node in nodes if node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= gpus]
        least = min((int(node["CPU"]) for node in able), default=1)
        cpus = needs.cpus or (1 if gpus else min(_CORES, least))
        holds = sum(_holds(node, cpus, gpus) for node in nodes)
        if not needs.workers and not holds:
            beside = f" and {gpus:g} GPUs" if gpus else ""
            raise SetupError(
                f"no node of the Ray cluster has {cpus} cores{beside} for one worker; lower "
                f"sample.worker_cpus and sample.worker_gpus, or give sample.workers to wait for "
                f"nodes that have"
            )
        return replace(needs, workers=needs.workers or holds, cpus=cpus, gpus=gpus)

    def _end(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors.clear()
        self._job = None

    # --- one run -------------------------------------------------------------------------------

    def _results(
        self, job: Job, pieces: Iterator[tuple[int, Any]]
    ) -> Iterator[tuple[int, Any | Crash]]:
        held: dict[int, Any] = {}
        waiting: deque[int] = deque()
        tries: Counter[int] = Counter()
        lost: Counter[int] = Counter()
        while True:
            for at, piece in itertools.islice(pieces, max(self.workers - len(held), 0)):
                held[at] = piece
                waiting.append(at)
            if not held:
                return
            for actor, number, result in self._heard(job, held, waiting):
                if number is None:
                    self._prepared(actor, result)
                    continue
                if isinstance(result, _Lost | Crash):
                    gone = isinstance(result, _Lost)
                    counts = lost if gone else tries
                    counts[number] += 1
                    if counts[number] < (LOST if gone else 2):
                        waiting.append(number)
                        continue
                    if gone:
                        result = Crash(f"the nodes that {job.did} it were lost {LOST} times")
                del held[number]
                yield number, result

    def _heard(
        self, job: Job, held: dict[int, Any], waiting: deque[int]
    ) -> Iterator[tuple[_Actor, int | None, Any]]:
        """Give out what waits; then which actors are done, with what, and what came of it."""
        self._start(max(len(held), self._expected))
        self._expected = 0
        for actor in self._actors:
            if actor.doing is None and waiting:
                actor.at = waiting.popleft()
                actor.doing = actor.handle.do.remote(held[actor.at])
        busy = {actor.doing: actor for actor in self._actors if actor.doing is not None}
        for reference in self._ray.wait(list(busy), num_returns=1)[0]:
            actor = busy[reference]
            number = actor.at
            yield actor, number, self._result(job, actor)

    def _start(self, most: int) -> None:
        for _ in range(min(self.workers, most) - len(self._actors)):
            handle = self._made.remote(self._held)
            self._actors.append(_Actor(handle, handle.ready.remote()))

    def _prepared(self, actor: _Actor, result: Any | Crash | _Lost) -> None:
        """Note where an actor stands that is ready; or that one was not to be had."""
        if isinstance(result, str):
            actor.node = result
        elif isinstance(result, Crash):
            self._failed += 1
            if self._failed > _STARTS:
                self.workers -= 1
            if not self.workers:
                raise SetupError(
                    f"no worker can be prepared on Ray: {result.said}; see that a node has the "
                    f"memory and the packages for what it loads, and how many it is to hold "
                    f"(sample.workers, sample.worker_cpus)"
                )

    def _result(self, job: Job, actor: _Actor) -> Any | Crash | _Lost:
        """What came of what it was at. An actor that failed is dropped."""
        faults = self._ray.exceptions
        result: Any | Crash | _Lost
        try:
            result = self._ray.get(actor.doing)
        except faults.OutOfMemoryError:
            result = Crash(f"the process that {job.did} it was ended for want of memory")
        except (faults.ActorUnavailableError, faults.NodeDiedError, faults.ObjectLostError):
            result = _Lost()
        except (faults.RayActorError, faults.WorkerCrashedError) as error:
            gone = _NODE_GONE in str(error) or not self._alive(actor.node)
            result = _Lost() if gone else Crash(f"the process that {job.did} it ended unexpectedly")
        if isinstance(result, MisstepError):
            raise result
        actor.doing = actor.at = None
        if isinstance(result, _Lost | Crash):
            self._actors.remove(actor)
            self._ray.kill(actor.handle)
        return result

    def _alive(self, name: str) -> bool:
        return not name or any(n["NodeID"] == name and n["Alive"] for n in self._ray.nodes())


def _holds(node: dict[str, float], cpus: int, gpus: float) -> int:
    """Actors that a node has room for."""
    by_cpu = int(node.get("CPU", 0) // cpus)
    return min(by_cpu, int(node.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cpu


class _Worker:
    """The life of an actor; what is raised comes back as a value."""

    def __init__(self, held: list[Any]) -> None:
        self._held = held
        self._job: Any = None
        self._kit: Any = None

    def ready(self) -> Any:
        """Prepare; gives the node that this is on."""
        import ray

        def prepare(_: Any) -> str:
            self._job = ray.get(self._held[0])
            self._kit = self._job.prepare(self._job.given)
            return str(ray.get_runtime_context().get_node_id())

        return _tried(prepare, None)

    def do(self, piece: Any) -> Any:
        """One piece."""
        return _tried(lambda piece: self._job.work(self._kit, piece), piece)


def _tried(work: Any, piece: Any) -> Any:
    try:
        return work(piece)
    except MisstepError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one piece that fails must not end the run
        return Crash(f"{type(error).__name__}: {error}"[:300])
