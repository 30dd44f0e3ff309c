"""The pages in a real headless Chromium, read by axe-core: nothing in them shuts a reader out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from misstep.report import RunView, ScanView, write_html, write_scan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

LOOKS = (
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "light", "viewport": {"width": 375, "height": 800}},
)
"""A desk by day, a desk by night, a phone."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def violations(browser: Browser, path: Path, look: dict[str, Any]) -> list[str]:
    """What axe-core holds against a page with everything in it unfolded."""
    # the page's own policy allows no foreign script; axe comes as one
    context = browser.new_context(bypass_csp=True, **look)
    page = context.new_page()
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    found = Axe().run(page).response["violations"]
    context.close()
    return [
        f"{each['impact']} {each['id']} ×{len(each['nodes'])}: {each['nodes'][0]['html'][:120]}"
        for each in found
    ]


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_axe_has_nothing_against_the_scan_page(
    scan: ScanView, tmp_path: Path, browser: Browser, look: dict[str, Any]
) -> None:
    write_scan(scan, tmp_path / "scan.html")
    assert violations(browser, tmp_path / "scan.html", look) == []


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_axe_has_nothing_against_the_report(
    run: RunView, tmp_path: Path, browser: Browser, look: dict[str, Any]
) -> None:
    write_html(run, tmp_path / "report.html")
    assert violations(browser, tmp_path / "report.html", look) == []


def test_axe_sees_a_page_that_shuts_readers_out(tmp_path: Path, browser: Browser) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<p style="color:#eee">faint</p><img src="x"><input>', encoding="utf-8")
    found = " ".join(violations(browser, bad, LOOKS[0]))
    assert {"color-contrast", "image-alt", "label"} <= set(found.split())
