"""Text that is nearly JSON, made JSON by edits that leave no choice.

In: a text that a strict parser refuses. Out: a `Mended` text with the names of the edits, or None.
Done is only what a reader must do whatever was meant: other quotes around the same characters,
quotes around a bare key, `true` for `True`, a comma that nothing follows, a control character as
its escape, brackets that were never closed behind a whole value, the wrong closing brackets at its
end. Of a text that was stopped, the list that it was in ends after its last whole element. Every
other character stays. A missing comma, a bare word, a number at the end (it may be half), or a text
that goes on behind its value is left alone: there one would have to guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from misstep.validate.strict_json import SPACE, parse

_BARE = re.compile(r"[A-Za-z_$][\w$-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_JSON = frozenset({"true", "false", "null"})
_QUOTES = {"'": "'", "“": "”", "‘": "’"}
_CLOSE = {"{": "}", "[": "]"}
_ENDING = re.compile(rf"[}}\]){SPACE}]*\Z")
"""What a text may end in, one for another, too many or too few: every value stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A text that a strict parser takes, and what was done to it."""

    text: str
    edits: tuple[str, ...]


def mended(text: str, *, cut: bool = False) -> Mended | None:
    """The text made JSON; None where that is not decided, or where nothing is wrong with it.

    `cut` says that the writer was stopped: what is unfinished is left out, element by element.
    """
    if parse(text).ok:
        return None
    hand = _Hand(text)
    understood = hand.run()
    if cut and hand.stopped:
        understood = hand.leave_out()
    if not understood:
        return None
    made = "".join(hand.out)
    if not hand.edits or not parse(made).ok:
        return None
    return Mended(text=made, edits=tuple(hand.edits))


@dataclass(slots=True)
class _Hand:
    """Copies a text token by token; `run` is False where a token is not understood."""

    text: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    edits: dict[str, None] = field(default_factory=dict)
    stopped: bool = False
    """True where the text ended inside a value."""
    _whole: tuple[int, int, tuple[str, ...]] | None = None
    """At the last whole element of the outermost list: pieces copied, offset, what was open."""
    _open: list[str] = field(default_factory=list)
    _last: str = ""
    """Kind of the last token: open, value, key, comma, colon, close."""
    _comma: int = 0

    def run(self) -> bool:
        """Copy everything."""
        while self.at < len(self.text):
            behind = self._last in ("value", "close")
            if behind and not self._open and not self.text[self.at :].strip(SPACE):
                return True
            if behind and self._wrong_end():
                return True
            if (behind and not self._open) or not self._token():
                return False
        return self._ended()

    def leave_out(self) -> bool:
        """End after the last whole element of the outermost list; False where there is none."""
        if self._whole is None:
            return False
        kept, at, opened = self._whole
        if self.text[at:].strip(SPACE + ","):
            self.edits["drop-unfinished-element"] = None
        del self.out[kept:]
        self._close_all(opened)
        return True

    def _close_all(self, opened: Sequence[str]) -> None:
        self.out.extend(_CLOSE[bracket] for bracket in reversed(opened))
        self.edits["close"] = None

    def _wrong_end(self) -> bool:
        """Nothing but closing brackets is left, and not those that belong here: put these."""
        ending = _ENDING.match(self.text, self.at)
        left = re.sub(f"[{SPACE}]", "", ending[0]) if ending else ""
        right = "".join(_CLOSE[bracket] for bracket in reversed(self._open))
        if right.startswith(left):
            return False
        self.out.append(right)
        self.edits["brackets"] = None
        return True

    def _note_whole(self) -> None:
        """Called behind a whole value: it may be an element of the outermost list."""
        if self._open[-1:] == ["["] and self._open.count("[") == 1:
            self._whole = (len(self.out), self.at, tuple(self._open))

    def _ended(self) -> bool:
        """The end of the text: close what is open, if a whole value stands there."""
        if not self._open:
            return self._last in ("value", "close")
        self.stopped = True
        if self._last not in ("value", "close"):
            return False
        self._close_all(self._open)
        return True

    def _token(self) -> bool:
        mark = self.text[self.at]
        if mark in SPACE:
            return self._copy(1, "")
        if mark in "{[":
            return self._opens(mark)
        if mark in "}]":
            return self._closes(mark)
        if mark == ",":
            return self._separates()
        if mark == ":":
            return self._last == "key" and self._copy(1, "colon")
        if self._last not in ("", "open", "comma", "colon"):
            return False
        if mark == '"' or mark in _QUOTES:
            return self._string(mark)
        return self._word()

    def _copy(self, count: int, kind: str) -> bool:
        self.out.append(self.text[self.at : self.at + count])
        self.at += count
        self._last = kind or self._last
        return True

    def _opens(self, mark: str) -> bool:
        if self._last not in ("", "open", "comma", "colon"):
            return False
        self._open.append(mark)
        return self._copy(1, "open")

    def _closes(self, mark: str) -> bool:
        if not self._open or _CLOSE[self._open[-1]] != mark or self._last in ("key", "colon"):
            return False
        if self._last == "comma":
            del self.out[self._comma]
            self.edits["trailing-comma"] = None
        self._open.pop()
        self._copy(1, "close")
        if mark == "]" and "[" not in self._open:
            self._whole = None
        self._note_whole()
        return True

    def _separates(self) -> bool:
        if self._last not in ("value", "close") or not self._open:
            return False
        self._comma = len(self.out)
        return self._copy(1, "comma")

    def _kind(self) -> str:
        """What a string is here: a key, or a value."""
        in_object = self._open[-1:] == ["{"]
        return "key" if in_object and self._last in ("open", "comma") else "value"

    def _string(self, mark: str) -> bool:
        close = _QUOTES.get(mark, '"')
        at, made = self.at + 1, ['"']
        while at < len(self.text) and self.text[at] != close:
            piece, step = _character(self.text, at)
            if piece is None:
                return False
            if piece != self.text[at : at + step]:
                self.edits["quotes" if piece == '\\"' or close != '"' else "escape"] = None
            made.append(piece)
            at += step
        if at >= len(self.text):
            self.stopped = True
            return False
        if close != '"':
            self.edits["quotes"] = None
        self._last = self._kind()
        self.out.append("".join([*made, '"']))
        self.at = at + 1
        self._note_whole()
        return True

    def _word(self) -> bool:
        number = _NUMBER.match(self.text, self.at)
        found = number or _BARE.match(self.text, self.at)
        if found is None:
            return False
        word, kind = found[0], self._kind()
        ends = found.end() == len(self.text)
        if ends and word not in (*_JSON, *_PYTHON) and self._open:
            self.stopped = True
            return False
        if kind == "key":
            if number is not None or not self.text[found.end() :].lstrip(SPACE).startswith(":"):
                return False
            self.edits["quotes"] = None
            word = json.dumps(word)
        elif word in _PYTHON:
            self.edits["literal"] = None
            word = _PYTHON[word]
        elif number is None and word not in _JSON:
            return False
        self.out.append(word)
        self.at, self._last = found.end(), kind
        self._note_whole()
        return True


def _character(text: str, at: int) -> tuple[str | None, int]:
    """One character of a string as strict JSON writes it, and how many it takes in the text."""
    mark = text[at]
    if mark == '"':
        return '\\"', 1
    if mark == "\\":
        after = text[at + 1 : at + 2]
        if after == "'":
            return "'", 2
        if after == "u":
            whole = re.fullmatch(r"[0-9a-fA-F]{4}", text[at + 2 : at + 6])
            return (text[at : at + 6], 6) if whole else (None, 0)
        return (text[at : at + 2], 2) if after and after in '"\\/bfnrt' else (None, 0)
    return (json.dumps(mark)[1:-1] if mark < " " else mark), 1
