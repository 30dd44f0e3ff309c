"""Ray: what the local engine finds, on two nodes, whatever happens to workers and nodes."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import polars
import pytest

import scanning
import working
from clusters import NODE, two_nodes
from misstep.config import IngestConfig, RunConfig
from misstep.engine import Crash, Job, RayEngine
from misstep.errors import InputError
from misstep.pipeline.gather import gathered
from misstep.pipeline.scan import tell
from misstep.pipeline.since import SINCE, gathered_since
from samples import BESIDE, LOGS

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CONFIG = RunConfig(ingest=IngestConfig(workers=1, exclude=BESIDE))
ON_RAY = replace(CONFIG, ingest=replace(CONFIG.ingest, engine="ray"))
PORT = 20_000 + os.getpid() % 20_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes of one core each, and a connection to them."""
    plugin = working.brittle(tmp_path_factory.mktemp("plugin") / "brittle")
    service = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch, two_nodes(plugin, **service) as made:
        patch.syspath_prepend(plugin)
        yield made


def done(work, given, pieces):
    return dict(RayEngine().run(Job(working.prepare, given, work), pieces))


def told(paths, config, wants=("rows", "session")):
    with gathered(paths, config, wants=wants, set_aside=True) as found:
        return (
            found.summary,
            b"".join(rows for rows, _ in found.ledger.kept("rows")),
            list(found.ledger.kept("session")),
            list(found.ledger.asides()),
        )


def test_every_piece_comes_back_with_its_number(cluster):
    assert done(working.square, 5, range(30)) == {n: 5 + n * n for n in range(30)}


def test_a_piece_that_kills_every_process_is_a_crash_and_the_rest_is_done(cluster):
    found = done(working.dies, None, range(6))
    assert found.pop(3) == Crash("the process that read it ended unexpectedly")
    assert found == {n: n for n in (0, 1, 2, 4, 5)}


def test_a_piece_on_which_a_process_dies_is_tried_once_more(cluster, tmp_path):
    assert done(working.dies_once, str(tmp_path), range(6)) == {n: n for n in range(6)}


def test_a_piece_that_raises_is_a_crash_with_the_words_of_the_error(cluster):
    found = done(working.raises, None, range(5))
    assert found.pop(3) == Crash("ValueError: three")
    assert found == {n: n for n in (0, 1, 2, 4)}


def test_a_piece_for_which_there_is_not_enough_memory_is_a_crash_and_the_rest_is_done(cluster):
    found = done(working.hoards, None, range(5))
    assert found.pop(3) == Crash("MemoryError: ")
    assert found == {n: n for n in (0, 1, 2, 4)}


def test_a_wrong_set_up_in_a_worker_ends_the_run(cluster):
    with pytest.raises(InputError, match="give another"):
        done(working.refuses, None, range(3))


def test_all_samples_come_out_the_same_on_two_nodes_as_on_this_machine(cluster):
    local = told([LOGS], CONFIG)
    assert local[0]["sessions"] > 100
    assert told([LOGS], ON_RAY) == local


def test_a_scan_since_the_last_one_comes_out_the_same_on_two_nodes(cluster, tmp_path):
    for config in (ON_RAY, CONFIG, ON_RAY):
        with gathered_since([LOGS], config, tmp_path / "state", wants=SINCE) as found:
            summary = found.summary
    assert summary == told([LOGS], CONFIG)[0]


def test_a_driver_that_is_killed_is_gone_on_with(cluster, tmp_path):
    logs, state = tmp_path / "logs", tmp_path / "state"
    logs.mkdir()
    rows(logs, files=2, each=20)
    for groups in (5, 9):
        assert scanning.killed_after(groups, logs, state, cluster.address) == groups
    config = RunConfig(ingest=IngestConfig(workers=1, engine="ray"))
    with gathered_since([logs], config, state, wants=SINCE) as found:
        summary, read = found.summary, found.fresh
        again = sum(found.ledger._part[at] in read for at, _ in found.ledger._order())
    assert summary == told([logs], CONFIG)[0]
    assert again <= 40 - 5 - 9 + 2


def test_tables_are_the_same_from_two_nodes_as_from_this_machine(cluster, tmp_path):
    made = {}
    for name, config in (("local", CONFIG), ("ray", ON_RAY)):
        tell([LOGS], config, parquet=str(tmp_path / name))
        for table in ("sessions", "findings"):
            frame = polars.read_parquet(tmp_path / name / table / "*.parquet")
            made[name, table] = sorted(map(str, frame.rows()))
    assert made["ray", "sessions"] == made["local", "sessions"]
    assert made["ray", "findings"] == made["local", "findings"]
    assert len(made["ray", "sessions"]) > 100


