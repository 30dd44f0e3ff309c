"""Failures that become unpaired rows, and those that may not."""

from __future__ import annotations

from misstep import mine, store
from misstep.config import MineConfig
from scenes import TRAIN_ONLY, called, corpus, mined, result, said, session, user

ASK = user("What is the weather in Oslo for the next days?")
RIGHT = called("weather", {"city": "Oslo"})
TURNED_DOWN = result("Error: invalid arguments: city: no such city", error=True)


def test_an_answer_that_the_log_judged_both_ways_has_no_false_label(tmp_path):
    logs = (
        session(ASK, RIGHT, TURNED_DOWN, said("I could not find it.")),
        session(ASK, RIGHT, result("sunny", error=False), said("It is sunny.")),
        session(user("And in Rome, the day after?"), called("weather", {"town": "Rome"})),
    )
    found, known = mined(*logs), corpus(*logs)
    assert found.counts["failed_steps"] == 2
    assert (found.counts["unpaired_failures"], found.counts["left_out"]) == (1, 1)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    mine.export(found, known, split, folder=tmp_path, config=MineConfig())
    rows = store.read_rows(tmp_path / "unpaired/train.parquet")
    labels = {}
    for row in rows:
        labels.setdefault((str(row["prompt"]), str(row["completion"])), set()).add(row["label"])
    assert all(len(given) == 1 for given in labels.values())
    assert {True, False} == {row["label"] for row in rows}
