"""The column `places` on its way from mining to training, as users keep and edit it."""

from __future__ import annotations

import json

from logs import mixed
from misstep import api, store


def test_places_reach_the_trainer_and_rows_without_them_or_with_bad_ones_train_as_well(
    small, tmp_path
):
    run = tmp_path / "run"
    config = small(
        **{"dpo.preference_tokens": "failing", "sft.enabled": False, "dpo.loss_type": ["sigmoid"]},
        **{"dpo.loss_weights": [1.0]},
    )
    api.mine([mixed(tmp_path / "log.jsonl", 24)], run, config, resample=False)
    path = run / "pairs" / "train.parquet"
    rows = store.read_rows(path)

    def focus():
        api.train(run, config)
        return store.RunFolder(run).noted("train adapter")["focus"]

    assert len(rows) > 3
    known = {"tokens": "failing", "placed": len(rows), "unplaced": 0, "spans_set_aside": 0}
    first = focus()
    assert first == known | {"share": first["share"]}
    assert 0 < first["share"] < 0.3

    marks = json.loads(rows[0]["places"])
    rows[0]["places"] = json.dumps([{**mark, "span": [0, 9_999]} for mark in marks])
    rows[1]["places"] = "an editor was here"
    rows[2]["places"] = None
    store.write_rows(path, rows)
    edited = focus()
    assert (edited["placed"], edited["unplaced"]) == (len(rows) - 3, 3)
    assert edited["spans_set_aside"] == len(marks) + 1

    store.write_rows(path, [{k: v for k, v in row.items() if k != "places"} for row in rows])
    bare = focus()
    assert (bare["placed"], bare["unplaced"], bare["spans_set_aside"]) == (0, len(rows), 0)
