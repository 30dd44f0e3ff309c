"""A second opinion on Inspect logs: what `inspect_ai.log.read_eval_log` sees in the same files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import CORPUS
from misstep.ingest import ingest
from misstep.types import Session
from samples import LOGS

log = pytest.importorskip("inspect_ai.log")

FILES = [
    *sorted(p for p in (LOGS / "inspect-ai").iterdir() if p.suffix in (".eval", ".json")),
    *sorted((CORPUS / "logs" / "inspect-ai").glob("*")),
]
REWRITTEN = {"crew.eval"}
"""`react` replaces the last answer by what was submitted; here the answer itself is kept."""


def plain(arguments: str) -> str:
    return json.dumps(json.loads(arguments), sort_keys=True)


def here(session: Session) -> list[tuple[str, ...]]:
    seen: list[tuple[str, ...]] = []
    for message in session.messages:
        if message.error is not None:
            continue
        for result in message.results:
            seen.append(("tool", str(result.call_id), result.text))
        if message.role != "tool":
            seen.append((message.role, message.text))
        for call in message.calls:
            arguments = "{}" if call.fault else plain(call.arguments)
            seen.append(("call", str(call.id), call.name, arguments, str(call.fault)))
    return seen


def there(sample: object) -> list[tuple[str, ...]]:
    seen: list[tuple[str, ...]] = []
    for message in sample.messages:
        if message.role == "tool":
            text = message.error.message if message.error else message.text
            seen.append(("tool", str(message.tool_call_id), text))
            continue
        seen.append((message.role, message.text))
        for call in getattr(message, "tool_calls", None) or []:
            arguments = json.dumps(call.arguments, sort_keys=True)
            seen.append(("call", call.id, call.function, arguments, str(call.parse_error)))
    return seen


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.name != "expected.json"], ids=lambda p: p.name
)
def test_both_see_the_same_messages_and_calls(path: Path) -> None:
    whole = log.read_eval_log(str(path), resolve_attachments=True)
    sessions = [s for s in ingest([path]).sessions if s.parent is None]
    seen = sorted(here(session) for session in sessions)
    told = sorted(there(sample) for sample in whole.samples or [])
    if path.name in REWRITTEN:
        seen, told = [s[:-2] for s in seen], [t[:-1] for t in told]
    assert seen == told
