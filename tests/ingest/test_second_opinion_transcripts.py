"""A second opinion on transcripts: what `datasets` and `teich` see in the same files.

The loader of agent traces in `datasets` counts calls and names the session by itself, and leaves
the messages to `teich`. Each file is read alone by both. Every difference must have one of the
reasons of `design/second-opinion.md`; one without a reason fails the test.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from samples import LOGS

SAMPLES = [
    *sorted((LOGS / "codex" / "sessions").glob("*.jsonl")),
    *sorted((LOGS / "claude-stream" / "transcripts").rglob("*.jsonl")),
]
REAL = [
    *sorted((CORPUS / "logs" / "claude-code").rglob("*.jsonl")),
    *sorted((CORPUS / "logs" / "other-clis").glob("traex*.jsonl")),
]
UNREADABLE = {"edge_cases.jsonl": "a line that is no object stops the other reader"}

Seen = Counter[tuple[str, ...]]


def name(path: Path) -> str:
    return path.name[-44:]


def plain(arguments: Any) -> str:
    """Arguments without their spelling."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return arguments
    return json.dumps(arguments, sort_keys=True)


def seen_here(path: Path) -> Seen:
    """Calls, results and texts of the own steps, each a tuple."""
    seen: Seen = Counter()
    for session in ingest([path]).sessions:
        for message in session.messages[session.prefix :]:
            seen.update(("call", str(c.id), c.name, plain(c.arguments)) for c in message.calls)
            seen.update(("result", str(r.call_id), r.text.strip()) for r in message.results)
            if message.text.strip() and message.role in ("user", "assistant"):
                who = "harness" if message.actor == "harness" else message.role
                seen["text", who, message.text.strip()] += 1
    return seen


def seen_by_teich(path: Path, convert: Any) -> Seen:
    seen: Seen = Counter()
    for row in convert(path):
        for message in row["messages"]:
            for call in message.get("tool_calls") or ():
                function = call["function"]
                seen["call", str(call["id"]), function["name"], plain(function["arguments"])] += 1
            text = message.get("content")
            text = text.strip() if isinstance(text, str) else ""
            if message["role"] == "tool":
                seen["result", str(message.get("tool_call_id")), text] += 1
            elif text and message["role"] in ("user", "assistant"):
                seen["text", message["role"], text] += 1
    return seen


def reason(fact: tuple[str, ...], here: bool, others: Seen) -> str | None:
    """Why one side alone sees this; None is a difference that nobody has explained."""
    kind, who, rest = fact[0], fact[1], fact[-1]
    if kind == "text" and who == "harness":
        return "harness text"
    if kind == "text" and who == "user" and here:
        if rest.startswith("<command-"):
            return "slash command"
        return "compaction" if any(f[-1] == rest for f in others) else None
    if kind == "text" and who == "assistant" and not here:
        return "request error" if "API Error" in rest else "compaction"
    if kind == "text" and who == "assistant":
        return "request error" if any(rest in f[-1] for f in others) else None
    if kind == "result":
        mine = [f for f in others if f[:2] == fact[:2]]
        if any(" ".join(f[-1].split()) == " ".join(rest.split()) for f in mine):
            return "white space"
        return "picture" if any("blake2b:" in t for t in (rest, *(f[-1] for f in mine))) else None
    if "__unparsedToolInput" in rest or '": "cat prices.csv", ' in rest:
        return "unparsed input"
    return "custom tool" if "*** Begin Patch" in rest else None


def differences(path: Path, convert: Any) -> Counter[str]:
    ours, theirs = seen_here(path), seen_by_teich(path, convert)
    for fact in [f for f in ours if f[1] == "harness"]:
        both = min(ours[fact], theirs["text", "user", fact[2]])  # it does not tell who wrote it
        ours["text", "user", fact[2]] += both
        ours[fact] -= both
    told = [(f, reason(f, here=True, others=theirs)) for f in (ours - theirs).elements()]
    told += [(f, reason(f, here=False, others=ours)) for f in (theirs - ours).elements()]
    assert [fact for fact, why in told if why is None] == []
    return Counter(why for _, why in told if why is not None)


@pytest.fixture(scope="module")
def convert():
    teich = pytest.importorskip("teich", reason="teich is not installed: a second reader, no part")
    return teich.convert_traces_to_training_data


@pytest.fixture(scope="module")
def traces():
    return pytest.importorskip("datasets.packaged_modules.json.json")


@pytest.mark.parametrize("path", SAMPLES, ids=name)
def test_teich_sees_the_same_messages_and_calls_in_a_sample(path, convert):
    differences(path, convert)


def test_what_differs_in_the_samples_has_these_reasons(convert):
    found = sum((differences(path, convert) for path in SAMPLES), Counter())
    assert found == {
        "harness text": 10,
        "unparsed input": 4,
        "request error": 3,
        "compaction": 2,
        "custom tool": 2,
    }


@needs_corpus
@pytest.mark.parametrize("path", REAL, ids=name)
def test_teich_sees_the_same_messages_and_calls_in_a_real_log(path, convert):
    if path.name in UNREADABLE:
        with pytest.raises(AttributeError):
            convert(path)
        assert ingest([path]).counts.used
        return
    differences(path, convert)


@needs_corpus
def test_what_differs_in_the_real_logs_has_these_reasons(convert):
    found = sum((differences(p, convert) for p in REAL if p.name not in UNREADABLE), Counter())
    assert found == {"harness text": 12, "slash command": 1, "picture": 2}


def counted(path: Path) -> tuple[int, int]:
    """Function calls, and calls of custom tools."""
    calls = [
        call
        for session in ingest([path]).sessions
        for message in session.messages[session.prefix :]
        for call in message.calls
    ]
    custom = sum(call.kind == "custom" for call in calls)
    return len(calls) - custom, custom


@pytest.mark.parametrize("path", SAMPLES, ids=name)
def test_datasets_counts_the_same_calls_in_a_sample(path, traces):
    """It knows function calls only: a free-text tool of Codex is none for it."""
    told = traces.parse_traces_info(path.read_text("utf-8").splitlines())
    families = {session.family for session in ingest([path]).sessions}
    assert told[5] == counted(path)[0]
    assert (told[0] == "codex") == ("codex" in path.parts)
    if "codex" not in path.parts:  # in Codex a sub-agent's family is the thread that started it
        assert families == {told[1]}


@needs_corpus
@pytest.mark.parametrize("path", REAL, ids=name)
def test_datasets_counts_the_same_calls_in_a_real_log(path, traces):
    if path.name in UNREADABLE:
        pytest.skip(UNREADABLE[path.name])
    told = traces.parse_traces_info(path.read_text("utf-8").splitlines())
    assert told[5] == counted(path)[0]
