"""Bad input: nothing raises, nothing is lost, and each reason names its place."""

from __future__ import annotations

import gzip
import os
import re

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep import store
from misstep.config import IngestConfig
from misstep.errors import InputError, UnknownName
from misstep.ingest import FORMATS, ingest
from reading import balances, lines, read, read_one, reasons

ROW = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}


def test_an_empty_folder_gives_nothing_and_counts_nothing(tmp_path):
    got = read(tmp_path, {})
    assert (got.sessions, got.set_aside, got.counts.files, got.counts.records) == ((), (), 0, 0)


def test_unrelated_files_are_one_record_each(tmp_path):
    got = read(
        tmp_path,
        {
            "README.md": b"# words\n",
            "package.json": b'{\n  "name": "x",\n  "deps": {"a": "1"}\n}\n',
            "numbers.jsonl": b"1\n2\n3\n",
            "empty.jsonl": b"",
            "script.py": b"print('hi')\n",
        },
    )
    assert {(e.origin.file, e.reason) for e in got.set_aside} == {
        ("README.md", "unknown-format"),
        ("package.json", "unknown-format"),
        ("numbers.jsonl", "unknown-format"),
        ("empty.jsonl", "unknown-format"),
        ("script.py", "unknown-format"),
    }
    assert got.counts.records == 5
    assert got.counts.formats["unknown"].set_aside == 5


def test_a_binary_file_named_jsonl_is_set_aside_as_binary(tmp_path):
    got = read(tmp_path, {"log.jsonl": bytes(range(256)) * 40})
    assert [entry.reason for entry in got.set_aside] == ["binary"]


def test_a_cut_last_line_is_set_aside_and_said_to_look_cut(tmp_path):
    got = read_one(tmp_path, ROW, b'{"messages": [{"role": "us')
    assert reasons(got) == [(2, "not-json")]
    assert got.set_aside[0].said.startswith("the last line, and it looks cut off: ")
    assert got.set_aside[0].origin.offset == len(lines(ROW))
    assert len(got.sessions) == 1


def test_invalid_utf8_costs_its_line_only(tmp_path):
    got = read_one(tmp_path, ROW, b'{"messages": "\xff\xfe"}\n', ROW)
    assert reasons(got) == [(2, "encoding")]
    assert got.set_aside[0].said == "invalid UTF-8 at byte 14 of the record"
    assert got.sessions[0].copies == 2


@pytest.mark.parametrize("escape", [b"\\ud800", b"\\udc00", b"\\ud800\\u0041"])
def test_a_lone_surrogate_costs_its_line_only(tmp_path, escape):
    got = read_one(tmp_path, ROW, b'{"messages": "' + escape + b'"}\n')
    assert reasons(got) == [(2, "encoding")]


def test_a_line_of_fifty_megabytes_is_set_aside_unread(tmp_path):
    long = b'{"messages": "' + b"x" * 50_000_000 + b'"}\n'
    got = read(tmp_path, {"log.jsonl": lines(ROW) + long + lines(ROW)})
    assert reasons(got) == [(2, "too-long")]
    said = "a line of 50000016 bytes; the limit is 32000000 bytes"
    assert got.set_aside[0].said == said
    assert got.sessions[0].copies == 2


def test_a_file_that_is_one_long_line_says_too_long(tmp_path):
    got = read(tmp_path, {"log.jsonl": b'{"a": "' + b"x" * 5000 + b'"}'}, max_record_bytes=1000)
    assert reasons(got) == [(1, "too-long")]


def test_json_nested_a_hundred_thousand_deep_is_set_aside(tmp_path):
    deep = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    got = read_one(tmp_path, ROW, deep, ROW)
    assert reasons(got) == [(2, "too-deep")]


def test_a_deep_document_over_many_lines_is_set_aside(tmp_path):
    got = read(tmp_path, {"log.json": b"[\n" * 100_000 + b"]\n" * 100_000})
    assert [entry.reason for entry in got.set_aside] == ["too-deep"]


def test_brackets_inside_strings_are_not_depth(tmp_path):
    row = {"messages": [{"role": "assistant", "content": "[" * 5000 + '\\"' + "{" * 5000}]}
    assert len(read_one(tmp_path, row).sessions) == 1


def test_nan_that_python_writes_is_read(tmp_path):
    row = b'{"messages": [{"role": "assistant", "content": "x"}], "reward": NaN}\n'
    got = read_one(tmp_path, row)
    assert len(got.sessions) == 1
    assert got.sessions[0].outcome is None


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    data = b"\xef\xbb\xbf" + lines(ROW).replace(b"\n", b"\r\n") + b"\r\n"
    got = read(tmp_path, {"log.jsonl": data})
    assert len(got.sessions) == 1
    assert got.counts.ignored == {"blank": 1}


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_logs_are_read_whatever_their_name(tmp_path, pack):
    plain = read(tmp_path / "a", {"log.jsonl": lines(ROW)})
    packed = read(tmp_path / "b", {"log.dat": pack(lines(ROW))})
    assert packed.sessions[0].id == plain.sessions[0].id


