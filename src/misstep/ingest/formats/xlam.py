"""xLAM and APIGen rows: one question, the tools, and the calls that answer it.

In: `{"query", "tools": JSON text, "answers": JSON text}`. Each row is a session of two messages.
Kept: the tools, whose flat parameter lists (`{"city": {"type": "str", …}}`) become JSON Schema; the
calls, as the exact slices of the answers' text. Not told: results, models, times, whether any
argument is required where its row does not say `optional`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from misstep.dialects.found import Given
from misstep.dialects.json_calls import keyed_calls
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, alone, share
from misstep.ingest.formats.chat_rows import RowReader
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.oneby import OneByOne
from misstep.types import Session

NAME = "xlam"
_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "tuple": "array",
    "set": "array",
}


def _sessions(record: Record, tally: Tally) -> list[Session]:
    row = record.value
    if not isinstance(row, dict):
        raise Misfit("", f"expected a row object, got {kind_of(row)}", "unknown-record")
    query = text_or_none(row.get("query"))
    if query is None:
        raise Misfit("/query", f"expected text, got {kind_of(row.get('query'))}")
    answers = row.get("answers")
    text = answers if isinstance(answers, str) else orjson.dumps(answers).decode()
    calls = [
        {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
        for call in keyed_calls(text, Given())
    ]
    answer = {"role": "assistant", "content": "" if calls else text, "tool_calls": calls}
    rows = [{"role": "user", "content": query}, answer]
    offer = {"id": _id(row.get("id")), "tools": _tools(row.get("tools"))}
    return [RowReader(tally, NAME).session(offer, rows, record, "/answers")]


def _id(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _tools(listed: Any) -> list[Any]:
    if isinstance(listed, str):
        try:
            listed = orjson.loads(listed)
        except orjson.JSONDecodeError as error:
            raise Misfit("/tools", f"tools as text, but not JSON: {error}", "bad-tool") from None
    if not isinstance(listed, list):
        raise Misfit("/tools", f"expected a list of tools, got {kind_of(listed)}", "bad-tool")
    return [_tool(tool) for tool in listed]


def _tool(tool: Any) -> Any:
    """A tool with its flat parameters as a schema; a tool that has a schema stays as it is."""
    if not isinstance(tool, dict):
        return tool
    flat = tool.get("parameters")
    if not isinstance(flat, dict) or "properties" in flat or not _is_flat(flat):
        return tool
    properties, required = {}, []
    for name, rule in flat.items():
        spelled = str(rule.get("type", ""))
        kind, _, note = spelled.partition(",")
        kept = {key: value for key, value in rule.items() if key not in ("type", "required")}
        known = _TYPES.get(kind.strip().split("[")[0].lower())
        properties[name] = kept | ({"type": known} if known else {})
        if rule.get("required") is True or ("optional" not in note and "default" not in rule):
            required.append(name)
    schema = {"type": "object", "properties": properties, "required": required}
    return {**tool, "parameters": schema}


def _is_flat(parameters: Mapping[str, Any]) -> bool:
    return all(isinstance(rule, dict) for rule in parameters.values())


def _weigh(value: dict[str, Any]) -> float:
    texts = all(isinstance(value.get(key), (str, list)) for key in ("tools", "answers"))
    return 1.0 if texts and isinstance(value.get("query"), str) else 0.0


def sniff(peek: Peek) -> float:
    """Objects with `query`, `tools` and `answers`."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _sessions)


FORMAT = Format(
    name=NAME,
    about="xLAM and APIGen rows: a question, tools, and the calls; no results, no models",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=alone,
    evidence="documentation",
)
