"""The failure page of a scan as a text: what it shows, and that hostile text does nothing."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from misstep.report import ScanView, write_scan
from misstep.report.advice import advice_for
from misstep.report.rates import over_time
from misstep.report.scanpage import render
from pages import Page


def shown(view: ScanView) -> str:
    return " ".join("".join(Page(render(view)).texts).split())


def test_the_page_nests_and_points_nowhere_outside(scan: ScanView) -> None:
    text = render(scan)
    page = Page(text)
    assert (page.faults, page.open) == ([], [])
    assert (page.tags.count("script"), page.tags.count("style"), page.tags.count("h1")) == (1, 1, 1)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text)
    assert "default-src &#39;none&#39;; base-uri &#39;none&#39;" in text


def test_every_link_leads_to_a_place_in_the_page(scan: ScanView) -> None:
    page = Page(render(scan))
    ids = {value for name, value in page.attributes if name == "id"}
    links = [value for name, value in page.attributes if name == "href"]
    assert len(ids) == sum(name == "id" for name, _ in page.attributes)
    assert {link.removeprefix("#") for link in links} <= ids


@pytest.mark.parametrize(
    "words",
    [
        "581 of 3,786 steps failed (at least 15.3 %); most often WRONG_TYPE.",
        "Defects The model did it",
        "WRONG_TYPEa value of another type than the schema asks for",
        "7.1 % 2.1–12.1 212 of 3,000",
        "Suspects Likely wrong",
        "18 more",
        "1 more are not shown: nothing of theirs could be judged.",
        "By day (UTC)",
        "5 steps carry no time.",
        "2 of 9 steps failed, 1 were not judged",
        "2 copies",
        '{"value": "three"}',
        "in arguments · at /value · coercible · by some-model",
        "logs/a.jsonl:7 · row 3 · openai-chat · session 0123456789abcdef · step 3",
        "1 more from other sessions",
        "no tools are known300--tools FILE with their schemas",
        "search 12 and 2 more",
        "calls without a schema9--tools FILE",
        "openai-chatnot-json2logs/b.jsonl:4: line 1 column 3",
        "claude-codeprogress31",
    ],
)
def test_the_page_holds(scan: ScanView, words: str) -> None:
    text = shown(scan).replace("\N{NO-BREAK SPACE}", " ")
    assert words.replace(" ", "") in text.replace(" ", "")


def test_the_offending_span_is_marked_inside_its_text(scan: ScanView) -> None:
    assert '<pre>{&#34;value&#34;: <mark class="mark">&#34;three&#34;</mark>}</pre>' in render(scan)


def test_a_strip_has_a_cell_for_each_step_and_does_not_live_by_colour_alone(
    scan: ScanView,
) -> None:
    text = render(scan)
    (strip,) = re.findall(r'<svg class="strip".*?</svg>', text)
    assert re.findall(r'rect class="(.)"', strip) == list("ppfsfppup")
    heights = dict(re.findall(r'rect class="(.)".*? height="([0-9.]+)"', strip))
    assert len(set(heights.values())) == 4
    assert 'aria-label="2 of 9 steps failed, 1 were not judged"' in strip


def test_a_long_strip_draws_equal_neighbours_as_one(scan: ScanView) -> None:
    session = {**scan.page["sessions"][0], "strip": "p" * 200 + "f" * 200, "share": 25}
    text = render(replace(scan, page={**scan.page, "sessions": [session]}))
    (strip,) = re.findall(r'<svg class="strip".*?</svg>', text)
    assert strip.count("<rect") == 2
    assert "A cell stands for 25 steps" in text


def test_hostile_text_adds_no_tag_and_no_handler(scan: ScanView, hostile_scan: ScanView) -> None:
    page = Page(render(hostile_scan))
    assert (page.faults, page.open) == ([], [])
    assert set(page.tags) <= set(Page(render(scan)).tags)
    assert (page.tags.count("script"), page.tags.count("style")) == (1, 1)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    links = [value for name, value in page.attributes if name in ("href", "src")]
    assert all(value.startswith("#") for value in links)
    assert "49" not in page.texts


def test_hostile_text_is_there_to_be_read(hostile_scan: ScanView) -> None:
    text = "".join(Page(render(hostile_scan)).texts)
    for words in ("<script>document", "\\u{1b}[31mred", "\\u{202e}gnirts", "\\u{0}", "\\u{d800}"):
        assert words in text
    assert not [c for c in text if (c < " " and c not in "\n\t") or c in "\u202e\u2066\x7f"]


def test_an_empty_scan_is_a_page_too() -> None:
    page = Page(render(ScanView()))
    assert page.faults == []
    assert "No agent steps were found." in page.texts


def test_the_same_scan_gives_the_same_bytes(scan: ScanView, tmp_path: Path) -> None:
    write_scan(scan, tmp_path / "scan.html")
    assert (tmp_path / "scan.html").read_text(encoding="utf-8") == render(scan)


def test_very_many_names_stay_small_and_quick(scan: ScanView) -> None:
    row = scan.page["tools"][1]
    many = [{**row, "name": f"tool-{i}-{'x' * 60}"} for i in range(50_000)]
    started = time.process_time()
    text = render(replace(scan, page={**scan.page, "tools": many, "models": many}))
    assert len(text) < 2_000_000
    assert time.process_time() - started < 20


def test_a_long_time_is_shown_by_month_with_its_gaps() -> None:
    rate = {"k": 1, "n": 9, "value": 1 / 9, "low": 0.02, "high": 0.4, "all": 9}
    days = [rate | {"name": f"2025-{month:02}-03"} for month in (1, 2, 11)]
    months = [rate | {"name": f"2025-{month:02}"} for month in (1, 2, 11)]
    shown = over_time(days, months)
    assert shown is not None
    assert (shown.unit, len(shown.lines)) == ("month", 3)
    assert [round(at) for _, at in shown.points] == [5, 14, 95]


def test_nothing_dated_needs_no_chart() -> None:
    assert over_time([], []) is None


def test_advice_gives_way_to_the_room_there_is() -> None:
    assert advice_for("no tools are known").startswith("--tools FILE with their schemas")
    assert advice_for("no tools are known", 40) == "--tools FILE; see misstep tools"
    assert advice_for("no tools are known", 3) == advice_for("a reason of a plug-in") == ""
