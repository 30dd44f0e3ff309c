"""The way home from workers with folders of their own, without a cluster."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from misstep import store
from misstep.config import IngestConfig, RunConfig
from misstep.engine import Crash, Job
from misstep.ingest import Share, discover
from misstep.pipeline import away, unit
from misstep.pipeline.unit import Given

LARGE = [bytes([n]) * 300 for n in range(7)]


class Gone(Exception):
    """Ray's word for an object whose process is no more."""


class Elsewhere:
    """An engine that does the work here, in folders of its own; kits as a worker holds them."""

    workers = 1

    def __init__(self):
        self.kits = []

    def run(self, job, pieces):
        self.kits.append(job.prepare(job.given))
        for number, piece in enumerate(pieces):
            yield number, job.work(self.kits[-1], piece)


class Objects:
    """What Ray is asked for: a store of objects, of which the first gets are in vain."""

    exceptions = SimpleNamespace(ObjectLostError=Gone)

    def __init__(self, lost=0):
        self.lost, self.put_, self.got = lost, [], 0

    def put(self, value):
        self.put_.append(value)
        return len(self.put_) - 1

    def get(self, reference):
        if self.lost:
            self.lost -= 1
            raise Gone
        self.got += 1
        return self.put_[reference]


@pytest.fixture
def given_(tmp_path, monkeypatch):
    """Logs of one request with seven images, and packs that hold three of them."""
    monkeypatch.setattr(away, "PACK", 1000)
    url = "data:image/png;base64,"
    blocks = [
        {"type": "image_url", "image_url": {"url": url + base64.b64encode(image).decode()}}
        for image in LARGE
    ]
    asked, said = {"role": "user", "content": blocks}, {"role": "assistant", "content": "a page"}
    request = {"model": "ocr", "messages": [asked]}
    line = {"request": request, "response": {"choices": [{"message": said}]}}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "home").mkdir()
    config = RunConfig(ingest=IngestConfig(engine="ray", images=str(tmp_path / "images")))
    found = list(discover([tmp_path / "log.jsonl"]))
    return Given(found, config, ("session",), False, str(tmp_path / "home"))


def told(given, monkeypatch, objects):
    monkeypatch.setitem(sys.modules, "ray", objects)
    engine = Elsewhere()
    piece = (3, unit.Unit([[Share(0)]], 1))
    job = Job(unit.prepare, given, unit.work)
    ((number, result),) = away._Away(engine, given).run(job, [piece])
    return number, result, engine


def kept(tmp_path):
    return {path.read_bytes() for path in (tmp_path / "images").iterdir()}


def test_images_come_in_packs_and_leave_nothing_behind(given_, tmp_path, monkeypatch):
    objects = Objects()
    number, result, engine = told(given_, monkeypatch, objects)
    assert (number, isinstance(result, bytes)) == (0, True)
    assert kept(tmp_path) == set(LARGE)
    assert [len(pack) for pack in objects.put_] == [3, 1]  # the first three came with the answer
    assert [p.name for p in (tmp_path / "home").iterdir()] == [unit.spool_name(3)]
    (kit,) = engine.kits
    assert kit.own.given.config.ingest.images != given_.config.ingest.images
    theirs = Path(kit.own.given.folder)
    assert list(theirs.rglob("*")) == [theirs / "images"]


def test_a_lost_pack_costs_its_piece_once_more(given_, tmp_path, monkeypatch):
    _, result, engine = told(given_, monkeypatch, Objects(lost=2))
    assert not isinstance(result, Crash)
    assert len(engine.kits) == 3
    assert kept(tmp_path) == set(LARGE)


def test_packs_that_are_always_lost_are_a_crash(given_, tmp_path, monkeypatch):
    _, result, _ = told(given_, monkeypatch, Objects(lost=10**6))
    assert result == Crash("the images that it read were lost 8 times")
    assert not list((tmp_path / "home").iterdir())


def test_nothing_is_sent_where_no_images_are_wanted(given_, tmp_path, monkeypatch):
    config = given_.config
    config = replace(config, ingest=replace(config.ingest, images=None))
    objects = Objects()
    told(replace(given_, config=config), monkeypatch, objects)
    assert objects.put_ == []
    assert not (tmp_path / "images").exists()


def test_an_image_is_larger_than_a_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(away, "PACK", 100)
    for data in (b"a" * 500, b"b" * 40, b"c" * 40, b"d" * 40):
        store.keep_image(tmp_path, data)
    packs = list(away._packs(tmp_path))
    assert sorted(image for pack in packs for image in pack)[0] == b"a" * 500
    assert all(sum(map(len, pack)) <= 100 or len(pack) == 1 for pack in packs)
    assert list(tmp_path.iterdir()) == []
