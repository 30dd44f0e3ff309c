"""A live folder: new failures are told once, and what stands at the end equals a fresh scan."""

from __future__ import annotations

import builtins
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import rotating
from misstep.config import IngestConfig, RunConfig
from misstep.errors import InputError, InUse, SetupError
from misstep.pipeline import watching
from misstep.pipeline.remembered import held
from misstep.pipeline.scan import tell
from misstep.pipeline.watching import Watch, updates

CONFIG = RunConfig(ingest=IngestConfig(workers=1))
WRITER = Path(rotating.__file__)


def bad(number):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"n": '}}
    messages = [
        {"role": "user", "content": f"task {number}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    return json.dumps({"messages": messages}).encode() + b"\n"


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(bad(1) + bad(2))
    return folder


def places(update):
    return [(row["origin"]["file"], row["origin"]["line"]) for row in update.new]


def test_a_failure_is_told_when_it_is_logged_and_once(tmp_path, logs):
    watch = Watch([logs], CONFIG, tmp_path / "state")
    first = watch.look()
    assert (first.first, first.summary["failed_steps"]) == (True, 2)
    assert watch.look() is None
    with (logs / "a.jsonl").open("ab") as out:
        out.write(bad(3))
    assert places(watch.look()) == [("a.jsonl", 3)]
    (logs / "a.jsonl").rename(logs / "b.jsonl")
    (logs / "a.jsonl").write_bytes(bad(4))
    told = watch.look()
    assert (places(told), told.summary["failed_steps"]) == ([("a.jsonl", 1)], 4)
    (logs / "b.jsonl").write_bytes(b"")
    assert watch.look().summary["failed_steps"] == 1


def test_a_session_that_goes_on_is_told_by_its_new_failures_alone(tmp_path, logs):
    rows = [json.loads(bad(0))["messages"]]
    for n in (1, 2):
        result = {"role": "tool", "tool_call_id": "c", "content": f"not JSON {n}"}
        call = {"id": f"d{n}", "type": "function", "function": {"name": "f", "arguments": "{"}}
        failed = {"role": "assistant", "content": None, "tool_calls": [call]}
        rows.append([*rows[-1], result, failed])
    watch = Watch([logs], CONFIG, tmp_path / "state")
    watch.look()
    for n, row in enumerate(rows):
        (logs / "one.json").write_text(json.dumps({"messages": row}))
        update = watch.look()
        assert [(r["step"], r["code"]) for r in update.new] == [(2 * n + 1, "ARGS_UNPARSABLE")]


def test_what_was_logged_while_nobody_watched_is_told_by_the_next_watch(tmp_path, logs):
    Watch([logs], CONFIG, tmp_path / "state").look()
    with (logs / "a.jsonl").open("ab") as out:
        out.write(bad(3))
    update = Watch([logs], CONFIG, tmp_path / "state").look()
    assert (update.first, places(update)) == (False, [("a.jsonl", 3)])


def test_logs_that_are_gone_for_a_while_are_waited_for(tmp_path, logs):
    watch = Watch([logs], CONFIG, tmp_path / "state")
    watch.look()
    logs.rename(tmp_path / "away")
    assert watch.look() is None
    (tmp_path / "away").rename(logs)
    (logs / "b.jsonl").write_bytes(bad(9))
    assert places(watch.look()) == [("b.jsonl", 1)]
    with pytest.raises(InputError):
        Watch([tmp_path / "none"], CONFIG, tmp_path / "other").look()


def test_what_was_told_does_not_pile_up(tmp_path, logs, monkeypatch):
    monkeypatch.setattr(watching, "_SPARE", 10)
    watch = Watch([logs], CONFIG, tmp_path / "state")
    most = 0
    for n in range(25):
        (logs / "a.jsonl").write_bytes(bad(10 * n) + bad(10 * n + 1) + bad(10 * n + 2))
        (logs / "pad.jsonl").write_bytes(b"\n" * n)
        with (logs / "a.jsonl").open("ab") as out:
            out.write(b"\n" * n + bad(f"late {n}"))
        watch.look()
        most = max(most, len(watch._told))
    assert most <= 2 * 4 + 10 + 4


@pytest.mark.parametrize("watched", [True, False], ids=["told", "walked"])
def test_a_folder_that_is_written_to_rotated_and_truncated_ends_as_a_fresh_scan(
    tmp_path, monkeypatch, watched
):
    if watched:
        pytest.importorskip("watchfiles", reason="the extra `watch` is not installed")
    else:
        load = builtins.__import__

        def without(name, *rest, **kind):
            if name == "watchfiles":
                raise ImportError(name)
            return load(name, *rest, **kind)

        monkeypatch.setattr(builtins, "__import__", without)
    logs, state, kept = tmp_path / "logs", tmp_path / "state", tmp_path / "findings.jsonl"
    logs.mkdir()
    command = [sys.executable, str(WRITER), str(logs), "4", "7", "0.01"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    stop = threading.Event()
    watch = Watch([logs], CONFIG, state, findings=kept)

    def end():
        writer.wait()
        time.sleep(0.3)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    told = list(updates(watch, [logs], every=0.1, stop=stop))
    fresh = tell([logs], CONFIG, findings=tmp_path / "fresh.jsonl")
    assert int(writer.stdout.read()) > 50
    assert len(told) > 5
    assert sum(len(update.new) for update in told) > 10
    assert kept.read_bytes() == (tmp_path / "fresh.jsonl").read_bytes()
    assert told[-1].summary == {k: v for k, v in fresh.summary.items() if k != "seconds"}


def test_an_interrupt_ends_a_watch_well_and_leaves_its_state(tmp_path, logs):
    state = tmp_path / "state"
    command = [sys.executable, "-m", "misstep", "watch", str(logs), "--state", str(state)]
    process = subprocess.Popen(
        [*command, "--every", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(200):
        time.sleep(0.05)
        if (state / "state.msgpack").exists():
            break
    with (logs / "a.jsonl").open("ab") as out:
        out.write(bad(3))
    assert "a.jsonl:3  ARGS_UNPARSABLE" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert "stopped at 3 sessions, 3 steps, 3 of them failed" in said
    assert "Traceback" not in said
    assert Watch([logs], CONFIG, state).look().new == ()


def test_nothing_is_kept_inside_the_logs(tmp_path, logs):
    for state, findings in ((logs / "state", None), (tmp_path / "state", logs / "found.jsonl")):
        with pytest.raises(SetupError, match="lies inside the logs"):
            Watch([logs], CONFIG, state, findings=findings)
    with pytest.raises(SetupError, match="--findings"):
        Watch([logs / "*.jsonl"], CONFIG, tmp_path / "s", findings=logs / "found.jsonl")
    Watch([logs / "*.jsonl"], CONFIG, logs / "state", findings=logs / "found.txt")
    assert [path.name for path in logs.iterdir()] == ["a.jsonl"]


def test_a_scan_that_holds_the_state_is_waited_for(tmp_path, logs):
    watch = Watch([logs], CONFIG, tmp_path / "state")
    watch.look()
    with (logs / "a.jsonl").open("ab") as out:
        out.write(bad(3))
    with held(tmp_path / "state"):
        assert watch.look() is None
        with pytest.raises(InUse, match="another misstep"):
            Watch([logs], CONFIG, tmp_path / "state").look()
    assert places(watch.look()) == [("a.jsonl", 3)]
