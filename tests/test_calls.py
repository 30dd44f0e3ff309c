"""The Python API: typed values, frames, and rooms that can be called."""

import subprocess
import sys

import polars as pl
import pytest

import misstep
from logs import mixed
from misstep import calls
from misstep.config import RunConfig
from misstep.errors import ConfigError, InputError, SetupError


@pytest.fixture
def log(tmp_path):
    return mixed(tmp_path / "logs" / "log.jsonl", 10)


def test_a_scan_gives_values_and_frames(log):
    found = misstep.scan(log.parent)
    assert isinstance(found, calls.Scan)
    assert (found.failed, found.judged, len(found.sessions)) == (10, 20, 20)
    assert {f.code for f in found.findings} == {"WRONG_TYPE"}
    frame = found.frame()
    assert frame.height == len(found.findings)
    assert frame.row(0, named=True)["origin_file"] == "log.jsonl"
    steps = found.frame("steps")
    assert steps.filter(pl.col("state") == "fail").height == 10
    assert steps.row(0, named=True)["tools"] == ["set_timer"]
    assert found.frame("sessions")["failed_steps"].sum() == 10
    with pytest.raises(SetupError, match="unknown frame 'step'; did you mean steps"):
        found.frame("step")


def test_paths_may_be_one_or_many_words_or_paths(log):
    assert misstep.scan(str(log)).failed == misstep.scan([log, str(log)]).failed == 10


def test_an_empty_scan_has_empty_frames(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    found = misstep.scan(tmp_path)
    assert found.frame().is_empty()
    assert found.frame("steps").is_empty()


def test_the_page_of_a_scan_is_written(log, tmp_path):
    misstep.scan(log).write_html(tmp_path / "page.html")
    assert "WRONG_TYPE" in (tmp_path / "page.html").read_text()


def test_settings_go_over_the_config_whatever_it_is(log, tmp_path):
    (tmp_path / "c.yaml").write_text("mine: {heldout: 0.1, min_votes: 1}")
    outs = [
        misstep.mine(log, tmp_path / name, config=config, settings={"mine.sources": ["sibling"]})
        for name, config in (("a", tmp_path / "c.yaml"), ("b", str(tmp_path / "c.yaml")))
    ]
    assert outs[0].pairs == outs[1].pairs > 0
    own = misstep.mine(log, tmp_path / "c", config=RunConfig(), settings={"mine.sources": []})
    assert own.pairs == 0
    with pytest.raises(ConfigError, match=r"did you mean mine\.sources"):
        misstep.mine(log, tmp_path / "d", settings={"mine.sorces": []})


def test_mining_gives_its_pairs_as_a_frame(log, tmp_path):
    mined = misstep.mine(log, tmp_path / "out", settings={"mine.heldout": 0.1})
    assert isinstance(mined, calls.Mined)
    frames = mined.frame(), mined.frame(part="dev")
    assert sum(frame.height for frame in frames) == mined.pairs == sum(mined.sources.values())
    assert {"prompt", "chosen", "rejected", "source"} <= set(frames[0].columns)


def test_a_path_that_is_not_there_is_the_callers_error(tmp_path):
    with pytest.raises(InputError):
        misstep.scan(tmp_path / "none")


def test_rooms_can_be_called_however_they_were_imported():
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import misstep, sys; heavy = {'torch', 'polars', 'rich'} & set(sys.modules); "
            "import misstep.mine.split; from misstep import evaluate; import misstep.train as t; "
            "print(heavy, *(callable(each) for each in (misstep.mine, evaluate, t, misstep.scan)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["set()", "True", "True", "True", "True"]


def test_a_name_that_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'misstep' has no attribute 'scna'"):
        _ = misstep.scna
