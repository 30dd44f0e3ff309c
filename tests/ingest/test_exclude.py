"""Files that the user leaves out are counted and not read."""

from __future__ import annotations

from reading import lines, read

ROW = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}


def test_a_pattern_is_held_against_the_name_and_the_path(tmp_path):
    files = {"a/one.jsonl": lines(ROW), "a/two.log": lines(ROW), "b/c/three.jsonl": b"no"}
    got = read(tmp_path, files, exclude=("*.log", "b/*"))
    assert got.counts.ignored == {"excluded": 2}
    assert [s.messages[0].origins[0].file for s in got.sessions] == ["a/one.jsonl"]


def test_a_pattern_with_a_slash_at_its_end_names_a_folder(tmp_path):
    files = {"keep.jsonl": lines(ROW), "x/make/two.jsonl": b"no", "make.jsonl": lines(ROW)}
    got = read(tmp_path, files, exclude=("make/",))
    assert got.counts.ignored == {"excluded": 1}
    assert got.set_aside == ()


def test_the_last_pattern_that_fits_decides(tmp_path):
    files = {"a/one.jsonl": lines(ROW), "b/two.jsonl": b"no", "a/c.md": b"#"}
    got = read(tmp_path, files, exclude=("*", "!a/", "*.md"))
    assert got.counts.ignored == {"excluded": 2}
    assert len(got.sessions) == 1


def test_the_ignore_file_of_a_folder_is_read(tmp_path):
    files = {".misstepignore": b"# notes\n\n*.md\n", "README.md": b"text", "a.jsonl": lines(ROW)}
    got = read(tmp_path, files)
    assert got.counts.ignored == {"excluded": 2}
    assert got.set_aside == ()
