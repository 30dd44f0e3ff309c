"""report.html as a text: self-contained, well-formed, escaped."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import time
from dataclasses import replace
from pathlib import Path

from misstep.report import RunView, html, write_html
from pages import Page


def test_the_page_nests_and_has_one_script_one_style_and_the_packed_pairs(run: RunView) -> None:
    page = Page(html.render(run))
    assert (page.faults, page.open) == ([], [])
    assert (page.tags.count("script"), page.tags.count("style"), page.tags.count("h1")) == (2, 1, 1)
    assert ("type", "text/plain") in page.attributes  # data, which no browser runs


def test_hostile_text_adds_no_tag_and_no_handler(run: RunView, hostile: RunView) -> None:
    page = Page(html.render(hostile))
    assert (page.faults, page.open) == ([], [])
    assert set(page.tags) <= set(Page(html.render(run)).tags) | {"ul", "li"}
    assert (page.tags.count("script"), page.tags.count("style")) == (2, 1)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    links = [value for name, value in page.attributes if name in ("href", "src")]
    assert all(value.startswith("#") for value in links)
    assert "49" not in page.texts  # {{ 7*7 }} stays as it is


def test_hostile_text_is_there_to_be_read(hostile: RunView) -> None:
    shown = "".join(Page(html.render(hostile)).texts)
    assert "<script>document.documentElement.dataset.hacked=1</script>" in shown
    assert "\\u{1b}[31mred" in shown
    assert "\\u{202e}gnirts" in shown
    assert "{{ 7*7 }}" in shown


def test_the_policy_names_the_hashes_of_what_stands_in_the_page(run: RunView) -> None:
    text = html.render(run)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    said = policy.group(1).replace("&#39;", "'")
    assert said.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; ")
    assert "unsafe" not in said
    for tag in ("style", "script"):
        body = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body.group(1).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in said


def test_the_page_points_nowhere_outside(run: RunView) -> None:
    text = html.render(run)
    shown = re.sub(r'(<script type="text/plain" id="packed">)[^<]*', r"\1", text)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", shown)


def test_the_page_holds_verdict_funnel_tables_and_pairs(run: RunView) -> None:
    shown = "".join(Page(html.render(run)).texts)
    assert (
        "400not down" in shown
    )  # and not that it holds: the interval says what it leaves room for
    for words in (
        "Failures fell by 45 %",
        "Guards: failing less must not mean doing less",
        "Collateral: what was clean and fails now",
        "reward accuracy",
        "182 pairs to train on, 21 more for the choices made on the way.",
        "The first 8 are in this file; all are in the run folder",
        "Sessions with the most failed steps",
        "2.0 × 10⁻⁵",
        "chosen, median 38",
        "rejected from logs/a.jsonl:1 · chosen from logs/a.jsonl:2",
        "/value: expected number, got string",
        "candidate pairs refused",
        "44 failed steps found nothing better to be paired with.",
        "How the number is made, and when not to believe it",
        "dpo.loss_type",
    ):
        assert words in shown, words


def test_a_scan_alone_shows_the_failures_alone(run: RunView) -> None:
    page = Page(html.render(RunView(title="logs", summary=run.summary, page=run.page)))
    shown = "".join(page.texts)
    assert page.faults == []
    assert "What fails" in shown
    assert "Pairs" not in shown
    assert "Before and after" not in shown
    assert "Verdict" not in shown


def test_one_of_a_kind_is_not_many(run: RunView) -> None:
    page = html.render(replace(run, summary={**(run.summary or {}), "files": 1}))
    assert '<span class="count">1</span><span class="name">file</span>' in page
    assert '<span class="name">sessions</span>' in page


def test_an_empty_view_is_a_page_too() -> None:
    page = Page(html.render(RunView()))
    assert page.faults == []
    assert "No agent steps were found." in page.texts


def test_nothing_to_train_is_said_once() -> None:
    scores = {"scores": [], "paired": [], "verdict": "nothing-to-train", "why": "no step failed"}
    shown = "".join(Page(html.render(RunView(scores=scores))).texts)
    assert shown.count("no step failed") == 1


def test_the_same_run_gives_the_same_bytes(run: RunView) -> None:
    assert html.render(run) == html.render(run)


def test_very_many_long_pairs_stay_within_the_size_and_the_minute(run: RunView) -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghij", k=7)) for _ in range(50_000)]
    long = [
        {
            **row,
            "chosen": [{"content": " ".join(draw.choices(words, k=2_000))}],
            "rejected": [{"content": " ".join(draw.choices(words, k=90_000))}],
        }
        for row in list(run.pairs) * 2
    ] * 400
    started = time.process_time()
    text = html.render(replace(run, pairs=long, pairs_total=6_400, pairs_train=6_400))
    assert len(text) < 20_000_000
    assert time.process_time() - started < 60
    said = re.search(r"The first ([0-9,]+) are in this file", text)
    assert said is not None
    assert 1_000 < int(said[1].replace(",", "")) < 6_400


def test_the_file_is_written_whole(run: RunView, tmp_path: Path) -> None:
    write_html(run, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html.render(run)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_pictures_are_let_in_for_a_run_of_pages_alone(run: RunView) -> None:
    assert "img-src" not in html.render(run)
    page = {"place": "a.pdf", "image": None, "why": "too large", "gold": None, "answers": []}
    text = html.render(replace(run, pages=[page]))
    assert "; img-src data:" in text
    assert "too large" in text
