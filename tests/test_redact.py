"""Secrets go, look-alikes stay. Every secret here is made up on the spot."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.redact import has_placeholder, has_secret, redact, redact_at

# Assembled from pieces, so that no scanner takes this file for a leak.
_MIX = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
_PEM = "-----BEGIN RSA PRIVATE " + "KEY-----\n" + (_MIX * 2 + "\n") * 3
_PEM_END = "-----END RSA PRIVATE " + "KEY-----"
SECRETS = {
    "provider-key": "sk-" + "proj-" + _MIX,
    "github-token": "ghp_" + _MIX + "1234",
    "aws-key": "AKIA" + "Z7Q2M4X6B8N1V3C5",
    "google-key": "AIza" + _MIX + "b3C",
    "model-hub-token": "hf_" + _MIX,
    "payment-key": "sk_" + "live_" + _MIX,
    "chat-token": "xoxb-" + "123456789012-" + _MIX,
    "gitlab-token": "glpat-" + _MIX,
    "jwt": "eyJ" + "hbGciOiJI.eyJ" + "zdWIiOiIx." + _MIX,
    "private-key": _PEM + _PEM_END,
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_replaced_by_its_kind_and_counted(kind: str) -> None:
    got = redact(f"before {SECRETS[kind]} after")
    assert got.text == f"before [REDACTED:{kind}] after"
    assert got.count == 1


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"Authorization: Bearer {_MIX}", "Authorization: Bearer [REDACTED:bearer-token]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [REDACTED:basic-login]"),
        ("postgres://bob:hunter2@db/x", "postgres://bob:[REDACTED:url-password]@db/x"),
        (f'{{"api_key": "{_MIX}"}}', '{"api_key": "[REDACTED:secret-value]"}'),
        (f"DB_PASSWORD={_MIX}\n", "DB_PASSWORD=[REDACTED:secret-value]\n"),
        (f'{{\\"api_key\\": \\"{_MIX}\\"}}', '{\\"api_key\\": \\"[REDACTED:secret-value]\\"}'),
    ],
)
def test_only_the_secret_part_of_a_longer_form_is_replaced(text: str, left: str) -> None:
    assert redact(text).text == left


@pytest.mark.parametrize(
    "text",
    [
        "sk-fading-circle-container-large",
        "pip install scikit-learn; import sk-learn-contrib-package",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "id 123e4567-e89b-12d3-a456-426614174000",
        '{"password": {"type": "string", "minLength": 8}}',
        "api_key = os.environ['SERVICE_API_KEY_2024_v1']",
        "api_key=get_key_from_vault_2024_prod()",
        "Bearer tokens are sent in the Authorization header",
        "http://localhost:8080/a@b",
        "https://example.org:443/path?q=user@example.org",
        "postgres://user:${DB_PASSWORD}@host/db",
        "the block starts with -----BEGIN RSA PRIVATE KEY----- and holds base64 text after it",
        "AKIA is the prefix of an access key",
        "eyJ is how a base64 object starts",
        "task-12345-abcdefghijklmnopqrstuvwxyz",
        "mail bob@example.org",
        "secret: xxxxxxxxxxxxxxxx12",
    ],
)
def test_a_look_alike_stays(text: str) -> None:
    assert redact(text).text == text
    assert not has_secret(text)


def test_emails_go_only_on_demand() -> None:
    assert redact("to bob@example.org", emails=True).text == "to [REDACTED:email]"


@pytest.mark.parametrize(
    "text",
    [
        "[REDACTED]",
        "[REDACTED:aws-key]",
        "key <redacted>",
        "{{REDACTED}}",
        "[Filtered]",
        'password: "***"',
        "token=*****",
        '{"key": "sk-***"}',
        "card ****1234",
        "https://bob:***@host",
    ],
)
def test_a_mark_of_redaction_is_seen(text: str) -> None:
    assert has_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "***",
        "above\n*****\nbelow",
        "this is ***very*** important",
        "/*******\n * banner\n *******/",
        "glob **/*.py and f(**kwargs)",
        "we redacted the report, then filtered it",
        "2 ** 3 ** 2",
        "Note: ***always*** close the file",
    ],
)
def test_asterisks_and_words_of_everyday_are_no_mark(text: str) -> None:
    assert not has_placeholder(text)


def test_what_redact_leaves_behind_is_a_placeholder_and_no_secret() -> None:
    for secret in SECRETS.values():
        left = redact(f'{{"value": {json.dumps(secret)}}}').text
        assert has_placeholder(left)
        assert not has_secret(left)
        json.loads(left)


@given(st.text(alphabet=string.printable, max_size=400))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once.text) == type(once)(text=once.text, count=0)
    assert has_secret(text) == (once.count > 0)


@pytest.mark.parametrize(
    "unit",
    ["-----BEGIN PRIVATE KEY-----", "eyJ", "sk-a1", "://a:", "*", "api_key=", "a@", "_a-", "A1_"],
)
def test_a_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    redact(text, emails=True)
    has_placeholder(text)
    assert time.process_time() - start < 3.0


pieces = st.lists(
    st.sampled_from([*SECRETS.values(), "plain ", "\n", "a@b.org", "=", '"']), max_size=8
)


@given(pieces, st.integers(0, 400), st.integers(0, 400), st.booleans())
def test_places_are_followed_through_a_redaction(
    said: list[str], start: int, length: int, emails: bool
) -> None:
    text = " ".join(said)
    span = (min(start, len(text)), min(start + length, len(text)))
    got, ((left, right),) = redact_at(text, [span], emails=emails)
    assert got == redact(text, emails=emails).text
    assert 0 <= left <= right <= len(got)
    if not has_secret(text) and not emails:
        assert (left, right) == span


def test_what_is_not_secret_stays_where_it_was_marked() -> None:
    text = f"a {SECRETS['aws-key']} HERE {SECRETS['jwt']} b"
    at = text.index("HERE")
    inside = text.index("AKIA") + 3
    got, (here, cut) = redact_at(text, [(at, at + 4), (inside, inside + 2)])
    assert got[slice(*here)] == "HERE"
    assert got[slice(*cut)] == "[REDACTED:aws-key]"
