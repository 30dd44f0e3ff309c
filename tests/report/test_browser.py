"""report.html in a real headless Chromium: it renders, its script works, hostile text does not act.

Each test opens the page once, with a fresh profile, and reads the DOM that the browser dumps.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from misstep.report import RunView, ScanView, html, write_html, write_scan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
)
Opened = Callable[..., tuple[str, str]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open a file; gives the DOM and what the page's console said."""

    def open_page(path: Path, *flags: str) -> tuple[str, str]:
        assert CHROMIUM is not None
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [CHROMIUM, *FLAGS, profile, *flags, "--dump-dom", path.as_uri()],
            capture_output=True,
            timeout=120,
            check=True,
        )
        console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
        return done.stdout.decode(), "\n".join(console)

    return open_page


def test_the_page_renders_without_a_word_in_the_console(
    run: RunView, tmp_path: Path, opened: Opened
) -> None:
    write_html(run, tmp_path / "report.html")
    dom, console = opened(tmp_path / "report.html")
    assert console == ""
    assert "Failures fell by 45 %" in dom
    assert 'class="copy"' in dom  # our own script ran under the policy


def test_hostile_text_of_the_logs_does_not_run(
    hostile: RunView, tmp_path: Path, opened: Opened
) -> None:
    write_html(hostile, tmp_path / "report.html")
    dom, console = opened(tmp_path / "report.html")
    assert console == ""
    assert "data-hacked" not in dom
    assert dom.count("<script>") == 1
    assert dom.count("<img") == 0
    assert "&lt;script&gt;document.documentElement.dataset.hacked=1&lt;/script&gt;" in dom


def test_the_policy_stops_a_script_that_got_in(
    run: RunView, tmp_path: Path, opened: Opened
) -> None:
    # what would happen if escaping failed one day: the second line of defence holds
    evil = (
        "<script>document.documentElement.dataset.hacked=1</script>"
        '<img src="x" onerror="document.documentElement.dataset.hacked=2">'
        '<p style="position:fixed">'
    )
    path = tmp_path / "report.html"
    path.write_text(html.render(run).replace("<main", f"{evil}<main", 1), encoding="utf-8")
    dom, console = opened(path)
    assert "data-hacked" not in dom
    assert "Content Security Policy" in console


WIDER = (
    "document.documentElement.dataset.wide=[...document.querySelectorAll('body *')]"
    ".filter(e=>!e.closest('.scroll,svg,.sr,.skip')&&e.getBoundingClientRect().right>375.5)"
    ".map(e=>e.tagName+'.'+e.className).join(' ')||'fits'"
)
SCROLLS = (
    "document.documentElement.dataset.wide="
    "document.documentElement.scrollWidth<=375?'fits':document.documentElement.scrollWidth"
)


def test_nothing_is_wider_than_a_phone(run: RunView, tmp_path: Path, opened: Opened) -> None:
    assert widened(run, tmp_path, opened, WIDER) == "fits"


def widened(view: RunView | ScanView, folder: Path, opened: Opened, probe: str) -> str:
    """Run a probe inside a 375 px frame of the page and give what it found."""
    if isinstance(view, RunView):
        write_html(view, folder / "report.html")
    else:
        write_scan(view, folder / "report.html")
    frame = folder / "frame.html"
    frame.write_text(
        '<iframe src="report.html" width="375" height="800" style="border:0"></iframe><script>'
        "onload=()=>{const d=frames[0].document;const f=new Function('document',`"
        + probe.replace("`", "")
        + "`);f(d);document.documentElement.dataset.found=d.documentElement.dataset.wide}</script>",
        encoding="utf-8",
    )
    dom, _ = opened(frame, "--allow-file-access-from-files", "--window-size=500,900")
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found is not None, dom[:500]
    return found.group(1)


def test_long_words_do_not_widen_the_page(run: RunView, tmp_path: Path, opened: Opened) -> None:
    long = "x" * 400
    pairs = [{**run.pairs[0], "id": long, "codes": [long], "source": long, "edits": [long]}]
    counts = {**run.summary, "tools": {long: {"calls": 3, "failed": 1}}}
    shown = replace(
        run, title=long, pairs=pairs, summary=counts, notes=[long], refused={long: 3}, model=long
    )
    assert widened(shown, tmp_path, opened, SCROLLS) == "fits"


def test_the_scan_page_renders_and_its_keys_and_copy_buttons_work(
    scan: ScanView, tmp_path: Path, opened: Opened
) -> None:
    path = tmp_path / "scan.html"
    write_scan(scan, path)
    dom, console = opened(path)
    assert console == ""
    assert dom.count('class="copy"') == 5  # one session, four examples
    assert 'id="hint" hidden' not in dom
    frame = tmp_path / "frame.html"
    frame.write_text(
        '<iframe src="scan.html"></iframe><script>onload=()=>{const d=frames[0].document,out=[],'
        "press=k=>{d.dispatchEvent(new KeyboardEvent('keydown',{key:k}));"
        "const e=d.activeElement;out.push(e.className+(e.closest('details[open]')?' open':''))};"
        "'jjjk'.split('').forEach(press);"
        "document.documentElement.dataset.found=out.join('|')}</script>",
        encoding="utf-8",
    )
    dom, _ = opened(frame, "--allow-file-access-from-files")
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found is not None
    assert found.group(1) == "card worst|card example|card example rest open|card example"


def test_hostile_text_of_the_logs_does_not_run_in_the_scan_page(
    hostile_scan: ScanView, tmp_path: Path, opened: Opened
) -> None:
    write_scan(hostile_scan, tmp_path / "scan.html")
    dom, console = opened(tmp_path / "scan.html")
    assert console == ""
    assert "data-hacked" not in dom
    assert (dom.count("<script>"), dom.count("<img")) == (1, 0)
    assert "&lt;script&gt;document.documentElement.dataset.hacked=1&lt;/script&gt;" in dom


def test_the_scan_page_is_not_wider_than_a_phone(
    scan: ScanView, tmp_path: Path, opened: Opened
) -> None:
    assert widened(scan, tmp_path, opened, WIDER) == "fits"


def test_long_words_and_names_do_not_widen_the_scan_page(
    hostile_scan: ScanView, tmp_path: Path, opened: Opened
) -> None:
    shown = replace(hostile_scan, title="x" * 400)
    assert widened(shown, tmp_path, opened, SCROLLS) == "fits"
