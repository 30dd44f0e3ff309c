"""Google ADK's events, contents and invocations as lines of a shared conversation (`cast`).

In: an event in snake or camel case. Out: its line, or none where nobody said anything: a partial
piece of a stream, a change of state. A malformed event is a `Misfit`, unless the caller is lenient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Misfit, Record
from misstep.ingest.harnesses.cast import Line
from misstep.ingest.messages import (
    content_hash,
    inline,
    int_or_none,
    kind_of,
    place,
    text_or_none,
    unix_time,
)
from misstep.types import Context, Message, Part, ToolCall, ToolResult, Usage

Row = Mapping[str, Any]

REASONS = frozenset(
    {
        "STOP",
        "MAX_TOKENS",
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "IMAGE_SAFETY",
        "FINISH_REASON_UNSPECIFIED",
    }
)
"""Gemini's finish reasons, which ADK also writes as `error_code` of an answer without content."""
_FAULTS = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"})


def pick(row: Row, name: str) -> Any:
    """A field by its snake-case name, or by the same name in camel case."""
    if row.get(name) is not None:
        return row[name]
    first, *rest = name.split("_")
    return row.get(first + "".join(word.title() for word in rest))


def lines(
    event: Any,
    record: Record,
    at: str,
    asked: Mapping[str, tuple[Context, str | None]],
    *,
    lenient: bool = False,
) -> Iterator[Line]:
    """The line of one event, if anybody said anything.

    Args:
        asked: what the request of an event offered, by the event's id.
        lenient: leave out what does not fit, for rows that are accounted for already.

    Raises:
        Misfit: the event or a part of it has no known shape.
    """
    try:
        line = _line(event, record, at, asked)
    except Misfit:
        if not lenient:
            raise
        return
    if line is not None:
        yield line


def _line(
    event: Any, record: Record, at: str, asked: Mapping[str, tuple[Context, str | None]]
) -> Line | None:
    if not isinstance(event, dict):
        raise Misfit(at, f"expected an event, got {kind_of(event)}")
    author = text_or_none(event.get("author")) or "agent"
    parts = tuple(_parts(event.get("content"), f"{at}/content"))
    said = _heard(parts) if author == "user" else _spoken(event, parts)
    if said is None or event.get("partial") in (True, 1):
        return None
    id, time = text_or_none(event.get("id")), unix_time(event.get("timestamp"))
    origins = (record.at(place(record, at), id),)
    message = replace(said, time=time, origins=origins)
    if author == "user":
        return Line(message=message)
    return Line(
        message=message,
        agent=author,
        shown=_shown(author, message),
        branch=text_or_none(event.get("branch")) or "",
        context=asked.get(id or "", (None, None))[0],
        origins=origins,
        time=time,
    )


def _heard(parts: Sequence[Part]) -> Message | None:
    """What a user said, or what came back from outside."""
    results = tuple(part for part in parts if part.kind == "result")
    if results:
        return Message(role="tool", parts=results)
    own = tuple(part for part in parts if part.kind in ("text", "image"))
    return Message(role="user", parts=own, actor="human") if own else None


def _spoken(event: Row, parts: Sequence[Part]) -> Message | None:
    """What an agent said, or what its tools answered."""
    results = tuple(part for part in parts if part.kind == "result" and _is_own(part))
    if results and not any(part.kind in ("call", "text") for part in parts):
        return Message(role="tool", parts=results)
    code, told = text_or_none(pick(event, "error_code")), text_or_none(pick(event, "error_message"))
    reason = text_or_none(pick(event, "finish_reason")) or (code if code in REASONS else None)
    if not parts and code is None and reason is None:
        return None
    failed = code is not None and code not in REASONS
    return Message(
        role="assistant",
        parts=tuple(parts),
        finish_reason=reason,
        error=": ".join(word for word in (code, told) if word) if failed else None,
        fault=told or reason if reason in _FAULTS else None,
        model=text_or_none(pick(event, "model_version")),
        usage=_usage(pick(event, "usage_metadata")),
    )


def _is_own(part: Part) -> bool:
    return part.result is not None and part.result.name is not None


def _shown(author: str, message: Message) -> str | None:
    """What another agent sees of this one's message."""
    told = [f"[{author}] said: {message.text}"] if message.text else []
    told += [f"[{author}] called {call.name}({call.arguments})" for call in message.calls]
    told += [f"[{author}] {result.name} returned: {result.text}" for result in message.results]
    return "\n".join(told) or None


def _parts(content: Any, at: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Part(kind="text", text=content)] if content else []
    listed = content.get("parts") if isinstance(content, dict) else content
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise Misfit(f"{at}/parts", f"expected a list of parts, got {kind_of(listed)}")
    made: list[Part] = []
    for index, row in enumerate(listed):
        if not isinstance(row, dict):
            raise Misfit(f"{at}/parts/{index}", f"expected a part, got {kind_of(row)}")
        calls = sum(part.kind == "call" for part in made)
        part = _part(row, f"{at}/parts/{index}", calls)
        if part is not None:
            made.append(part)
    return made


