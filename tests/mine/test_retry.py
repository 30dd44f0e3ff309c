"""What a later answer may bring along when it is put in the place of the failed one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from misstep.mine.retry import retry_of
from misstep.types import Prompt
from scenes import TRAIN_ONLY, calls_of, corpus, mined, said, session, user

ORDER = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "parts": {"type": "integer"}},
    "required": ["id", "parts"],
    "additionalProperties": False,
}
ASK = user("Give me the order ZX-48151 of two parts as JSON.")


def structured(failed, complaint, later, **more):
    rows = ASK, said(failed), user(complaint), said(later, **more)
    return session(*rows, tools=(), schema=ORDER)


def test_a_text_comes_without_the_reasoning_that_had_the_error_in_view():
    found = mined(
        structured(
            '{"id": "ZX-48151", "parts": "2"}',
            "Invalid: parts must be an integer.",
            '{"id": "ZX-48151", "parts": 2}',
            reasoning_content="They complained that parts must be an integer.",
        )
    )
    (pair,) = found.pairs
    assert (pair.source, pair.edits, pair.chosen.reasoning) == ("retry", ("text-only",), "")
    assert pair.chosen.text == '{"id": "ZX-48151", "parts": 2}'


def test_a_value_that_only_the_complaint_told_is_learned_later_in_a_text_too():
    told = structured(
        '{"id": "ZX-48151", "parts": "2"}',
        "Invalid: parts must be an integer, and the id is now QA-77103.",
        '{"id": "QA-77103", "parts": 2}',
    )
    found = mined(told)
    assert not any(pair.source == "retry" for pair in found.pairs)
    assert found.counts["refused"] == {"LEARNED_LATER": 1}


def test_a_value_that_the_broken_text_held_itself_is_not_learned_later():
    echoed = structured(
        '{"id": "ZX-48151", "parts": 77103',
        "Invalid JSON: parts 77103 is followed by nothing.",
        '{"id": "ZX-48151", "parts": 77103}',
    )
    assert [pair.source for pair in mined(echoed).pairs] == ["retry"]


def call(name, text, at):
    return {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": text}}


def result(at, text):
    return {"role": "tool", "tool_call_id": f"c{at}", "content": text}


def test_of_several_later_calls_of_the_tool_the_likest_is_the_correction():
    oslo, bergen = '{"city": "Oslo"}', '{"city": "Bergen", "days": "two"}'
    paris, mended = '{"city": "Paris"}', '{"city": "Bergen", "days": 2}'
    log = session(
        user("How is the weather in Oslo, and in Bergen the next two days?"),
        said("", tool_calls=[call("weather", oslo, 0), call("weather", bergen, 1)]),
        result(0, "sunny"),
        result(1, "days: 'two' is not an integer"),
        said("", tool_calls=[call("weather", paris, 2), call("weather", mended, 3)]),
        result(2, "fog"),
        result(3, "rain"),
    )
    found = retry_of(corpus(log), Prompt(session=log.id, step=1))
    assert calls_of(found.chosen) == [("weather", oslo), ("weather", mended)]


TABLE = {
    "type": "object",
    "properties": {
        "place": {"type": "string"},
        "date": {"type": "string", "format": "date"},
        "guests": {"type": "integer"},
        "note": {"type": "string"},
    },
    "required": ["place", "date"],
    "additionalProperties": False,
}
TOOLS = tuple({"name": name, "parameters": TABLE} for name in ("book_table", "cancel_table"))
SEVEN = {"place": "Old Mill", "date": "2026-11-04", "guests": 7}

UNCLOSED = '{"guests": 7, "date": "2026-11-04", "place": "Old Mill"'


def asked_again(failed, later, *, complaint="the arguments are not valid", schema=TOOLS):
    """A reservation that failed, and what the agent called next."""
    text = isinstance(failed, str) and failed != UNCLOSED
    first = said(failed) if text else called_at("book_table", failed, 0)
    tool, given = later
    answered = user(complaint) if text else result(0, f"Error: {complaint}")
    ask = user("The Old Mill on 4 November 2026 at nine, 7 people. Please reserve.")
    return session(ask, first, answered, called_at(tool, given, 1), result(1, "ok"), tools=schema)


def called_at(tool, given, at):
    text = given if isinstance(given, str) else json.dumps(given)
    return said("", tool_calls=[call(tool, text, at)])


@pytest.mark.parametrize(
    ("failed", "later", "refused"),
    [
        ({**SEVEN, "date": "4 Nov"}, SEVEN, None),
        ({**SEVEN, "date": "4 Nov"}, {**SEVEN, "guests": 12}, "12 stands for book_table/guests"),
        ({**SEVEN, "date": "4 Nov"}, {**SEVEN, "place": "Blue Gull"}, "book_table/place"),
        ({**SEVEN, "date": "4 Nov"}, {"place": "Old Mill", "date": "2026-11-04"}, "this none"),
        ({**SEVEN, "hour": 7}, SEVEN, None),  # what no schema knows goes
        ({**SEVEN, "guests": "7"}, {**SEVEN, "guests": 8}, None),  # at fault, and judged elsewhere
        ({**SEVEN, "date": "4 Nov", "guests": 3}, {**SEVEN, "guests": 12}, None),  # wrong before
        (UNCLOSED, {**SEVEN, "place": "Blue Gull"}, "book_table/place"),
        (SEVEN, {**SEVEN, "guests": 12}, None),  # the tool alone knows what it turned down
    ],
)
def test_a_retry_that_trades_what_the_prompt_says_for_what_nobody_gave_makes_no_pair(
    failed, later, refused
):
    log = asked_again(failed, ("book_table", later))
    found = mined(log, config=replace(TRAIN_ONLY, supported_values=True))
    retries = [pair for pair in found.pairs if pair.source == "retry"]
    said_why = [row.said for row in found.refused if row.reason == "GIVES_UP"]
    assert len(retries) == (refused is None), found.counts["refused"]
    assert len(said_why) == (refused is not None)
    assert refused is None or refused in said_why[0]
    assert [pair.source for pair in mined(log).pairs] == ["retry"]


@pytest.mark.parametrize(("tool", "paired"), [("book_table", True), ("cancel_table", False)])
def test_a_call_that_was_written_as_text_is_made_and_no_other(tool, paired):
    written = f'<tool_call>{{"name": "book_table", "arguments": {json.dumps(SEVEN)}}}</tool_call>'
    log = asked_again(written, (tool, SEVEN), complaint="Call the tool, please.")
    found = mined(log)
    assert [pair.source for pair in found.pairs] == ["retry"] * paired
    assert found.counts["refused"] == ({} if paired else {"OTHER_TOOL": 1})
