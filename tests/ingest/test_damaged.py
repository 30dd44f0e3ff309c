"""Damaged archives: what stands before the damage is read, the rest is told, and nothing raises."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep.cli import main
from misstep.config import IngestConfig, RunConfig
from misstep.ingest import ingest
from misstep.pipeline.scan import scan, tell
from reading import balances, lines, read


def talk(number):
    words = " ".join(str(number * n % 9973) for n in range(20))
    return {"messages": [{"role": "user", "content": words}, {"role": "assistant", "content": "y"}]}


ROWS = lines(*map(talk, range(3000)))
FEW = lines(*map(talk, range(3)))


def zipped(*entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(*entries, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def faults(got):
    return {(entry.origin.member, entry.reason) for entry in got.set_aside}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_member_with_a_wrong_byte_is_read_up_to_it(tmp_path, method):
    data = zipped(("a.jsonl", ROWS), ("b.jsonl", FEW), method=method)
    middle = data.index(b"b.jsonl") // 2
    got = read(tmp_path, {"mid.zip": flipped(data, middle)})
    assert ("a.jsonl", "broken-archive") in faults(got)
    assert {member for member, _ in faults(got)} == {"a.jsonl"}
    least = 2990 if method == zipfile.ZIP_STORED else 1000
    assert least < len(got.sessions) < 3003
    assert [session.copies for session in got.sessions[:3]] == [2, 2, 2]


def test_a_member_that_only_breaks_its_checksum_is_read_to_its_end(tmp_path):
    data = zipped(("a.jsonl", FEW), method=zipfile.ZIP_STORED)
    got = read(tmp_path, {"a.zip": flipped(data, data.index(b"PK\x01\x02") + 16)})
    assert len(got.sessions) == 3
    assert [(e.origin.line, e.reason) for e in got.set_aside] == [(4, "broken-archive")]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: data])
def test_a_packed_member_of_a_damaged_zip_is_read_too(tmp_path, pack):
    data = zipped(("a.jsonl.gz", pack(FEW)), method=zipfile.ZIP_STORED)
    got = read(tmp_path, {"a.zip": flipped(data, data.index(b"PK\x01\x02") + 16)})
    assert len(got.sessions) == 3
    assert faults(got) == {("a.jsonl.gz", "broken-archive")}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_that_breaks_off_is_read_up_to_there(tmp_path, mode):
    end = mode.removeprefix("w").replace(":", ".")
    data = tarred(("few.jsonl", FEW), ("a.jsonl", ROWS), ("b.jsonl", FEW), mode=mode)
    got = read(tmp_path, {f"half.tar{end}": data[: len(data) * 2 // 3]})
    assert {(None, "broken-archive"), ("a.jsonl", "broken-archive")} <= faults(got)
    assert {reason for _, reason in faults(got)} <= {"broken-archive", "not-json"}
    assert len(got.sessions) > 500


@pytest.mark.parametrize("size", [1, 20, 60, 200])
@pytest.mark.parametrize("end", ["tar", "tar.gz", "zip"])
def test_an_archive_cut_at_its_beginning_ends_nothing(tmp_path, end, size):
    modes = {"tar": "w", "tar.gz": "w:gz"}
    data = tarred(("a", FEW), mode=modes[end]) if end in modes else zipped(("a", FEW))
    got = read(tmp_path, {f"a.{end}": data[:size], "b.jsonl": FEW})
    assert len(got.sessions) == 3
    assert len(got.set_aside) == 1


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "base.db"])
def test_a_damaged_member_that_is_no_json_is_set_aside(tmp_path, name):
    table = io.BytesIO()
    pl.DataFrame({"n": list(range(3000))}).write_parquet(table)
    data = {
        "rows.parquet": table.getvalue(),
        "rows.csv": b"a,b\n" + b"1,2\n" * 9000,
        "base.db": b"SQLite format 3\0" + bytes(9000),
    }[name]
    packed = zipped((name, data), method=zipfile.ZIP_STORED)
    got = read(tmp_path, {"a.zip": flipped(packed, packed.index(b"PK\x01\x02") + 16)})
    reason = "unknown-format" if name == "rows.csv" else "broken-archive"  # its first rows say so
    assert faults(got) == {(name, reason)}


def test_names_of_members_that_are_no_text_are_told(tmp_path):
    data = zipped(("\u00e9.jsonl", FEW))
    got = read(tmp_path, {"a.zip": data.replace("\u00e9".encode(), b"\xc3("), "b.jsonl": FEW})
    assert len(got.sessions) == 3
    assert faults(got) == {(None, "broken-archive")}


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    data = zipped(("a.jsonl", ROWS), ("b.jsonl", FEW))
    (folder / "mid.zip").write_bytes(flipped(data, data.index(b"b.jsonl") // 2))
    tar = tarred(("a.jsonl", ROWS), mode="w:gz")
    (folder / "half.tar.gz").write_bytes(tar[: len(tar) // 2])
    (folder / "z.jsonl").write_bytes(FEW)
    return folder


def test_every_way_to_scan_tells_the_same(tmp_path, archives):
    config = RunConfig(ingest=IngestConfig(workers=1))
    fresh = dict(scan([archives], config).summary)
    assert set(fresh["set_aside"]) == {"broken-archive", "not-json"}
    assert fresh["sessions"] > 1000
    for _ in range(2):
        told = dict(tell([archives], config, since=tmp_path / "state").summary)
        del told["seconds"]
        assert told == {key: value for key, value in fresh.items() if key != "seconds"}


def test_all_of_a_folder_with_damaged_archives_is_explained(archives):
    got = CliRunner().invoke(main, ["scan", str(archives), "--explain"])
    assert got.exit_code == 0, got.output
    told = got.output.split("half.tar.gz!a.jsonl\n")[1]
    half, rest = told.split("mid.zip!a.jsonl\n")
    broken, rest = rest.split("mid.zip!b.jsonl\n")
    sound, last = rest.split("z.jsonl\n")
    for text in (half, broken):
        assert ": broken-archive: " in text or "more; --set-aside" in text
        assert "sessions" in text
    assert "half.tar.gz\n  set aside: broken-archive: breaks off or is damaged behind" in half
    for text in (sound, last):
        assert "  chat-rows: 3 rows = 3 used + 0 ignored + 0 set aside; 3 sessions\n" in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["zip", "stored.zip", "tar.gz", "tar"]), st.data())
def test_no_damage_raises_or_loses_count(tmp_path_factory, end, data):
    folder = tmp_path_factory.mktemp("damaged")
    entries = [("a.jsonl", ROWS[:20_000]), ("b.jsonl", FEW)]
    if end.endswith("zip"):
        method = zipfile.ZIP_STORED if end == "stored.zip" else zipfile.ZIP_DEFLATED
        whole = zipped(*entries, method=method)
    else:
        whole = tarred(*entries, mode="w:gz" if end == "tar.gz" else "w")
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    (folder / f"a.{end}").write_bytes(whole[:at] if cut else flipped(whole, at))
    balances(ingest([folder]))
