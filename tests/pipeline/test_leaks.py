"""No secret and no person leaves by what a scan or mining writes about failures."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from keys import KEYS, telling
from logs import mixed, write
from misstep import api, store, validate
from misstep.cli import main
from misstep.config import ValidateConfig
from misstep.mine.evidence import _kept_text as kept_text
from misstep.pipeline.kept import corpus_of
from misstep.pipeline.locate import locate
from misstep.redact import SECRETS, redact
from misstep.redact.vendors import VENDORS
from misstep.types import Message, Part, Session

PIECE = 12
"""Characters of a secret that would tell too much of it."""
_RAW = ("sessions.parquet", "verdicts.parquet")
"""What of a run folder holds the logs as they were read."""
_TOKEN = re.compile(rf"[\w.@+/=~:#-]{{{PIECE},}}")


def run(*words):
    got = CliRunner().invoke(main, [str(word) for word in words])
    assert got.exit_code in (0, 1), got.output
    return got


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    rows = [row for key in KEYS for row in telling(key)]
    return write(tmp_path_factory.mktemp("logs") / "log.jsonl", rows)


def texts(path):
    """What stands in the files below a path, each with its name."""
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file.suffix == ".parquet":
            yield file.name, json.dumps(store.read_rows(file), default=str, ensure_ascii=False)
        else:
            yield file.name, file.read_bytes().decode("utf-8", "replace")


def pieces(text):
    return (text[at : at + PIECE] for at in range(len(text) - PIECE + 1))


def told(text):
    """A text in small letters, and with its numbers masked, as loops are told."""
    low = text.lower()
    return low, re.sub(r"\d", "#", low)


TOLD = {
    piece: key.kind
    for key in KEYS
    for form in told(key.secret)
    for piece in pieces(form)
    if sum(map(str.isalpha, piece)) > PIECE // 2
}


def leaks(name, text):
    """Every word in which a piece of a key stands."""
    for word in sorted({*_TOKEN.findall(text)}):
        found = [TOLD[piece] for form in told(word) for piece in pieces(form) if piece in TOLD]
        if found:
            yield f"{name}: {word} holds a piece of {found[0]}"


def test_every_kind_is_planted_and_known():
    assert {key.kind for key in KEYS} == {
        *(secret.kind for secret in SECRETS),
        *(vendor.kind for vendor in VENDORS),
        *("secret-value", "email", "home"),
    }
    for key in KEYS:
        left = redact(key.said, personal=True).text
        assert f"[REDACTED:{key.kind}]" in left
        assert key.secret not in left


def test_nothing_that_a_scan_writes_holds_a_secret(tmp_path, logs):
    out = tmp_path / "out"
    out.mkdir()
    run(
        *("scan", logs, "--findings", out / "f.jsonl", "--parquet", out / "tables"),
        *("--sarif", out / "s.sarif", "--set-aside", out / "a.jsonl", "--quiet"),
    )
    got = run(
        *("scan", logs, "--since-last", "--state", out / "state", "--html", out / "p.html"),
        *("--json", "--quiet"),
    )
    codes = {json.loads(line)["code"] for line in (out / "f.jsonl").read_text().splitlines()}
    assert len(codes) > 20, codes
    assert "crashed" not in (out / "a.jsonl").read_text()
    found = list(leaks("stdout", got.stdout))
    for name, text in texts(out):
        found += leaks(name, text)
    assert not found


def test_nothing_that_mining_tells_of_failures_holds_a_secret(tmp_path, logs):
    run("mine", logs, "-o", tmp_path / "run", "--quiet")
    found = []
    for name, text in texts(tmp_path / "run"):
        found += leaks(name, text) if name not in _RAW else ()
    assert not found


def test_what_is_not_to_be_redacted_is_told_as_it_stands(tmp_path):
    key = next(key for key in KEYS if key.kind == "github-token")
    log = write(tmp_path / "log.jsonl", list(telling(key)))
    rows = {}
    for name, more in (("clean", ()), ("raw", ("--no-redact",))):
        run("scan", log, "--findings", tmp_path / name, "--quiet", *more)
        rows[name] = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    assert key.secret in (tmp_path / "raw").read_text()
    assert len(rows["clean"]) == len(rows["raw"])
    for clean, raw in zip(rows["clean"], rows["raw"], strict=True):
        assert (clean["code"], clean["span"], clean["cause"]) == (
            raw["code"],
            raw["span"],
            raw["cause"],
        )


def test_mining_still_knows_where_a_finding_is(tmp_path):
    path = "/Users/adaaugustalovelace/x.py"
    tool = {
        "type": "function",
        "function": {
            "name": "put",
            "parameters": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    }
    call = {"name": "put", "arguments": json.dumps({"a": 1, path: "one"})}
    answer = {"role": "assistant", "content": None}
    answer["tool_calls"] = [{"id": "c", "type": "function", "function": call}]
    row = {"messages": [{"role": "user", "content": "go"}, answer], "tools": [tool]}
    run("mine", write(tmp_path / "log.jsonl", [row]), "-o", tmp_path / "run", "--quiet")
    (told,) = store.read_rows(tmp_path / "run/findings.parquet")
    assert told["where"] == "/~1Users~1[REDACTED:home]~1x.py"
    corpus = corpus_of(store.RunFolder(tmp_path / "run"))
    (kept,) = [finding for found in corpus.findings.values() for finding in found]
    place = locate(call["arguments"], kept.where)
    assert call["arguments"][place.start : place.end] == '"one"'
    assert path not in kept.evidence


def test_a_plan_shows_no_people(tmp_path, small):
    rows = [json.loads(line) for line in mixed(tmp_path / "log.jsonl", 6).read_text().splitlines()]
    for row in rows:
        row["messages"][0]["content"] += " Write to ada.lovelace@northwind.io of /home/lovelace/x."
    text = api.plan([write(tmp_path / "log.jsonl", rows)], tmp_path / "run", small())
    assert "[REDACTED:email] of /home/[REDACTED:home]/x" in text
    assert "lovelace" not in text


def test_a_phrase_that_was_redacted_is_still_known_in_the_chosen_side():
    text = "Please write to ada.lovelace@northwind.io about it now. " * 30
    step = Message(role="assistant", parts=(Part(kind="text", text=text),), finish_reason="stop")
    asked = Message(role="user", parts=(Part(kind="text", text="go"),))
    session = Session(id="s", format="f", messages=(asked, step))
    judged = validate.validate(session, validate.settings(ValidateConfig()))
    (finding,) = [each for each in judged.findings if each.code == "REP_LOOP"]
    assert "[REDACTED:email]" in finding.loop.unit
    assert text[finding.loop.onset :].startswith("Please write to ada")
    assert kept_text(finding, text, text[:200]) is not None
    assert kept_text(finding, text, text[:60]) is None