def _part(row: Row, at: str, calls: int) -> Part | None:
    call, answer = pick(row, "function_call"), pick(row, "function_response")
    if isinstance(call, dict):
        return Part(kind="call", call=_call(call, calls, at))
    if isinstance(answer, dict):
        return Part(kind="result", result=_result(answer))
    code, output = pick(row, "executable_code"), pick(row, "code_execution_result")
    if isinstance(code, dict):
        return Part(kind="call", call=_hosted(code, calls))
    if isinstance(output, dict):
        failed = output.get("outcome") in ("OUTCOME_FAILED", "OUTCOME_DEADLINE_EXCEEDED")
        said = str(output.get("output") or "")
        return Part(kind="result", result=ToolResult(text=said, is_error=failed))
    text = row.get("text")
    if isinstance(text, str) and text:
        return Part(kind="reasoning" if row.get("thought") is True else "text", text=text)
    for name in ("inline_data", "file_data"):
        if isinstance(data := pick(row, name), dict):
            uri = text_or_none(pick(data, "file_uri"))
            return Part(kind="image", text=uri or _named(data))
    return None


def _named(data: Row) -> str:
    return inline(data) or content_hash(orjson.dumps(data).decode())


def _hosted(code: Row, index: int) -> ToolCall:
    """Code that Gemini itself ran."""
    text = str(code.get("code") or "")
    return ToolCall(
        name="code_execution", arguments=text, index=index, kind="hosted", syntax="code"
    )


def _call(call: Row, index: int, at: str) -> ToolCall:
    name = call.get("name")
    if not isinstance(name, str):
        raise Misfit(f"{at}/name", f"a function call without a name: {kind_of(name)}")
    return ToolCall(
        name=name,
        arguments=orjson.dumps(call.get("args") or {}).decode(),
        index=index,
        id=text_or_none(call.get("id")),
        verbatim=False,
    )


def _result(answer: Row) -> ToolResult:
    response = answer.get("response")
    error = response.get("error") if isinstance(response, dict) else None
    refused = isinstance(error, str) and error.startswith("Invoking `") and "` failed as" in error
    return ToolResult(
        text=response if isinstance(response, str) else orjson.dumps(response).decode(),
        call_id=text_or_none(answer.get("id")),
        name=text_or_none(answer.get("name")) or "",
        is_error=True if refused else None,
        # the kit itself turned the call down: no such tool, or an argument is missing
        cause="model" if refused else None,
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return Usage(
        input_tokens=int_or_none(pick(usage, "prompt_token_count")),
        output_tokens=int_or_none(pick(usage, "candidates_token_count")),
    )


def invocation(said: Any, record: Record, at: str) -> Iterator[Line]:
    """The lines of one turn of an eval case.

    Raises:
        Misfit: the turn has no known shape.
    """
    if not isinstance(said, dict):
        raise Misfit(at, f"expected an invocation, got {kind_of(said)}")
    time = unix_time(pick(said, "creation_timestamp"))
    between = pick(said, "intermediate_data")
    between = between if isinstance(between, dict) else {}
    rows = [{"author": "user", "content": pick(said, "user_content")}]
    rows += _steps(between)
    rows.append({"author": "agent", "content": pick(said, "final_response")})
    for row in rows:
        yield from lines({"timestamp": time, **row}, record, at, {})


def _steps(between: Row) -> Iterator[dict[str, Any]]:
    """What came between question and answer: events, or calls with the answers in their order."""
    events = pick(between, "invocation_events")
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict):
            yield {"author": event.get("author"), "content": event.get("content")}
    uses, answers = pick(between, "tool_uses"), pick(between, "tool_responses")
    answers = answers if isinstance(answers, list) else []
    for index, use in enumerate(uses if isinstance(uses, list) else ()):
        yield {"author": "agent", "content": {"parts": [{"function_call": use}]}}
        if index < len(answers):
            answer = {"parts": [{"function_response": answers[index]}]}
            yield {"author": "agent", "content": answer}


def requests(session: Row) -> dict[str, tuple[Context, str | None]]:
    """By event id: what the request offered and its instruction, from an old session's log."""
    logs = session.get("event_logs")
    asked: dict[str, tuple[Context, str | None]] = {}
    contexts = Contexts()
    for entry in logs if isinstance(logs, list) else ():
        request = entry.get("model_request") if isinstance(entry, dict) else None
        config = request.get("config") if isinstance(request, dict) else None
        id = entry.get("event_id") if isinstance(entry, dict) else None
        if isinstance(config, dict) and isinstance(id, str):
            try:
                context = contexts.of({"tools": list(_declared(config.get("tools")))})
            except Misfit:
                continue
            asked[id] = (context, text_or_none(pick(config, "system_instruction")))
    return asked


def _declared(tools: Any) -> Iterable[Any]:
    for tool in tools if isinstance(tools, list) else ():
        listed = pick(tool, "function_declarations") if isinstance(tool, dict) else None
        yield from listed if isinstance(listed, list) else ()


def system(asked: Mapping[str, tuple[Context, str | None]], record: Record) -> Line | None:
    """The instruction of the first request, which leads the first agent."""
    text = next((text for _, text in asked.values()), None)
    if text is None:
        return None
    parts = (Part(kind="text", text=text),)
    origins = (record.at(place(record, "/event_logs")),)
    message = Message(role="system", parts=parts, actor="harness", origins=origins)
    return Line(message=message)
