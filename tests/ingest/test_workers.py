"""The same findings, figures and sessions for any number of workers and any size of their units."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import working
from misstep.config import IngestConfig, RunConfig
from misstep.ingest import FORMATS, Looking, Surveyed, discover, known, survey, units
from misstep.pipeline import gather
from misstep.pipeline.gather import gathered
from samples import BESIDE, LOGS

CORPUS = os.environ.get("MISSTEP_CORPUS")


@dataclass
class Read:
    summary: dict
    rows: bytes
    sessions: list
    aside: bytes


def read(*paths, workers=1, unit=None, small=None, **config):
    chosen = RunConfig(ingest=IngestConfig(workers=workers, exclude=BESIDE, **config))
    wants = ("rows", "session")
    old = gather.SMALL
    gather.SMALL = old if small is None else 10**12 if small else 0
    try:
        with gathered(paths, chosen, wants=wants, set_aside=True, unit=unit) as found:
            return Read(
                summary=found.summary,
                rows=b"".join(rows for rows, _ in found.ledger.kept("rows")),
                sessions=list(found.ledger.kept("session")),
                aside=b"".join(found.ledger.asides()),
            )
    finally:
        gather.SMALL = old


def alike(*paths, **config):
    whole = read(*paths, small=True, **config)
    for workers, unit in ((1, 1), (2, 1), (2, 100_000), (4, None)):
        found = read(*paths, workers=workers, unit=unit, small=False, **config)
        assert found.summary == whole.summary
        assert found == whole
    return whole


@pytest.mark.parametrize("name", [f.name for f in FORMATS if (LOGS / f.name).is_dir()])
def test_a_sample_comes_out_the_same_from_the_smallest_units(name):
    whole = read(LOGS / name, small=True)
    found = read(LOGS / name, unit=1)
    assert found.summary == whole.summary
    assert found == whole


def test_all_samples_together_come_out_the_same_for_any_workers():
    assert alike(LOGS).summary["sessions"] > 100


@pytest.mark.skipif(not CORPUS, reason="MISSTEP_CORPUS does not point at a folder with logs/")
def test_real_logs_come_out_the_same_for_any_workers():
    assert alike(Path(CORPUS) / "logs").summary["sessions"] > 100


def exchange(task, turn, *, system="Be brief.", bad=False):
    """One request of one conversation with its answer; the history grows with the turn."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": f"task {task}"}]
    for n in range(turn + 1):
        call = {"name": "look", "arguments": f'{{"n": {n}}}' if n or not bad else '{"n": '}
        answer = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"c{n}", "type": "function", "function": call}],
        }
        if n < turn:
            messages += [answer, {"role": "tool", "tool_call_id": f"c{n}", "content": f"r{n}"}]
    choice = {"index": 0, "message": answer, "finish_reason": "tool_calls"}
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    return {
        "request": {"model": "m", "messages": messages, "tools": tools},
        "response": {"model": "m", "choices": [choice]},
    }


