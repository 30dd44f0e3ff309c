"""Images on Ray: what the logs hold comes home from nodes that have folders of their own."""

from __future__ import annotations

import base64
import json
import os
import time
from dataclasses import replace

import pytest

import ocr_pages as pages
import working
from clusters import two_nodes
from misstep import store
from misstep.config import IngestConfig, RunConfig
from misstep.pipeline import away
from misstep.pipeline.gather import gathered
from misstep.pipeline.unit import Given

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CONFIG = RunConfig(ingest=IngestConfig(workers=1))
LARGE = [bytes([n]) * (away.PACK // 2 - 1000) for n in range(5)]
"""Five images, more than two packs."""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, and a connection to them."""
    with two_nodes() as made:
        yield made


@pytest.fixture
def logs(tmp_path):
    """OCR requests with their images, small and large, a folder of pages, and a damaged image."""
    folder = tmp_path / "logs"
    pages.write_imagefolder(folder / "folder")
    pages.write_benchmark(folder / "bench")
    small = [request([uri(pages.image_bytes(gold))], f"small {n}") for n, gold in numbered()]
    large = [request([uri(image) for image in LARGE], "large")]
    broken = [request(["data:image/png;base64,%%%"], "broken")]
    for name, requests in (("small", small), ("large", large), ("broken", broken)):
        text = "".join(json.dumps(each) + "\n" for each in requests)
        (folder / f"{name}.jsonl").write_text(text)
    return folder


def numbered():
    return [(n, gold) for n in range(40) for gold in pages.GOLDS]


def uri(image):
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def request(images, text):
    blocks = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    asked = {"role": "user", "content": [{"type": "text", "text": text}, *blocks]}
    answer = {"role": "assistant", "content": "a page"}
    return {
        "request": {"model": "ocr", "messages": [asked]},
        "response": {"choices": [{"finish_reason": "stop", "message": answer}]},
    }


def scanned(logs, images, engine):
    """Figures and sessions of a scan that keeps the images, and the images."""
    ingest = replace(CONFIG.ingest, engine=engine, images=str(images))
    with gathered([logs], replace(CONFIG, ingest=ingest), wants=("session",)) as found:
        told = found.summary, list(found.ledger.kept("session"))
    kept = {path.name: path.read_bytes() for path in images.iterdir()} if images.is_dir() else {}
    return told, kept


def test_images_come_home_from_two_nodes_as_they_are_kept_on_this_machine(cluster, logs, tmp_path):
    told, kept = scanned(logs, tmp_path / "local", "local")
    assert told[0]["images"] == {"inline": 132, "broken": 1}
    assert len(kept) == len(pages.GOLDS) + len(LARGE)
    assert scanned(logs, tmp_path / "ray", "ray") == (told, kept)
    assert all(store.image_name(data) == f"sha256:{name}" for name, data in kept.items())


def test_no_image_comes_by_the_disk_that_the_nodes_of_this_test_share(
    cluster, logs, tmp_path, monkeypatch
):
    monkeypatch.setattr(away._Away, "_imaged", lambda self, packs: True)
    _, kept = scanned(logs, tmp_path / "ray", "ray")
    assert kept == {}


def test_images_that_are_lost_on_the_way_are_read_again(cluster, logs, tmp_path, monkeypatch):
    whole, lost = away._Away._imaged, []

    def loses(self, packs):
        if len(packs) > 1 and len(lost) < 2:
            lost.append(len(packs))
            return False
        return whole(self, packs)

    monkeypatch.setattr(away._Away, "_imaged", loses)
    found = scanned(logs, tmp_path / "ray", "ray")
    assert lost == [3, 3]
    assert found == scanned(logs, tmp_path / "local", "local")


def test_a_pack_whose_process_is_gone_is_known_as_lost(cluster, tmp_path):
    ingest = replace(CONFIG.ingest, engine="ray", images=str(tmp_path / "images"))
    given = Given([], replace(CONFIG, ingest=ingest), (), False, str(tmp_path))
    with away.engine_of(given) as engine:
        # the cluster takes a moment to know that a process is gone
        assert not all(engine._imaged([[b"first"], orphan(wait)]) for wait in (1, 4, 16))


def orphan(wait):
    pack, pid = ray.get(ray.remote(working.puts).remote())
    os.kill(pid, 9)
    time.sleep(wait)
    return pack
