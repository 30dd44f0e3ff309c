"""A tool's name as it was offered, behind another spelling or a leaked control token.

In: the name that the model wrote and the names on offer. Out: the one that it must mean, or None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from misstep.validate.breaches import folded

_TOKEN = re.compile(r"<[|｜]|[|｜]>")


def offered(name: str, names: Sequence[str]) -> str | None:
    """The one offered name that differs only in case and punctuation, or that a token follows."""
    token = _TOKEN.search(name)
    wanted = folded(name[: token.start()] if token else name)
    alike = [other for other in dict.fromkeys(names) if folded(other) == wanted]
    return alike[0] if wanted and len(alike) == 1 and alike[0] != name else None
