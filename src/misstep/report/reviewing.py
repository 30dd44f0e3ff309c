"""The screen on which a person reviews pairs: one pair at a time, keys for what is to become of it.

In: a `Sitting` that shows pairs and writes decisions. Out: what the person decides, handed over key
by key. Log text is shown as text, never as markup, its control characters spelled (`visible`).
Needs Textual, which is loaded with this module and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal, Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static, TextArea

from misstep.report.pairview import Block, PairView

Word = Literal["keep", "drop", "swap", "edit", "undo"]
_DONE = {"keep": "kept", "drop": "dropped", "swap": "swapped", "edit": "edited"}
_SIGNS = {"call": "calls "}
_STYLES = {
    ("chosen", "diff"): "black on green3",
    ("rejected", "diff"): "black on orange3",
    ("rejected", "mark"): "bold white on red3 underline",
    ("rejected", "diff mark"): "bold white on red3 underline",
}


class Sitting(Protocol):
    """What the screen asks of the pairs."""

    def __len__(self) -> int: ...
    def view(self, at: int) -> PairView:
        """A pair made ready."""

    def word(self, at: int) -> str:
        """What was decided; empty where nothing was."""

    def words(self, at: int) -> Iterable[str]:
        """What a filter may name: source, codes, decision."""

    def decide(self, at: int, word: Word) -> str | None:
        """Write a decision; gives why it cannot stand."""

    def editable(self, at: int) -> str:
        """The chosen side as text to edit."""

    def edit(self, at: int, text: str) -> str | None:
        """Write an edited chosen side; gives why it cannot stand."""


class Editor(ModalScreen[bool]):
    """The chosen side as text; saved only if every validator finds it clean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "check and save", priority=True),
        Binding("escape", "leave", "leave it", priority=True),
    ]

    def __init__(self, text: str, save: Callable[[str], str | None]) -> None:
        super().__init__()
        self._text = text
        self._save = save

    def compose(self) -> ComposeResult:
        """The text, why it cannot stand, and the keys."""
        area = TextArea(self._text, id="text", soft_wrap=True)
        area.border_title = "chosen side"
        yield area
        yield Static("", id="why")
        yield Footer()

    def action_save(self) -> None:
        """Close if it may stand, else say why not."""
        why = self._save(self.query_one(TextArea).text)
        if why is None:
            self.dismiss(True)
        else:
            self.query_one("#why", Static).update(Text(f"not saved: {why}", style="bold red"))

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(False)


class Filter(ModalScreen[str | None]):
    """One line: a code, a source or a decision."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave it")]

    def __init__(self, known: Sequence[str], now: str) -> None:
        super().__init__()
        self._known = known
        self._now = now

    def compose(self) -> ComposeResult:
        """The line, and what it may say."""
        line = Input(self._now, placeholder="empty shows all", id="filter")
        line.border_title = "show only: code, source, or decision"
        yield line
        yield Static(Text(", ".join(self._known)), id="known")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the line back."""
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(None)


