from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep import store
from misstep.codes import CODES
from misstep.types import Finding, Verdict
from misstep.validate import Settings, validate
from misstep.validate.verdict import group_scores
from validate.building import asked, tool

TYPED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def scores(**row):
    verdict = validate(asked(tools=[tool("count", TYPED)], user="count 3", **row), Settings())
    return dict(verdict.verdicts[0].scores), verdict.verdicts[0]


def call(arguments):
    return [{"name": "count", "arguments": arguments, "id": "c"}]


def finding(code, level="defect", **more):
    return Finding(session="s", step=1, code=code, level=level, channel="content", **more)


def test_a_group_that_was_looked_at_and_is_clean_scores_one():
    got, verdict = scores(calls=call('{"n": 3}'))
    assert (got, verdict.score) == ({"tool-call": 1.0}, 1.0)


def test_a_group_scores_by_its_defects_alone():
    got, verdict = scores(calls=call("{}"), finish_reason="length")
    assert got["tool-call"] == pytest.approx(1 / 2)
    assert got["silent"] == pytest.approx(1 / 2)
    assert verdict.score == pytest.approx(1 / 3)


def test_a_suspect_takes_from_its_group_and_not_from_the_total():
    got, verdict = scores(calls=call('{"n": 3, "new": 1}'))
    assert got["tool-call"] == pytest.approx(1 / 1.25)
    assert (verdict.score, verdict.state) == (1.0, "pass")


def test_a_group_that_nobody_looked_at_has_no_score():
    assert scores(content="hello")[0] == {}


def test_what_the_model_did_not_cause_takes_nothing():
    assert group_scores([finding("TOOL_ERROR", "suspect", cause="unknown")], ()) == ()


@given(st.lists(st.tuples(st.sampled_from(sorted(CODES)), st.sampled_from(["defect", "suspect"]))))
def test_scores_lie_in_the_unit_interval_and_do_not_hang_on_the_order(pairs):
    found = [finding(code, level) for code, level in pairs]
    got = group_scores(found, ("json",))
    assert got == group_scores(found[::-1], ("json",))
    assert all(0 < score <= 1 for _, score in got)


def test_scores_survive_the_store():
    verdict = scores(calls=call("{}"))[1]
    assert store.decode(store.encode(verdict), Verdict) == verdict
    old = store.decode('{"session": "s", "step": 1, "state": "pass"}', Verdict)
    assert old.scores == ()
