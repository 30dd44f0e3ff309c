"""Files that are no JSON lines: archives, databases, tables, YAML and text, and their faults."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import zipfile

import polars as pl
import pytest
import zstandard

from misstep.ingest.containers import kind_of, records
from misstep.ingest.decode import Fault
from misstep.ingest.lines import Limits
from misstep.ingest.source import Source
from reading import lines, read, reasons, shape

ROW = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}
LIMITS = Limits(max_bytes=1_000_000, max_depth=100, max_file=10_000_000)
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 10)) for i in range(9)
)


def values(path, kind):
    return [item.value for item in records(Source(path), kind, LIMITS)]


def zipped(*entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def test_the_members_of_a_zip_are_read_as_files(tmp_path):
    data = zipped(("a/one.jsonl", lines(ROW)), ("../../two.jsonl", lines(ROW)), ("n.md", b"#"))
    got = read(tmp_path, {"logs.zip": data})
    places = [(o.file, o.member) for s in got.sessions for o in s.messages[0].origins]
    assert places == [("logs.zip", "a/one.jsonl")]
    assert got.sessions[0].copies == 2
    assert [(e.origin.member, e.reason) for e in got.set_aside] == [("n.md", "unknown-format")]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["logs.zip"]


def test_a_zip_member_packed_with_zstd_is_read(tmp_path):
    raw = lines(ROW)
    data = bytearray(zipped(("one.jsonl", raw), method=zipfile.ZIP_STORED))
    packed = zstandard.compress(raw)
    # the same archive with method 93, written by hand since the library here cannot
    name = b"one.jsonl"
    info = zipfile.ZipFile(io.BytesIO(bytes(data))).getinfo("one.jsonl")
    head = b"".join(
        [
            (20).to_bytes(2, "little"),
            b"\0\0",
            (93).to_bytes(2, "little"),
            b"\0\0\x21\0",
            info.CRC.to_bytes(4, "little"),
            len(packed).to_bytes(4, "little"),
            len(raw).to_bytes(4, "little"),
            len(name).to_bytes(2, "little"),
            b"\0\0",
        ]
    )
    local = b"PK\x03\x04" + head + name + packed
    central = b"PK\x01\x02\x14\0" + head + b"\0" * 6 + b"\0" * 8 + name
    end = b"PK\x05\x06" + b"\0" * 4 + b"\x01\0\x01\0" + len(central).to_bytes(4, "little")
    data = local + central + end + len(local).to_bytes(4, "little") + b"\0\0"
    got = read(tmp_path, {"logs.zip": bytes(data)})
    assert [shape(s) for s in got.sessions] == [["user 'hi'", "assistant 'yes'"]]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_the_members_of_a_tar_are_read_as_files(tmp_path, mode):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name in ("one.jsonl", "two.jsonl"):
            info = tarfile.TarInfo(name)
            info.size = len(lines(ROW))
            archive.addfile(info, io.BytesIO(lines(ROW)))
        link = tarfile.TarInfo("passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    got = read(tmp_path, {"logs.tar" + (".gz" if mode != "w" else ""): out.getvalue()})
    assert (got.counts.files, got.sessions[0].copies, got.set_aside) == (2, 2, ())


def test_a_broken_archive_is_set_aside_with_its_reason(tmp_path):
    data = zipped(("one.jsonl", lines(ROW)))
    got = read(tmp_path, {"a.zip": data[:40], "b.zip": zipped()})
    assert [e.reason for e in got.set_aside] == ["broken-archive", "binary"]


def test_the_rows_of_a_parquet_file_are_session_rows(tmp_path):
    pl.DataFrame({"messages": [ROW["messages"]] * 3, "n": [1, 2, 3]}).write_parquet(
        tmp_path / "rows.parquet"
    )
    got = read(tmp_path, {})
    assert (got.counts.records, got.sessions[0].copies) == (3, 3)
    assert got.sessions[0].messages[1].origins[0].row == "0"


def test_a_broken_parquet_file_is_set_aside(tmp_path):
    got = read(tmp_path, {"rows.parquet": b"PAR1" + b"\xff" * 100 + b"PAR1"})
    assert len(got.set_aside) == 1


def test_sqlite_rows_come_table_by_table_without_views_and_virtual_tables(tmp_path):
    path = tmp_path / "x.db"
    base = sqlite3.connect(path)
    base.executescript(
        "CREATE TABLE b(x); CREATE TABLE a(y); INSERT INTO b VALUES (1), (NULL);"
        "INSERT INTO a VALUES ('t'); CREATE VIEW v AS SELECT * FROM a;"
    )
    base.close()
    assert values(path, "sqlite") == [
        {"table": "a", "row": {"y": "t"}},
        {"table": "b", "row": {"x": 1}},
        {"table": "b", "row": {"x": None}},
    ]


def test_rows_that_only_the_write_ahead_log_holds_are_read_and_nothing_is_written(tmp_path):
    path = tmp_path / "x.db"
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("CREATE TABLE a(y)")
    base.execute("INSERT INTO a VALUES ('new')")
    base.commit()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert values(path, "sqlite") == [{"table": "a", "row": {"y": "new"}}]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    got = read(tmp_path, {})
    assert got.counts.ignored == {"journal": 2}
    base.close()


def test_a_damaged_database_is_a_fault(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\x01" * 4000)
    (fault,) = values(path, "sqlite")
    assert isinstance(fault, Fault)
    assert fault.reason == "broken-archive"


def test_yaml_documents_stay_plain_values(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 2024-01-01\nb: &x [1]\nc: *x\n---\n- d\n")
    assert values(path, "yaml") == [{"a": "2024-01-01", "b": [1], "c": [1]}, ["d"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: !!python/object/apply:os.system ['true']\n", "not-yaml"),
        (b"a: [\n", "not-yaml"),
        (BOMB, "too-long"),
        (b"- " * 50_000, "too-deep"),
        (b"[" * 50_000, "too-deep"),
    ],
)
def test_yaml_that_builds_objects_or_explodes_is_a_fault(tmp_path, text, reason):
    path = tmp_path / "a.yaml"
    path.write_bytes(text)
    assert [v.reason for v in values(path, "yaml")] == [reason]


def test_csv_rows_are_dicts_by_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\n1,"x\ny"\n2\n')
    assert values(path, "csv") == [{"a": "1", "b": "x\ny"}, {"a": "2", "b": None}]


def test_text_keeps_its_blank_lines(tmp_path):
    path = tmp_path / "a.md"
    path.write_bytes("# é\r\n\nx".encode())
    assert values(path, "text") == ["# é", "", "x"]


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.log", b'{"a": 1}\n', "json"),
        ("a.log", b'2025-01-01 [info] {"a": 1}\n', "text"),
        ("a.log", b"[2025-01-01] hello\n{}\n", "text"),
        ("a.jsonl.gz", b"broken", "json"),
        ("a", b'note\n{"a": 1}\n', "json"),
        ("a.md", b"# title\n{\n", "text"),
        ("a.yml", b"a: 1\n", "yaml"),
        ("a.yaml", b'{"a": 1}', "json"),
        ("a.csv", b"a,b\n", "csv"),
        ("a.bin", b"PAR1xxxx", "parquet"),
        ("sessions", b"SQLite format 3\x00", "sqlite"),
    ],
)
def test_the_kind_is_known_by_the_bytes_first(name, head, kind):
    assert kind_of(name, head) == kind


def test_unknown_text_is_one_record_whatever_its_length(tmp_path):
    got = read(tmp_path, {"notes.txt": b"one\ntwo\n"})
    assert reasons(got) == [(None, "unknown-format")]