class ReviewApp(App[None]):
    """One pair at a time."""

    TITLE = "misstep review"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as the base has it
    CSS = """
    Screen { layout: vertical; }
    #head { height: 1; background: $primary; color: $text; padding: 0 1; }
    VerticalScroll { scrollbar-size-vertical: 1; padding: 0 1; }
    #prompt { height: 1fr; min-height: 5; border: round $foreground 60%; }
    #sides { height: auto; layout: vertical; }
    #chosen, #rejected { height: auto; min-height: 4; max-height: 35vh; width: 1fr; }
    .-wide #sides { layout: horizontal; }
    .-wide #chosen, .-wide #rejected { max-height: 60vh; }
    #chosen { border: round green; }
    #rejected { border: round red; }
    #foot { height: auto; max-height: 5; padding: 0 1; }
    Editor { align: center middle; }
    Editor TextArea { height: 1fr; border: round green; }
    Editor #why { height: auto; max-height: 4; padding: 0 1; }
    Filter { align: center middle; }
    Filter Input, Filter #known { width: 80%; }
    Filter Input { border: round $accent; }
    Filter #known { background: $surface; padding: 0 1; height: auto; max-height: 8; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "decide('keep')", "keep"),
        Binding("d", "decide('drop')", "drop"),
        Binding("s", "decide('swap')", "swap"),
        Binding("e", "edit", "edit"),
        Binding("u", "decide('undo')", "undo"),
        Binding("n,right", "go(1)", "next", key_display="n"),
        Binding("b,left", "go(-1)", "back", key_display="b"),
        Binding("f", "filter", "filter"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, sitting: Sitting, wanted: str = "") -> None:
        super().__init__()
        self._sitting = sitting
        self._wanted = wanted
        self._order: list[int] = []
        self._here = 0

    def compose(self) -> ComposeResult:
        """Head, prompt, both sides, what was found, keys."""
        yield Static(id="head")
        yield VerticalScroll(Static(id="prompt-text"), id="prompt")
        with Container(id="sides"):
            yield VerticalScroll(Static(id="chosen-text"), id="chosen")
            yield VerticalScroll(Static(id="rejected-text"), id="rejected")
        yield Static(id="foot")
        yield Footer()

    def on_mount(self) -> None:
        """Begin with the first pair that nothing was said of."""
        self._narrow(self._wanted)
        undecided = (i for i, at in enumerate(self._order) if not self._sitting.word(at))
        self._here = next(undecided, 0)
        self._show()

    def action_go(self, step: int) -> None:
        """The next pair, or the one before."""
        if 0 <= self._here + step < len(self._order):
            self._here += step
            self._show()
        else:
            self.notify("that is the last pair" if step > 0 else "that is the first pair")

    def action_decide(self, word: Word) -> None:
        """Write a decision and go on; stay where it cannot stand."""
        if not self._order:
            return
        why = self._sitting.decide(self._order[self._here], word)
        if why is not None:
            self._say(f"not {_DONE.get(word, word)}: {why}", "bold red")
        elif word == "undo" or self._here + 1 == len(self._order):
            self._show()
        else:
            self.action_go(1)

    def action_edit(self) -> None:
        """Open the chosen side for editing."""
        if self._order:
            at = self._order[self._here]
            text = self._sitting.editable(at)
            self.push_screen(
                Editor(text, lambda changed: self._sitting.edit(at, changed)),
                lambda saved: self._show() if saved else None,
            )

    def action_filter(self) -> None:
        """Ask what to show."""
        every = {word for at in range(len(self._sitting)) for word in self._sitting.words(at)}
        self.push_screen(Filter(sorted(every), self._wanted), self._filtered)

    def _filtered(self, wanted: str | None) -> None:
        if wanted is None:
            return
        before = list(self._order), self._wanted
        self._narrow(wanted)
        if not self._order:
            self._order, self._wanted = before
            self.notify(f"no pair is {wanted}", severity="warning")
            return
        self._here = 0
        self._show()

    def _narrow(self, wanted: str) -> None:
        self._wanted = wanted
        names = wanted.casefold().split()
        self._order = [
            at
            for at in range(len(self._sitting))
            if set(names) <= {word.casefold() for word in self._sitting.words(at)}
        ]

    def _show(self) -> None:
        if not self._order:
            self._say(f"no pair is {self._wanted}", "bold red")
            return
        at = self._order[self._here]
        pair = self._sitting.view(at)
        word = self._sitting.word(at)
        self._put("head", _head(pair, f"{self._here + 1}/{len(self._order)}", word, self._wanted))
        self._put("prompt-text", _prompt(pair))
        self._put("chosen-text", _side(pair.chosen, "chosen"))
        self._put("rejected-text", _side(pair.rejected, "rejected"))
        self._put("foot", _foot(pair))
        earlier = f", {pair.earlier} earlier left out" if pair.earlier else ""
        self.query_one("#prompt").border_title = f"prompt, its end{earlier}"
        self.query_one("#chosen").border_title = "chosen"
        self.query_one("#rejected").border_title = "rejected"
        for name in ("#chosen", "#rejected"):
            self.query_one(name, VerticalScroll).scroll_home(animate=False)
        self.query_one("#prompt", VerticalScroll).scroll_end(animate=False)

    def _say(self, text: str, style: str) -> None:
        self._put("foot", Text(text, style=style))

    def _put(self, name: str, text: Text) -> None:
        self.query_one(f"#{name}", Static).update(text)


def _head(pair: PairView, place: str, word: str, wanted: str) -> Text:
    codes = " ".join(pair.codes) or "no code"
    text = Text(f"{place}  {codes}  {pair.source}", no_wrap=True, overflow="ellipsis")
    if wanted:
        text.append(f"  [{wanted}]")
    text.append(f"  {_DONE.get(word, 'undecided')}", "bold reverse" if word else "")
    return text


def _prompt(pair: PairView) -> Text:
    text = Text()
    for turn in pair.tail:
        text.append(f"{turn.role}\n", "bold yellow")
        for block in turn.blocks:
            _block(text, block, "")
    text.rstrip()
    return text


def _side(blocks: Sequence[Block], side: str) -> Text:
    text = Text()
    for block in blocks:
        _block(text, block, side)
    text.rstrip()
    return text if blocks else Text("(nothing)", "dim")


def _block(text: Text, block: Block, side: str) -> None:
    if block.title:
        text.append(f"{_SIGNS.get(block.kind, '')}{block.title}\n", "bold cyan")
    for run in block.runs:
        text.append(run.text, "dim" if run.look == "gap" else _STYLES.get((side, run.look), ""))
    text.append("\n")


def _foot(pair: PairView) -> Text:
    text = Text()
    for code, said in pair.evidence[:2]:
        text.append(f"{code}: ", "bold red")
        text.append(f"{said}\n")
    edits = f"; edits: {', '.join(pair.edits)}" if pair.edits else ""
    text.append(f"chosen from {pair.from_chosen or 'nowhere'}{edits}\n", "dim")
    text.append(f"rejected from {pair.from_rejected or 'nowhere'} · pair {pair.id}", "dim")
    return text


def review(sitting: Any, wanted: str = "") -> None:
    """Open the screen until the person leaves it."""
    ReviewApp(sitting, wanted).run()
