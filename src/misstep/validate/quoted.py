"""The text of a result without what it quotes from the arguments of its call.

In: a result and the argument text. Out: the result with each argument value replaced by a mark, so
that "no user 17" and "no user 18" say the same of calls for 17 and 18.
"""

from __future__ import annotations

import re

from misstep.validate.strict_json import parse, walk

MARK = "\u00abargument\u00bb"
MOST = 40
"""Values that are looked for; the longest first."""
LONG = 20_000
"""Longer results are left as they are: they bring something."""


def without_arguments(result: str, arguments: str) -> str:
    """`result` with the strings and numbers of `arguments` masked where they stand as words."""
    if len(result) > LONG:
        return result
    parsed = parse(arguments)
    if not parsed.ok:
        return result
    values = {_text(value) for _, value in walk(parsed.value)} - {None, ""}
    found = sorted((v for v in values if v is not None and v in result), key=len, reverse=True)
    if not found:
        return result
    some = "|".join(re.escape(value) for value in found[:MOST])
    return re.sub(rf"(?<!\w)(?:{some})(?!\w)", MARK, result)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
