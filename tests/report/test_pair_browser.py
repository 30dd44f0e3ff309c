"""The pair browser of report.html in a real headless Chromium: filters, search, keys, ten thousand.

The page is opened from disk under its own policy; what the console says fails a test.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from misstep.report import RunView, write_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
MANY = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Open the report of a view and wait for its pairs; the console must stay silent."""
    console: list[str] = []
    contexts = []

    def opened(view: RunView, **look: Any) -> Page:
        write_html(view, tmp_path / "report.html")
        look = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | look
        contexts.append(browser.new_context(**look))
        page = contexts[-1].new_page()
        page.on("console", lambda message: console.append(message.text))
        page.on("pageerror", lambda error: console.append(str(error)))
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector("[data-shown]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert console == []


def shown(page: Page) -> str:
    return page.inner_text("#shown")


def waits_for(page: Page, count: str) -> None:
    """Polled from outside: the policy refuses the script that `wait_for_function` polls by."""
    expect(page.locator("#shown")).to_have_text(count)


def test_filters_and_search_leave_what_fits(run: RunView, open_page: Any) -> None:
    page = open_page(run)
    assert shown(page) == "8 of 8"
    page.select_option("[name=source]", label="retry (4)")
    assert shown(page) == "4 of 8"
    page.select_option("[name=code]", label="ENUM (2)")
    assert shown(page) == "1 of 8"
    page.fill("[name=q]", "(#3)")  # stands in the prompt
    waits_for(page, "1 of 8")
    assert page.inner_text("#detail h3") == "Pair 3"
    page.fill("[name=q]", "absent")
    waits_for(page, "0 of 8")
    assert page.is_visible("#none")
    page.fill("[name=q]", "")
    page.select_option("[name=source]", label="all")
    page.select_option("[name=code]", label="all")
    page.select_option("[name=tool]", label="convert_units (8)")
    waits_for(page, "8 of 8")


def test_keys_go_from_pair_to_pair_and_into_the_search(run: RunView, open_page: Any) -> None:
    page = open_page(run)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.inner_text("#detail h3") == "Pair 2"
    assert page.url.endswith("#pair-2")
    assert page.inner_text("#said") == "Pair 2 of 8: WRONG_TYPE"
    page.keyboard.press("/")
    page.keyboard.type("jjj")
    assert page.input_value("[name=q]") == "jjj"
    waits_for(page, "0 of 8")
    page.fill("[name=q]", "")
    page.keyboard.press("Escape")
    page.focus("#rows")
    page.keyboard.press("End")
    assert page.inner_text("#detail h3") == "Pair 8"
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#detail h3") == "Pair 7"
    assert page.get_attribute("#rows", "aria-activedescendant") == "row-6"
    assert page.get_attribute("#row-6", "aria-selected") == "true"


def test_a_pair_shows_its_prompt_both_sides_the_marks_and_a_line_to_copy(
    run: RunView, open_page: Any
) -> None:
    page = open_page(run, permissions=["clipboard-read", "clipboard-write"])
    assert "How many kilometres are three miles? (#1)" in page.inner_text("#detail .tail")
    assert page.inner_text("#detail .rejected mark") == '"three"'
    assert page.inner_text("#detail .chosen .diff >> nth=0") == "3"
    assert "/value: expected number, got string" in page.inner_text("#detail .evidence")
    page.click("#detail .copy")
    expect(page.locator("#detail .copy")).to_have_text("copied")
    line = page.evaluate("navigator.clipboard.readText()")
    assert line == (
        "rejected from logs/a.jsonl:1 · chosen from logs/a.jsonl:2 · id 0000000000000001"
    )


def test_a_link_to_a_pair_opens_it(run: RunView, open_page: Any, tmp_path: Path) -> None:
    page = open_page(run)
    page.goto((tmp_path / "report.html").as_uri() + "#pair-5")
    expect(page.locator("#detail h3")).to_have_text("Pair 5")


def test_a_link_to_a_section_lands_there_whatever_grows_or_shrinks_on_the_way(
    run: RunView, open_page: Any, tmp_path: Path
) -> None:
    view = many(run)
    page = open_page(replace(view, pairs=view.pairs[:200]), reduced_motion="no-preference")
    page.goto("about:blank")
    page.goto((tmp_path / "report.html").as_uri() + "#pairs")
    page.wait_for_selector("[data-shown]")
    page.wait_for_timeout(2000)  # as long as a smooth scroll would take
    assert 0 <= page.locator("#pairs").bounding_box()["y"] <= 120


def test_the_name_of_an_unknown_tool_is_marked(run: RunView, open_page: Any) -> None:
    mark = {"channel": "arguments", "call": 0, "start": 0, "end": 0, "named": True, "code": "X"}
    page = open_page(replace(run, pairs=[{**run.pairs[0], "marks": [mark]}]))
    assert page.inner_text("#detail .rejected .call-name mark") == "convert_units"


def test_hostile_pairs_become_text(hostile: RunView, open_page: Any) -> None:
    page = open_page(hostile)
    page.keyboard.press("j")
    assert "<script>document.documentElement.dataset.hacked=1" in page.inner_text("#detail")
    assert "\\u{202e}gnirts" in page.inner_text("#detail")
    page.fill("[name=q]", "onerror")
    waits_for(page, "2 of 2")
    assert page.evaluate("document.documentElement.dataset.hacked") is None
    assert page.locator("img").count() == 0


def test_five_megabytes_in_one_message_stay_quick(
    run: RunView, hostile: RunView, open_page: Any
) -> None:
    rows = [run.pairs[0] | {"rejected": [{"content": hostile.title * 14_000}]}]
    started = time.perf_counter()
    page = open_page(replace(run, pairs=rows))
    assert "characters left out" in page.inner_text("#detail .rejected")
    assert time.perf_counter() - started < 30


def test_a_phone_shows_list_above_pair_and_nothing_wider(run: RunView, open_page: Any) -> None:
    page = open_page(run, viewport={"width": 375, "height": 812})
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    rows, detail = (page.locator(each).bounding_box() for each in ("#rows", "#detail"))
    assert rows["y"] + rows["height"] <= detail["y"]


def test_paper_shows_the_first_pairs_and_no_list(run: RunView, open_page: Any) -> None:
    page = open_page(run)
    assert not page.is_visible(".paper")
    page.emulate_media(media="print")
    assert page.is_visible(".paper")
    assert not page.is_visible("#browser")
    page.set_viewport_size({"width": 720, "height": 1000})  # A4 within its margins
    wide = "[...document.querySelectorAll('table')].filter(t => t.offsetWidth > 700).length"
    assert page.evaluate(wide) == 0


def test_without_scripts_the_first_pairs_are_there(
    run: RunView, browser: Browser, tmp_path: Path
) -> None:
    write_html(run, tmp_path / "report.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator(".paper article").count() == 8
    assert not page.is_visible("#browser")
    context.close()


def many(run: RunView) -> RunView:
    def row(n: int) -> dict[str, Any]:
        call = {"name": "convert_units", "arguments": f'{{"value": "three", "to": "unit{n}"}}'}
        return run.pairs[n % 8] | {
            "prompt": [{"role": "user", "content": f"Task {n}: " + f"word{n % 97} " * 120}],
            "rejected": [{"role": "assistant", "tool_calls": [{"function": call}]}],
        }

    rows = [row(n) for n in range(1, MANY + 1)]
    return replace(run, pairs=rows, pairs_total=MANY + 500, pairs_train=MANY + 500)


def test_ten_thousand_pairs_scroll_and_are_searched_smoothly(
    run: RunView, open_page: Any, tmp_path: Path
) -> None:
    page = open_page(many(run))
    assert (tmp_path / "report.html").stat().st_size < 20_000_000
    assert shown(page) == "10,000 of 10,000"
    assert "The first 10,000 are in this file" in page.inner_text("#pairs .lead")
    assert page.locator(".row").count() < 40  # rows are drawn when they are seen
    slowest = page.evaluate(
        """async () => {
          const list = document.getElementById("rows");
          let slowest = 0, before = performance.now();
          for (let i = 0; i < 60; i += 1) {
            list.scrollTop = i * 9973 % list.scrollHeight;
            await new Promise(done => requestAnimationFrame(done));
            const now = performance.now();
            slowest = Math.max(slowest, now - before);
            before = now;
          }
          return slowest;
        }"""
    )
    assert slowest < 250  # ms a frame, on a busy machine
    assert page.locator(".row").count() < 40
    started = time.perf_counter()
    page.fill("[name=q]", "unit9999")
    waits_for(page, "1 of 10,000")
    assert time.perf_counter() - started < 15
    assert re.search("unit9999", page.inner_text("#detail"))
    started = time.perf_counter()
    page.fill("[name=q]", "word13")
    waits_for(page, "103 of 10,000")
    assert time.perf_counter() - started < 5  # read once, kept