def traffic(path, tasks=12, turns=5):
    """Conversations interleaved, over two files."""
    for half in (0, 1):
        rows = [
            exchange(task, turn, bad=task % 3 == 0)
            for turn in range(half * turns, (half + 1) * turns)
            for task in range(tasks)
        ]
        (path / f"{half}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_interleaved_conversations_over_files_are_one_session_each(tmp_path):
    found = alike(traffic(tmp_path))
    assert (found.summary["sessions"], found.summary["steps"]) == (12, 120)
    assert found.summary["codes"]["ARGS_UNPARSABLE"]["defect"] == 4


def test_a_large_file_is_looked_through_in_stretches(tmp_path, monkeypatch):
    whole = read(traffic(tmp_path), small=True)
    monkeypatch.setattr(gather, "STRETCH", 5_000)
    assert read(tmp_path, small=False) == whole
    monkeypatch.setattr(gather, "STRETCH", 700)
    assert read(tmp_path, unit=1) == whole


def test_lines_that_are_no_json_stay_with_their_neighbours(tmp_path, monkeypatch):
    good = [json.dumps(exchange(n % 2, n // 2)).encode() for n in range(8)]
    text = b"\xef\xbb\xbf\n" + b"{broken\n" + b"\n{broken\n\n".join(good) + b"\n{cut"
    (tmp_path / "log.jsonl").write_bytes(text)
    whole = alike(tmp_path)
    assert whole.summary["set_aside"] == {"not-json": 9}
    assert whole.summary["ignored"] == {"blank": 8}
    monkeypatch.setattr(gather, "STRETCH", 400)
    assert read(tmp_path, unit=1) == whole


def test_a_copy_of_a_conversation_counts_once_whoever_reads_it(tmp_path):
    for name in "ab":
        rows = [{"messages": exchange(1, 2)["request"]["messages"]} for _ in range(3)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = alike(tmp_path)
    assert found.summary["sessions"] == 1
    assert found.sessions[0][1] == 6


def test_units_are_of_about_the_wanted_size_and_hold_every_byte_once(tmp_path):
    traffic(tmp_path)
    config = IngestConfig()
    found = list(discover([tmp_path]))
    surveyed = [survey(file, n, Looking(known(config), config)) for n, file in enumerate(found)]
    made = units(surveyed, size=20_000)
    assert sum(unit.size for unit in made) == sum(file.size for file in found)
    assert all(len(unit.groups) == 1 or unit.size <= 20_000 for unit in made)
    assert len(made) > 5


def test_a_file_that_kills_its_reader_is_set_aside_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(working.brittle(tmp_path / "plugin"))
    logs = tmp_path / "logs"
    logs.mkdir()
    traffic(logs, tasks=2, turns=2)
    (logs / "bad.jsonl").write_text('{"brittle": 1}\n{"brittle": 1, "deadly": 1}\n')
    (logs / "big.jsonl").write_text('{"brittle": 1}\n{"brittle": 1, "hungry": 1}\n')
    (logs / "good.jsonl").write_text('{"brittle": 1}\n{"brittle": 1}\n')
    found = read(logs, workers=2, small=False)
    assert found.summary["sessions"] == 2
    assert found.summary["ignored"] == {"harmless": 3}
    assert found.summary["set_aside"] == {"crashed": 1, "plug-in-error": 1}
    rows = {row["origin"]["file"]: row for row in map(json.loads, found.aside.splitlines())}
    assert {name: (row["reason"], row["said"]) for name, row in rows.items()} == {
        "bad.jsonl": (
            "crashed",
            "could not be read: the process that read it ended with exit code 9",
        ),
        "big.jsonl": ("plug-in-error", "the plug-in's reader failed on this record: MemoryError()"),
    }


def test_an_interrupt_ends_a_scan_with_all_its_workers(tmp_path):
    traffic(tmp_path, tasks=400, turns=8)
    command = [sys.executable, "-m", "misstep", "scan", str(tmp_path), "--workers", "2"]
    process = subprocess.Popen(
        [*command, "--findings", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(200):
        time.sleep(0.02)
        if not children.exists() or len(children.read_text().split()) >= 2:
            break
    below = children.read_text().split()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130, said
    assert "stopped" in said
    assert "Traceback" not in said
    for _ in range(100):
        alive = [pid for pid in below if Path("/proc", pid).exists()]
        if not alive:
            break
        time.sleep(0.05)
    assert alive == []
    assert not (tmp_path / "out").exists()


def test_a_compressed_file_is_shared_out_like_a_plain_one(tmp_path, monkeypatch):
    plain = traffic(tmp_path)
    data = b"".join((plain / f"{half}.jsonl").read_bytes() for half in (0, 1))
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "log.jsonl.gz").write_bytes(gzip.compress(data))
    (packed / "cut.jsonl.gz").write_bytes(gzip.compress(data)[:-200])
    monkeypatch.setattr(sys.modules[Surveyed.__module__], "PACKED", 100)
    monkeypatch.setattr(gather, "STRETCH", 1000)
    whole = read(packed, small=True)
    assert whole.summary["set_aside"]["broken-archive"] == 1
    assert read(packed, unit=1) == whole


def test_conversations_that_all_begin_alike_are_parted_by_how_they_go_on(tmp_path, monkeypatch):
    rows = [exchange(task, turn) for turn in range(4) for task in range(9)]
    for number, row in enumerate(rows):
        messages = row["request"]["messages"]
        messages[1]["content"] = "hi"
        answer = row["response"]["choices"][0]["message"]
        for message in (*messages[2:], answer):
            for call in message.get("tool_calls", ()):
                call["id"] += f" of {number % 9}"
            if "tool_call_id" in message:
                message["tool_call_id"] += f" of {number % 9}"
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = read(tmp_path, small=True)
    assert whole.summary["steps"] == 36
    run = []
    monkeypatch.setattr(gather.Run, "_read", spied(gather.Run._read, run))
    monkeypatch.setattr(gather, "LARGE", 4_000)
    for workers in (1, 2):
        found = read(tmp_path, workers=workers, unit=1)
        assert found.summary == whole.summary
        assert found.rows == whole.rows
        assert sum(len(unit.groups) for unit in run[-2]) == 9


def spied(method, seen):
    def read_units(self, engine, todo):
        seen.append(todo)
        return method(self, engine, todo)

    return read_units
