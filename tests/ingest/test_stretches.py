"""Stretches of a file in blocks hold the lines that they hold one by one."""

from hypothesis import given
from hypothesis import strategies as st

from misstep.ingest import stretches
from misstep.ingest.lines import Limits, Line
from misstep.ingest.source import Source
from misstep.ingest.stretches import Span, read_spans, read_stretch

LIMITS = Limits(max_bytes=12, max_depth=6, max_file=10_000)


def lines_of(source, span):
    """Offset, size and bytes of each line of the blocks."""
    for block in read_stretch(source, span, LIMITS):
        if not block.data:
            yield block.offset, None
            continue
        at = block.start
        while at < block.end:
            stop = block.data.find(b"\n", at, block.end)
            stop = block.end if stop < 0 else stop
            line = block.data[at:stop]
            yield block.offset + at - block.start, line if len(line) <= LIMITS.max_bytes else None
            at = stop + 1


@given(st.lists(st.integers(0, 20), max_size=8), st.booleans(), st.integers(4, 40), st.data())
def test_blocks_hold_the_same_lines(tmp_path_factory, sizes, ended, block, data):
    text = b"\n".join(bytes([65 + n % 26]) * size for n, size in enumerate(sizes))
    text += b"\n" if ended else b""
    path = tmp_path_factory.mktemp("stretch") / "log.jsonl"
    path.write_bytes(text)
    starts = [0, *(at + 1 for at, byte in enumerate(text) if byte == 10)]
    span = Span(data.draw(st.sampled_from(starts)), None, 1)
    known, stretches.BLOCK = stretches.BLOCK, block
    try:
        found = list(lines_of(Source(path), span))
        single = list(read_spans(Source(path), [span], LIMITS))
    finally:
        stretches.BLOCK = known
    assert found == [(line.offset, line.data) for line in single if isinstance(line, Line)]
