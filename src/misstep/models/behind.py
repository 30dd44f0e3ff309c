"""Token ids of a text that stands behind other text.

Many tokenizers put a space before every text that they are given (Llama 2, TinyLlama, Zephyr,
Vicuna, Mistral up to v0.3, Phi-3). Given an answer by itself, they begin it with a space that the
rendered conversation does not have and that the model never writes. So such a text is encoded
together with something before it, an anchor, whose ids are then dropped. The anchor is one that
stays apart: its ids are the same with the text behind it, no token reaches across. From a tokenizer
that puts nothing before a text (byte-level ones as a rule) come its own ids, no anchor is used.

`Border` is the one place where every answer of a chat template begins: reading back what a model
wrote there, and the check that a row of ids says what the template rendered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_ANCHORS = ("\ue007", "\n", "|", "~", ";", "x", "0")
"""Tried in turn. A private-use character is spelled in bytes, which merge with nothing; a tokenizer
without bytes does not know it."""
_PROBES = ("X", "{", "a")
_WORD = "Xborder7X"


def parting(one: str, other: str) -> int:
    """The first character at which two texts differ; where one ends, if the other goes on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


class Behind:
    """Encodes texts as they are encoded inside a longer one."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self.prefixes = self._puts_a_space()
        """Whether the tokenizer encodes a text by itself in another way than inside a text."""

    def alone(self, text: str) -> list[int]:
        """Token ids of a whole text."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def ids(
        self, text: str, before: str | None, *, encode: Callable[[str], list[int]] | None = None
    ) -> list[int]:
        """Token ids of a text.

        Args:
            before: what stands before it. None is nothing; empty is text that matters no further.
                Text that would share a token with this one counts as empty.
            encode: gives the ids, called once; by default the tokenizer does.
        """
        anchor = self._anchor(text, before)
        return (encode or self.alone)(anchor + text)[len(self._of(anchor)) :]

    def spans(self, text: str, before: str | None) -> list[tuple[int, int]]:
        """Characters of the text behind each of its `ids`, from a fast tokenizer."""
        anchor = self._anchor(text, before)
        options = {"add_special_tokens": False, "verbose": False, "return_offsets_mapping": True}
        found = self._tokenizer(anchor + text, **options)["offset_mapping"]
        size = len(anchor)
        own = found[len(self._of(anchor)) :]
        return [(max(start - size, 0), max(end - size, 0)) for start, end in own]

    def _anchor(self, text: str, before: str | None) -> str:
        """What the text is encoded behind; empty where it is encoded by itself."""
        if before is None or not self.prefixes:
            return ""
        tried = (before, *_ANCHORS) if before else _ANCHORS
        return next((each for each in tried if self._apart(each, text) is not None), "")

    def _apart(self, anchor: str, text: str) -> list[int] | None:
        """The ids of a text behind an anchor; None where the two do not stay apart."""
        own = self._of(anchor)
        if not own or own[-1] == self._tokenizer.unk_token_id:  # unknown neighbours become one
            return None
        both = self.alone(anchor + text)
        return both[len(own) :] if both[: len(own)] == own else None

    def _of(self, anchor: str) -> list[int]:
        if not anchor:
            return []
        if anchor not in self._known:
            self._known[anchor] = self.alone(anchor)
        return self._known[anchor]

    def _puts_a_space(self) -> bool:
        found = [(self._apart(a, probe), self.alone(probe)) for probe in _PROBES for a in _ANCHORS]
        known = [(inside, alone) for inside, alone in found if inside is not None]
        return bool(known) and all(inside != alone for inside, alone in known)


class Border:
    """Where the answers of one chat template begin.

    Args:
        before: what a prompt of the template ends in; answers are encoded behind it.
        control: spellings of the control tokens.
    """

    def __init__(self, tokenizer: Any, before: str, control: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self.before = before
        self._behind = Behind(tokenizer)
        self.ids = tuple(self._behind.alone(before))
        self._shown = self._decoded(self.ids)
        spaced = self._behind.ids(f" {_WORD}", before)
        self._keeps = self._decoded(spaced) == f" {_WORD}"
        self._extra = ""
        plain = self.read(self._behind.ids(_WORD, before))
        self._extra = " " if plain == f" {_WORD}" else ""
        """What the tokenizer itself puts before an answer, behind a control token as a rule."""
        any_of = "|".join(re.escape(each) for each in sorted(control, key=len, reverse=True))
        self._control = re.compile(rf"\s*({any_of})\s*") if any_of else None

    def read(self, ids: Sequence[int]) -> str:
        """What a model wrote behind a prompt, as text.

        Some tokenizers drop the first space of a text that they decode: the answer's own, unless
        the end of the prompt is decoded with it.
        """
        text = self._decoded(ids) if self._keeps else self._inside(ids)
        return text.removeprefix(self._extra)

    def _inside(self, ids: Sequence[int]) -> str:
        text = self._decoded([*self.ids, *ids])
        if not text.startswith(self._shown):  # half a character: the bytes before it are lost, too
            return self._decoded(ids)
        return text[len(self._shown) :]

    def differs(self, ids: Sequence[int], text: str, *, loosely: bool) -> str | None:
        """Why ids do not say what the text says; None where they do.

        A tokenizer that does not give every text back (it may normalise) is asked what it makes of
        the text in one piece. `loosely` leaves out white space around control tokens, where a
        spelling of one is hidden in the text or the answer begins with white space: tokenizers add
        some there, or swallow it.
        """
        made = self._decoded(ids)
        if made == text:
            return None
        wanted = self._decoded(self._behind.alone(text))
        if loosely:
            made, wanted = self._loose(made), self._loose(wanted)
        if made == wanted:
            return None
        at = parting(wanted, made)
        return (
            f"the tokenizer encodes prompt and answer otherwise than the whole, from character "
            f"{at}: {wanted[at : at + 40]!r} became {made[at : at + 40]!r}"
        )

    def _loose(self, text: str) -> str:
        joined = text if self._control is None else self._control.sub(r"\1", text)
        return unicodedata.normalize("NFC", joined).lstrip()

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
