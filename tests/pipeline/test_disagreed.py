"""Disagreements of the two rules with their places in the logs, as many of each model."""

from __future__ import annotations

from logs import RIGHT, session, write
from misstep import store
from misstep.config import RunConfig
from misstep.pipeline.disagreed import MOST, disagreed
from misstep.pipeline.job import Job
from misstep.pipeline.kept import scan_stage
from misstep.store import RunFolder


def scanned(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(n, RIGHT % n) for n in range(1, 5)])
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.open()
    corpus = scan_stage(Job(run, RunConfig()), [log])
    return run.path, sorted(corpus.sessions)


def row(name, model):
    return {"session": name, "step": 1, "model": model, "answers": "greedy"}


def test_each_has_the_place_of_its_prompt(tmp_path):
    folder, names = scanned(tmp_path)
    rows = [row(name, "sft") for name in names]
    found = disagreed(folder, {"degeneration": {"disagreements": rows}})
    places = sorted(each["place"] for each in found)
    assert [place.rpartition("/log.jsonl:")[2] for place in places] == [
        f"{n} /messages/1" for n in range(1, 5)
    ]


def test_a_model_that_disagrees_a_lot_leaves_room_for_the_others(tmp_path):
    folder, names = scanned(tmp_path)
    rows = [row(names[0], "base")] * 3 * MOST + [row(names[1], "dpo")] * 2
    found = disagreed(folder, {"degeneration": {"disagreements": rows}})
    assert len(found) == MOST
    assert sum(each["model"] == "dpo" for each in found) == 2


def test_without_any_nothing_is_read(tmp_path):
    assert disagreed(tmp_path, None) == []
    assert disagreed(tmp_path, {"degeneration": {"disagreements": []}}) == []
    assert store.RunFolder(tmp_path).foreign() is None
