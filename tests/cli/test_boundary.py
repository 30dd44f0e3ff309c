"""What the command line does with mistakes, with errors that nobody foresaw, with Ctrl-C."""

import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from logs import mixed
from misstep.cli import COMMANDS, formats, main, watch
from misstep.errors import StageError


@pytest.fixture
def broken(monkeypatch):
    """`misstep formats` raises what nobody foresaw."""

    def fail():
        raise KeyError("no such\x1b[31m key\nsecond line")

    monkeypatch.setattr(formats.command, "callback", fail)


def test_an_unforeseen_error_is_one_line(broken):
    result = CliRunner().invoke(main, ["formats"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("misstep: unexpected KeyError: ")
    assert result.stderr.endswith("; run with --debug to see the traceback\n")
    assert "\x1b" not in result.stderr


def test_a_library_in_rust_that_gave_up_is_one_line_too(monkeypatch):
    panic = pytest.importorskip("polars").exceptions.PanicException

    def fail():
        raise panic("called `Option::unwrap()` on a `None` value")

    assert not issubclass(panic, Exception)
    monkeypatch.setattr(formats.command, "callback", fail)
    result = CliRunner().invoke(main, ["formats"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    said = "misstep: unexpected PanicException: called `Option::unwrap()` on a `None` value"
    assert result.stderr.startswith(said)
    assert result.stderr.endswith("; run with --debug to see the traceback\n")


def test_an_interrupt_that_hits_the_making_of_a_class_is_an_interrupt(monkeypatch):
    class Slow:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def fail():
        type("Client", (), {"_url": Slow()})

    monkeypatch.setattr(formats.command, "callback", fail)
    result = CliRunner().invoke(main, ["formats"])
    assert (result.exit_code, result.stderr) == (130, "misstep: stopped\n")


@pytest.mark.parametrize("error", [SyntaxError, StageError])
def test_an_interrupt_that_another_error_took_the_place_of_is_an_interrupt(monkeypatch, error):
    def fail():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            pass
        raise error("\\N escapes not supported")

    monkeypatch.setattr(formats.command, "callback", fail)
    result = CliRunner().invoke(main, ["formats"])
    assert (result.exit_code, result.stderr) == (130, "misstep: stopped\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("words", [["--debug", "formats"], ["formats", "--debug"]])
def test_debug_shows_the_traceback_above_it(broken, words):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last)")
    assert result.stderr.splitlines()[-1].startswith("misstep: unexpected KeyError")


def test_a_users_mistake_shows_no_traceback_but_with_debug():
    plain = CliRunner().invoke(main, ["scan", "/none"])
    assert (plain.exit_code, plain.stderr.count("\n")) == (2, 1)
    told = CliRunner().invoke(main, ["scan", "/none", "--debug"])
    assert "Traceback" in told.stderr
    assert told.stderr.endswith(plain.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scna", "logs"], "no such command 'scna'; did you mean scan?"),
        (["scan", "x", "--strct"], "--strict"),
        (["completion", "bsh"], "'bash', 'zsh', 'fish'"),
    ],
)
def test_a_mistyped_word_leads_to_the_nearest(words, said):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_help_is_also_a_word():
    for words, same in ((["help"], ["--help"]), (["help", "scan"], ["scan", "--help"])):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0
        assert result.output == CliRunner().invoke(main, same).output


def test_a_line_of_watch_says_where_it_cuts_evidence():
    row = {"origin": {"file": "a.jsonl", "line": 3}, "code": "ENUM", "cause": "model", "where": ""}
    assert watch._line(row | {"evidence": "x" * 100}).endswith(f"ENUM  {'x' * 100}")
    assert watch._line(row | {"evidence": "x" * 101}).endswith(f"ENUM  {'x' * 99}…")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_MISSTEP_COMPLETE" in result.stdout


def test_the_completed_commands_are_all_commands():
    words = {"COMP_WORDS": "misstep ", "COMP_CWORD": "1", "_MISSTEP_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", "from misstep.cli import main; main(prog_name='misstep')"],
        capture_output=True,
        text=True,
        env={**os.environ, **words},
        check=False,
    )
    offered = {line.partition(",")[2] for line in done.stdout.splitlines()}
    assert offered == set(COMMANDS)


@pytest.mark.parametrize("seconds", [0.6, 1.4])
def test_an_interrupted_scan_says_so_and_ends_with_130(tmp_path, seconds):
    log = mixed(tmp_path / "log.jsonl", 20_000)  # large enough for worker processes
    *before, last = interrupted("scan", log, seconds=seconds).splitlines()
    assert last == "misstep: stopped"
    assert all(line.startswith("  ") for line in before)  # progress, where it came to that


def test_an_interrupt_of_code_run_from_a_string_ends_with_130_too(tmp_path):
    (tmp_path / "stops.py").write_text(
        "from misstep.cli import formats, main\n"
        "formats.command.callback = lambda **_: exec('raise KeyboardInterrupt')\n"
        "main(['formats'])\n"
    )
    command = [sys.executable, "-m", "stops"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "misstep: stopped\n")


def interrupted(*words, seconds=1.0):
    command = [sys.executable, "-m", "misstep", *map(str, words)]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    time.sleep(seconds)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the workers hear it too
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    return said


def test_an_interrupted_mining_says_how_to_go_on(tmp_path):
    log = mixed(tmp_path / "my log.jsonl", 20_000)
    said = interrupted("mine", log, "-o", tmp_path / "out", "--quiet")
    assert said == (
        "misstep: stopped; finished stages are kept; resume with: "
        f"misstep mine '{log}' -o {tmp_path / 'out'} --quiet\n"
    )
