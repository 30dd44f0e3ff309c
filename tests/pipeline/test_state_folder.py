"""The folder of a scan's state: only its own files go, and what is damaged in it is read again."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from misstep import ingest
from misstep.config import IngestConfig, PagesConfig, RunConfig
from misstep.errors import SetupError
from misstep.pipeline import remembered
from misstep.pipeline.gather import gathered
from misstep.pipeline.pieces import name_of
from misstep.pipeline.since import SINCE, gathered_since, key_of

CONFIG = RunConfig(ingest=IngestConfig(workers=1))


def told(source):
    with source as found:
        rows = b"".join(rows for rows, _ in found.ledger.kept("rows"))
        return found.summary, rows, list(found.ledger.asides())


def since(state, logs, config=CONFIG):
    return told(gathered_since([logs], config, state, wants=SINCE))


def fresh(logs, config=CONFIG):
    return told(gathered([logs], config, wants=SINCE, set_aside=True))


def talk(name):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"n": '}}
    answer = {"role": "assistant", "content": None, "tool_calls": [call]}
    messages = [{"role": "user", "content": f"task {name}"}, answer]
    return json.dumps({"messages": messages}) + "\n"


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.jsonl").write_text(talk(name) + talk(name * 2))
    return folder


@pytest.mark.parametrize("below", ["", "state"])
def test_a_state_inside_the_logs_is_refused_and_nothing_is_lost(logs, below):
    (logs / "part-00000.jsonl").write_text(talk("mine"))
    before = sorted(logs.iterdir())
    with pytest.raises(SetupError, match="lies inside the logs"):
        since(logs / below, logs)
    assert sorted(logs.iterdir()) == before


def test_a_folder_with_anything_else_is_refused_and_nothing_is_lost(tmp_path, logs):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "part-000001").write_text("mine")
    with pytest.raises(SetupError, match=r"holds part-000001 and no state"):
        since(tmp_path / "papers", logs)
    assert [p.name for p in (tmp_path / "papers").iterdir()] == ["part-000001"]


def test_only_spools_go_from_a_state_of_ours(tmp_path, logs):
    state = tmp_path / "state"
    since(state, logs)
    for name in ("part-00000.jsonl", "plain-text.md", "part-1", "part-009999", "plain-000003"):
        (state / name).write_text("x")
    since(state, logs)
    left = {path.name for path in state.iterdir()}
    assert {"part-00000.jsonl", "plain-text.md", "part-1"} <= left
    assert not {"part-009999", "plain-000003"} & left


def test_a_scan_that_was_killed_before_it_saved_is_gone_on_with(tmp_path, logs):
    state = tmp_path / "state"
    since(state, logs)
    (state / remembered.NAME).unlink()
    assert since(state, logs) == fresh(logs)


@pytest.mark.parametrize("left", [0, 0.5])
def test_a_spool_that_was_cut_is_read_again_from_the_logs(tmp_path, logs, left):
    state = tmp_path / "state"
    whole = since(state, logs)
    spools = remembered.spools_in(state)
    assert spools
    for spool in spools:
        os.truncate(spool, int(spool.stat().st_size * left))
    assert since(state, logs) == whole == fresh(logs)


def test_spools_are_on_the_disk_before_the_state_names_them(tmp_path, logs, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(handle):
        synced.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    since(tmp_path / "state", logs)
    names = {path.stat().st_ino: path.name for path in (tmp_path / "state").iterdir()}
    assert [names[inode][:4] for inode in synced if inode in names][-2:] == ["part", "stat"]


def test_the_state_is_for_its_owner_and_holds_no_query(tmp_path, logs):
    since(tmp_path / "state", logs)
    assert stat.S_IMODE((tmp_path / "state" / remembered.NAME).stat().st_mode) == 0o600
    names = set()
    for query in ("", "?sig=secret", "?sig=other", "#secret"):
        remote = ingest.remote.Remote("https://h/a.jsonl" + query, 1, "")
        names.add(name_of(ingest.Found(path=Path("a"), remote=remote, name="a", size=1)))
    assert len(names) == 4
    assert not any(word in name for name in names for word in ("sig", "secret", "other"))


def test_the_schema_of_pages_is_part_of_the_key(tmp_path):
    schema = tmp_path / "schema.json"
    config = RunConfig(ingest=IngestConfig(pages=PagesConfig(schema=str(schema))))
    keys = set()
    for text in ("{}", '{"type": "object"}'):
        schema.write_text(text)
        keys.add(key_of(config, SINCE))
    assert len(keys) == 2


@pytest.mark.parametrize("rows", [False, True])
def test_an_image_that_changes_beside_its_gold_is_read_again(tmp_path, rows):
    image = pytest.importorskip("PIL.Image", reason="the extra `ocr` is not installed")
    logs = tmp_path / "logs"
    logs.mkdir()
    image.new("RGB", (40, 40), "white").save(logs / "one.png")
    if rows:
        row = {"file_name": "one.png", "text": '{"a": "b"}'}
        (logs / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    else:
        (logs / "one.json").write_text('{"text": "hello"}')
    for path in logs.iterdir():
        os.utime(path, (1e9, 1e9))
    before = since(tmp_path / "state", logs)
    assert before == fresh(logs)
    assert before[0]["sessions"] == 1
    (logs / "one.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    os.utime(logs / "one.png", (1e9 + 9, 1e9 + 9))
    after = since(tmp_path / "state", logs)
    assert after == fresh(logs)
    assert after[0]["sessions"] == 0
