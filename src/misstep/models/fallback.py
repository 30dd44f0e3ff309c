"""The rendering for chat templates without tool support: system, user and assistant text turns.

In: messages and what the request offered. Out: turns (role, text) that any chat template takes.

- The system turn holds the log's own system text, then one line of JSON per tool (name,
  description, parameters), then one sentence on how to call; short, since prompt length is what
  costs. Without tools it holds no word on tools.
- Calls stand in assistant turns as Hermes blocks, argument text verbatim.
- Results are user turns, `<tool_response>` … `</tool_response>`; those in a row share a turn.
- A schema for the answer is one sentence and the schema.

Reasoning and images are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from misstep.dialects import render_answer
from misstep.types import Context, Message, ToolSpec

HOW_TO_CALL = 'To call a tool, answer <tool_call>\n{"name": NAME, "arguments": {…}}\n</tool_call>'

Turn = tuple[str, str]


def turns(messages: Sequence[Message], context: Context) -> list[Turn]:
    """The conversation as (role, text), the request's offer in the first system turn."""
    rows: list[Turn] = []
    for message in messages:
        role, text = _turn(message)
        if role == "result" and rows and rows[-1][0] == "result":
            rows[-1] = ("result", f"{rows[-1][1]}\n{text}")
        else:
            rows.append((role, text))
    rows = [("user" if role == "result" else role, text) for role, text in rows]
    return with_offer(rows, offer(context))


def _turn(message: Message) -> Turn:
    if message.role == "tool":
        blocks = (f"<tool_response>\n{r.text}\n</tool_response>" for r in message.results)
        return "result", "\n".join(blocks)
    if message.role == "assistant":
        return "assistant", render_answer(message.parts)
    return message.role, message.text


def with_offer(rows: list[Turn], text: str) -> list[Turn]:
    """The turns with `text` at the end of the leading system turn, made where there is none."""
    if not text:
        return rows
    if rows and rows[0][0] == "system":
        return [("system", "\n\n".join(t for t in (rows[0][1], text) if t)), *rows[1:]]
    return [("system", text), *rows]


def offer(context: Context, *, tools: bool = True) -> str:
    """What the request offers, as text; without the tools where the template writes them itself."""
    lines: list[str] = []
    if tools and context.tools:
        lines.append("Tools:")
        lines.extend(_tool_line(tool) for tool in context.tools)
        lines.append(HOW_TO_CALL)
    if context.tools:
        lines.extend(_choice(context.tool_choice))
    if context.response_schema is not None:
        lines.append(f"Answer with JSON alone, valid under: {_compact(context.response_schema)}")
    elif context.json_mode:
        lines.append("Answer with JSON alone.")
    return "\n".join(lines)


def _choice(choice: str | None) -> Iterable[str]:
    if choice == "required":
        yield "You must call a tool."
    elif choice == "none":
        yield "Call no tool."
    elif choice not in (None, "auto"):
        yield f"You must call {choice}."


def _tool_line(tool: ToolSpec) -> str:
    fields: dict[str, Any] = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    if tool.parameters is not None:
        fields["parameters"] = orjson.Fragment(_compact(tool.parameters))
    return orjson.dumps(fields).decode()


def _compact(json_text: str) -> str:
    """The JSON without white space between its tokens; text that is not JSON as a JSON string."""
    try:
        return orjson.dumps(orjson.loads(json_text)).decode()
    except orjson.JSONDecodeError:
        return orjson.dumps(json_text).decode()


def merged(rows: Iterable[Turn]) -> list[Turn]:
    """Neighbouring turns of one role as one turn, for templates that demand alternation."""
    out: list[Turn] = []
    for role, text in rows:
        if out and out[-1][0] == role:
            out[-1] = (role, f"{out[-1][1]}\n\n{text}")
        else:
            out.append((role, text))
    return out


def without_system(rows: Sequence[Turn]) -> list[Turn]:
    """System turns as user turns, for templates that know no system role."""
    return [("user" if role == "system" else role, text) for role, text in rows]