def test_two_compressed_frames_in_one_file_are_both_read(tmp_path):
    other = {"messages": [{"role": "assistant", "content": "other"}]}
    for pack in (gzip.compress, zstandard.compress):
        folder = tmp_path / pack.__module__
        got = read(folder, {"log.gz": pack(lines(ROW)) + pack(lines(other))})
        assert len(got.sessions) == 2


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_an_archive_that_breaks_off_keeps_what_came_before(tmp_path, pack):
    rows = [
        {"messages": [{"role": "assistant", "content": f"{n} {os.urandom(500).hex()}"}]}
        for n in range(2000)
    ]
    whole = pack(lines(*rows))
    got = read(tmp_path, {"log.jsonl.gz": whole[: len(whole) // 2]})
    assert got.set_aside[-1].reason == "broken-archive"
    assert len(got.sessions) > 800


def test_a_file_that_grows_too_large_is_read_up_to_the_limit(tmp_path):
    got = read(tmp_path, {"log.gz": gzip.compress(lines(*[ROW] * 5000))}, max_file_bytes=10_000)
    assert got.set_aside[-1].reason == "too-large"
    assert got.sessions[0].copies > 50


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "log.jsonl").write_bytes(lines(ROW))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "file").symlink_to(tmp_path / "outside" / "log.jsonl")
    (tmp_path / "logs" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "logs" / "circle").symlink_to(tmp_path / "logs")
    got = read(tmp_path / "logs", {})
    assert [(e.origin.file, e.reason) for e in got.set_aside] == [
        ("circle", "symlink"),
        ("file", "symlink"),
        ("folder", "symlink"),
    ]


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    got = read(tmp_path, {})
    assert [entry.reason for entry in got.set_aside] == ["not-a-file"]


def test_a_path_that_does_not_exist_is_the_users_mistake(tmp_path):
    said = f"{tmp_path}/nowhere: no such file or folder; give a log file or a folder of logs"
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        ingest([tmp_path / "nowhere"])


def test_an_unknown_format_name_offers_the_nearest(tmp_path):
    with pytest.raises(
        UnknownName, match=r"^unknown format 'claude-cod'; did you mean claude-code"
    ):
        read(tmp_path, {}, format="claude-cod")


def test_a_forced_format_takes_every_file(tmp_path):
    got = read(tmp_path, {"log.jsonl": lines(ROW, {"a": 1}), "x.md": b"#\n"}, format="chat-rows")
    assert got.counts.formats["chat-rows"].records == 3
    assert len(got.sessions) == 1
    assert sorted(got.counts.set_aside) == ["bad-message", "not-json"]


def test_a_file_reached_by_two_paths_is_read_once(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(lines(ROW))
    got = ingest([tmp_path, tmp_path / "log.jsonl"])
    assert got.counts.files == 1
    assert got.sessions[0].copies == 1


def test_one_document_over_many_lines_is_read_element_by_element(tmp_path):
    pretty = orjson.dumps([ROW, {"x": 1}, ROW], option=orjson.OPT_INDENT_2)
    got = read(tmp_path, {"rows.json": pretty})
    assert got.counts.records == 3
    assert got.set_aside[0].origin.pointer == "/1/messages"
    line = pretty[: pretty.index(b'"x"')].count(b"\n")
    assert got.set_aside[0].origin.line == line
    assert pretty[got.set_aside[0].origin.offset :].startswith(b'{\n    "x"')


def test_a_document_of_one_object_or_of_one_line_is_read(tmp_path):
    pretty = orjson.dumps(ROW, option=orjson.OPT_INDENT_2)
    got = read(tmp_path, {"one.json": pretty, "list.json": orjson.dumps([ROW, ROW])})
    assert got.counts.records == 3
    assert got.sessions[0].copies == 3


def test_progress_ends_at_the_total(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(*[ROW] * 9))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(ROW)))
    told: list[tuple[int, int]] = []
    ingest([tmp_path], progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert told == sorted(told)


def test_what_is_set_aside_meets_its_schema(tmp_path):
    got = read_one(tmp_path, ROW, b"{\n", {"messages": [3]})
    for entry in got.set_aside:
        store.check_row(orjson.loads(store.encode(entry)), "set-aside")


PIECES = st.sampled_from(
    [
        *(
            lines(value)
            for value in (ROW, {"messages": []}, {"messages": [1]}, [ROW], 7, None, "x")
        ),
        b'{"request": {"messages": [{"role": "user", "content": "a"}]}, "response": null}\n',
        b'{"request": {"messages": [{"role": "user"}]}, "response": {"choices": [{}]}}\n',
        b'{"messages": [{"role": "user", "content": [1, {"type": 2}]}], "choices": [3]}\n',
        b'{"type": "message", "content": [{"type": "tool_use"}], "stop_reason": 4}\n',
        b'{"type": "user", "uuid": "a", "parentUuid": "b", "message": {"content": "hi"}}\n',
        b'{"type": "assistant", "uuid": "b", "parentUuid": "a", "message": {"id": "m", '
        b'"content": [{"type": "text", "text": "x"}]}}\n',
        b'{"type": "assistant", "uuid": "c", "message": {"content": [{"type": "tool_use", '
        b'"name": "t", "id": 3, "input": [1]}]}}\n',
        b'{"type": "system", "uuid": "d", "logicalParentUuid": "d"}\n',
        b'{"task_id": 1, "traj": [{"role": "assistant", "tool_calls": [{}]}]}\n',
        b"[\n",
        b"]\n",
        b"{\n",
        b"},\n",
        b"\n",
        b'"',
        b"\xff",
        b"\x00",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join),
    forced=st.none() | st.sampled_from([known.name for known in FORMATS]),
)
def test_arbitrary_bytes_never_raise_and_always_balance(tmp_path_factory, data, forced):
    folder = tmp_path_factory.mktemp("any")
    (folder / "log.jsonl").write_bytes(data)
    (folder / "more.jsonl").write_bytes(data[len(data) // 2 :])
    got = ingest([folder], config=IngestConfig(format=forced))
    balances(got)
    assert got.counts.files == 2
    for session in got.sessions:
        assert store.decode(store.encode(session), type(session)) == session


def test_a_damaged_archive_without_a_telling_name_says_what_it_is(tmp_path):
    got = read(tmp_path, {"log.gz": b"\x1f\x8b" + b"not really gzip"})
    assert [entry.reason for entry in got.set_aside] == ["broken-archive"]
