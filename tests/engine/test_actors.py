"""Ray actors: prepared once each, replaced where they die; the answers of a model by them."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

import answerers
import working
from asking import COUNT, Stage, adapter_on
from clusters import NODE, two_nodes
from misstep import models
from misstep.engine import Crash, Job, Needs, RayActors, RayEngine
from misstep.engine.actors import _Lost
from misstep.errors import InputError, SetupError
from tiny import build_tiny

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ON_RAY = {"ingest.engine": "ray"}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, and a connection to them."""
    with two_nodes(OMP_NUM_THREADS="1") as made:
        yield made


def done(work, given, pieces, **needs):
    return dict(RayActors(RayEngine(), Needs(**needs)).run(job(work, given), pieces))


def job(work, given):
    return Job(working.prepare, given, work, did="did")


def test_as_many_actors_as_the_nodes_hold_take_the_pieces(cluster):
    with RayActors(RayEngine(), Needs()) as actors:
        assert actors.workers == 2
        found = dict(actors.run(job(working.naps, None), range(40)))
        again = dict(actors.run(actors._job, range(4)))
    assert sorted(found) == list(range(40))
    assert len(set(found.values())) == 2
    assert set(again.values()) <= set(found.values())  # they stay within a block


def test_more_than_a_node_has_is_refused_unless_it_is_to_be_waited_for(cluster):
    with pytest.raises(SetupError, match=r"no node of the Ray cluster has 3 cores for one worker"):
        done(working.square, 1, range(3), cpus=3)
    with pytest.raises(SetupError, match=r"1 cores and 2 GPUs"):
        done(working.square, 1, range(3), gpus=2)
    assert RayActors(RayEngine(), Needs(workers=1, cpus=3))._fitting().workers == 1


def test_a_piece_that_kills_every_actor_is_a_crash_and_the_rest_is_done(cluster):
    found = done(working.dies, None, range(6))
    assert found.pop(3) == Crash("the process that did it ended unexpectedly")
    assert found == {n: n for n in (0, 1, 2, 4, 5)}


def test_a_piece_on_which_an_actor_dies_is_tried_once_more(cluster, tmp_path):
    assert done(working.dies_once, str(tmp_path), range(6)) == {n: n for n in range(6)}


def test_a_piece_that_raises_is_a_crash_with_the_words_of_the_error(cluster):
    found = done(working.raises, None, range(5))
    assert found.pop(3) == Crash("ValueError: three")
    assert found == {n: n for n in (0, 1, 2, 4)}


def test_a_wrong_set_up_in_an_actor_ends_the_run(cluster):
    with pytest.raises(InputError, match="give another"):
        done(working.refuses, None, range(3))
    with pytest.raises(InputError, match="give another"):
        list(RayActors(RayEngine(), Needs()).run(Job(working.unready, None, working.square), [1]))


def test_actors_that_cannot_be_prepared_are_told(cluster):
    with pytest.raises(SetupError, match=r"no worker can be prepared on Ray: .* unexpectedly"):
        list(RayActors(RayEngine(), Needs()).run(Job(working.perish, None, working.square), [1]))


def test_a_node_that_is_lost_is_not_held_against_a_piece(cluster):
    node = cluster.add_node(**NODE)
    heard, seen, removal = [], {}, None

    class Watched(RayActors):
        def _result(self, job, actor):
            heard.append(super()._result(job, actor))
            return heard[-1]

    actors = Watched(RayEngine(), Needs(workers=3))
    for number, pid in actors.run(job(working.naps, None), range(150)):
        assert number not in seen
        seen[number] = pid
        if removal is None and len(set(seen.values())) == 3:
            removal = threading.Thread(target=cluster.remove_node, args=(node,), daemon=True)
            removal.start()
    assert removal is not None
    assert sorted(seen) == list(range(150))
    assert sum(isinstance(each, _Lost) for each in heard) >= 1
    assert not any(isinstance(each, Crash) for each in heard)


def test_actors_killed_at_random_moments_lose_and_double_nothing(cluster):
    draw, killed, stop = random.Random(4), [], threading.Event()

    def kill():
        while len(killed) < 10 and not stop.wait(0.05 + draw.random() * 0.3):
            if pids := at_work():
                killed.append(draw.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    seen = list(RayActors(RayEngine(), Needs()).run(job(working.slow, None), range(150)))
    stop.set()
    killer.join()
    assert len(killed) >= 5
    assert sorted(number for number, _ in seen) == list(range(150))
    whole = [(number, result) for number, result in seen if not isinstance(result, Crash)]
    assert all(number == result for number, result in whole)
    assert len(whole) >= 150 - len(killed) // 2  # a piece that was hit twice is a crash


def at_work():
    """Processes of the actors that are at a piece now; none is, where all wait for the next."""
    return [int(p.name) for p in Path("/proc").iterdir() if is_at_work(p)]


def is_at_work(process):
    """Whether a process of ours is an actor of this test."""
    try:
        return (process / "cmdline").read_bytes().startswith(b"ray::_Worker.do")
    except OSError:
        return False


# --- the answers of a model --------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("torch", reason="needs the train extra")
    return build_tiny(tmp_path_factory.mktemp("actors") / "tiny")


def test_actors_give_the_answers_of_one_process(cluster, model, tmp_path, monkeypatch):
    stage = Stage(tmp_path, model)
    stage.adapter = adapter_on(model, tmp_path / "adapter")
    one = stage.ask("one")
    monkeypatch.setattr(models, "work", answerers.together)
    assert stage.ask("ray", **ON_RAY) == one
    pids = {pid for _, _, pid in stage.noted()}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert len(one) == COUNT


def test_an_actor_that_is_killed_and_a_batch_that_kills(cluster, model, tmp_path, monkeypatch):
    stage = Stage(tmp_path, model)
    one = stage.ask("one")
    monkeypatch.setattr(models, "work", answerers.dies_once)
    assert stage.ask("once", **ON_RAY) == one
    assert (model / "notes/died").exists()
    monkeypatch.setattr(models, "work", answerers.dies)
    found = stage.ask("twice", **ON_RAY)
    lost = COUNT - len(found)
    assert 0 < lost < COUNT
    assert found == {prompt: one[prompt] for prompt in found}
    assert stage.facts("twice")["lost"] == lost
    assert stage.said[-1] == (
        f"base: {lost} of {COUNT} prompts are not answered: "
        f"the process that answered it ended unexpectedly"
    )


def test_a_model_that_is_another_one_on_a_node_is_told(cluster, model, tmp_path, monkeypatch):
    from misstep.errors import ModelError

    stage = Stage(tmp_path, model)
    monkeypatch.setattr(models, "unpacked", lambda ref: (model, "0" * 16))
    with pytest.raises(ModelError, match=r"^on .*has other weights .* put the same model there"):
        stage.ask("other", **ON_RAY)
