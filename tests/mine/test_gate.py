"""What the gate refuses, and the shares of prompts and families."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep import mine
from misstep.chat import content_hash
from misstep.config import MineConfig
from misstep.mine.desk import Desk
from misstep.mine.door import FULL
from misstep.mine.gate import RULES, draft, objection
from misstep.mine.source import Candidate
from misstep.types import Message, Prompt
from scenes import (
    SETTINGS,
    TRAIN_ONLY,
    called,
    corpus,
    message,
    mined,
    result,
    said,
    session,
    user,
)

ASK = user("What is the weather in Oslo for the next days?")
WRONG = called("weather", {"town": "Oslo"})
RIGHT = called("weather", {"city": "Oslo"})


def desk(*sessions, config: MineConfig = TRAIN_ONLY, **more) -> Desk:
    known = corpus(*sessions)
    split = mine.split(known.sessions, config, 0)
    return Desk(corpus=known, split=split, config=config, settings=SETTINGS, **more)


def refused(chosen, rejected=WRONG, *, desk_=None, **more) -> str | None:
    """Code of the rule that objects to a hand-made pair on the one prompt."""
    at = desk_ or desk(session(ASK, rejected))
    prompt = Prompt(session=next(iter(at.corpus.sessions)), step=1)
    candidate = Candidate(
        prompt=prompt, chosen=message(chosen), rejected=message(rejected), source="test", **more
    )
    found = objection(at, draft(at, candidate))
    return None if found is None else found[0]


def test_a_clean_answer_against_a_failed_one_passes():
    assert refused(RIGHT) is None


@pytest.mark.parametrize(
    ("code", "chosen", "rejected"),
    [
        ("REJECTED_CLEAN", RIGHT, called("weather", {"city": "Rome"})),
        ("SAME_SIDES", WRONG, WRONG),
        ("SAME_SIDES", called("weather", {"town": "Oslo"}, " \n"), WRONG),
        ("CHOSEN_FAILS", called("weather", {}), WRONG),
        ("CHOSEN_FAILS", {**RIGHT, "finish_reason": "length"}, WRONG),
        ("UNJUDGED", said("I do not know."), WRONG),
        ("CHOSEN_LOOP", said("It is fine. " * 60), WRONG),
        ("PLACEHOLDER", called("weather", {"city": "<redacted>"}), WRONG),
        ("PLACEHOLDER", called("weather", {"city": "Oslo"}, "key is [REDACTED]"), WRONG),
        ("SECRET", called("weather", {"city": "AKIA" + "Z7Q2M4X6B8N1V3C5"}), WRONG),
    ],
)
def test_the_gate_names_its_reason(code, chosen, rejected):
    assert refused(chosen, rejected) == code


def test_every_rule_has_a_code_of_its_own():
    assert max(Counter(rule.code for rule in RULES).values()) == 1


@pytest.mark.source
def test_every_reason_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text()
    assert [c for c in (*(rule.code for rule in RULES), *FULL) if f"`{c}`" not in page] == []


def test_a_long_text_is_no_judged_cure_of_a_bad_call():
    prose = (
        "I am sorry, but the forecast cannot be had from here at the moment. The west coast "
        "usually sees showers at this time of the year, while inland valleys stay dry and cold; "
        "for a trip to the fjords a warm coat is wise, and ferries may be late when gales blow. "
        "Ask again tomorrow, or call the harbour office, which keeps a list of all departures."
    )
    assert refused(said(prose)) == "UNJUDGED"


def test_a_log_that_saw_the_tool_take_the_call_is_a_judge():
    bare = [{"name": "weather"}]
    tries = session(
        ASK, called("weather", {"town": "Oslo"}), result("Error: 'city' is required", error=True),
        RIGHT, result("sunny", error=False), tools=bare,
    )  # fmt: skip
    assert [(p.source, p.codes) for p in mined(tries).pairs] == [("retry", ("TOOL_ERROR",))]


def test_sides_that_only_the_template_makes_equal_are_refused():
    class Deaf:
        def answer_ids(self, answer: Message, end: bool = True) -> list[int]:
            return [1, 2, 3]

    assert refused(RIGHT, desk_=desk(session(ASK, WRONG), template=Deaf())) == "SAME_SIDES"


def test_another_tool_than_the_accepted_one_is_refused():
    at = desk(session(ASK, WRONG, result("city is required", error=True), RIGHT, result("sunny")))
    assert refused(called("book", {"room": "blue", "nights": 1}), desk_=at) == "DIFFERENT_TOOL"


def test_plain_text_where_the_accepted_step_calls_fails():
    at = desk(session(ASK, WRONG, result("city is required", error=True), RIGHT, result("sunny")))
    assert refused(said("I cannot know."), desk_=at) == "CHOSEN_FAILS"


def test_an_empty_prompt_teaches_nothing():
    found = mined(session(WRONG), session(RIGHT))
    assert (found.pairs, found.counts["left_out"]) == ((), 1)


def test_a_prompt_with_an_image_cannot_stand_in_a_row():
    content = [{"type": "image_url", "image_url": "page.png"}, {"type": "text", "text": "Read it."}]
    page = {"role": "user", "content": content}
    found = mined(session(page, WRONG), session(page, RIGHT))
    assert [r.reason for r in found.refused] == ["UNFIT_PROMPT"]


def test_a_prompt_with_an_image_in_a_result_cannot_stand_in_a_row():
    screen = f"{content_hash('its bytes')}\nthe screen after the click"
    seen = (ASK, called("look", {}), result(screen, error=False))
    found = mined(session(*seen, WRONG), session(*seen, RIGHT))
    assert [r.reason for r in found.refused if r.prompt.step == 3] == ["UNFIT_PROMPT"]
    assert 3 not in {row.prompt.step for row in found.unpaired}


def test_a_flood_of_white_space_makes_a_difference():
    calm = said('{"a": 1}' + " " * 4)
    flood = said('{"a": 1}' + " " * 400)
    found = mined(session(ASK, calm, schema={}), session(ASK, flood, schema={}))
    assert [p.codes for p in found.pairs] == [("REP_WHITESPACE",)]


def test_another_file_after_a_tools_no_is_no_correction():
    first = called("book", {"room": "the blue one upstairs", "nights": 2})
    other = called("book", {"room": "annex", "nights": 14})
    told = result("Error: no room found: value not valid", error=True)
    assert mined(session(ASK, first, told, other, result("ok", error=False))).pairs == ()


def test_a_prompt_that_equals_a_held_out_one_is_refused():
    greeted = [session(user("hi"), said("{broken", model=str(n)), schema={}) for n in range(40)]
    fine = [session(user("hi"), said("{}", model=str(n)), schema={}) for n in range(40)]
    config = MineConfig(heldout=0.5, dev=0.0)
    found = mined(*greeted, *fine, config=config)
    assert found.pairs == ()
    assert set(found.counts["refused"]) == {"HELDOUT_PROMPT"}
    assert found.counts["left_out"] + found.counts["repeated_failures"] > 0


def test_a_held_out_task_asked_later_in_a_training_session_is_refused():
    task = "Which rooms of the north wing are free in the first week of May?"
    other = "Book the blue room for two nights and tell me what it costs, please."
    rows = [user(task), called("book", {"room": 1}), result("nights is required", error=True)]
    for n in range(30):
        held = (
            session(user(other), said("ok"), model=None)
            if False
            else session(user(other), said(f"ok {n}"))
        )
        mixed = session(*rows, called("book", {"room": "a", "nights": 2}), result("done"),
                        user(other), called("book", {}), result("room is required", error=True),
                        called("book", {"room": "blue", "nights": 2}))  # fmt: skip
        known = corpus(held, mixed)
        split = mine.split(known.sessions, MineConfig(heldout=0.5, dev=0.0), n)
        if split.part[held.id] == "heldout":
            break
    found = mine.mine(
        known, split=split, config=MineConfig(heldout=0.5, dev=0.0), settings=SETTINGS
    )
    assert [p.prompt.step for p in found.pairs] == [1]
    assert [(r.prompt.step, r.reason) for r in found.refused] == [(6, "HELDOUT_PROMPT")]


def wrong(n: int):
    return called(
        "weather", {"town": ("Bergen", "Kyoto", "Lisbon", "Quito", "Windhoek", "Zagreb")[n]}
    )


def test_a_prompt_gives_no_more_pairs_than_its_share():
    tries = [session(ASK, wrong(n)) for n in range(5)]
    found = mined(session(ASK, RIGHT), *tries)
    assert len(found.pairs) == TRAIN_ONLY.max_pairs_per_prompt
    assert found.counts["refused"] == {"PROMPT_FULL": 3}
    assert found.counts["unpaired"] == 3


def test_a_family_gives_no_more_pairs_than_its_share():
    steps = [
        row
        for n in range(6)
        for row in (wrong(n), result("city is required", error=True), RIGHT, result("sunny"))
    ]
    found = mined(session(ASK, *steps), config=replace(TRAIN_ONLY, max_pairs_per_family=4))
    assert len(found.pairs) == 4
    assert found.counts["refused"] == {"FAMILY_FULL": 2}


def test_the_same_pair_counts_once():
    tries = [session(ASK, WRONG, copies=n) for n in range(1, 4)]
    found = mined(session(ASK, RIGHT), *tries)
    assert len(found.pairs) == 1
    assert found.counts["refused"] == {"DUPLICATE": 2}
    assert found.counts["repeated_failures"] == 2


def test_own_pairs_and_logged_pairs_do_not_crowd_each_other_out():
    tries = [session(ASK, wrong(n)) for n in range(3)]
    right = session(ASK, RIGHT)
    own = [message(called("weather", {"town": n})) for n in ("Aden", "Minsk", "Turku")] + [
        message(RIGHT)
    ]
    found = mined(right, *tries, answers={Prompt(session=right.id, step=1): own})
    assert found.counts["sources"] == {"resample": 2, "sibling": 2}


def test_a_margin_can_be_demanded():
    for least, code in ((0.0, None), (0.4, None), (0.99, "NO_MARGIN")):
        at = desk(session(ASK, WRONG), config=replace(TRAIN_ONLY, min_margin=least))
        assert refused(RIGHT, desk_=at) == code


def test_a_chosen_side_with_a_value_that_nothing_supplied_is_still_a_chosen_side():
    ask = user("Book the blue room for 2 nights.")
    wish = {"room": "QX7-4471", "nights": 2}
    failed = called("book", wish | {"nights": "2"})
    (pair,) = mined(session(ask, failed), session(ask, called("book", wish))).pairs
    assert pair.chosen.calls[0].arguments == json.dumps(wish)


# --- properties --------------------------------------------------------------------------------

_ARGUMENTS = st.sampled_from(
    [
        '{"city": "Oslo"}',
        '{"city": "Rome", "days": 2}',
        '{"city": "Rome", "days": "2"}',
        '{"town": "Oslo"}',
        '{"city": ',
        "{}",
        '{"city": "[REDACTED]"}',
    ]
)
_ANSWERS = st.one_of(
    st.builds(called, st.sampled_from(["weather", "book", "wether"]), _ARGUMENTS),
    st.builds(said, st.sampled_from(["fine", "", "so it goes " * 40])),
)
_RESULTS = st.builds(
    result,
    st.sampled_from(["sunny", "Error: city is required", "429 too many requests"]),
    error=st.sampled_from([True, False, None]),
)
_TASKS = st.sampled_from(
    ["hi", "Weather in Oslo for the next days, please.", "Book the blue room for two nights."]
)


SUPPORTED = replace(TRAIN_ONLY, supported_values=True)
DAYS = {"city": "Oslo", "days": 3}


@pytest.mark.parametrize(
    ("code", "chosen", "rejected"),
    [
        (None, {"city": "Oslo"}, {"town": "Oslo"}),
        ("UNSUPPORTED", {"city": "Rome"}, {"town": "Oslo"}),
        (None, {"city": "Rome"}, {"city": "Rome", "town": "x"}),  # wrong on both sides cancels
        ("UNSUPPORTED", DAYS, {"town": "Oslo"}),
        (None, DAYS, {"city": "Oslo", "days": "3"}),
        ("GIVES_UP", {"city": "Oslo"}, {"city": "Oslo", "days": "2"}),
        ("GIVES_UP", {"city": "Oslo"}, {"city": "Oslo", "unit": "kelvin"}),  # mended by omission
        (None, {"city": "Oslo"}, {"city": "Oslo", "unit": "celsius", "town": "x"}),
        ("UNSUPPORTED", {"city": "weather"}, {"town": "Oslo"}),  # a tool's name is no value
        (None, {"city": "Oslo"}, '{"city": Oslo}'),  # nothing is known of what is no JSON
        ("UNSUPPORTED", DAYS, '{"city": Oslo}'),
    ],
)
def test_a_sampled_chosen_side_brings_in_nothing_that_nobody_gave(code, chosen, rejected):
    ask = user("What is the weather in Oslo for the next 2 days?")
    chosen, rejected = called("weather", chosen), called("weather", rejected)
    at = desk(session(ask, rejected), config=SUPPORTED)
    prompt = Prompt(session=next(iter(at.corpus.sessions)), step=1)
    for source, expected in (("sibling", code), ("resample", code), ("reference", None)):
        pair = Candidate(
            prompt=prompt, chosen=message(chosen), rejected=message(rejected), source=source
        )
        found = objection(at, draft(at, pair))
        assert (found and found[0]) == expected, source
        usual = replace(at, config=TRAIN_ONLY)
        assert objection(usual, draft(usual, pair)) is None


def test_a_truth_value_is_given_up_where_the_prompt_names_its_argument():
    fields = {"place": {"type": "string"}, "free_entry": {"type": "boolean"}}
    schema = {"type": "object", "properties": fields, "additionalProperties": False}
    tool = {"name": "find", "parameters": schema}
    chosen = called("find", {"place": "Oslo"})
    rejected = {"place": "Oslo", "free_entry": True, "x": 1}
    for asks, code in (("Sights in Oslo with free entry", "GIVES_UP"), ("Sights in Oslo", None)):
        at = desk(session(user(asks), called("find", rejected), tools=(tool,)), config=SUPPORTED)
        prompt = Prompt(session=next(iter(at.corpus.sessions)), step=1)
        failed = at.corpus.answer(prompt)
        pair = Candidate(
            prompt=prompt, chosen=message(chosen), rejected=failed, source="sibling", votes=2
        )
        found = objection(at, draft(at, pair))
        assert (found and found[0]) == code


VOTED = replace(TRAIN_ONLY, min_votes=2)


def test_a_sampled_chosen_side_needs_as_many_equal_clean_answers_as_asked_for():
    wrong = called("weather", {"town": "Oslo"})
    once = called("weather", {"city": "Oslo"})
    twice = called("weather", {"city": "Oslo", "days": 2})
    other = called("weather", '{ "days": 2, "city": "Oslo" }')  # the same in another spelling
    ask = user("What is the weather in Oslo for the next 2 days?")
    logged = [session(ask, each) for each in (wrong, once, twice, other)]
    (usual,) = mined(*logged, config=TRAIN_ONLY).pairs
    assert json.loads(usual.chosen.calls[0].arguments) == {"city": "Oslo"}
    (voted,) = mined(*logged, config=VOTED).pairs
    assert json.loads(voted.chosen.calls[0].arguments) == {"city": "Oslo", "days": 2}
    alone = mined(*logged[:3], config=VOTED)
    assert not alone.pairs
    assert alone.counts["refused"] == {"LONE": 1}
    own = Prompt(session=logged[0].id, step=1)
    for answers, code in (((once, twice, other), None), ((once, twice), "LONE")):
        given = {own: [message(wrong), *map(message, answers)]}
        found = mined(logged[0], config=replace(VOTED, sources=("resample",)), answers=given)
        assert list(found.counts["refused"]) == ([code] if code else [])
        assert len(found.pairs) == (code is None)


def test_a_structured_answer_in_text_needs_no_second_vote():
    logged = [session(user("hi"), said(text), schema={}) for text in ("{broken", '{"a": 1}')]
    (pair,) = mined(*logged, config=VOTED).pairs
    assert pair.chosen.text == '{"a": 1}'


@st.composite
def talks(draw):
    rows = [user(draw(_TASKS))]
    for _ in range(draw(st.integers(1, 4))):
        answer = draw(_ANSWERS)
        rows.append(answer)
        rows.append(draw(_RESULTS) if answer.get("tool_calls") else user("go on"))
    return session(*rows)


@settings(deadline=None, max_examples=300)
@given(st.lists(talks(), min_size=1, max_size=8), st.integers(0, 3), st.data())
def test_whatever_the_logs_hold(logs, seed, data):
    """Every pair passes the gate again, nothing held out is paired, the sums add up, and the
    order of the logs does not matter."""
    config = MineConfig(heldout=0.3, dev=0.1)
    logs = list({s.id: s for s in logs}.values())
    known = corpus(*logs)
    split = mine.split(known.sessions, config, seed)
    first = logs[0]
    own = {Prompt(session=first.id, step=1): tuple(map(message, data.draw(st.lists(_ANSWERS))))}
    found = mine.mine(known, split=split, config=config, settings=SETTINGS, answers=own)
    at = Desk(corpus=known, split=split, config=config, settings=SETTINGS, answers=own)
    for pair in found.pairs:
        accepted = at.accepted(pair.prompt)
        candidate = Candidate(
            prompt=pair.prompt,
            chosen=pair.chosen,
            rejected=pair.rejected,
            source=pair.source,
            logged=next((a.verdict for a in accepted if a.answer == pair.chosen), None),
        )
        if "trim" not in pair.edits:
            assert objection(at, draft(at, candidate)) is None
        assert split.part[pair.prompt.session] != "heldout"
        assert pair.margin > 0
        assert pair.codes
    counts = found.counts
    assert counts["candidates"] == counts["pairs"] + sum(counts["refused"].values())
    assert counts["failed_steps"] == sum(
        counts[name]
        for name in (
            "heldout_failed",
            "paired_failures",
            "unpaired_failures",
            "repeated_failures",
            "left_out",
        )
    )
    again = corpus(*data.draw(st.permutations(logs)))
    shuffled = mine.mine(again, split=split, config=config, settings=SETTINGS, answers=own)
    assert shuffled == found
