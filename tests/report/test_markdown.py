"""report.md holds the tables, and logged text cannot break out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.report import RunView, write_markdown
from misstep.report.markdown import code, escape


def written(run: RunView, folder: Path) -> str:
    write_markdown(run, folder / "report.md")
    return (folder / "report.md").read_text(encoding="utf-8")


def test_the_report_starts_with_the_headline_and_holds_the_tables(
    run: RunView, tmp_path: Path
) -> None:
    text = written(run, tmp_path).replace("\xa0", " ")
    assert text.startswith("# demo\n\n**Failures fell by 45 % on held-out tasks")
    assert "12 files → 1,404 sessions → 3,786 steps → 581 failed → 203 pairs → 182 trained" in text
    assert (
        "| **total** | 44.4 % (188/423; 39.7–49.2) | 24.6 % (104/423; 20.5–28.7) | −44.7 % | "
        "−19.9 | 28 / 4 | <0.0001 | 71.2 % (301/423; 66.8–75.5) |"
    ) in text
    assert "| demanded call not made | 3.4 % | 2.6 % | −0.8 [−3.0, +1.4] | 400 | not down |" in text
    assert "| `retry` | 120 |" in text
    assert "| `dpo.beta` | `0.5` |" in text
    assert "## How the number is made, and when not to believe it" in text


def test_every_table_row_has_as_many_cells_as_its_head(
    run: RunView, hostile: RunView, tmp_path: Path
) -> None:
    for view in (run, hostile):
        cells = 0
        for line in written(view, tmp_path).splitlines():
            count = line.replace("\\|", "").count("|") if line.startswith("|") else 0
            if count and cells:
                assert count == cells, line
            cells = count


def test_a_scan_alone_has_no_before_and_after(run: RunView, tmp_path: Path) -> None:
    text = written(RunView(title="logs", summary=run.summary), tmp_path)
    assert "## Failures in the logs" in text
    assert "## Before and after" not in text


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("plain", "`plain`"),
        ("a|b", "`a\\|b`"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("a\nb", "`a b`"),
        ("", "` `"),
    ],
)
def test_code_spans_hold_in_a_table(text: str, span: str) -> None:
    assert code(text) == span


@given(st.text())
def test_prose_of_the_logs_has_no_markup_of_its_own(text: str) -> None:
    shown = escape(text)
    assert "<" not in shown
    assert "\n" not in shown
    plain = shown.replace("\\\\", "")
    assert all(f"\\{c}" in plain or c not in plain for c in "`*_[]|")
