"""Control tokens stay out of logged text: hiding their spelling, and encoding it as plain text.

A log may hold `<|im_end|>` as text (a user pasted it, a model leaked it, someone attacks the
training). Before a chat template sees logged text, each spelling of a control token in it is
swapped for a mark of two private-use characters around a number. After rendering, the text is cut
at the marks: what stands between them is encoded as usual, so the template's own control tokens
work; a hidden spelling is encoded in pieces too small to be one token. The bytes stay the same,
`decode(ids)` gives the logged text back, and no control token id comes out of it. Pieces are
encoded as inside a text (`behind`), so no tokenizer puts a space between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from misstep.models.behind import Behind

_OPEN, _CLOSE = "\ue000", "\ue001"
RESERVED = (_OPEN, _CLOSE, "\ue002", "\ue003")
"""Private-use characters that marks are made of; in logged text they are hidden like a spelling."""
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class Hidden:
    """The spellings hidden while one conversation is rendered."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._texts: list[str] = []

    def hide(self, text: str) -> str:
        """The text with a mark in place of each spelling of a control token."""
        return self._pattern.sub(self._mark, text)

    def _mark(self, match: re.Match[str]) -> str:
        self._texts.append(match.group())
        return f"{_OPEN}{len(self._texts) - 1}{_CLOSE}"

    def pieces(self, rendered: str) -> Iterator[tuple[str, bool]]:
        """The rendered text in order, as (piece, whether it was hidden)."""
        at = 0
        for match in _MARK.finditer(rendered):
            if match.start() > at:
                yield rendered[at : match.start()], False
            yield self._texts[int(match.group(1))], True
            at = match.end()
        if at < len(rendered):
            yield rendered[at:], False

    def holds_any(self) -> bool:
        """Whether a spelling was hidden."""
        return bool(self._texts)

    def shown(self, rendered: str) -> str:
        """The rendered text with the hidden spellings put back, for people to read."""
        return "".join(piece for piece, _ in self.pieces(rendered))


class Neutraliser:
    """What counts as a control token of one tokenizer, and how text is encoded around it.

    Control tokens are all special tokens, and those other added tokens that the chat template
    itself writes (for example `<tool_call>` or `<think>` in Qwen's tokenizers), and `more`.
    """

    def __init__(self, tokenizer: Any, more: Iterable[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._behind = Behind(tokenizer)
        template = tokenizer.chat_template or ""
        spellings = dict.fromkeys((*tokenizer.all_special_tokens, *more))
        for token in tokenizer.added_tokens_decoder.values():
            if token.special or (token.content.strip() and token.content in str(template)):
                spellings[token.content] = None
        self.spellings: tuple[str, ...] = tuple(s for s in spellings if s.strip())
        self.ids = frozenset(int(i) for i in tokenizer.convert_tokens_to_ids(list(self.spellings)))
        self._pattern = _any_of((*self.spellings, *RESERVED))
        ends = (tokenizer.bos_token, tokenizer.eos_token)
        special = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
        special &= {s for s in self.spellings if s in str(template)}
        chat = sorted({*special, *(end for end in ends if end)})
        self._chat = _any_of(chat) if chat else None

    def hidden(self) -> Hidden:
        """A fresh store for one rendering."""
        return Hidden(self._pattern)

    def control_in(self, text: str) -> str | None:
        """The first special token spelled in the text that the chat template or an end is made of.

        Other special tokens (`<filename>` in a code model) are everyday words elsewhere.
        """
        match = self._chat.search(text) if self._chat is not None else None
        return match.group() if match else None

    def first_in(self, text: str) -> str | None:
        """The first control token spelled in the text."""
        match = _any_of(self.spellings).search(text) if self.spellings else None
        return match.group() if match else None

    def encode(
        self,
        rendered: str,
        hidden: Hidden,
        *,
        before: str | None = None,
        encode: Callable[[str], list[int]] | None = None,
    ) -> list[int]:
        """Token ids of a rendered text, the hidden spellings as plain text.

        Args:
            before: what stands before the text; None is nothing (`Behind.ids`).
            encode: gives the ids of what was not hidden; by default the tokenizer does.
        """
        ids: list[int] = []
        for piece, is_hidden in hidden.pieces(rendered):
            if is_hidden:
                ids.extend(self._plain(piece))
            else:
                ids.extend(self._behind.ids(piece, before, encode=encode))
            before = ""
        return ids

    def spans(
        self, rendered: str, hidden: Hidden, *, before: str | None = None
    ) -> list[tuple[int, int]] | None:
        """Characters of the shown text that each token of `encode` stands for.

        Every token of a hidden spelling has the whole of it. None where the tokenizer cannot say.
        """
        if not self._tokenizer.is_fast:
            return None
        spans: list[tuple[int, int]] = []
        at = 0
        for piece, is_hidden in hidden.pieces(rendered):
            if is_hidden:
                found = [(0, len(piece))] * len(self._plain(piece))
            else:
                found = self._behind.spans(piece, before)
            spans.extend((at + start, at + end) for start, end in found)
            at += len(piece)
            before = ""
        return spans

    def _plain(self, text: str) -> list[int]:
        ids = self._behind.ids(text, "")
        if len(text) < 2 or self.ids.isdisjoint(ids):
            return ids
        return self._plain(text[:1]) + self._plain(text[1:])


def _any_of(spellings: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.compile("|".join(re.escape(s) for s in longest_first))
