"""Progress: bars on a terminal, plain lines elsewhere, rate and remaining time in both."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from logs import mixed
from misstep import api
from misstep.cli import progress
from misstep.cli.progress import Reporter, clock, counted, speed, unit_of


@pytest.fixture
def time(monkeypatch):
    """A clock that stands until it is moved."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_now_and_then_with_rate_and_remaining_time(time, capsys):
    shown = Reporter(quiet=False)
    for second, done in ((0, 0), (5, 10), (16, 32), (20, 40), (50, 100)):
        time[0] = float(second)
        shown.progress("train sft · loss 0.512", done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "  train sft: 32 of 100 steps, loss 0.512, 0:34 left, 2.0/s",
        "  train sft: 100 steps, loss 0.512, 50.0 s",
    ]


def test_a_resumed_stage_counts_its_rate_from_where_it_went_on(time, capsys):
    shown = Reporter(quiet=False)
    for second, done in ((0, 90), (20, 92)):
        time[0] = float(second)
        shown.progress("train adapter", done, 100)
    assert "92 of 100 steps, 1:20 left, 10.0 s each" in capsys.readouterr().err


def test_the_end_is_told_once_and_a_second_round_begins_anew(time, capsys):
    shown = Reporter(quiet=False)
    for done in (5, 10, 10, 3, 10):
        shown.progress("mining", done, 10)
    assert capsys.readouterr().err.splitlines() == ["  mining: 10 rows, 0.0 s"] * 2


def test_a_stage_lasts_from_the_end_of_what_was_before_it(time, capsys):
    shown = Reporter(quiet=False)
    time[0] = 3.0
    shown.say("train sft …")
    time[0] = 15.0
    shown.progress("train sft · loss 0.512", 1, 1)
    time[0] = 17.5
    shown.progress("mining", 4, 4)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  train sft: 1 step, loss 0.512, 12.0 s",
        "  mining: 4 rows, 2.5 s",
    ]


def test_a_stage_that_says_that_nothing_is_done_begins_there(time, capsys):
    shown = Reporter(quiet=False)
    time[0] = 2.0
    shown.progress("reading", 0, 1_000_000)
    time[0] = 5.0
    shown.progress("reading · 1 file", 1_000_000, 1_000_000)
    assert capsys.readouterr().err == "  reading: 1.0 MB, 1 file, 3.0 s\n"


def test_the_time_of_reading_is_that_of_the_work(tmp_path):
    told = []
    log = mixed(tmp_path / "log.jsonl", 2)
    api.tell([log], api.load_config(), progress=lambda *said: told.append(said))
    size = log.stat().st_size
    assert told == [("reading", 0, size), ("reading · 1 file", size, size)]


def test_bytes_are_megabytes(time, capsys):
    shown = Reporter(quiet=False)
    shown.progress("reading · 3 files", 0, 20_000_000)
    time[0] = 20.0
    shown.progress("reading · 9 files", 5_000_000, 20_000_000)
    assert capsys.readouterr().err == ("  reading: 5.0 of 20.0 MB, 9 files, 1:00 left, 0.2 MB/s\n")


def test_quiet_says_nothing(capsys):
    shown = Reporter(quiet=True)
    shown.progress("reading", 1, 1)
    shown.say("scan …")
    assert capsys.readouterr().err == ""


def test_bars_hold_count_note_and_rate(time):
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[said]}", markup=False))
    with Progress(*columns, console=console, get_time=lambda: time[0]) as bars:
        shown = Reporter(quiet=False, bars=bars)
        shown.progress("train adapter · loss 1.000", 1, 40)
        time[0] = 10.0
        shown.progress("train adapter · loss [0.5]", 21, 40)
        bars.refresh()
    assert "train adapter 21 of 40 steps · loss [0.5] · 0:10 left · 2.0/s" in out.getvalue()


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("reading", "MB"),
        ("round 2: train adapter", "steps"),
        ("base: greedy answers", "answers"),
        ("mining", "rows"),
        ("looking", ""),
    ],
)
def test_a_stage_is_counted_in_its_own_unit(name, unit):
    assert unit_of(name) == unit


def test_numbers_are_spelled_for_people():
    assert counted(1, 2_000, "") == "1 of 2,000"
    assert counted(1, 1, "steps") == "1 step"
    assert counted(2_000_000, 2_000_000, "MB") == "2.0 MB"
    assert speed(0.25, "steps") == "4.0 s each"
    assert (clock(59.6), clock(3_723)) == ("1:00", "1:02:03")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_dumb_terminals_get_plain_lines(monkeypatch, env):
    monkeypatch.setattr(progress.sys, "stderr", Terminal())
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert not progress.plain()
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert progress.plain()


class Terminal(io.StringIO):
    def isatty(self):
        return True
