"""The rules of detect-secrets for the tokens of single services, behind cheap signs of our own.

In: text. Out: where one of its rules matches. A rule is tried (and the package imported) only where
the text names the service or holds its prefix: most texts never reach it. Used are the rules with a
form of their own; its entropy and keyword rules take UUIDs, hashes and identifiers for secrets
(18,124 hits in 18 MB of agent logs, design/redaction.md). Only patterns are taken: nothing is
verified, so nothing goes over a network.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

_QUOTES = " \t\r\n=:\"'"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One rule of detect-secrets."""

    kind: str
    signs: tuple[str, ...]
    """One of them, as it is written, stands in every text that the rule is tried on."""
    module: str
    name: str


VENDORS: tuple[Vendor, ...] = (
    Vendor("artifactory-token", ("AKC",), "artifactory", "ArtifactoryDetector"),
    Vendor("azure-key", ("AccountKey=",), "azure_storage_key", "AzureStorageKeyDetector"),
    Vendor("cloudant-login", ("cloudant",), "cloudant", "CloudantDetector"),
    Vendor("discord-token", ("iscord", "DISCORD"), "discord", "DiscordBotTokenDetector"),
    Vendor("ibm-key", ("ibm", "IBM"), "ibm_cloud_iam", "IbmCloudIamDetector"),
    Vendor("ibm-key", ("ibm", "IBM"), "ibm_cos_hmac", "IbmCosHmacDetector"),
    Vendor("mailchimp-key", ("-us",), "mailchimp", "MailchimpDetector"),
    Vendor("package-token", ("_authToken",), "npm", "NpmDetector"),
    Vendor("sendgrid-key", ("SG.",), "sendgrid", "SendGridDetector"),
    Vendor("chat-webhook", ("hooks.slack.com",), "slack", "SlackDetector"),
    Vendor("softlayer-key", ("softlayer", "SOFTLAYER"), "softlayer", "SoftlayerDetector"),
    Vendor("square-token", ("sq0csp-",), "square_oauth", "SquareOAuthDetector"),
    Vendor("telegram-token", ("elegram", "TELEGRAM"), "telegram_token", "TelegramBotTokenDetector"),
    Vendor("twilio-key", ("wilio", "TWILIO"), "twilio", "TwilioKeyDetector"),
)


def vendor_spans(text: str, real: Callable[[str], bool]) -> Iterator[tuple[str, tuple[int, int]]]:
    """(kind, span) of every token that a rule finds and `real` agrees to."""
    for vendor in VENDORS:
        for sign in vendor.signs:
            if sign in text:
                break
        else:
            continue
        for pattern in _patterns(vendor.module, vendor.name):
            for match in pattern.finditer(text):
                start, end = _token(match)
                if real(text[start:end]):
                    yield vendor.kind, (start, end)


@cache
def _patterns(module: str, name: str) -> tuple[re.Pattern[str], ...]:
    plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
    return tuple(plugin.denylist)


def _token(match: re.Match[str]) -> tuple[int, int]:
    """The secret part: the last group that took part, or all; without what quotes it."""
    groups = [at for at in range(1, match.re.groups + 1) if match[at]]
    start, end = match.span(groups[-1] if groups else 0)
    said = match.string[start:end]
    return start + len(said) - len(said.lstrip(_QUOTES)), end - len(said) + len(
        said.rstrip(_QUOTES)
    )
