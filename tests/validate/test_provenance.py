"""Where values come from: what counts as seen, and that the search ends in time."""

from __future__ import annotations

import json
import time

import pytest

from misstep.types import Context, Message, Part, Session, ToolCall, ToolResult, ToolSpec
from misstep.validate import Settings, judge, validate
from misstep.validate.values import Leaf, kind_of


def user(text: str) -> Message:
    return Message(role="user", parts=(Part(kind="text", text=text),))


def call(tool: str, **arguments) -> Message:
    made = ToolCall(name=tool, arguments=json.dumps(arguments), id="c")
    return Message(role="assistant", context=0, parts=(Part(kind="call", call=made),))


def result(text: str) -> Message:
    got = ToolResult(text=text, call_id="c")
    return Message(role="tool", parts=(Part(kind="result", result=got),))


def talk(*messages: Message, tools: tuple[ToolSpec, ...] = ()) -> Session:
    return Session(id="t", format="t", messages=messages, contexts=(Context(tools=tools),))


def codes(session: Session) -> list[str]:
    return [finding.code for finding in validate(session, Settings()).findings]


@pytest.mark.parametrize(
    ("said", "value", "supplied"),
    [
        ("card 4111 1111 1111 1111", "4111111111111111", True),
        ("the 4th of May", "2024-05-04", True),
        ("4/5/24 or 5/4/24", "2024-05-04", True),
        ("May 1 to 4", "2024-05-04", True),
        ("on the 4th, please", "2024-05-04", True),
        ("the 4th of June", "2024-05-04", False),
        ("by May 4, it is 2024", "2019-05-04", False),
        ("by May 4, it is 2024", "2025-05-04", True),
        ("I am born on 4.5.90 and it is 2024", "1990-05-04", True),
        ("order W-58213", "w58213", True),
        ("order 158213", "W58213", False),
        ("Mia Li of 3668", "mia_li_3668", True),
        ("Mia Li of 36689", "mia_li_3668", False),
    ],
)
def test_a_value_is_supplied_in_any_spelling(said, value, supplied):
    found = codes(talk(user(said), call("get_order", order_id=value)))
    assert ("HALLUCINATED_ARG" not in found) is supplied


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("order_id", "W58213", "id"),
        ("orderId", 58213, "id"),
        ("line_number", 58213, None),
        ("page", "W58213", None),
        ("to", "a@b.example", "email"),
        ("x", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "uuid"),
        ("when", "2024-05-04T10:00:00Z", "date"),
        ("file", "/srv/app/a.py", "path"),
        ("ref", "9fceb02d0ae598e95dc970b74767f19372d61af8", "id"),
        ("standard", "ISO-8601", None),
        ("query", "W58213", None),
        ("idempotency_key", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", None),
        ("order_id", True, None),
        ("order_id", "two words 7", None),
    ],
)
def test_what_looks_as_if_somebody_must_have_supplied_it(name, value, kind):
    assert kind_of(Leaf("", name, value), "do") == kind


def test_a_replayed_step_is_judged_the_same_way():
    session = talk(user("Where is it?"), call("get_order", order_id="W58213"))
    findings, _ = judge(session, 1, session.messages[1], settings=Settings())
    assert [finding.code for finding in findings] == ["HALLUCINATED_ARG"]


@pytest.mark.parametrize(
    "messages",
    [
        [user("1," * 5_000_000), call("f", order_id="W58213", phone="5551234567", on="2024-05-20")],
        [user("may " * 2_000_000), call("f", date="2024-05-20")],
        [user("a@" * 500_000), call("f", to="a." * 90 + "@b.c", file_path="/" * 190)],
        [user("go"), call("f", ids=[f"W{i}" for i in range(100_000)])],
    ],
    ids=["digits", "months", "addresses", "many values"],
)
def test_a_hostile_text_is_judged_in_time(messages):
    started = time.process_time()
    codes(talk(*messages))
    assert time.process_time() - started < 3


def test_a_search_that_was_stopped_says_nothing():
    assert codes(talk(user("go " * 400_000), call("f", order_id="W58213"))) == []


def test_many_steps_with_many_values_end():
    turns = [m for i in range(1500) for m in (call("f", order_id=f"W{i + 10_000}"), result("ok"))]
    assert codes(talk(user("go"), *turns)).count("HALLUCINATED_ARG") <= 500
