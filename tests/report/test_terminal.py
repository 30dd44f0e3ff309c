"""What stands in the terminal at the end."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from misstep.report import RunView, scan_summary, terminal_summary, wants_colour
from misstep.report.terminal import LINES


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fits(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= LINES and all(len(line) <= 80 for line in lines)


def test_a_run_in_plain_text(run: RunView) -> None:
    text = terminal_summary(run)
    lines = text.splitlines()
    assert lines[0] == (
        "Failures fell by 45 % on held-out tasks, 44.4 % → 24.6 % (sft → dpo). Ship it."
    )
    assert lines[1] == (
        "12 files → 1,404 sessions → 3,786 steps → 581 failed → 203 pairs → 182 trained"
    )
    heads = "of 141 families sft, n=423 dpo, n=423 change better/worse p"
    assert " ".join(lines[4].split()) == heads
    total = "total 44.4 % [40–49] 24.6 % [20–29] −45 % 28/4 <0.0001"
    assert " ".join(lines[5].split()) == total
    assert "collateral, clean before, fails now: 7 of 156 answers (4.5 % [2–9])" in lines
    assert "verdict: ship: total failure rate" in text
    assert "\x1b" not in text


def test_a_run_fits_forty_lines_of_eighty_columns(run: RunView) -> None:
    assert fits(terminal_summary(run))


def test_a_run_with_very_many_codes_and_long_words_still_fits(run: RunView) -> None:
    scores = dict(run.scores or {})
    some = [row for row in scores["scores"] if row["code"] == "ENUM"]
    scores["scores"] = [
        *scores["scores"],
        *({**row, "code": f"PLUG_IN_{i:02}_{'X' * 40}"} for i in range(40) for row in some),
    ]
    scores["why"] = scores["why"] + "; guard down: something" * 6
    text = terminal_summary(replace(run, scores=scores, notes=["a long note " * 12] * 9))
    assert fits(text)
    assert "rarer codes, see the report" in text


def test_the_share_of_the_logged_steps_is_said_once(run: RunView) -> None:
    said = "93.0 % of the logged steps"
    assert said in terminal_summary(run)
    told = replace(run, notes=("smollm2 wrote 93% of the logged steps",))
    assert said not in terminal_summary(told)
    assert "smollm2 wrote 93% of the logged steps" in terminal_summary(told)


def test_a_run_that_trained_nothing_says_why() -> None:
    scores = {"scores": [], "paired": [], "verdict": "nothing-to-train", "why": "no step failed"}
    text = terminal_summary(RunView(scores=scores, summary={"files": 1, "steps": 4}))
    assert text == (
        "Nothing to train: no step failed.\n1 file → 4 steps → 0 pairs\n\n"
        "verdict: nothing-to-train: no step failed\n"
    )


def test_a_hostile_run_is_shown_without_control_characters(hostile: RunView) -> None:
    for text in (terminal_summary(hostile), scan_summary(hostile.summary)):
        assert not [c for c in text if (c < " " and c != "\n") or c in "\u202e\u2066\x7f"]
        text.encode()


def test_a_coloured_run_has_the_same_words(run: RunView) -> None:
    coloured = terminal_summary(run, colour=True)
    assert "\x1b[" in coloured
    assert "Ship it." in coloured


def test_a_scan_in_plain_text(run: RunView) -> None:
    text = scan_summary(run.summary)
    lines = text.splitlines()
    assert lines[0] == "581 of 3,786 steps failed (at least 15.3 %); most often WRONG_TYPE."
    assert lines[3] == "set aside: not-json 2"
    assert lines[5].split() == ["code", "defect", "suspect", "info", "meaning"]
    assert lines[6].startswith("WRONG_TYPE           212        ·     ·  a value of another type")
    assert any(line.split() == ["convert_units", "812", "201", "24.8", "%"] for line in lines)
    assert not any(line.startswith("weather") for line in lines)
    assert fits(text)


def test_a_scan_of_nothing() -> None:
    assert scan_summary({"files": 2, "seconds": 0.04}) == (
        "No agent steps were found.\n"
        "See why: misstep scan --explain FILE. What can be read: misstep formats.\n"
        "2 files · 0 records · 0 sessions · 0 steps · 0 tool calls · 0.0 s\n"
    )


def test_one_of_a_kind_is_spelled_in_the_singular() -> None:
    keys = ("files", "records", "sessions", "steps", "tool_calls", "suspect_steps")
    text = scan_summary({**dict.fromkeys(keys, 1), "ignored": {"progress": 1}})
    assert text.splitlines()[1] == (
        "1 file · 1 record · 1 session · 1 step · 1 tool call · 1 record ignored · 1"
    )
    assert text.splitlines()[2].startswith("suspect step · 0.0 s")
    assert "1 more kind\n" in scan_summary({"steps": 1, "set_aside": dict.fromkeys("abcdefg", 1)})
    run = RunView(summary={"files": 1, "sessions": 1, "steps": 1}, pairs_total=1, trained=1)
    assert "1 file → 1 session → 1 step → 1 pair → 1 trained" in terminal_summary(run)


def test_a_missing_extra_is_named() -> None:
    lines = scan_summary({"set_aside": {"needs-extra": 3, "not-json": 1}}).splitlines()
    assert "set aside: needs-extra 3 (pip install 'misstep[ocr]'), not-json 1" in lines


def test_a_long_scan_says_what_it_left_out(run: RunView) -> None:
    tools = {f"tool_{i:03}": {"calls": 9, "failed": 3} for i in range(100)}
    text = scan_summary({**run.summary, "tools": tools})
    assert "… and 90 more" in text
    assert fits(text)


def test_many_formats_are_folded_and_their_sums_kept() -> None:
    row = {"files": 1, "records": 4, "sessions": 2, "tool_calls": 3, "failed_steps": 1}
    formats = {f"format-{i:02}": row | {"steps": 100 - i} for i in range(45)}
    lines = scan_summary({"steps": 3_510, "formats": formats}).splitlines()
    shown = [line for line in lines if line.startswith("format-")]
    assert [line.split()[0] for line in shown] == [f"format-{i:02}" for i in range(10)]
    assert lines[-1].split() == ["…", "35", "more", "35", "140", "70", "2,555", "105", "35"]


def test_everything_at_once_still_fits_the_screen(run: RunView) -> None:
    row = {"files": 1, "records": 4, "sessions": 2, "tool_calls": 3, "failed_steps": 1}
    want = {"count": 12_345, "what": "results without an error flag", "add": "--tools FILE"}
    full = {
        **run.summary,
        "set_aside": {f"reason-number-{i}": 10_000 + i for i in range(30)},
        "unjudged": {f"reason {i} " + "x" * 200 * (i == 3): 10 + i for i in range(9)},
        "not_judged": {f"want-{i}": want for i in range(8)},
        "codes": {f"CODE_{i:02}": {"defect": i, "suspect": 1, "info": 0} for i in range(50)},
        "tools": {f"tool_{i:03}": {"calls": 9, "failed": 3} for i in range(100)},
        "formats": {f"format-{i:02}": row | {"steps": 9} for i in range(45)},
    }
    text = scan_summary(full)
    assert fits(text)
    for words in ("24 more kinds", "for other reasons", "5 more in --json", "more  "):
        assert words in text


def test_what_is_unjudged_is_named_with_its_reason_and_what_to_add(run: RunView) -> None:
    reasons = {
        "no tools are known": 300,
        "plain text, and nothing was demanded of it": 102,
        "something of a plug-in": 1,
    }
    lines = scan_summary({**run.summary, "unjudged": reasons}).splitlines()
    at = lines.index("unjudged: 300 no tools are known (--tools FILE; see misstep tools)")
    assert lines[at + 1 : at + 3] == [
        "          102 plain text, and nothing was demanded of it (--schema FILE)",
        "          1 something of a plug-in",
    ]


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environ: dict[str, str], expected: bool
) -> None:
    assert wants_colour(stream, environ) is expected


def test_the_summary_of_a_run_ends_with_where_its_report_lies(run: RunView) -> None:
    text = terminal_summary(replace(run, report="runs/demo/report.html"))
    assert text.splitlines()[-1] == "report:  runs/demo/report.html"
    assert text.count("\n") <= 40
