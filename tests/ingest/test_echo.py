"""Lines that repeat each other decode to what they say, however they are cut and put together."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.ingest.echo import Echoes, History, Skimmer

WORDS = st.text(alphabet='ab"\\{}[],: é', max_size=12)
ROWS = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": WORDS}),
    st.fixed_dictionaries({"role": st.just("tool"), "tools": st.lists(WORDS, max_size=2)}),
    st.integers(0, 99),
    WORDS,
)
TOOLS = st.lists(st.fixed_dictionaries({"name": WORDS, "messages": st.lists(WORDS)}), max_size=2)


def line(messages, tools, *, flat=False, first=False, gaps=False, **more):
    request = {"tools": tools, "messages": messages} if first else {"messages": messages}
    request |= {} if first else {"tools": tools}
    value = {**request, "response": more} if flat else {"request": request, "response": more}
    return json.dumps(value, separators=(" , ", " : ") if gaps else (",", ":")).encode()


@given(st.lists(ROWS, max_size=6), TOOLS, st.booleans(), st.booleans(), st.booleans(), st.data())
@settings(max_examples=200)
def test_a_growing_history_decodes_to_what_every_line_says(rows, tools, flat, first, gaps, data):
    echoes = Echoes(200)
    for _ in range(5):
        size = data.draw(st.integers(0, len(rows)))
        other = data.draw(TOOLS) if data.draw(st.booleans()) else tools
        more = data.draw(st.lists(ROWS, max_size=2))
        text = line([*rows[:size], *more], other, flat=flat, first=first, gaps=gaps, id=size)
        value = echoes(text)
        assert value is None or value == orjson.loads(text)


def test_what_was_seen_before_is_known_as_such():
    echoes = Echoes(200)
    rows = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    before = echoes(line(rows[:1], [{"name": "t"}]))["request"]
    after = echoes(line(rows, [{"name": "t"}]))["request"]
    assert type(after["messages"]) is History
    assert after["messages"].base is before["messages"]
    assert after["messages"][0] is before["messages"][0]
    assert after["tools"] is before["tools"]


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"messages": 1}',
        b'{"request": [1], "messages": []}',
        b'{"request": {"messages": [NaN]}}',
        b'{"request": {"messages": []}} x',
        b'{"request": {"messages": ["\xff"]}}',
        b'{"request": {"messages": [' + b"[" * 300 + b"]" * 300 + b"]}}",
    ],
)
def test_unusual_lines_are_left_to_plain_decoding(text):
    assert Echoes(200)(text) is None


def test_a_history_that_ends_inside_a_number_is_not_taken_for_a_longer_number():
    echoes = Echoes(200)
    for rows in ([1], [12], [12, 3]):
        assert echoes(line(rows, []))["request"]["messages"] == rows


def test_keys_are_found_once_for_all_lines_that_begin_alike():
    asked = []

    def joins(value, name):
        asked.append(value)
        return [value["request"]["messages"][-1]["content"]]

    skim = Skimmer(joins)
    rows = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    for more in ([], [{"role": "assistant", "content": "x"}], [{"role": "user", "content": "y"}]):
        assert skim(line([*rows, *more], [])) == ["u"]
    assert len(asked) == 1
    assert skim(line([{"role": "user", "content": "v"}], [])) == ["v"]
    assert skim(b'{"custom_id": "1", "messages": [{"role": "user", "content": "v"}]}') is None
    assert skim(b"no json") is None
