"""The marks that somebody's redaction left in a text."""

from __future__ import annotations

import re

_WORDS = "redacted|masked|filtered|scrubbed|anonymi[sz]ed"
_MARK = re.compile(
    rf"(?i:[\[<{{(](?:{_WORDS})(?:[ :_-][^\]>}})\n]{{0,40}})?[\]>}})])"
    r"|(?<![A-Za-z])REDACTED(?![a-z])"
    r"|[=:@]\s{0,2}[\"'\\]{0,2}\*{3,}(?![*\w/])"
    r"|(?<![*/\\])(?<!^)\*{4,}(?=[A-Za-z0-9]{1,6}\b)"
    r"|[\"'][A-Za-z0-9_-]{0,12}\*{3,}[A-Za-z0-9]{0,6}[\"'\\]"
    r"|[\[<{](?:EMAIL|E-MAIL|PHONE|PERSON|NAME|SECRET|TOKEN|API_KEY|PASSWORD)"
    r"(?:_ADDRESS|_NUMBER)?[_:-]\d{1,4}[\]>}]",
    re.MULTILINE,
)


def has_placeholder(text: str) -> bool:
    """Whether somebody's redaction left its mark: `[REDACTED]`, `<redacted>`, `key=***`, `****12`,
    `[EMAIL_1]`.

    Rules, comment banners and bold type made of asterisks are not marks. The stand-ins of `Cleaner`
    (`user1@example.com`, `/home/user1`) are none either: a model may well copy them.
    """
    return _MARK.search(text) is not None
