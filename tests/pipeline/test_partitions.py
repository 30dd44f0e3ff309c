"""Partitioned Parquet: every session and finding once, whatever wrote the parts."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import polars
import pytest

from misstep.config import IngestConfig, RunConfig, ValidateConfig
from misstep.errors import ConfigError, InputError
from misstep.pipeline import gather, partitions
from misstep.pipeline.gather import gathered
from misstep.pipeline.partitions import Destination
from misstep.pipeline.scan import tell
from misstep.store import decode
from misstep.types import Session
from samples import BESIDE, LOGS

CONFIG = RunConfig(ingest=IngestConfig(workers=1, exclude=BESIDE))
SOME = [LOGS / name for name in ("openai-chat", "claude-code", "otel-genai", "opencode")]


def tables(place):
    """Both tables as sorted rows, and how many parts there are."""
    to = Destination(place)
    names = to.names()
    out = []
    for table in partitions.TABLES:
        parts = [n for n in names if n.startswith(f"{table}/")]
        frames = [polars.read_parquet(io.BytesIO(to.read(name))) for name in sorted(parts)]
        rows = [tuple(map(str, row)) for frame in frames for row in frame.rows()]
        out.append((sorted(rows), len(parts)))
    return out


@pytest.fixture
def logs(tmp_path):
    """Two files that share a conversation, and one that holds another twice."""
    folder = tmp_path / "logs"
    folder.mkdir()

    def line(name):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"n": '}}
        answer = {"role": "assistant", "content": None, "tool_calls": [call]}
        messages = [{"role": "user", "content": f"task {name} {'x' * 3000}"}, answer]
        return json.dumps({"messages": messages}) + "\n"

    (folder / "a.jsonl").write_text(line("one") + line("two"))
    (folder / "b.jsonl").write_text(line("two") + line("three") * 2)
    (folder / "c.jsonl").write_text("{torn\n")
    return folder


def test_a_folder_of_parts_holds_what_the_scan_tells(tmp_path, logs):
    out = str(tmp_path / "out")
    told = tell([logs], CONFIG, parquet=out, findings=tmp_path / "findings.jsonl")
    (sessions, _), (findings, _) = tables(out)
    lines = (tmp_path / "findings.jsonl").read_text().splitlines()
    assert len(findings) == len(lines) == 3
    assert sorted(row[4] for row in sessions) == ["1", "2", "2"]
    assert json.loads((tmp_path / "out/summary.json").read_bytes())["sessions"] == 3
    assert told.summary["set_aside"] == {"not-json": 1}
    assert len((tmp_path / "out/set_aside.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_any_units_and_workers_write_the_same_rows(tmp_path, logs, monkeypatch, workers):
    tell([logs, *SOME], CONFIG, parquet=str(tmp_path / "whole"))
    monkeypatch.setattr(gather, "SMALL", 0)
    config = RunConfig(ingest=IngestConfig(workers=workers, exclude=BESIDE))
    with gathered([logs, *SOME], config, unit=3000, parquet=str(tmp_path / "parts")):
        pass
    whole, parts = tables(str(tmp_path / "whole")), tables(str(tmp_path / "parts"))
    assert [rows for rows, _ in parts] == [rows for rows, _ in whole]
    assert parts[0][1] > 5
    assert len({row[0] for row in parts[0][0]}) == len(parts[0][0])


def test_a_url_takes_the_parts_like_a_folder(tmp_path, logs):
    fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
    for place in ("memory://tables/run", str(tmp_path / "out")):
        tell([logs], CONFIG, parquet=place)
    assert tables("memory://tables/run") == tables(str(tmp_path / "out"))
    tell([logs / "a.jsonl"], CONFIG, parquet="memory://tables/run")
    assert len(tables("memory://tables/run")[0][0]) == 2
    fsspec.filesystem("memory").store.clear()


def test_what_a_lost_worker_left_behind_is_taken_away(tmp_path, logs, monkeypatch):
    monkeypatch.setattr(gather, "SMALL", 0)
    old = tmp_path / "out" / "sessions" / "part-000777.parquet"
    begun = gather.Run.survey

    def leave(*args):
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_bytes(b"half")
        return begun(*args)

    monkeypatch.setattr(gather.Run, "survey", leave)
    tell([logs], CONFIG, parquet=str(tmp_path / "out"))
    assert not old.exists()
    assert len(tables(str(tmp_path / "out"))[0][0]) == 3


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, logs):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"thesis.tex, which no scan wrote"):
        tell([logs], CONFIG, parquet=str(tmp_path / "out"))
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
    with pytest.raises(ConfigError, match="give one"):
        tell([logs], CONFIG, parquet=str(tmp_path / "new"), since=Path(tmp_path / "state"))


def test_a_folder_that_is_refused_loses_nothing(tmp_path, logs):
    out = tmp_path / "out"
    tell([logs], CONFIG, parquet=str(out))
    (out / "notes.txt").write_text("mine")
    before = sorted(out.rglob("*"))
    with pytest.raises(InputError, match=r"notes.txt, which no scan wrote"):
        tell([logs], CONFIG, parquet=str(out))
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize("summary", [None, "{torn", '{"title": "of another tool"}'])
def test_parts_of_another_tool_are_not_overwritten(tmp_path, logs, summary):
    part = tmp_path / "out" / "sessions" / "part-000001.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"theirs")
    if summary is not None:
        (tmp_path / "out" / "summary.json").write_text(summary)
    with pytest.raises(InputError, match=r"no summary.json of a finished scan"):
        tell([logs], CONFIG, parquet=str(tmp_path / "out"))
    assert part.read_bytes() == b"theirs"


@pytest.mark.parametrize("redact", [True, False])
def test_sessions_are_redacted_unless_the_user_says_otherwise(tmp_path, redact):
    key, mail = "AKIAQWERTYUIOPASDFGH", "ann.lee@northwind.io"
    tool = {"type": "function", "function": {"name": "f", "description": f"asks {mail}"}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {"role": "assistant", "content": f"to {mail}", "tool_calls": [call]}
    row = {"messages": [{"role": "user", "content": f"use {key}"}, answer], "tools": [tool]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    config = replace(CONFIG, validate=ValidateConfig(redact=redact))
    tell([tmp_path / "a.jsonl"], config, parquet=str(tmp_path / "out"))
    (part,) = (tmp_path / "out" / "sessions").iterdir()
    (session,) = polars.read_parquet(part)["session"]
    assert [word in session for word in (key, mail)] == [not redact, not redact]
    assert "[REDACTED" in session or not redact
    assert decode(session, Session).messages[1].calls[0].id == "c"
