"""The review screen, driven by real key presses in a headless terminal."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("textual", reason="needs the extra `review`")

from textual.widgets import Input, Static, TextArea

from misstep.report.pairview import pair_view
from misstep.report.reviewing import ReviewApp


class Table:
    """Three pairs in memory; the second one cannot be swapped."""

    def __init__(self, text: str = "right") -> None:
        self.said: dict[int, str] = {}
        self.texts = {at: f"{text} {at}" for at in range(3)}
        self.codes = ["WRONG_TYPE", "ENUM", "WRONG_TYPE"]

    def __len__(self):
        return 3

    def view(self, at):
        row = {
            "id": f"pair-{at}",
            "source": "sibling",
            "codes": [self.codes[at]],
            "prompt": [{"role": "user", "content": f"question {at}"}],
            "chosen": [{"role": "assistant", "content": self.texts[at]}],
            "rejected": [{"role": "assistant", "content": f"wrong {at}"}],
            "marks": [{"code": self.codes[at], "evidence": "expected a number", "channel": "x"}],
            "origin_chosen": [{"file": "a.jsonl", "line": 7}],
            "origin_rejected": [{"file": "b.jsonl", "line": 8}],
        }
        return pair_view(row, at + 1)

    def word(self, at):
        return self.said.get(at, "")

    def words(self, at):
        return ("sibling", self.codes[at], self.word(at) or "undecided")

    def decide(self, at, word):
        if word == "swap" and at == 1:
            return "CHOSEN_FAILS: the chosen side is not clean here"
        self.said[at] = word
        return None

    def editable(self, at):
        return self.texts[at]

    def edit(self, at, text):
        if "bad" in text:
            return "SECRET: the chosen side holds a secret"
        self.texts[at], self.said[at] = text, "edit"
        return None


def seen(app, name):
    return str(app.screen.query_one(f"#{name}", Static).render())


def play(table, *keys, size=(80, 24), wanted="", look=("head",)):
    """Press keys; gives what the named places of the screen then say."""

    async def run():
        app = ReviewApp(table, wanted)
        async with app.run_test(size=size) as pilot:
            await pilot.press(*keys)
            await pilot.pause()
            return [seen(app, name) for name in look]

    return asyncio.run(run())


def test_a_pair_shows_its_prompt_both_sides_the_finding_and_where_it_came_from():
    places = ("head", "prompt-text", "chosen-text", "rejected-text", "foot")
    head, prompt, chosen, rejected, foot = play(Table(), look=places)
    assert head.startswith("1/3  WRONG_TYPE  sibling  undecided")
    assert "question 0" in prompt
    assert (chosen, rejected) == ("right 0", "wrong 0")
    assert "WRONG_TYPE: expected a number" in foot
    assert "a.jsonl:7" in foot
    assert "b.jsonl:8" in foot


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)])
def test_every_part_of_a_pair_has_room_on_screens_of_any_size(size):
    async def run():
        app = ReviewApp(Table())
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            return [app.query_one(f"#{name}").region for name in ("prompt", "chosen", "rejected")]

    for region in asyncio.run(run()):
        assert region.width > 10
        assert region.height >= 3


def test_keys_decide_and_go_on_to_the_next_pair():
    table = Table()
    (head,) = play(table, "k", "d")
    assert table.said == {0: "keep", 1: "drop"}
    assert head.startswith("3/3")


def test_a_swap_that_cannot_stand_says_why_and_stays():
    table = Table()
    head, foot = play(table, "n", "s", look=("head", "foot"))
    assert table.said == {}
    assert head.startswith("2/3")
    assert foot == "not swapped: CHOSEN_FAILS: the chosen side is not clean here"


def test_an_undo_is_written_and_the_pair_stays():
    table = Table()
    (head,) = play(table, "k", "b", "u")
    assert table.said == {0: "undo"}
    assert head.startswith("1/3")


def test_an_edited_side_is_saved_and_shown():
    table = Table()
    chosen, head = play(table, "e", "x", "ctrl+s", look=("chosen-text", "head"))
    assert table.texts[0] == "xright 0"
    assert chosen == "xright 0"
    assert "edited" in head


def test_an_edit_that_a_validator_objects_to_is_not_closed():
    async def run():
        app = ReviewApp(Table())
        async with app.run_test() as pilot:
            await pilot.press("e", "b", "a", "d", "ctrl+s")
            await pilot.pause()
            open_still = isinstance(app.screen.query_one("#text"), TextArea)
            said = seen(app, "why")
            await pilot.press("escape")
            await pilot.pause()
            return open_still, said, seen(app, "chosen-text")

    assert asyncio.run(run()) == (
        True,
        "not saved: SECRET: the chosen side holds a secret",
        "right 0",
    )


def test_a_filter_shows_the_pairs_of_a_code_and_can_be_taken_back():
    async def run():
        table = Table()
        app = ReviewApp(table)
        async with app.run_test() as pilot:
            await pilot.press("f")
            await pilot.pause()
            app.screen.query_one(Input).value = "enum"
            await pilot.press("enter")
            await pilot.pause()
            narrow = seen(app, "head")
            await pilot.press("f")
            await pilot.pause()
            app.screen.query_one(Input).value = "no-such"
            await pilot.press("enter")
            await pilot.pause()
            still = seen(app, "head")
            await pilot.press("f")
            await pilot.pause()
            app.screen.query_one(Input).value = ""
            await pilot.press("enter")
            await pilot.pause()
            return narrow, still, seen(app, "head")

    narrow, still, every = asyncio.run(run())
    assert narrow.startswith("1/1  ENUM  sibling  [enum]")
    assert still == narrow
    assert every.startswith("1/3")


def test_the_screen_begins_with_the_first_pair_that_nothing_was_said_of():
    table = Table()
    table.said = {0: "keep"}
    (head,) = play(table)
    assert head.startswith("2/3")


def test_terminal_escapes_and_direction_marks_of_logged_text_are_spelled_not_sent():
    table = Table("\x1b[31mred\x1b]0;title\x07 \u202egnp [bold]x[/bold]")

    async def run():
        app = ReviewApp(table)
        async with app.run_test() as pilot:
            await pilot.pause()
            return seen(app, "chosen-text"), app.export_screenshot()

    chosen, picture = asyncio.run(run())
    assert chosen == r"\u{1b}[31mred\u{1b}]0;title\u{7} \u{202e}gnp [bold]x[/bold] 0"
    assert "\x1b" not in picture
    assert "\u202e" not in picture


def test_q_leaves():
    async def run():
        app = ReviewApp(Table())
        async with app.run_test() as pilot:
            await pilot.press("q")
            await pilot.pause()
            return app.is_running

    assert asyncio.run(run()) is False
