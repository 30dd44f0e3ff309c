"""What report.html shows of a run folder, read back from its files."""

import pytest

from logs import RIGHT, WRONG, mixed, session, write
from misstep import api, store, validate
from misstep.config import load_config
from misstep.pipeline.scan import tell
from misstep.pipeline.view import _marks, view
from misstep.store import RunFolder
from misstep.types import Session


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    log = mixed(folder / "log.jsonl", 12)
    api.mine([log], folder / "run", load_config(None, {"mine.min_votes": 1}), resample=False)
    return log, folder / "run"


def test_the_failure_part_of_a_run_is_that_of_its_scan(mined):
    log, folder = mined
    told = tell([log], load_config(), page=True).page
    assert told is not None
    shown = view(folder, whole=True).page
    assert shown["codes"] == told["codes"] != []
    for part in ("tools", "models", "days", "sessions", "examples"):
        assert shown[part] == told[part]


def test_figures_alone_read_neither_sessions_nor_pairs(mined):
    _, folder = mined
    shown = view(folder)
    assert (shown.page, shown.pairs) == ({}, ())
    assert shown.summary["failed_steps"] == 12
    assert shown.pairs_total == view(folder, whole=True).pairs_total > 0


def test_the_value_that_breaks_the_schema_is_marked(mined):
    _, folder = mined
    whole = view(folder, whole=True)
    assert len(whole.pairs) == whole.pairs_train
    for row in whole.pairs:
        (mark,) = row["marks"]
        arguments = row["rejected"][0]["tool_calls"][0]["function"]["arguments"]
        assert arguments[mark["start"] : mark["end"]].strip('"').isdigit()
        assert (mark["code"], mark["named"]) == ("WRONG_TYPE", False)


def test_the_name_of_a_tool_that_is_not_there_is_marked(tmp_path):
    rows = [session(n, (RIGHT, WRONG)[which] % n) for n in range(1, 13) for which in (0, 1)]
    for row in rows[1::2]:
        row["messages"][1]["tool_calls"][0]["function"]["name"] = "set_clock"
    log = write(tmp_path / "log.jsonl", rows)
    api.mine([log], tmp_path / "run", load_config(None, {"mine.min_votes": 1}), resample=False)
    named = [m["named"] for row in view(tmp_path / "run", whole=True).pairs for m in row["marks"]]
    assert named
    assert all(named)


def test_text_beside_better_text_is_not_told_that_a_call_was_demanded(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 12, tool_choice="auto")
    run, config = RunFolder(tmp_path / "run"), load_config()
    api.mine([log], run.path, config, resample=False)
    row = view(run.path, whole=True).pairs[0]
    found = store.find_row(run / "sessions.parquet", "id", row["session"])
    settings = validate.settings(config.validate, own=False)
    logged = store.decode(found["session"], Session)
    text = [{"role": "assistant", "content": "I set no timer."}]
    spoken = {**row, "rejected": text}
    assert [mark["code"] for mark in _marks(spoken, logged, settings)] == ["NO_CALL"]
    assert _marks({**spoken, "chosen": text}, logged, settings) == []
