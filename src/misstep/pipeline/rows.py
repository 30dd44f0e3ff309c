"""Findings as plain rows, each with the place in the logs that it leads back to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from misstep.ingest import message_key
from misstep.types import Finding, Origin, Session


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
        "where": finding.where,
        "span": list(finding.span) if finding.span else None,
        "evidence": finding.evidence,
        "tags": list(finding.tags),
        "cause": finding.cause,
        "loop": asdict(finding.loop) if finding.loop else None,
        "origin": {"file": origin.file, "line": origin.line, "format": origin.format},
    }


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
