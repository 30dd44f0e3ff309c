"""Sessions for the tests of the validate room, from rows as short as they can be.

A case is one JSON object: `messages` (chat rows; the last assistant message is judged), and what
its request offered. Long text is written as a list: `["head ", ["unit ", 40], "tail"]`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from misstep.chat import from_chat, tool_from_chat
from misstep.contracts import contract_text, merged
from misstep.types import Context, Message, Session, Usage
from misstep.validate import Settings, validate

CASES = Path(__file__).resolve().parents[1] / "cases" / "validate"
DEFAULT = Settings()


def long_text(content: Any) -> Any:
    """A string from its parts; anything else as it is."""
    if not isinstance(content, list):
        return content
    return "".join(p if isinstance(p, str) else p[0] * p[1] for p in content)


def message(row: dict[str, Any]) -> Message:
    row = dict(row)
    row["content"] = long_text(row.get("content"))
    row["reasoning_content"] = long_text(row.get("reasoning"))
    made = from_chat(
        row
        | {
            "tool_calls": [
                {
                    "id": call.get("id"),
                    "function": {
                        "name": call["name"],
                        "arguments": long_text(call.get("arguments", "{}")),
                    },
                }
                for call in row.get("calls", [])
            ]
        }
    )
    told = {key: row[key] for key in ("hint", "cause", "exit_code") if key in row}
    if made.role == "tool" and told:
        part = made.parts[0]
        made = replace(made, parts=(replace(part, result=replace(part.result, **told)),))
    told = {key: row[key] for key in ("kind", "syntax") if key in row}
    if told:  # of every call
        made = replace(
            made,
            parts=tuple(
                replace(p, call=replace(p.call, **told)) if p.call else p for p in made.parts
            ),
        )
    return replace(
        made,
        actor=row.get("actor"),
        finish_reason=row.get("finish_reason"),
        end=row.get("end", "complete"),
        error=row.get("error"),
        fault=row.get("fault"),
        usage=Usage(output_tokens=row["output_tokens"]) if "output_tokens" in row else None,
        context=0 if made.role == "assistant" else None,
    )


def session(row: dict[str, Any]) -> Session:
    schema = row.get("response_schema")
    context = Context(
        tools=tuple(
            replace(
                tool_from_chat(tool), contract=merged(contract_text(tool), tool.get("more", {}))
            )
            for tool in row.get("tools", ())
        ),
        response_schema=json.dumps(schema) if isinstance(schema, dict) else schema,
        json_mode=row.get("json_mode", False),
        tool_choice=row.get("tool_choice"),
        max_tokens=row.get("max_tokens"),
    )
    rows = row.get("messages") or [
        {"role": "user", "content": row.get("user", "go on")},
        {"role": "assistant", "finish_reason": "stop"} | row["answer"],
    ]
    return Session(
        id="case", format="case", messages=tuple(map(message, rows)), contexts=(context,)
    )


def asked(**row: Any) -> Session:
    """A session of one question and one answer."""
    return session({"answer": row} | {k: row.pop(k) for k in ("tools", "user") if k in row})


def found(subject: Session, settings: Settings = DEFAULT) -> list[str]:
    """`CODE:level` of every finding, sorted."""
    return sorted(f"{f.code}:{f.level}" for f in validate(subject, settings).findings)


def tool(name: str, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, **more} | ({} if schema is None else {"parameters": schema})


def cases() -> list[tuple[str, dict[str, Any]]]:
    """Every case of every file under its description."""
    return [
        (f"{path.stem}: {row['description']}", row)
        for path in sorted(CASES.glob("*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]
