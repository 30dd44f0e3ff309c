"""The documentation site: built strictly, complete, and without a word to another host."""

import html
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the site needs the docs extra")

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.source

LOADS = re.compile(
    r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?(https?:)?//[^\s>]*"""
)
FETCHED = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """As `make docs` builds it; a broken link or a page outside the navigation fails."""
    out = tmp_path_factory.mktemp("site")
    words = ["build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "", "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_site_holds_every_page_and_every_decision(site):
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= pages
    assert {f"design/{path.stem}.html" for path in (ROOT / "design").glob("*.md")} <= pages


def test_the_site_loads_nothing_from_elsewhere(site):
    loaded = {
        f"{path.relative_to(site)}: {found[0][:90]}"
        for path in site.rglob("*.html")
        for found in LOADS.finditer(path.read_text())
        if 'rel="canonical"' not in found[0]
    }
    assert loaded == set()
    styles = [path.name for path in site.rglob("*.css") if FETCHED.search(path.read_text())]
    assert styles == []


def test_pictures_of_the_docs_fetch_nothing():
    for path in (ROOT / "docs" / "images").glob("*.svg"):
        text = path.read_text()
        assert not re.search(r"""(?:href|src)=["']https?:|url\(["']?https?:|@import""", text), path


def test_the_recorded_session_is_what_a_scan_says_today():
    made = runpy.run_path(str(ROOT / "docs" / "record.py"))
    drawn, fresh = (
        _words(html.unescape(text))
        for text in (made["OUT"].read_text(), made["picture"](made["spoken"]()))
    )
    assert drawn == fresh, "run: python docs/record.py"


def _words(svg):
    """The text of a recorded session, without seconds, which differ from run to run."""
    said = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    return re.sub(r"\d+\.\d.s\b", "", said)