def test_buckets_are_read_and_written_by_two_nodes(cluster, tmp_path):
    moto = pytest.importorskip("moto.server", reason="moto[s3] with flask is not installed")
    s3fs = pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=PORT, verbose=False)
    server.start()
    try:
        files = s3fs.S3FileSystem()
        files.mkdir("agents")
        rows(tmp_path, files=3, each=300)
        files.put(f"{tmp_path}/", "agents/logs/", recursive=True)
        local = told([tmp_path], CONFIG)
        assert told([Path("s3://agents/logs")], ON_RAY) == local
        tell([Path("s3://agents/logs")], ON_RAY, parquet="s3://agents/out")
        parts = files.glob("agents/out/findings/*.parquet")
        found = [polars.read_parquet(io.BytesIO(files.cat_file(name))) for name in parts]
        assert sum(map(len, found)) == len(local[1].splitlines()) > 100
    finally:
        server.stop()
        s3fs.S3FileSystem.clear_instance_cache()  # it remembers the server


def test_pairs_are_the_same_on_two_nodes_as_on_this_machine(cluster, tmp_path):
    from misstep import api

    made = {}
    for name, config in (("local", CONFIG), ("ray", ON_RAY)):
        config = replace(config, mine=replace(config.mine, off_policy=True))
        api.mine(
            [LOGS / "openai-chat", LOGS / "chat-rows"], tmp_path / name, config, resample=False
        )
        rows = (tmp_path / name).rglob("*.jsonl")
        made[name] = {p.name: sorted(p.read_bytes().splitlines()) for p in rows}
    assert made["ray"] == made["local"]
    assert sum(map(len, made["local"].values())) > 10


def rows(folder, files=6, each=700):
    for file in range(files):
        lines = []
        for n in range(each):
            arguments = '{"n": ' if n % 7 == 0 else "{}"
            call = {"id": "c", "type": "function"}
            call["function"] = {"name": "f", "arguments": arguments}
            answer = {"role": "assistant", "content": None, "tool_calls": [call]}
            messages = [{"role": "user", "content": f"task {file} {n} {'x' * 600}"}, answer]
            lines.append(json.dumps({"messages": messages}) + "\n")
        (folder / f"{file}.jsonl").write_text("".join(lines))
    return folder


def test_workers_killed_at_random_moments_lose_and_double_nothing(cluster, tmp_path):
    rows(tmp_path)
    local = told([tmp_path], CONFIG)
    draw, stop, killed = random.Random(3), threading.Event(), []

    def kill():
        while not stop.wait(0.15 + draw.random() * 0.3) and len(killed) < 10:
            pids = [p for p in Path("/proc").iterdir() if p.name.isdigit() and is_task(p)]
            if pids:
                victim = int(draw.choice(pids).name)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    found = []
    end = time.monotonic() + 120
    while len(killed) < 10 and time.monotonic() < end:
        found.append(told([tmp_path], ON_RAY))
    stop.set()
    killer.join()
    assert len(killed) == 10
    for got in found:
        assert balanced(got[0])
        if not got[0]["set_aside"]:
            assert got == local
    assert told([tmp_path], ON_RAY) == local


def is_task(process):
    """Whether a process of ours is at work on a task of this test's cluster."""
    try:
        words = (process / "cmdline").read_bytes()
        status = (process / "status").read_text()
    except OSError:
        return False
    return words.startswith(b"ray::_do") and f"Uid:\t{os.getuid()}\t" in status


def balanced(summary):
    formats = summary["formats"].values()
    return summary["records"] == sum(f["records"] for f in formats)


def test_a_node_that_is_lost_loses_and_doubles_nothing(cluster, tmp_path):
    rows(tmp_path)
    local = told([tmp_path], CONFIG)
    node = cluster.add_node(**NODE)
    threading.Timer(1.5, lambda: cluster.remove_node(node)).start()
    assert told([tmp_path], ON_RAY) == local
    assert told([tmp_path], ON_RAY) == local


def test_a_file_that_kills_its_reader_is_set_aside_and_the_rest_goes_on(cluster, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    rows(logs, files=3, each=20)
    (logs / "poison.jsonl").write_text('{"brittle": 1}\n{"brittle": 1, "deadly": 1}\n')
    (logs / "hungry.jsonl").write_text('{"brittle": 1}\n{"brittle": 1, "hungry": 1}\n')
    (logs / "sound.jsonl").write_text('{"brittle": 1}\n{"brittle": 1}\n')
    summary, _, _, asides = told([logs], ON_RAY)
    assert (summary["sessions"], summary["ignored"]) == (60, {"harmless": 3})
    rows_ = {row["origin"]["file"]: row for row in map(json.loads, asides)}
    assert {name: (row["reason"], row["said"]) for name, row in rows_.items()} == {
        "hungry.jsonl": (
            "plug-in-error",
            "the plug-in's reader failed on this record: MemoryError()",
        ),
        "poison.jsonl": (
            "crashed",
            "could not be read: the process that read it ended unexpectedly",
        ),
    }
