"""Tool calls and results as text, the way Cline and its forks (Roo, Kilo) write them.

In: text blocks. Out: the calls in an answer's XML tags, their values as they stand in the tags; and
the results in a user's text, with what Cline's fixed wrappers say: an error, a user's no, a missing
parameter, an exit code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from misstep.types import Cause, Part, ToolCall, ToolResult

_TOOLS = (
    "access_mcp_resource",
    "apply_diff",
    "apply_patch",
    "ask_followup_question",
    "attempt_completion",
    "browser_action",
    "codebase_search",
    "condense",
    "execute_command",
    "fetch_instructions",
    "generate_image",
    "insert_content",
    "list_code_definition_names",
    "list_files",
    "load_mcp_documentation",
    "new_rule",
    "new_task",
    "plan_mode_respond",
    "read_file",
    "replace_in_file",
    "report_bug",
    "run_slash_command",
    "search_and_replace",
    "search_files",
    "switch_mode",
    "update_todo_list",
    "use_mcp_tool",
    "use_skill",
    "use_subagents",
    "web_fetch",
    "web_search",
    "write_to_file",
)
"""Names that Cline, Roo and Kilo know; they take any other tag for text."""
_OPEN = re.compile(r"<(" + "|".join(_TOOLS) + r")>")
_PARAMETER = re.compile(r"\s*<(\w{1,60})>")
_LONG = ("content", "diff", "result", "args")
"""Parameters whose value may hold tags: they end at the last closing tag."""
_RESULT = re.compile(r"\[(\w{1,80})(?: (?:for|to|in) .{0,4000}?)?\] Result:\n?", re.S)
_ERROR = re.compile(r"\s*The tool execution failed with the following error:")
_STATUS = re.compile(r'\s*\{"status":"(denied|error)"(?:,"type":"(\w{1,40})")?')
"""How newer versions of Roo wrap a no and an error."""
_MISUSE = ("invalid_argument", "unknown_tool", "unknown_server")
_MISSING = re.compile(r"Missing value for required parameter|without value for required parameter")
_EXIT = re.compile(r"\s*Command [^\n]{0,60}?\bexit code:? (\d{1,9})|Exit code: (\d{1,9})\b", re.I)
_CAUSES: tuple[tuple[Cause, re.Pattern[str]], ...] = (
    ("human", re.compile(r"\s*(?:The user denied this operation|\{\"status\":\"denied\")")),
    ("knock-on", re.compile(r"\s*Skipping tool \S{0,80} ?(?:due|because)")),
)


def calls_in(text: str, first: int) -> tuple[Part, ...]:
    """Text and calls of one text block.

    Args:
        first: how many calls the message already has.
    """
    parts: list[Part] = []
    at = 0
    while (opening := _OPEN.search(text, at)) is not None:
        _add_text(parts, text[at : opening.start()])
        name = opening[1]
        close = text.find(f"</{name}>", opening.end())
        inside = text[opening.end() : close if close >= 0 else len(text)]
        arguments = orjson.dumps(_values(inside)).decode()
        call = ToolCall(name=name, arguments=arguments, index=first, verbatim=False)
        parts.append(Part(kind="call", call=call))
        first += 1
        at = len(text) if close < 0 else close + len(name) + 3
    _add_text(parts, text[at:])
    return tuple(parts)


def _add_text(parts: list[Part], text: str) -> None:
    if text.strip():
        parts.append(Part(kind="text", text=text))


def _values(inside: str) -> dict[str, str]:
    values: dict[str, str] = {}
    at = 0
    while (opening := _PARAMETER.match(inside, at)) is not None:
        name = opening[1]
        closing = f"</{name}>"
        find = inside.rfind if name in _LONG else inside.find
        end = find(closing, opening.end())
        value = inside[opening.end() : end if end >= 0 else len(inside)]
        values[name] = value.strip("\n")
        at = len(inside) if end < 0 else end + len(closing)
    return values


class Told(msgspec.Struct, frozen=True):
    """One text block of a user's message: a result, or its name alone, or plain text."""

    name: str | None
    text: str


def told(text: str) -> Told:
    """What a text block is."""
    found = _RESULT.match(text)
    return Told(None, text) if found is None else Told(found[1], text[found.end() :])


def result(text: str, name: str | None, call_id: str | None, flag: bool | None) -> ToolResult:
    """One result with what the wrappers say.

    Args:
        flag: the log's own error flag.
    """
    head = text[:600]
    cause = next((cause for cause, said in _CAUSES if said.match(head)), None)
    status = _STATUS.match(head)
    wrapped = _ERROR.match(head) is not None or status is not None
    misused = status is not None and status[2] in _MISUSE
    if cause is None and wrapped and (misused or _MISSING.search(head)):
        cause = "model"
    found = _EXIT.match(head)
    failed = True if cause is not None or wrapped else flag
    return ToolResult(
        text=text,
        call_id=call_id,
        name=name,
        is_error=failed,
        cause=cause,
        exit_code=None if found is None else int(found[1] or found[2]),
    )


def missing(said: str) -> str | None:
    """The tool that was called without a required parameter, by what Cline showed the user."""
    found = re.match(r"\w{1,20} tried to use (\w{1,80})\b", said)
    return found[1] if found is not None and _MISSING.search(said) else None


def entries(content: Any) -> tuple[str, bool | None, int | None] | None:
    """Text, error flag and exit code of a result that is a list of `{query, result, success}`."""
    if not isinstance(content, list) or not content:
        return None
    if not all(isinstance(e, dict) and "success" in e and "query" in e for e in content):
        return None
    text = "\n".join(_entry(entry) for entry in content)
    failed = [entry for entry in content if entry["success"] is False]
    codes = [c for entry in failed if (c := _code(entry.get("error"))) is not None]
    return text, bool(failed), codes[0] if codes else None


def _entry(entry: Mapping[str, Any]) -> str:
    got, error = entry.get("result"), entry.get("error")
    text = got if isinstance(got, str) else orjson.dumps(got).decode()
    return error if not text and isinstance(error, str) else text


def _code(error: Any) -> int | None:
    found = re.match(r"Command exited with code (\d{1,9})", error if isinstance(error, str) else "")
    return None if found is None else int(found[1])
