"""Names that are no UTF-8: the files are read, and the names are spelled wherever they stand."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import sys
import tarfile
import threading

import pytest
from click.testing import CliRunner

from logs import WRONG, session, write
from misstep import ingest
from misstep.cli import main
from misstep.config import RunConfig
from misstep.engine import Crash
from misstep.ingest import Share
from misstep.pipeline.gather import Run
from misstep.pipeline.job import silent
from misstep.pipeline.unit import Given
from misstep.pipeline.watching import Watch, updates

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")

ODD = os.fsdecode(b"\xe9bad.jsonl")
SPELLED = "\\xe9bad.jsonl"


@pytest.fixture
def logs(tmp_path):
    """A folder with such a name, and in it files and a member of an archive with such names."""
    folder = tmp_path / os.fsdecode(b"d\xe9r")
    write(folder / "good.jsonl", [session(1, WRONG % 1)])
    write(folder / ODD, [session(2, WRONG % 2)])
    data = json.dumps(session(3, WRONG % 3)).encode() + b"\n{\n"
    form = tarfile.GNU_FORMAT
    with tarfile.open(folder / "t.tar", "w", format=form, encoding="latin-1") as archive:
        info = tarfile.TarInfo("m\xe9.jsonl")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with sqlite3.connect(os.fsencode(folder) + b"/\xe9.db") as base:
        base.execute("CREATE TABLE t (x)")
    return folder


def call(*words):
    got = CliRunner().invoke(main, [*map(str, words), "--quiet"])
    assert got.exit_code == 0, got.output
    return got


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def files(path):
    return [row["origin"]["file"] for row in rows(path)]


def test_findings_set_aside_records_and_pages_spell_the_name(tmp_path, logs):
    out = {name: tmp_path / name for name in ("f", "a", "h", "s", "p")}
    words = ["--findings", out["f"], "--set-aside", out["a"], "--html", out["h"]]
    call("scan", logs, *words, "--sarif", out["s"], "--workers", "1")
    assert files(out["f"]) == ["good.jsonl", "t.tar", SPELLED]
    aside = [(row["origin"]["file"], row["origin"]["member"]) for row in rows(out["a"])]
    assert aside == [("t.tar", "m\\xe9.jsonl"), ("\\xe9.db", None)]
    assert '"%5Cxe9bad.jsonl"' in out["s"].read_text("utf-8")
    assert out["h"].stat().st_size
    call("scan", logs, "--parquet", out["p"])
    assert (out["p"] / "summary.json").exists()


def test_a_scan_since_the_last_one_knows_the_file_again(tmp_path, logs):
    call("scan", logs, "--findings", tmp_path / "fresh")
    words = ["--since-last", "--state", tmp_path / "state", "--findings", tmp_path / "f"]
    for _ in range(2):
        call("scan", logs, *words)
        assert (tmp_path / "f").read_bytes() == (tmp_path / "fresh").read_bytes()
    write(logs / SPELLED, [session(4, WRONG % 4)])  # another file, of the spelled name itself
    call("scan", logs, *words)
    assert files(tmp_path / "f").count(SPELLED) == 2


def test_it_is_mined_explained_and_asked_for_tools(tmp_path, logs):
    facts = json.loads(call("mine", logs, "-o", tmp_path / "run", "--json").stdout)
    assert facts["failed_steps"] == 3
    assert "set_timer" in call("tools", logs).stdout
    said = call("scan", logs, logs / ODD, "--explain").stdout
    assert "d\\xe9r/\\xe9bad.jsonl\n" in said
    assert "d\\xe9r/t.tar!m\\xe9.jsonl\n" in said


def test_it_is_watched_without_a_traceback(tmp_path, logs, monkeypatch):
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    stop = threading.Event()
    watch = Watch([logs], RunConfig(), tmp_path / "state")
    for update in updates(watch, [logs], every=0.05, stop=stop):
        if update.first:
            write(logs / os.fsdecode(b"new\xff.jsonl"), [session(5, WRONG % 5)])
        else:
            stop.set()
            assert [row["origin"]["file"] for row in update.new] == ["new\\xff.jsonl"]
    assert raised == []


def test_a_file_on_which_a_worker_dies_is_told_by_its_name(tmp_path, logs):
    found = list(ingest.discover([logs]))
    run = Run(Given(found, RunConfig(), (), True, str(tmp_path)), silent)
    for number in range(len(found)):
        run.crashed(Share(number), Crash("it died"))
    told = [json.loads(line)["origin"]["file"] for line in run.ledger.asides()]
    assert told == ["good.jsonl", "t.tar", "\\xe9.db", SPELLED]


def test_names_are_spelled_and_others_stay():
    assert ingest.spelled("gr\u00fc\u00df/\\xe9.jsonl") == "gr\u00fc\u00df/\\xe9.jsonl"
    assert ingest.spelled(ODD) == SPELLED
    assert ingest.spelled("\ud800x") == "\\ud800x"
