"""Who the people are: e-mail addresses and the names of home directories.

In: text. Out: spans of `email` (the address) and `home` (the user's name in a path). What
belongs to nobody is none: addresses at the reserved domains of RFC 2606, `noreply` and `git@`, the
accounts of images and build machines (`/home/ubuntu`, `/Users/runner`), routes below a web host.
"""

from __future__ import annotations

import re

from misstep.redact.edges import at_edge, past_escape
from misstep.redact.secrets import Span

_DOMAIN = re.compile(r"@((?:[A-Za-z0-9-]{1,63}\.){1,8})([A-Za-z]{2,24})(?![A-Za-z0-9-])")
_LOCAL = re.compile(r"[A-Za-z0-9._%+-]{1,64}\Z")
_LONG = re.compile(
    "academy|agency|asia|bank|blog|center|club|cloud|company|design|digital|email|energy|finance"
    "|global|group|health|info|legal|live|media|mobi|museum|name|network|news|online|page|school"
    "|shop|site|social|software|solutions|space|store|studio|systems|team|tech|today|tools|travel"
    "|work|works|world|zone"
)
"""Top-level domains of four letters or more; `x@self.weight` is code."""
_FILES = re.compile("png|jpe?g|gif|svg|webp|ico|[mc]?js|ts|css|json|md|py|rs|go|sh")
_NOBODY = re.compile(r"(?i)no-?_?reply|do-?not-?reply|git|hg|svn|your.*")
_RESERVED = frozenset(("example", "test", "invalid", "localhost"))

_HOME = re.compile(r"/(?:home|Users)/(?P<s>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?)")
_FOLDED = re.compile(r"-(?:home|Users)-(?P<s>[A-Za-z0-9_]{1,64})(?=-)")
_WINDOWS = re.compile(
    r"(?i)[a-z]:(?:\\{1,4}|/)users(?:\\{1,4}|/)"
    r"(?P<s>[a-z0-9_](?:[a-z0-9._-]{0,62}[a-z0-9_])?(?: [a-z0-9_]{1,30}(?=[\\/]))?)"
)
_ACCOUNTS = re.compile(
    r"(?i)(?:user|your|me|my|name|username|user[_-]?name|yourname|your[_-]?user(?:name)?|someone"
    r"|somebody|nobody|root|admin|administrator|ubuntu|debian|centos|ec2-user|vagrant|runner"
    r"|runneradmin|jenkins|circleci|travis|gitpod|codespace|codespaces|vscode|node|app|application"
    r"|agent|sandbox|coder|dev|developer|jovyan|docker|container|linuxbrew|public|default|shared"
    r"|guest|test|tests|testuser|host|swe-agent|openhands|oai|ctf|challenge|services|service|all)"
    r"\d*\Z"
)
_ROUTE = re.compile(r"(?i)\.(?:html?|php|aspx?|jsx?|tsx?|css|json|md|txt|png|jpe?g|svg|xml|py)\Z")


def email_spans(text: str) -> list[Span]:
    """Every address of a person or a company."""
    found: list[Span] = []
    if "@" not in text:
        return found
    for match in _DOMAIN.finditer(text):
        local = _LOCAL.search(text, max(0, match.start() - 64), match.start())
        if local is None:
            continue
        start = past_escape(text, local.start())
        if _is_person(text[start : match.start()], match[1].lower(), match[2].lower()):
            found.append((start, match.end(), "email"))
    return found


def _is_person(local: str, domain: str, top: str) -> bool:
    if not any(c.isalpha() for c in local) or _NOBODY.fullmatch(local) or local[-1] == ".":
        return False
    if len(top) > 3 and not _LONG.fullmatch(top):
        return False
    labels = domain[:-1].split(".")
    if _FILES.fullmatch(top) and labels[0][:1].isdigit():  # logo@2x.png
        return False
    return top not in _RESERVED and labels[-1] not in _RESERVED


def home_spans(text: str) -> list[Span]:
    """The user's name in every path to a home directory."""
    found: list[Span] = []
    posix = "/home/" in text or "/Users/" in text
    if posix:
        found += [_name(m) for m in _HOME.finditer(text) if _begins(text, m.start()) and _own(m)]
    if "sers" in text or "SERS" in text:
        found += [_name(m) for m in _WINDOWS.finditer(text) if _own(m)]
    if "-home-" in text or "-Users-" in text:
        found += [_name(m) for m in _FOLDED.finditer(text) if _folds(text, m.start()) and _own(m)]
    return found


def _name(match: re.Match[str]) -> Span:
    return *match.span("s"), "home"


def _own(match: re.Match[str]) -> bool:
    name = match["s"]
    return not (_ACCOUNTS.match(name) or name.isdigit() or _ROUTE.search(name))


def _begins(text: str, at: int) -> bool:
    """Whether a path begins here: not below a host or another folder, but below a drive."""
    if at_edge(text, at, "-_.}/~*)"):
        return True
    if text[max(0, at - 2) : at] == "//" and text[max(0, at - 7) : at - 2] == "file:":
        return True
    drive = text[max(0, at - 2) : at]
    return len(drive) == 2 and drive[0] == "/" and drive[1].isalpha()


def _folds(text: str, at: int) -> bool:
    """Whether `-home-ada-project` stands for a path: at the beginning of a file's name."""
    return at == 0 or text[at - 1] in "/\\\"' \n"
