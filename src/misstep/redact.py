"""Secrets out of texts, before anything leaves the logs.

In: text that a log kept. Out: the same text with each secret replaced by `[REDACTED:kind]`, and how
many there were. A placeholder holds no quote, backslash or bracket that JSON would trip over, so
JSON text stays JSON text. Every pattern starts at a token boundary or has bounded repeats, so the
time is linear in the length of the text. Nothing here looks a secret up or keeps one.

What counts as a secret is the issuer's own prefix (tokens of code hosts, clouds, model providers),
a form that says so (private key block, JWT, bearer header, password in a URL), or a random-looking
value assigned to a name such as `api_key`. Hashes, UUIDs and identifiers stay as they are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without its secrets."""

    text: str
    count: int
    """How many secrets were replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One kind of secret: group `s` of the pattern (or all of it) is replaced if `real` agrees."""

    kind: str
    pattern: re.Pattern[str]
    real: Callable[[str], bool]


_POSSIBLE = re.compile(r"[A-Za-z0-9._~+/=-]{15}|://|BEGIN|[Bb][Aa][Ss][Ii][Cc]")
"""What every secret holds: 15 characters of a token, or the sign of one of the other kinds."""
_LONGEST = 600
"""Characters behind a cut in which a secret that begins before it may end."""


def clip(text: str, length: int) -> str:
    """The first `length` characters, secrets taken out before the cut: a cut one is no pattern."""
    return redact(text[: length + _LONGEST]).text[:length]


def redact(text: str, *, emails: bool = False) -> Redacted:
    """The text with `[REDACTED:kind]` in place of each secret; e-mail addresses only on demand."""
    short = len(text) < 15 and "://" not in text
    if not emails and (short or _POSSIBLE.search(text) is None):
        return Redacted(text=text, count=0)
    count = 0
    for secret in (*SECRETS, _EMAIL) if emails else SECRETS:

        def replace(match: re.Match[str], secret: Secret = secret) -> str:
            nonlocal count
            start, end = _span(match)
            if not secret.real(match.string[start:end]):
                return match[0]
            count += 1
            left, right = start - match.start(), end - match.start()
            return f"{match[0][:left]}[REDACTED:{secret.kind}]{match[0][right:]}"

        text = secret.pattern.sub(replace, text)
    return Redacted(text=text, count=count)


def redact_at(
    text: str, spans: Sequence[tuple[int, int]], *, emails: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """As `redact`, and where the given stretches of the text lie in what comes out.

    An edge that lies inside a secret moves to the edge of its placeholder.
    """
    moved = [list(span) for span in spans]
    for secret in (*SECRETS, _EMAIL) if emails else SECRETS:
        found = [_span(match) for match in secret.pattern.finditer(text)]
        cuts = [(start, end) for start, end in found if secret.real(text[start:end])]
        mark = f"[REDACTED:{secret.kind}]"
        for start, end in reversed(cuts):
            text = f"{text[:start]}{mark}{text[end:]}"
            for span in moved:
                span[0] = _moved(span[0], (start, end), (start, len(mark)))
                span[1] = _moved(span[1], (start, end), (start + len(mark), len(mark)))
    return text, [(start, end) for start, end in moved]


def _moved(at: int, cut: tuple[int, int], to: tuple[int, int]) -> int:
    """Where a place lies once `cut` was replaced: `to` is its new place inside, and the length."""
    start, end = cut
    if at <= start:
        return at
    return to[0] if at < end else at + to[1] - (end - start)


def has_secret(text: str) -> bool:
    """Whether `redact` would replace anything (e-mail addresses aside)."""
    return any(
        secret.real(match.string[slice(*_span(match))])
        for secret in SECRETS
        for match in secret.pattern.finditer(text)
    )


def has_placeholder(text: str) -> bool:
    """Whether somebody's redaction left its mark: `[REDACTED]`, `<redacted>`, `key=***`, `****12`.

    Rules, comment banners and bold type made of asterisks are not marks.
    """
    return _MARK.search(text) is not None


def _span(match: re.Match[str]) -> tuple[int, int]:
    return match.span("s") if "s" in match.re.groupindex else match.span()


def _always(_: str) -> bool:
    return True


def _random_looking(value: str) -> bool:
    """At least two digits, two letters and 3.2 bits of entropy per character.

    Words joined by dashes hold no two digits; repeated fillers such as `xxxx1234` hold less
    entropy; 16 random alphanumeric characters hold about 3.8 bits.
    """
    digits = sum(c.isdigit() for c in value)
    letters = sum(c.isalpha() for c in value)
    return digits >= 2 and letters >= 2 and _entropy(value) >= 3.2


def _entropy(value: str) -> float:
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())


