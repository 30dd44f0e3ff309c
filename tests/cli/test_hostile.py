"""A log of markup, terminal escapes, bidi characters and 5 MB of text, through to the report."""

import base64
import gzip
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from logs import RIGHT, WRONG, session, write
from misstep.cli import main
from misstep.pipeline.view import view
from misstep.report import html, terminal_summary
from pages import Page

HOSTILE = (
    "</script><script>document.documentElement.dataset.hacked=1</script><img src=x onerror=1>"
    " \x1b[31m\x1b]0;title\x07 \u202eevil\u2066 \x9b31m \u2028 {{ 7*7 }}"
)
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a person sees of the pairs that such a log gives: the view, and what mining said."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for task in range(1, 9):
        for arguments in (RIGHT % task, WRONG % task, f'{{"minutes": "{HOSTILE[:40]}"}}'):
            row = session(task, arguments.replace("\x1b", "\\u001b"))
            row["messages"].insert(0, {"role": "system", "content": HOSTILE})
            row["messages"][1]["content"] += HOSTILE
            row["messages"][-1]["content"] = HOSTILE
            rows.append(row)
    for row in rows[:2]:  # 5 MB, in the prompt of a pair
        row["messages"][1]["content"] += HOSTILE * (5_000_000 // len(HOSTILE))
    log = write(folder / f"{HOSTILE[:20].replace('/', '')}\u202e.jsonl", rows)
    started = time.perf_counter()
    words = ["mine", str(log), "-o", str(folder / "run"), "--set", "mine.heldout=0.1"]
    said = CliRunner().invoke(main, [*words, "--set", "mine.dev=0.1", "--set", "mine.min_votes=1"])
    assert said.exit_code == 0, said.output
    seen = view(folder / "run", whole=True)
    page = html.render(seen)
    assert time.perf_counter() - started < 60
    return seen, said.output, page


def packed(page: str) -> str:
    found = re.search(r'id="packed">([^<]*)<', page)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1])).decode()


def test_the_report_of_it_holds_its_text_and_no_tag_of_it(run):
    seen, _, page = run
    assert len(seen.pairs) > 1
    read = Page(page)
    assert (read.faults, read.open) == ([], [])
    assert (read.tags.count("script"), "img" in read.tags) == (2, False)
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]
    assert "&lt;script&gt;document.documentElement.dataset.hacked=1" in page
    assert "{{ 7*7 }}" in page


def test_no_character_of_it_moves_the_text_around_it(run):
    _, said, page = run
    assert HARMFUL.findall(page) == []
    assert HARMFUL.findall(packed(page)) == []
    assert HARMFUL.findall(said.replace("\n", "")) == []
    assert "\\\\u{202e}evil" in packed(page)


def test_five_megabytes_make_a_small_page(run):
    _, _, page = run
    assert len(page) < 1_000_000
    assert "characters left out" in page


def test_the_terminal_shows_no_escape_of_it(run):
    seen, _, _ = run
    assert HARMFUL.findall(terminal_summary(seen).replace("\n", "")) == []


def test_the_fixture_is_hostile(run):
    assert HARMFUL.search(HOSTILE)
    assert any("dataset.hacked" in str(row["prompt"]) for row in run[0].pairs)
    assert Path(__file__).read_text().isascii()
