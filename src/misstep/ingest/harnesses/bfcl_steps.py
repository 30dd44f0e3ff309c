"""What BFCL keeps of a model's answers, as messages.

In: `result` (one answer; or turns of steps) and `inference_log` of a result line. Out: turns, each
the messages that opened it (where logged) and what came after. An answer is a list of
`{"name": arguments}`, or text; text that as a whole is a list of Python calls is read as calls,
since that is how prompting mode demands them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.dialects.code_calls import python_calls
from misstep.ingest.format import Misfit
from misstep.ingest.messages import chat_message, int_or_none, kind_of, text_or_none
from misstep.types import Message, Part, ToolCall, ToolResult, Usage

Row = Mapping[str, Any]
_FENCE = "`\n\r\t "


class Turn(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    opening: tuple[tuple[Message, str], ...]
    """The messages that opened it, each with its pointer; none where the log keeps none."""
    rest: tuple[tuple[Message, str], ...]


def turns_of(row: Row) -> list[Turn]:
    """The turns of a result line.

    Raises:
        Misfit: an answer has no known shape.
    """
    log = row.get("inference_log")
    logged = [
        (entry, f"/inference_log/{index}")
        for index, entry in enumerate(log if isinstance(log, list) else ())
        if isinstance(entry, dict) and "begin_of_turn_query" in entry
    ]
    result = row.get("result")
    if logged:
        return [_logged(entry, at, row, turn) for turn, (entry, at) in enumerate(logged)]
    if isinstance(result, list) and result and all(isinstance(turn, list) for turn in result):
        return [
            Turn((), tuple(_steps(steps, f"/result/{turn}", row, turn)))
            for turn, steps in enumerate(result)
        ]
    return [Turn((), ((_counted(answer(result, "/result"), row, ()), "/result"),))]


def _steps(steps: Sequence[Any], at: str, row: Row, turn: int) -> Iterator[tuple[Message, str]]:
    for step, said in enumerate(steps):
        pointer = f"{at}/{step}"
        yield _counted(answer(said, pointer), row, (turn, step)), pointer


def _logged(entry: Row, at: str, row: Row, turn: int) -> Turn:
    asked = entry["begin_of_turn_query"]
    asked = asked if isinstance(asked, list) else [asked]
    opening = tuple(
        (chat_message(message, f"{at}/begin_of_turn_query/{index}"), at)
        for index, message in enumerate(asked)
    )
    rest: list[tuple[Message, str]] = []
    for step, name in enumerate(_ordered(entry)):
        items = entry[name]
        pointer = f"{at}/{name}"
        rest += [(m, pointer) for m in _step(items if isinstance(items, list) else [], pointer)]
        for place, (message, where) in enumerate(rest):
            if where == pointer and message.role == "assistant":
                rest[place] = (_counted(message, row, (turn, step)), where)
    return Turn(opening, tuple(rest))


def _ordered(entry: Row) -> list[str]:
    steps = [key for key in entry if key.startswith("step_") and key[5:].isdecimal()]
    return sorted(steps, key=lambda key: int(key[5:][:9]))


def _step(items: Sequence[Any], at: str) -> Iterator[Message]:
    """One answer, whether the harness could read it, and what its calls gave."""
    said: Message | None = None
    results: list[ToolResult] = []
    for item in items:
        if not isinstance(item, dict):
            raise Misfit(at, f"expected a log item, got {kind_of(item)}")
        role, content = item.get("role"), item.get("content")
        if role == "assistant":
            if said is not None:
                yield said
            thought = text_or_none(item.get("reasoning_content"))
            said = _thinking(answer(content, at), thought)
        elif role == "handler_log" and said is not None and item.get("error") is not None:
            said = unread(said, str(item["error"]))
        elif role == "tool":
            results.append(ToolResult(text=content_text(content)))
    if said is None:
        return
    yield said
    if results:
        named = _named(results, said.calls)
        yield Message(role="tool", parts=tuple(Part(kind="result", result=r) for r in named))


def _named(results: Sequence[ToolResult], calls: Sequence[ToolCall]) -> Iterator[ToolResult]:
    """Results carry no ids and come in the order of the calls."""
    for index, result in enumerate(results):
        name = calls[index].name if index < len(calls) else None
        yield replace(result, name=name)


def unread(said: Message, error: str) -> Message:
    """The harness could not decode the answer: a fault of its calls; text just ends a turn."""
    if not said.calls:
        return said
    parts = tuple(
        part
        if part.call is None or not _broken(part.call)
        else replace(part, call=replace(part.call, fault=error))
        for part in said.parts
    )
    if parts == said.parts:
        return replace(said, fault=error)
    return replace(said, parts=parts)


def _broken(call: ToolCall) -> bool:
    if call.fault is not None:
        return True
    try:
        return not isinstance(orjson.loads(call.arguments), dict)
    except orjson.JSONDecodeError:
        return True


def _thinking(said: Message, thought: str | None) -> Message:
    if thought is None:
        return said
    return replace(said, parts=(Part(kind="reasoning", text=thought), *said.parts))


def _counted(said: Message, row: Row, place: Sequence[int]) -> Message:
    """With token counts and reasoning, which stand in lists shaped like the result."""
    used = Usage(
        input_tokens=int_or_none(_at(row.get("input_token_count"), place)),
        output_tokens=int_or_none(_at(row.get("output_token_count"), place)),
    )
    thought = text_or_none(_at(row.get("reasoning_content"), place))
    said = said if said.reasoning else _thinking(said, thought)
    return replace(said, usage=None if used == Usage() else used)


def _at(value: Any, place: Sequence[int]) -> Any:
    for index in place:
        value = value[index] if isinstance(value, list) and index < len(value) else None
    return value


def answer(said: Any, at: str) -> Message:
    """One answer.

    Raises:
        Misfit: it is neither text nor a list of calls.
    """
    if isinstance(said, str):
        return Message(role="assistant", parts=tuple(_text(said)), actor="agent")
    if isinstance(said, dict):
        said = [said]
    if said is None:
        return Message(role="assistant", actor="agent")
    if not isinstance(said, list):
        raise Misfit(at, f"expected text or a list of calls, got {kind_of(said)}")
    parts: list[Part] = []
    for index, one in enumerate(said):
        parts += _listed(one, len(parts), f"{at}/{index}")
    return Message(role="assistant", parts=tuple(parts), actor="agent")


def _listed(one: Any, calls: int, at: str) -> Iterable[Part]:
    """An element of a list of calls: `{"name": arguments, …}`, or text."""
    if isinstance(one, str):
        return [Part(kind="text", text=one)] if one else []
    if not isinstance(one, dict):
        raise Misfit(at, f"expected a call, got {kind_of(one)}")
    return [
        Part(kind="call", call=_call(str(name), arguments, calls + index))
        for index, (name, arguments) in enumerate(one.items())
    ]


def _call(name: str, arguments: Any, index: int) -> ToolCall:
    written = isinstance(arguments, str)
    text = arguments if written else orjson.dumps(arguments).decode()
    return ToolCall(name=name, arguments=text, index=index, verbatim=written)


def _text(said: str) -> Iterator[Part]:
    if not said:
        return
    inner = said.strip(_FENCE)
    listed = inner.startswith("[")
    calls, end = python_calls(inner[1:] if listed else inner)
    after = (inner[1:] if listed else inner)[end:].strip()
    # the harness itself adds brackets that are missing
    if calls and after in (("]", "") if listed else ("",)):
        for index, call in enumerate(calls):
            yield Part(kind="call", call=replace(call, index=index))
    else:
        yield Part(kind="text", text=said)
