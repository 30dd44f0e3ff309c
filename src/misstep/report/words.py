"""How numbers and logged text are spelled, the same in every report.

In: a number or a text. Out: a short text. `visible` makes control and direction characters of
logged text harmless and seen; escaping for Markdown or HTML is left to those.
"""

from __future__ import annotations

import unicodedata

NO_INTERVAL = "no interval: no two families differ"
"""In the place of one of no width, which would read as certain."""


def visible(text: str) -> str:
    """Text with every control, direction and invisible character spelled as `\\u{…}`.

    New lines and tabs stay. Terminal escapes, right-to-left overrides, zero-width characters and
    lone surrogates become harmless and seen.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spell(c) for c in text)


def _spell(c: str) -> str:
    if c in "\n\t" or c.isprintable():
        return c
    # Zs are the typographic spaces, Co the private-use glyphs: odd but harmless
    return c if unicodedata.category(c) in ("Zs", "Co") else f"\\u{{{ord(c):x}}}"


def percent(share: float) -> str:
    """`12.3 %`, with a no-break space."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def points(share: float, places: int = 1) -> str:
    """A difference in percentage points with its sign, `−3.2`."""
    return f"{100 * share:+.{places}f}".replace("-", "\N{MINUS SIGN}")


def spell_p(p: float | None) -> str:
    """`0.031`, `<0.0001`, or a dash."""
    if p is None:
        return "–"
    return "<0.0001" if p < 0.0001 else f"{p:.2g}" if p >= 0.001 else f"{p:.4f}"


def exact_p(p: float | None) -> str:
    """Two digits of any p, however small: `0.031`, `1.3 × 10⁻²⁹`."""
    if p is None or p >= 0.001:
        return spell_p(p)
    digits, _, power = f"{p:.1e}".partition("e")
    return f"{digits} × 10{str(int(power)).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def many(count: int, one: str, more: str = "") -> str:
    """`1 file`, `2,000 files`; `more` where the plural is not `one` with an s."""
    return f"{number(count)} {one if count == 1 else more or f'{one}s'}"


def noun(plural: str, count: int) -> str:
    """`files` as so many of them are called: `file` for one, `failed` for any number."""
    return plural.removesuffix("s") if count == 1 else plural


def number(count: int) -> str:
    """A count with thousands separators."""
    return f"{count:,}"


def count_of(count: int, noun: str) -> str:
    """A count with its noun: `1 file`, `2 files`."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"
