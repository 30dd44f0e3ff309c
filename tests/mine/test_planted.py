"""Good pairs of the sample logs, spoilt in every known way: each is refused, for that fault.

`benchmarks/planted.py` plants thousands; here are the plants of a few pairs.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from misstep import mine, validate
from misstep.config import IngestConfig
from misstep.ingest import ingest
from misstep.mine.door import FULL
from misstep.mine.gate import RULES, draft, objection
from plants import CONFIG, KINDS, SETTINGS, answer_to, candidate_of, desk_of, good_pairs, plants
from plants import spread as spread_out

LOGS = Path(__file__).resolve().parents[2] / "sample_logs"
ELSEWHERE = {
    *(
        "CODE_FULL",
        "TOOL_FULL",
        "SHORTER_FULL",
        "REVIEWED_OUT",
    ),  # tested beside the caps and the review
    "CRASHED",  # tested where mining is spread
    *("UNSUPPORTED", "GIVES_UP", "LONE", "DISAGREES"),  # off at first; tested beside the gate
    "GOLD_REDACTED",  # test_taught.py
    *("LOOP_UNASKED", "FAILURE_UNASKED", "SCORE_MARGIN"),  # off at first; test_kinds.py
}
pytestmark = pytest.mark.skipif(not LOGS.is_dir(), reason="the sample logs are not here")


@pytest.fixture(scope="module")
def good():
    read = ingest(
        [LOGS / name for name in ("openai-chat", "chat-rows")],
        config=IngestConfig(tools=str(LOGS / "tools.json")),
    )
    judged = [validate.validate(s, SETTINGS) for s in read.sessions]
    corpus = mine.gather(read.sessions, judged)
    split = mine.split(corpus.sessions, CONFIG, 0)
    found = mine.mine(corpus, split=split, config=CONFIG, settings=SETTINGS)
    return spread_out(good_pairs(found, corpus), 8)


@pytest.fixture(scope="module")
def planted(good):
    return [(plant, answer_to(plant)) for pair in good for plant in plants(pair)]


def test_the_pairs_are_let_through_as_long_as_nothing_is_planted(good):
    assert len(good) == 8
    for pair in good:
        at = desk_of(pair)
        assert objection(at, draft(at, candidate_of(pair))) is None


def test_every_plant_is_refused_for_the_planted_fault(planted):
    wrong = [(p.kind, p.place, p.want, got) for p, got in planted if got != p.want]
    assert wrong == []
    assert len(planted) >= 500


def test_every_kind_of_plant_was_planted(planted):
    ways = Counter(plant.kind for plant, _ in planted)
    assert set(KINDS) - set(ways) == set()
    assert len(ways) >= 25


def test_every_reason_of_gate_and_door_has_a_plant(planted):
    reasons = {rule.code for rule in RULES} | set(FULL)
    assert reasons - {plant.want for plant, _ in planted} - ELSEWHERE == set()
