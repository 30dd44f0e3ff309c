"""Worker processes: results with their numbers, crashes survived, nothing left running."""

import os
import random
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

import working
from misstep.engine import WORTH, Crash, Engine, Job, RayEngine, expect, local
from misstep.errors import ExtraMissing, InputError


def done(engine, work, given, pieces):
    return dict(engine.run(Job(working.prepare, given, work), pieces))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_piece_comes_back_with_its_number(workers):
    assert done(Engine(workers), working.square, 5, range(7)) == {n: 5 + n * n for n in range(7)}


def test_a_piece_on_which_a_process_dies_is_tried_once_more(tmp_path):
    assert done(Engine(2), working.dies_once, str(tmp_path), range(6)) == {n: n for n in range(6)}


def test_a_piece_that_kills_every_process_is_a_crash_and_the_rest_is_done():
    found = done(Engine(2), working.dies, None, range(6))
    assert found.pop(3) == Crash("the process that read it ended with exit code 7")
    assert found == {n: n for n in (0, 1, 2, 4, 5)}


def test_a_piece_on_which_a_parser_faults_is_a_crash_and_the_rest_is_done():
    found = done(Engine(2), working.faults, None, range(6))
    assert found.pop(3) == Crash("the process that read it ended with signal 11")
    assert found == {n: n for n in (0, 1, 2, 4, 5)}


def test_a_piece_for_which_there_is_not_enough_memory_is_a_crash_and_the_rest_is_done():
    found = done(Engine(2), working.hoards, None, range(6))
    assert found.pop(3) == Crash("MemoryError: ")
    assert found == {n: n for n in (0, 1, 2, 4, 5)}


def test_workers_killed_at_ten_random_moments_lose_and_double_nothing(monkeypatch):
    draw, killed, workers = random.Random(5), [], []
    start = local._Pool._start

    def started(pool):
        workers.append(start(pool))
        return workers[-1]

    monkeypatch.setattr(local._Pool, "_start", started)
    results = []
    run = Engine(3).run(Job(working.prepare, None, working.slow), range(120))
    for number, result in run:
        results.append((number, result))
        alive = [w.process.pid for w in workers if w.at is not None and w.process.is_alive()]
        if len(killed) < 10 and alive and draw.random() < 0.25:
            killed.append(draw.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)
    assert len(killed) == 10
    assert sorted(results) == [(n, n) for n in range(120)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_piece_that_raises_is_a_crash_with_the_words_of_the_error(workers):
    found = done(Engine(workers), working.raises, None, range(5))
    assert found.pop(3) == Crash("ValueError: three")
    assert found == {n: n for n in (0, 1, 2, 4)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_set_up_ends_the_run_wherever_it_is_found(workers):
    with pytest.raises(InputError, match="give another"):
        list(Engine(workers).run(Job(working.unready, None, working.square), range(3)))
    with pytest.raises(InputError, match="give another"):
        list(Engine(workers).run(Job(working.prepare, None, working.refuses), range(3)))


def test_a_crash_says_what_the_process_was_to_do():
    job = Job(working.prepare, None, working.dies, did="answered")
    assert dict(Engine(2).run(job, range(6)))[3] == Crash(
        "the process that answered it ended with exit code 7"
    )


def test_one_worker_works_in_this_process():
    assert done(Engine(1), working.name, None, [0]) == {0: ("working", os.getpid())}


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1]); print('once')\n"
        "import working; from misstep.engine import Engine, Job\n"
        "print(sorted(Engine(2).run(Job(working.prepare, 1, working.square), [1, 2])))\n"
    )
    tests = str(Path(working.__file__).parent)
    run = subprocess.run(
        [sys.executable, str(script), tests], capture_output=True, text=True, check=True
    )
    assert run.stdout == "once\n[(0, 2), (1, 5)]\n"


def test_workers_end_when_the_one_who_waits_gives_up(tmp_path):
    job = Job(working.prepare, str(tmp_path), working.sleeps)
    run = Engine(2).run(job, [1, 2])

    class Enough(BaseException):
        pass

    def give_up():
        for _ in range(200):
            if len(list(tmp_path.iterdir())) == 2:
                raise Enough
            time.sleep(0.05)

    from misstep.engine import local

    wait = local.wait
    local.wait = lambda handles: give_up() or wait(handles)
    try:
        with pytest.raises(Enough):
            next(run)
    finally:
        local.wait = wait
    assert [p.name for p in tmp_path.iterdir() if Path("/proc", p.name).exists()] == []


def test_processes_stay_from_one_run_to_the_next_within_a_block():
    job = Job(working.prepare, None, working.name)
    with Engine(2) as engine:
        first, second = (dict(engine.run(job, range(4))) for _ in range(2))
        pids = {pid for found in (first, second) for _, pid in found.values()}
    assert len(pids) <= 2
    assert os.getpid() not in pids
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(
    ("sizes", "workers", "begun"),
    [([WORTH], 2, True), ([WORTH // 2] * 2, 3, True), ([WORTH - 1], 2, False), ([WORTH], 1, False)],
)
def test_workers_are_expected_only_for_logs_that_are_worth_it(monkeypatch, sizes, workers, begun):
    from misstep.engine import local

    asked = []
    monkeypatch.setattr(local.forkserver, "ensure_running", lambda: asked.append(True))
    expect(sizes, workers)
    assert bool(asked) is begun


def test_ray_is_started_once_for_all_runs_within_a_block_and_ended_with_it(monkeypatch):
    said = []

    class Stub(types.ModuleType):
        def is_initialized(self):
            return said.count("init") > said.count("shutdown")

        def init(self, **settings):
            said.append("init")

        def shutdown(self):
            said.append("shutdown")

        def cluster_resources(self):
            return {"CPU": 2.0}

    monkeypatch.setitem(sys.modules, "ray", Stub("ray"))
    engine = RayEngine(workers=2)
    with engine:
        with engine:
            pass
        assert said == ["init"]
    assert said == ["init", "shutdown"]


def test_an_engine_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'misstep\[ray\]'"):
        RayEngine()