def _key_material(block: str) -> bool:
    return re.search(r"[A-Za-z0-9+/]{40}", block) is not None


def _no_variable(password: str) -> bool:
    """A password that is no template variable and no mark of an earlier redaction."""
    return password[0] not in "${<[*%" and not has_placeholder(password)


def _token(kind: str, pattern: str, real: Callable[[str], bool] = _always) -> Secret:
    """A token that starts and ends at a boundary; the look-behind keeps the search linear."""
    text = rf"(?<![A-Za-z0-9_-]){pattern}(?![A-Za-z0-9])"
    return Secret(kind=kind, pattern=re.compile(text), real=real)


_NAMES = (
    "password|passwd|secret|secret[_-]?key|client[_-]?secret|api[_-]?key|access[_-]?key"
    "|access[_-]?token|auth[_-]?token|refresh[_-]?token|private[_-]?token"
    "|aws[_-]?secret[_-]?access[_-]?key"
)

SECRETS: tuple[Secret, ...] = (
    Secret(
        kind="private-key",
        pattern=re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\w+/=\s:,.]|\\(?!\")|-(?!-))*"
            r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        real=_key_material,
    ),
    _token("jwt", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    _token("github-token", r"(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{30,})"),
    _token("gitlab-token", r"glpat-[A-Za-z0-9_-]{20,}", _random_looking),
    _token("aws-key", r"(?:AKIA|ASIA)[A-Z0-9]{16}"),
    _token("google-key", r"AIza[A-Za-z0-9_-]{35}"),
    _token("model-hub-token", r"hf_[A-Za-z0-9]{30,}"),
    _token("provider-key", r"(?:sk|pk|rk)-[A-Za-z0-9_-]{20,}", _random_looking),
    _token("provider-key", r"gsk_[A-Za-z0-9]{30,}", _random_looking),
    _token("payment-key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _token("chat-token", r"xox[abeoprs]-[A-Za-z0-9-]{10,}", _random_looking),
    _token("package-token", r"(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})", _random_looking),
    Secret(
        kind="bearer-token",
        pattern=re.compile(r"(?i)\bbearer\s{1,4}(?P<s>[A-Za-z0-9._~+/-]{16,}=*)"),
        real=_random_looking,
    ),
    Secret(
        kind="basic-login",
        pattern=re.compile(r"(?i)\bauthorization\W{1,6}basic\s{1,4}(?P<s>[A-Za-z0-9+/]{8,}=*)"),
        real=_always,
    ),
    Secret(
        kind="url-password",
        pattern=re.compile(r"://[^\s/:@\"'<>\\]{0,100}:(?P<s>[^\s/@\"'\\]{1,200})@(?=[\w\[])"),
        real=_no_variable,
    ),
    Secret(
        kind="secret-value",
        pattern=re.compile(
            rf"(?i)(?<![A-Za-z0-9])(?:[A-Z0-9]{{1,20}}[_-]){{0,4}}(?:{_NAMES})[\"'\\]{{0,3}}"
            r"\s{0,4}[=:]\s{0,4}[\"'\\]{0,3}(?P<s>[A-Za-z0-9_+/=~-]{16,})(?![\w(.\[])"
        ),
        real=_random_looking,
    ),
)
"""Every kind of secret, in the order in which they are looked for."""

_EMAIL = Secret(
    kind="email",
    pattern=re.compile(
        r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"
    ),
    real=_always,
)

_WORDS = "redacted|masked|filtered|scrubbed|anonymi[sz]ed"
_MARK = re.compile(
    rf"(?i:[\[<{{(](?:{_WORDS})(?:[ :_-][^\]>}})\n]{{0,40}})?[\]>}})])"
    r"|(?<![A-Za-z])REDACTED(?![a-z])"
    r"|[=:@]\s{0,2}[\"'\\]{0,2}\*{3,}(?![*\w/])"
    r"|(?<![*/\\])(?<!^)\*{4,}(?=[A-Za-z0-9]{1,6}\b)"
    r"|[\"'][A-Za-z0-9_-]{0,12}\*{3,}[A-Za-z0-9]{0,6}[\"'\\]",
    re.MULTILINE,
)
