"""Findings and set-aside records as plain rows: the one way by which they leave the process.

In: a finding with its session, or a record that was set aside. Out: a row without secrets and
people, unless redaction is switched off, with the place in the logs that it leads back to: the name
of a file stays as the user gave it. Offsets count in the text of the log, never in a redacted one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson

from misstep.ingest import message_key
from misstep.redact import clean, clean_pointer
from misstep.types import Finding, Loop, Origin, Session, SetAside


def finding_row(finding: Finding, session: Session) -> dict[str, Any]:
    """One finding as `--findings` writes it; schemas/finding.json."""
    message = session.messages[finding.step]
    origin = message.origins[0] if message.origins else Origin(file="", format=session.format)
    return {
        "session": finding.session,
        "step": finding.step,
        "call": finding.call,
        "code": finding.code,
        "level": finding.level,
        "channel": finding.channel,
        "where": clean_pointer(finding.where),
        "span": list(finding.span) if finding.span else None,
        "evidence": finding.evidence,  # redacted where the finding was made, before it was cut
        "tags": [clean(tag) for tag in finding.tags],
        "cause": finding.cause,
        "loop": _loop_row(finding.loop) if finding.loop else None,
        "origin": {"file": origin.file, "line": origin.line, "format": origin.format},
    }


def _loop_row(loop: Loop) -> dict[str, Any]:
    return {**asdict(loop), "unit": clean(loop.unit)[:MAX_UNIT]}


def aside_row(entry: SetAside) -> SetAside:
    """A record that was set aside as it may leave."""
    origin = entry.origin
    at = replace(
        origin,
        row=None if origin.row is None else clean(origin.row),
        pointer=None if origin.pointer is None else clean_pointer(origin.pointer),
    )
    return replace(entry, origin=at, said=clean(entry.said))


MAX_UNIT = 200
"""Characters of a loop's unit, as the schema of a row has it."""
MARK = 8
"""Bytes of a mark."""


def marks_of(session: Session, findings: Sequence[Finding]) -> bytes:
    """By what each finding is known again once its session has gone on or its file was renamed: a
    hash of the conversation up to its step, and of what was found."""
    if not findings:
        return b""
    history = hashlib.blake2b(digest_size=MARK)
    upto = []
    for message in session.messages:
        history.update(message_key(message))
        upto.append(history.digest())
    marks = []
    for each in findings:
        said = orjson.dumps((each.call, each.code, each.level, each.where))
        marks.append(hashlib.blake2b(upto[each.step] + said, digest_size=MARK).digest())
    return b"".join(marks)
