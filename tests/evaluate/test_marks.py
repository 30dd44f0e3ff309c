"""What one answer is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.evaluate.held import Held
from misstep.evaluate.marks import canonical, mark
from misstep.types import Context, Message, Prompt, Session, Verdict


def held(session: Session, accepted: Message | None = None, codes: tuple[str, ...] = ()) -> Held:
    return Held(
        prompt=Prompt(session=session.id, step=1),
        family="f",
        demand_call=accepted is not None and bool(accepted.calls),
        accepted=accepted,
        logged=Verdict(session=session.id, step=1, state="fail" if codes else "pass", codes=codes),
    )


def test_a_right_call_is_clean_and_agrees(make, settings) -> None:
    session = make.session("s", make.user("x"), make.calls())
    got = mark(session, held(session, make.calls()), make.calls('{ "n": 1.0 }'), settings=settings)
    assert got.judged
    assert not got.failed
    assert (got.called, got.demanded) == (True, True)
    assert (got.same_tool, got.same_arguments, got.same_json) == (True, True, None)


def test_a_wrong_type_is_a_failure_with_its_code(make, settings) -> None:
    session = make.session("s", make.user("x"), make.calls())
    got = mark(session, held(session, make.calls()), make.calls('{"n": "1"}'), settings=settings)
    assert got.codes == {"WRONG_TYPE"}
    assert (got.same_tool, got.same_arguments) == (True, False)


def test_plain_text_where_the_accepted_step_calls_is_no_call(make, settings) -> None:
    session = make.session("s", make.user("x"), make.calls())
    got = mark(session, held(session, make.calls()), make.says("two"), settings=settings)
    assert got.codes == {"NO_CALL"}
    assert (got.called, got.same_tool) == (False, False)


def test_without_an_accepted_call_there_is_nothing_to_agree_with(make, settings) -> None:
    session = make.session("s", make.user("x"), make.says("two"))
    got = mark(session, held(session, make.says("two")), make.says("2"), settings=settings)
    assert (got.same_tool, got.same_arguments, got.same_json) == (None, None, None)
    assert not got.demanded


def test_without_tools_the_call_rate_does_not_arise(make, settings) -> None:
    session = make.session("s", make.user("x"), make.says("{}"), context=Context(json_mode=True))
    got = mark(
        session, held(session, make.says('{"a":1}')), make.says('{"a": 1}'), settings=settings
    )
    assert got.called is None
    assert got.same_json is True


def test_a_request_that_requires_a_call_demands_one(make, settings) -> None:
    context = replace(make.offer, tool_choice="required")
    session = make.session("s", make.user("x"), make.calls(), context=context)
    assert mark(session, held(session), make.calls(), settings=settings).demanded


def test_the_looping_call_made_again_is_seen(make, settings) -> None:
    session = make.session("s", make.user("x"), make.calls('{"n": 3}'))
    looped = held(session, codes=("LOOP_SAME_CALL",))
    again = mark(session, looped, make.calls('{"n":3}'), settings=settings)
    other = mark(session, looped, make.calls('{"n": 4}'), settings=settings)
    unasked = mark(session, held(session), make.calls('{"n": 3}'), settings=settings)
    assert (again.same_loop, other.same_loop, unasked.same_loop) == (True, False, None)


def test_two_calls_agree_in_any_order(make, settings) -> None:
    session = make.session("s", make.user("x"), make.calls())
    one, two = make.calls().parts[0], make.calls('{"n": 2}').parts[0]
    both = Message(role="assistant", parts=(one, two))
    swapped = Message(role="assistant", parts=(two, one))
    got = mark(session, held(session, both), swapped, settings=settings)
    assert got.same_arguments is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"b": 1.0, "a": [true, 2.50]}', '{"a":[true,2.5],"b":1}'),
        ("[1e3]", "[1000]"),
        ("3", None),
        ('"text"', None),
        ("{broken", None),
        ("", None),
        ("[" * 100_000, None),
        ("[NaN]", None),
        ('{"a": true}', '{"a":true}'),
        ('{"a": 1}', '{"a":1}'),
    ],
)
def test_canonical_json(text: str, expected: str | None) -> None:
    assert canonical(text) == expected


@given(st.text(alphabet='[]{}",:0123456789.eE-+truefalsn \\u\ud800', max_size=60))
def test_canonical_never_raises_and_is_stable(text: str) -> None:
    got = canonical(text)
    assert got is None or canonical(got) == got
