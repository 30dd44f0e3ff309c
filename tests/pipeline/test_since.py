"""A scan that reads only what changed: whatever was done to the files, it equals a fresh scan."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import misstep.pipeline.since
import scanning
from misstep import ingest
from misstep.cli import main
from misstep.config import IngestConfig, RunConfig, ValidateConfig
from misstep.errors import SetupError
from misstep.ingest import Surveyed
from misstep.pipeline import gather, pieces, remembered
from misstep.pipeline.gather import gathered
from misstep.pipeline.remembered import held
from misstep.pipeline.since import SINCE, gathered_since, state_folder
from samples import LOGS

CONFIG = RunConfig(ingest=IngestConfig(workers=1))


def told(found):
    """All that a scan tells, but for the time it took."""
    rows = b"".join(rows for rows, _ in found.ledger.kept("rows"))
    digests = list(found.ledger.kept("digest"))
    return found.summary, rows, digests, list(found.ledger.asides())


def fresh(*paths, config=CONFIG):
    with gathered(paths, config, wants=SINCE, set_aside=True) as found:
        return told(found)


def since(state, *paths, config=CONFIG):
    with gathered_since(paths, config, state, wants=SINCE) as found:
        return told(found)


def read_now(state, *paths, config=CONFIG):
    """Sessions that were read in this scan, not remembered."""
    with gathered_since(paths, config, state, wants=SINCE) as found:
        ledger = found.ledger
        return sum(ledger._part[at] in found.fresh for at, _ in ledger._order())


def turn(task, n, *, bad=False):
    """A row of one session alone; every third fails."""
    arguments = '{"n": ' if bad else f'{{"n": {n}}}'
    call = {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {
        "messages": [
            {"role": "user", "content": f"task {task} {n}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    }


def claude(session, n, *, bad=False):
    """Two lines of a Claude Code transcript: a call, and its result."""
    base = {"sessionId": session, "isSidechain": False, "cwd": "/x", "version": "2.0.1"}
    base |= {"userType": "external", "gitBranch": "", "timestamp": "2025-03-01T10:00:00.000Z"}
    use = {"type": "tool_use", "id": f"{session}t{n}", "name": "Read", "input": {"n": n}}
    result = {"type": "tool_result", "tool_use_id": f"{session}t{n}", "content": "no such file"}
    result |= {"is_error": bad}
    above = f"{session}r{n - 1}" if n else None
    message = {"id": f"{session}m{n}", "type": "message", "role": "assistant", "model": "m"}
    message |= {"content": [use], "stop_reason": "tool_use"}
    return [
        {**base, "type": "assistant", "uuid": f"{session}a{n}", "parentUuid": above}
        | {"message": message},
        {**base, "type": "user", "uuid": f"{session}r{n}", "parentUuid": f"{session}a{n}"}
        | {"message": {"role": "user", "content": [result]}},
    ]


def lines(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def age(folder, seconds=60):
    """Make files look as if they had not been touched for a while."""
    then = time.time() - seconds
    for file in Path(folder).rglob("*"):
        os.utime(file, (then, then))


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in "abc":
        rows = [turn(name, n, bad=n % 3 == 0) for n in range(6)]
        (folder / f"{name}.jsonl").write_bytes(lines(*rows))
        talk = [line for n in range(4) for line in claude(name, n, bad=True)]
        (folder / f"claude-{name}.jsonl").write_bytes(lines(*talk))
    return folder


def test_the_first_scan_equals_a_fresh_one_and_so_does_the_second(tmp_path, logs):
    whole = fresh(logs)
    assert whole[0]["failed_steps"] > 3
    assert since(tmp_path / "state", logs) == whole
    assert since(tmp_path / "state", logs) == whole


def test_all_samples_come_out_as_from_a_fresh_scan_and_from_memory(tmp_path):
    whole = fresh(LOGS)
    assert since(tmp_path / "state", LOGS) == whole
    assert read_now(tmp_path / "state", LOGS) == 0
    assert since(tmp_path / "state", LOGS) == whole


def test_only_the_session_that_grew_is_read_again(tmp_path, logs):
    assert read_now(tmp_path / "state", logs) == 21
    with (logs / "claude-b.jsonl").open("ab") as out:
        out.write(lines(*claude("b", 4, bad=True)))
    assert read_now(tmp_path / "state", logs) == 1
    assert since(tmp_path / "state", logs) == fresh(logs)


def test_what_was_not_touched_is_not_even_opened_to_be_hashed(tmp_path, logs, monkeypatch):
    hashed = []
    digest = pieces._digest
    monkeypatch.setattr(pieces, "_digest", lambda *a: hashed.append(a[0].name) or digest(*a))
    age(logs)
    since(tmp_path / "state", logs)
    assert len(hashed) == 6
    hashed.clear()
    (logs / "new.jsonl").write_bytes(lines(turn("new", 1)))
    since(tmp_path / "state", logs)
    assert hashed == ["new.jsonl"]


def test_a_file_that_was_rewritten_in_the_same_size_at_once_is_seen(tmp_path, logs):
    since(tmp_path / "state", logs)
    text = (logs / "a.jsonl").read_bytes()
    status = (logs / "a.jsonl").stat()
    (logs / "a.jsonl").write_bytes(text.replace(b"task a 4", b"text a 4"))
    os.utime(logs / "a.jsonl", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert since(tmp_path / "state", logs) == fresh(logs)


def test_a_file_that_was_moved_over_an_old_one_is_seen_though_its_times_are_old(tmp_path, logs):
    age(logs)
    since(tmp_path / "state", logs)
    other = tmp_path / "other"
    other.write_bytes((logs / "a.jsonl").read_bytes().replace(b"task a 4", b"text a 4"))
    then = (logs / "a.jsonl").stat().st_mtime_ns
    os.utime(other, ns=(then, then))
    other.replace(logs / "a.jsonl")
    assert since(tmp_path / "state", logs) == fresh(logs)


def test_a_line_that_was_half_written_is_whole_the_next_time(tmp_path, logs):
    row = lines(turn("half", 9, bad=True))
    with (logs / "a.jsonl").open("ab") as out:
        out.write(row[:40])
        out.flush()
        assert since(tmp_path / "state", logs) == fresh(logs)
        out.write(row[40:])
    assert since(tmp_path / "state", logs) == fresh(logs)


def test_rows_that_only_a_journal_holds_are_seen(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    base = sqlite3.connect(logs / "opencode.db")
    other = sqlite3.connect(LOGS / "opencode" / "opencode.db")
    other.backup(base)
    base.execute("PRAGMA journal_mode=WAL")
    since(tmp_path / "state", logs)
    base.execute("DELETE FROM message WHERE rowid = (SELECT max(rowid) FROM message)")
    base.commit()
    assert since(tmp_path / "state", logs) == fresh(logs)
    base.close()


def test_large_compressed_files_are_remembered_and_unpacked_again_only_to_be_read(
    tmp_path, logs, monkeypatch
):
    monkeypatch.setattr(sys.modules[Surveyed.__module__], "PACKED", 100)
    rows = [line for n in range(3) for line in claude("a", n)]
    (logs / "old.jsonl.gz").write_bytes(gzip.compress(lines(*rows)))
    state = tmp_path / "state"
    assert since(state, logs) == fresh(logs)
    assert read_now(state, logs) == 0
    (logs / "more.jsonl").write_bytes(lines(*claude("a", 9)))
    assert since(state, logs) == fresh(logs)
    assert not list(state.glob("plain-*"))


def test_groups_that_are_too_large_are_parted_once(tmp_path, logs, monkeypatch):
    monkeypatch.setattr(gather, "LARGE", 500)
    whole = fresh(logs)
    assert since(tmp_path / "state", logs) == whole
    asked = []
    monkeypatch.setattr(gather.Run, "part", lambda *a: asked.append(a))
    assert since(tmp_path / "state", logs) == whole
    assert asked == []


def test_other_settings_read_everything_again(tmp_path, logs):
    since(tmp_path / "state", logs)
    strict = RunConfig(ingest=CONFIG.ingest, validate=ValidateConfig(json=True))
    assert read_now(tmp_path / "state", logs, config=strict) == 21
    assert since(tmp_path / "state", logs, config=strict) == fresh(logs, config=strict)


def test_a_state_that_cannot_be_read_is_done_without(tmp_path, logs):
    state = tmp_path / "state"
    since(state, logs)
    (state / remembered.NAME).write_bytes(b"\x00torn")
    assert since(state, logs) == fresh(logs)
    for part in state.glob("part-*"):
        part.unlink()
    assert since(state, logs) == fresh(logs)


def test_a_scan_that_is_killed_is_gone_on_with(tmp_path, logs, monkeypatch):
    monkeypatch.setattr(misstep.pipeline.since, "SAVE", 0.0)
    monkeypatch.setattr(gather, "unit_size", lambda bulk, workers: 1)
    saves = []

    def stop(label, done, total):
        saves.append(label)
        if saves.count("reading") == 9:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        gathered_since([logs], CONFIG, tmp_path / "state", wants=SINCE, progress=stop),
    ):
        pass
    assert read_now(tmp_path / "state", logs) == 21 - 9
    assert since(tmp_path / "state", logs) == fresh(logs)


def test_a_scan_whose_process_is_killed_again_and_again_is_gone_on_with(tmp_path, logs):
    state = tmp_path / "state"
    said = [scanning.killed_after(groups, logs, state) for groups in (3, 5, 4)]
    assert said == [3, 5, 4]  # what was said to be read was not read again
    assert read_now(state, logs) <= 21 - sum(said) + len(said)
    assert since(state, logs) == fresh(logs)


def test_a_file_that_cannot_be_hashed_now_is_read_all_the_same(tmp_path, logs, monkeypatch):
    seen = misstep.pipeline.since.seen_now

    def fails(file, was):
        if file.name == "a.jsonl":
            raise OSError("gone for a moment")
        return seen(file, was)

    monkeypatch.setattr(misstep.pipeline.since, "seen_now", fails)
    assert since(tmp_path / "state", logs) == fresh(logs)
    assert read_now(tmp_path / "state", logs) == 6


def test_two_scans_do_not_share_a_state_at_once(tmp_path, logs):
    pytest.importorskip("fcntl")
    with held(tmp_path / "state"), pytest.raises(SetupError, match="another misstep keeps"):
        since(tmp_path / "state", logs)


def test_the_state_does_not_grow_with_the_number_of_scans(tmp_path, logs, monkeypatch):
    monkeypatch.setattr(remembered, "_MANY", 4)
    state = tmp_path / "state"
    sizes = []
    for n in range(40):
        (logs / "a.jsonl").write_bytes(lines(*(turn("a", n + k, bad=True) for k in range(4))))
        with (logs / "claude-b.jsonl").open("ab") as out:
            out.write(lines(*claude("b", 4 + n)))
        got = since(state, logs)
        sizes.append(len(list(state.iterdir())))
    assert got == fresh(logs)
    assert max(sizes) < 14


def test_each_set_of_logs_has_a_state_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert state_folder([Path("a")]) == state_folder([Path.cwd() / "a"])
    assert state_folder([Path("a")]) != state_folder([Path("b")])
    assert state_folder([Path("a")]).is_relative_to(tmp_path)


def test_the_command_line_prints_what_a_fresh_scan_prints(tmp_path, logs, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def printed(*words):
        done = CliRunner().invoke(main, ["scan", str(logs), "--json", *words])
        assert done.exit_code == 0, done.output
        return {**json.loads(done.stdout), "seconds": 0}

    out = [str(tmp_path / name) for name in ("one.jsonl", "two.jsonl")]
    whole = printed("--findings", out[0])
    assert printed("--since-last") == whole
    assert printed("--since-last", "--findings", out[1]) == whole
    assert Path(out[0]).read_bytes() == Path(out[1]).read_bytes()
    assert (state_folder([logs]) / remembered.NAME).exists()


NAMES = ("a.jsonl", "b.jsonl", "sub/c.jsonl")
ROWS = st.lists(
    st.one_of(
        st.builds(turn, st.sampled_from("xyz"), st.integers(0, 5), bad=st.booleans()).map(
            lambda row: lines(row)
        ),
        st.builds(claude, st.sampled_from("st"), st.integers(0, 6), bad=st.booleans()).map(
            lambda rows: lines(*rows)
        ),
        st.just(b"\n"),
        st.just(b"{torn\n"),
        st.just(b'{"messages": ['),
    ),
    max_size=6,
).map(b"".join)
STEP = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), ROWS),
    st.tuples(st.just("append"), st.sampled_from(NAMES), ROWS),
    st.tuples(st.just("append"), st.sampled_from(NAMES), ROWS),
    st.tuples(st.just("shrink"), st.sampled_from(NAMES), st.integers(0, 3000)),
    st.tuples(st.just("flip"), st.sampled_from(NAMES), st.integers(0, 3000)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("rotate"), st.sampled_from(NAMES), ROWS),
    st.tuples(st.just("gzip"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("copy"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
)


def do(folder, step):
    """One change to the files, as loggers and log rotation make them."""
    kind, name, value = step
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "write":
        path.write_bytes(value)
    elif kind == "append":
        with path.open("ab") as out:
            out.write(value)
    elif not path.exists():
        return
    elif kind == "shrink":
        os.truncate(path, min(value, path.stat().st_size))
    elif kind == "flip":
        data = bytearray(path.read_bytes())
        if data:
            data[value % len(data)] ^= 1
        path.write_bytes(data)
    elif kind == "remove":
        path.unlink()
    elif kind == "rotate":
        path.replace(path.with_name(path.name + ".1"))
        path.write_bytes(value)
    elif kind == "gzip":
        path.with_name(path.name + ".2.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    elif kind == "copy":
        other = folder / value
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(path.read_bytes())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rounds=st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=2, max_size=6),
    stretch=st.sampled_from((200, 900, gather.STRETCH)),
    crowd=st.sampled_from((1, 32)),
)
def test_whatever_happens_to_the_files_a_scan_since_the_last_equals_a_fresh_one(
    rounds, stretch, crowd
):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr(gather, "STRETCH", stretch)
        patch.setattr(pieces, "_CROWD", crowd)
        logs, state = Path(place) / "logs", Path(place) / "state"
        logs.mkdir()
        for steps in rounds:
            for step in steps:
                do(logs, step)
            assert since(state, logs) == fresh(logs)


def test_a_file_that_is_gone_before_it_is_looked_at_is_set_aside(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text("{}\n")

    def gone(source):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(sys.modules["misstep.ingest.discover"], "is_archive", gone)
    (found,) = ingest.discover([tmp_path])
    assert (found.fault.reason, found.fault.said) == (
        "unreadable",
        "cannot be read (No such file or directory)",
    )
