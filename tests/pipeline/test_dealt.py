"""Parcels of sessions: whatever is dealt out together, the same pairs come of it."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep import mine
from misstep.config import MineConfig, ValidateConfig
from misstep.engine import Job
from misstep.pipeline import dealt
from misstep.pipeline.boxes import Packer, corpus_of
from misstep.pipeline.dealt import Deal
from misstep.pipeline.spread import Spread
from misstep.pipeline.spreading import given_of
from misstep.pipeline.spreadwork import prepare, work
from scenes import SETTINGS, called, corpus, result, said, session, user

CONFIG = MineConfig(
    sources=("retry", "sibling", "human", "recovery", "repair", "resample"),
    supported_values=False,
    min_votes=1,
    heldout=0.3,
    dev=0.2,
    max_pairs_per_family=3,
)
TURN = st.sampled_from(
    [
        called("weather", {"city": "Oslo"}),
        called("weather", {"town": "Oslo"}),
        called("weather", '{"city": "Oslo"'),
        said("Oslo, mail me at ada@example.org"),
        user("and now?"),
        result("unknown argument", error=True),
        result("sunny"),
    ]
)
RIGHT = [called("weather", {"city": "Oslo"}), result("sunny"), said("sunny")]
WRONG = [called("weather", {"town": "Oslo"}), result("unknown argument", error=True)]
SESSIONS = st.lists(
    st.builds(
        lambda wish, turns, family: session(user(wish), *turns, family=family),
        st.sampled_from(["hi", "weather?"]),
        st.sampled_from([RIGHT, WRONG, [*WRONG, *RIGHT]]) | st.lists(TURN, min_size=1, max_size=5),
        st.sampled_from("abcdef"),
    ),
    min_size=4,
    max_size=10,
    unique_by=lambda s: s.id,
)


class Here:
    """An engine that does each piece at once."""

    workers = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, job, pieces):
        for number, piece in enumerate(pieces):
            yield number, job.work(job.prepare(job.given), piece)


def desk_of(sessions):
    known = corpus(*sessions)
    split = mine.split(known.sessions, CONFIG, 0)
    prompts = mine.resample_prompts(known, split, 4, 0)
    answers = {prompt: [known.answer(other) for other in prompts] for prompt in prompts}
    return mine.Desk(corpus=known, split=split, config=CONFIG, settings=SETTINGS, answers=answers)


def spread_of(desk, folder):
    job = Job(prepare, given_of(desk, ValidateConfig(), away=True), work)
    return Spread(Here(), job, folder, lambda *_: None)


def want_of(desk):
    return partial(mine.wanted_of, corpus=desk.corpus, split=desk.split, seed=0, terms=mine.Terms())


@given(SESSIONS, st.sampled_from([1, 2_000, 1_000_000]))
@settings(max_examples=60, deadline=None)
def test_any_sessions_dealt_out_in_any_parcels_give_the_same_pairs_and_rows(sessions, size):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(dealt, "PARCEL", size)
        desk, other = desk_of(sessions), desk_of(sessions)
        found, wanted, rows = spread_of(desk, Path(folder)).mined(desk, want_of(desk))
        alone, maker = mine.paired(other), mine.Maker(other.corpus, other.split, True)
        assert found == alone
        assert wanted == want_of(other)(alone)
        assert list(map(dict, rows.rows(wanted))) == list(maker.rows(wanted))
        assert rows.counts == maker.counts


def test_families_that_share_a_prompt_stay_together(monkeypatch):
    monkeypatch.setattr(dealt, "PARCEL", 1)
    wrong = called("weather", {"town": "Oslo"})
    alike = [session(user("hi"), wrong, said(str(n)), family=str(n)) for n in range(3)]
    apart = [session(user(f"weather, {n}"), wrong, family=f"x{n}") for n in range(4)]
    known = corpus(*alike, *apart)
    names = {each.id: each.family for each in (*alike, *apart)}
    split = mine.Split(part=dict.fromkeys(names, "train"), family=names)
    desk = mine.Desk(corpus=known, split=split, config=CONFIG, settings=SETTINGS)
    deal = Deal(desk, Packer(known, split, mine.index_of(known), frozenset()))
    parcels = sorted(map(sorted, deal.parcels(without=())))
    assert parcels == sorted([sorted(s.id for s in alike), *([s.id] for s in apart)])


def test_a_session_travels_with_all_that_is_known_of_it():
    one = session(user("hi"), called("weather", {"town": "Oslo"}), result("no"), said("sorry"))
    other = session(user("hi"), called("weather", {"city": "Oslo"}))
    known = corpus(one, other)
    split = mine.split(known.sessions, CONFIG, 0)
    packer = Packer(known, split, mine.index_of(known), frozenset())
    there, parts = corpus_of(packer.pack([one.id]), decisions={}, images=None)
    assert dict(there.sessions) == {one.id: one}
    assert dict(there.findings) == {
        at: found for at, found in known.findings.items() if at[0] == one.id
    }
    assert dict(there.verdicts) == {
        at: told for at, told in known.verdicts.items() if at[0] == one.id
    }
    assert there.index.fact(one.id) == known.index.fact(one.id)
    assert parts.part == {one.id: split.part[one.id]}
