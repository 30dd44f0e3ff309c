"""Findings as plain rows, each with the place in the logs that it leads back to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

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
