"""Secrets go, look-alikes stay. Every secret here is made up on the spot."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.redact import (
    Cleaner,
    clean,
    clean_pointer,
    clip,
    cut,
    has_placeholder,
    has_secret,
    redact,
    redact_at,
    switched,
)

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
        '"public_key": "pk-lf-5855d85e-3943-497e-bd10-f50ad414bcba"',
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        '{"request_id": "req_011CSHoEeqs5C35K2UUqR7Fy", "id": "toolu_01A09q90qw90lq917835lq9"}',
        "call_62136354 and chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT and thread_abc123DEF456ghi789",
        "secret: xxxxxxxxxxxxxxxx12",
    ],
)
def test_a_look_alike_stays(text: str) -> None:
    assert redact(text).text == text
    assert not has_secret(text)


def test_people_go_only_on_demand() -> None:
    assert redact("to bob@acme.org", personal=True).text == "to [REDACTED:email]"
    assert redact("to bob@acme.org").text == "to bob@acme.org"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cat /home/ada/x.py", "cat /home/user1/x.py"),
        ("/Users/ada.king/x and /Users/bob/y", "/Users/user1/x and /Users/user2/y"),
        ('{"path": "C:\\\\Users\\\\Ada King\\\\x"}', '{"path": "C:\\\\Users\\\\user1\\\\x"}'),
        ("/mnt/c/Users/ada/x", "/mnt/c/Users/user1/x"),
        ("PATH=/usr/bin:/home/ada/bin", "PATH=/usr/bin:/home/user1/bin"),
        ("file:///home/ada/x.html", "file:///home/user1/x.html"),
        ('{"c": "a\\n/home/ada/x"}', '{"c": "a\\n/home/user1/x"}'),
        ("~/.claude/projects/-home-ada-shop/1", "~/.claude/projects/-home-user1-shop/1"),
        (
            "ada@acme.io, Ada@ACME.io, bob@acme.io",
            ", ".join(["user1@example.com", "user1@example.com", "user2@example.com"]),
        ),
        ('{"c": "to:\\nada@acme.io"}', '{"c": "to:\\nuser1@example.com"}'),
        ('{"c": "\\u00e9ada@acme.io"}', '{"c": "\\u00e9user1@example.com"}'),
    ],
)
def test_a_person_becomes_a_stand_in_of_the_same_form(text: str, left: str) -> None:
    assert Cleaner()(text) == left
    if text.startswith("{"):
        json.loads(left)


@pytest.mark.parametrize(
    "text",
    [
        "/home/ubuntu/app and /Users/runner/work and /home/user1/x",
        "https://site.org/home/products and GET /Users/42",
        "the route /home/index.html",
        "bob@example.com, ada@mail.example.net, noreply@github.com",
        "git clone git@github.com:acme/shop.git",
        "y = x@self.weight + b@W.T",
        "icons/logo@2x.png and actions/checkout@v4.2.1",
        "npm i @acme/shop@1.2.3",
        "yourname@yourdomain.com",
    ],
)
def test_what_belongs_to_nobody_stays(text: str) -> None:
    assert Cleaner()(text) == text


def test_two_keys_of_a_session_stay_two() -> None:
    clean = Cleaner()
    clean.begin("one")
    first, second = SECRETS["aws-key"], SECRETS["aws-key"][:-1] + "6"
    assert clean(f"{first} {second} {first}") == (
        "[REDACTED:aws-key] [REDACTED:aws-key:2] [REDACTED:aws-key]"
    )
    assert has_placeholder(clean(second))
    assert clean.counts == {"aws-key": 4}
    clean.begin("two")
    assert clean(second) == "[REDACTED:aws-key]"
    clean.begin("one")
    assert clean(second) == "[REDACTED:aws-key:2]"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AccountName=x;AccountKey=" + (_MIX * 3)[:86] + "==;End", "azure-key"),
        ("send SG." + _MIX[:22] + "." + (_MIX * 2)[:43], "sendgrid-key"),
        ("telegram bot 1234567890:" + "A" + (_MIX * 2)[:34], "telegram-token"),
        ("mailchimp " + "0123456789abcdef" * 2 + "-us12", "mailchimp-key"),
    ],
)
def test_services_are_known_by_the_rules_of_detect_secrets(text: str, kind: str) -> None:
    assert f"[REDACTED:{kind}]" in redact(text).text


def test_a_token_behind_an_escape_is_seen() -> None:
    text = json.dumps({"note": "the key:\n" + SECRETS["provider-key"]})
    assert json.loads(redact(text).text) == {"note": "the key:\n[REDACTED:provider-key]"}


def test_redaction_can_be_switched_off_for_a_while_and_the_gate_still_sees() -> None:
    with switched(False):
        assert redact(SECRETS["aws-key"]).count == 0
        assert has_secret(SECRETS["aws-key"])
    assert redact(SECRETS["aws-key"]).count == 1


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
        "write to [EMAIL_1]",
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
    [
        *(
            "-----BEGIN PRIVATE KEY-----",
            "eyJ",
            "sk-a1",
            "://a:",
            "*",
            "api_key=",
            "a@",
            "_a-",
            "A1_",
        ),
        *("/home/a", "-home-a", "C:\\Users\\a ", "a@b.", "[EMAIL", "telegram1:a", "twilioAC0"),
    ],
)
def test_a_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    redact(text, personal=True)
    has_placeholder(text)
    assert time.process_time() - start < 3.0


pieces = st.lists(
    st.sampled_from([*SECRETS.values(), "plain ", "\n", "a@b.org", "/home/ada/x", "=", '"']),
    max_size=8,
)


@given(pieces, st.integers(0, 400), st.integers(0, 400), st.booleans())
def test_places_are_followed_through_a_redaction(
    said: list[str], start: int, length: int, emails: bool
) -> None:
    text = " ".join(said)
    span = (min(start, len(text)), min(start + length, len(text)))
    got, ((left, right),) = redact_at(text, [span], personal=emails)
    assert got == redact(text, personal=emails).text
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


@pytest.mark.parametrize(
    "secret", [*SECRETS.values(), "eyJ" + _MIX + ".eyJ" + _MIX * 40 + "." + _MIX]
)
@pytest.mark.parametrize("around", [10, 700, 5000])
def test_no_cut_shows_a_piece_of_a_secret(secret: str, around: int) -> None:
    text = "ab " * (around // 3) + secret + " cd" * (around // 3)
    at = text.index(secret)
    for step in range(-30, len(secret) + 30, 7):
        for shown in (clip(text, at + step), cut(text, at + step, at + step + 60)):
            assert not any(secret[i : i + 12] in shown for i in range(0, len(secret) - 11))
    assert cut(text, at + 3, at + 4).startswith("[REDACTED:")


@given(st.text(max_size=80), st.integers(0, 90), st.integers(0, 90))
def test_a_cut_of_a_text_without_secrets_is_a_slice(text: str, start: int, length: int) -> None:
    if clean(text) == text:
        assert cut(text, start, start + length) == text[start : start + length]
        assert clip(text, length) == text[:length]


def test_many_long_secrets_before_a_cut_bring_no_other_into_sight() -> None:
    text = " ".join([SECRETS["jwt"] + _MIX * 9, SECRETS["github-token"]] * 40)
    for length in range(1, 900, 11):
        assert _MIX[:12] not in clip(text, length)


def test_a_value_is_a_secret_by_the_name_that_it_has() -> None:
    assert clip(_MIX, 40) == _MIX
    assert clip(f'"{_MIX}" is too long', 60, name="api_key") == (
        '"[REDACTED:secret-value]" is too long'
    )
    assert clip("Basic dXNlcjpwYXNz", 60, name="Authorization") == "Basic [REDACTED:basic-login]"
    with switched(False):
        assert clip(_MIX, 20, name="api_key") == _MIX[:20]
        assert cut(f"a {SECRETS['jwt']}", 4, 9) == SECRETS["jwt"][2:7]


@pytest.mark.parametrize(
    ("pointer", "left"),
    [
        ("/a/0/b~1c~0", "/a/0/b~1c~0"),
        ("/files/~1home~1ada~1x.py/size", "/files/~1home~1[REDACTED:home]~1x.py/size"),
        (f"/{SECRETS['aws-key']}", "/[REDACTED:aws-key]"),
        ("/C:\\Users\\ada", "/C:\\Users\\[REDACTED:home]"),
        ("/ada@acme.io", "/[REDACTED:email]"),
    ],
)
def test_the_names_in_a_pointer_are_redacted_one_by_one(pointer: str, left: str) -> None:
    assert clean_pointer(pointer) == left
