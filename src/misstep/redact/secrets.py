"""What counts as a secret, and where in a text one stands.

In: text. Out: spans with their kinds. A secret is the issuer's own prefix (tokens of code hosts,
clouds, model providers), a form that says so (private key block, JWT, bearer header, password in a
URL), a random-looking value assigned to a name such as `api_key`, or what a rule of detect-secrets
finds (`vendors`). Hashes, UUIDs and identifiers are none. A pattern is tried only where one of its
`signs` stands in the text, begins with literal text or has bounded repeats: time is linear.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from misstep.redact.marks import has_placeholder
from misstep.redact.vendors import vendor_spans

Span = tuple[int, int, str]
"""Start, end, kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One kind of secret: group `s` of the pattern (or all of it), if `real` agrees."""

    kind: str
    signs: tuple[str, ...]
    """Small letters; one of them stands in every text that holds such a secret, case aside."""
    pattern: re.Pattern[str]
    real: Callable[[str], bool]


def secret_spans(text: str) -> list[Span]:
    """Every secret in the text, in order, none overlapping; of two that overlap the first kind."""
    if len(text) < 15 and "://" not in text:
        return []
    low = text.lower()
    found: list[Span] = []
    for secret in SECRETS:
        for sign in secret.signs:
            if sign in low:
                found.extend(_spans(secret, text))
                break
    found.extend(_value_spans(text, low))
    found.extend((*span, kind) for kind, span in vendor_spans(text, random_looking))
    return merged(found) if found else found


def _spans(secret: Secret, text: str) -> Iterator[Span]:
    group = "s" if "s" in secret.pattern.groupindex else 0
    for match in secret.pattern.finditer(text):
        if secret.real(match[group]):
            yield *match.span(group), secret.kind


def _value_spans(text: str, low: str) -> Iterator[Span]:
    """Random-looking values of names such as `api_key`; names are sought in small letters."""
    if not any(name in low for name in _NAMED):
        return
    if len(low) != len(text):
        low = "".join(c.lower() if c.isascii() else c for c in text)
    past = 0
    for name in _NAME.finditer(low):
        value = _VALUE.match(text, name.end()) if name.start() >= past else None
        if value is None:
            continue
        past = value.end()
        if not _GOES_ON.match(text, past) and random_looking(value["s"]):
            yield *value.span("s"), "secret-value"


def merged(found: list[Span]) -> list[Span]:
    """Spans in order; what overlaps is one, of the kind that was found first."""
    if len(found) < 2:
        return found
    rank = {span: at for at, span in reversed(list(enumerate(found)))}
    out: list[Span] = []
    for span in sorted(found, key=lambda s: (s[0], rank[s])):
        if out and span[0] < out[-1][1]:
            first = min(out[-1], span, key=lambda s: rank.get(s, len(found)))
            rank[joined := (out[-1][0], max(out[-1][1], span[1]), first[2])] = rank[first]
            out[-1] = joined
        else:
            out.append(span)
    return out


def random_looking(value: str) -> bool:
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


def _always(_: str) -> bool:
    return True


def _key_material(block: str) -> bool:
    return re.search(r"[A-Za-z0-9+/]{40}", block) is not None


def _no_variable(password: str) -> bool:
    """A password that is no template variable and no mark of an earlier redaction."""
    return password[0] not in "${<[*%" and not has_placeholder(password)


def _no_public_key(value: str) -> bool:
    return random_looking(value) and not value.startswith("pk-lf-")


def _token(
    kind: str, head: str, rest: str, *signs: str, real: Callable[[str], bool] = _always
) -> Secret:
    """A token that begins with `head` (of one length) at an edge and ends at one.

    The edge is looked for behind the head, so that a text full of heads takes linear time.
    """
    edge = rf"(?:(?<![A-Za-z0-9_-]{head})|(?<=\\[nrtbf]{head})|(?<=\\u[0-9A-Fa-f]{{4}}{head}))"
    pattern = re.compile(f"{head}{edge}{rest}(?![A-Za-z0-9])")
    return Secret(kind=kind, signs=signs or (head.lower(),), pattern=pattern, real=real)


_NAMED = ("passw", "secret", "key", "token")
_NAME = re.compile(
    "passw(?:or)?d|secret(?:[_-]?key)?|(?:api|access)[_-]?key"
    "|(?:access|auth|refresh|private)[_-]?token"
)
_VALUE = re.compile(r"[\"'\\]{0,3}\s{0,4}[=:]\s{0,4}[\"'\\]{0,3}(?P<s>[A-Za-z0-9_+/=~-]{16,}+)")
_GOES_ON = re.compile(r"[\w(.\[]")
"""What follows a name, a call or a part of one: no value ends there."""

SECRETS: tuple[Secret, ...] = (
    Secret(
        kind="private-key",
        signs=("private key",),
        pattern=re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\w+/=\s:,.]|\\(?!\")|-(?!-))*"
            r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        real=_key_material,
    ),
    _token("jwt", "eyJ", r"[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    _token("github-token", "gh[pousr]_", "[A-Za-z0-9]{36,}", "gh"),
    _token("github-token", "github_pat_", "[A-Za-z0-9_]{30,}"),
    _token("gitlab-token", "glpat-", "[A-Za-z0-9_-]{20,}", real=random_looking),
    _token("aws-key", "A(?:KI|SI)A", "[A-Z0-9]{16}", "akia", "asia"),
    _token("google-key", "AIza", "[A-Za-z0-9_-]{35}"),
    _token("model-hub-token", "hf_", "[A-Za-z0-9]{30,}"),
    _token("provider-key", "[spr]k-", "[A-Za-z0-9_-]{20,}", "k-", real=_no_public_key),
    _token("provider-key", "gsk_", "[A-Za-z0-9]{30,}", real=random_looking),
    _token("payment-key", "[sr]k_(?:live|test)_", "[A-Za-z0-9]{16,}", "k_live_", "k_test_"),
    _token("chat-token", "xox", "[abeoprs]-[A-Za-z0-9-]{10,}", real=random_looking),
    _token("package-token", "npm_", "[A-Za-z0-9]{36}", real=random_looking),
    _token("package-token", "pypi-", "[A-Za-z0-9_-]{50,}", real=random_looking),
    Secret(
        kind="bearer-token",
        signs=("bearer",),
        pattern=re.compile(r"(?i)bearer\s{1,4}(?P<s>[A-Za-z0-9._~+/-]{16,}=*)"),
        real=random_looking,
    ),
    Secret(
        kind="basic-login",
        signs=("basic",),
        pattern=re.compile(r"(?i)\bauthorization\W{1,6}basic\s{1,4}(?P<s>[A-Za-z0-9+/]{8,}=*)"),
        real=_always,
    ),
    Secret(
        kind="url-password",
        signs=("://",),
        pattern=re.compile(r"://[^\s/:@\"'<>\\]{0,100}:(?P<s>[^\s/@\"'\\]{1,200})@(?=[\w\[])"),
        real=_no_variable,
    ),
)
"""Every kind of secret of our own, in the order in which they are looked for."""
