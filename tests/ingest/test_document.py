"""A document read in one piece gives the records that it gives block by block."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.ingest import records
from misstep.ingest.lines import Limits
from misstep.ingest.source import Source

LIMITS = Limits(max_bytes=60, max_depth=6, max_file=10_000)
VALUES = st.recursive(
    st.none() | st.integers(-9, 99) | st.text(alphabet='a"\\{}[],\n é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=8,
)


def both_ways(path, monkeypatch):
    whole = list(records.items(Source(path), LIMITS))
    monkeypatch.setattr(records, "WHOLE", 0)
    parts = list(records.items(Source(path), LIMITS))
    monkeypatch.undo()
    return whole, parts


@given(VALUES, st.sampled_from(["", "\n", " \n\n "]), st.integers(0, 2), st.data())
@settings(max_examples=300)
def test_whole_and_in_blocks_are_the_same(tmp_path_factory, value, around, indent, data):
    text = (around + json.dumps(value, indent=indent) + around).encode()
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from([b"}", b"[", b",", b'"', b"\n", b"\xff"]))
    path = tmp_path_factory.mktemp("document") / "log.json"
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        whole, parts = both_ways(path, patch)
    assert whole == parts


def test_elements_have_their_lines_and_offsets(tmp_path, monkeypatch):
    rows = [{"n": n, "text": "a\nb"} for n in range(3)]
    text = b"\n " + orjson.dumps(rows, option=orjson.OPT_INDENT_2)
    path = tmp_path / "log.json"
    path.write_bytes(text)
    whole, parts = both_ways(path, monkeypatch)
    assert whole == parts
    assert [item.value for item in whole] == rows
    assert [item.pointer for item in whole] == ["/0", "/1", "/2"]
    for item in whole:
        assert text[item.offset :].startswith(b"{")
        assert text[: item.offset].count(b"\n") == item.line - 1
