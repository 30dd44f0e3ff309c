"""OpenAI Responses: requests with their responses, in every layout of a pair.

Kept: instructions, items, tools (those inside a `namespace`, those that a search loaded, custom and
hosted ones), `text.format`, tool choice, status and reason, model, usage, time; argument text
verbatim; streams joined. A request with `previous_response_id`, `conversation` or item references
goes on where that response ended. Function results have no error flag. Encrypted reasoning is
dropped. A call is known by its name; its namespace is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from misstep.ingest.exchange import error_text, traffic
from misstep.ingest.format import Misfit, Record
from misstep.ingest.halves import Body, Exchange, Provider, Stored
from misstep.ingest.messages import kind_of, place, text_or_none, unix_time, usage_of
from misstep.ingest.responses_items import (
    answer_parts,
    input_messages,
    input_rows,
    only_refuses,
)
from misstep.ingest.responses_stream import join_response
from misstep.ingest.stream import CUT
from misstep.types import Message

_UNFINISHED = ("queued", "in_progress")
_ITEMS = ("message", "reasoning", "item_reference")


def is_request(body: Body) -> bool:
    """An `input` of text or items."""
    asked = body.get("input")
    if "messages" in body or "output" in body or "choices" in body:
        return False
    if isinstance(asked, str):
        return "model" in body or "instructions" in body or "prompt" in body
    return isinstance(asked, list) and all(_is_item(item) for item in asked[:8])


def _is_item(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    if kind is None:
        return "role" in item and "content" in item
    named = isinstance(kind, str) and kind.endswith(("_call", "_output", "_tools", "_response"))
    return named or kind in _ITEMS or str(kind).startswith(("mcp_", "compaction"))


def is_answer(body: Body) -> bool:
    """A response object or an error body."""
    if body.get("object") == "response":
        return True
    if isinstance(body.get("output"), list) and ("status" in body or "usage" in body):
        return True
    return isinstance(body.get("error"), (dict, str)) and body.get("type") != "error"


def _rows(request: Body) -> Iterator[tuple[Any, str]]:
    said = request.get("instructions")
    if isinstance(said, str) and said:
        yield {"role": "system", "content": said}, "/instructions"
    elif isinstance(said, list):
        yield from input_rows(said, "/instructions")
    asked = request.get("input")
    if isinstance(asked, str):
        yield {"role": "user", "content": asked}, "/input"
    elif isinstance(asked, list):
        yield from input_rows(asked, "/input")


def _answers(exchange: Exchange, record: Record) -> list[Message]:
    body, at = exchange.response, exchange.response_at
    origins = (record.at(place(record, at)),)
    asked = text_or_none((exchange.request or {}).get("model"))
    if isinstance(body, str) or (isinstance(body, dict) and "output" not in body):
        said = body if isinstance(body, str) else body.get("error")
        if said:
            text = error_text(said, exchange.status)
            return [
                Message(role="assistant", actor="agent", error=text, model=asked, origins=origins)
            ]
    if not isinstance(body, dict):
        raise Misfit(at, f"expected a response object, got {kind_of(body)}")
    items, status = body.get("output"), body.get("status")
    if not isinstance(items, list):
        raise Misfit(f"{at}/output", f"expected a list of items, got {kind_of(items)}")
    if not items and status in _UNFINISHED and not body.get(CUT):
        return []
    failed = body.get("error") if status == "failed" else None
    return [
        Message(
            role="assistant",
            parts=answer_parts(items, f"{at}/output"),
            actor="agent",
            finish_reason=_finish(body),
            end="cut" if body.get(CUT) or status == "cancelled" else "complete",
            error=error_text(failed, None) if failed else None,
            model=text_or_none(body.get("model")) or asked,
            usage=usage_of(body.get("usage")),
            time=unix_time(body.get("created_at")),
            origins=(record.at(place(record, at), text_or_none(body.get("id"))),),
        )
    ]


def _finish(body: Body) -> str | None:
    if body.get(CUT):
        return None
    why = body.get("incomplete_details")
    if body.get("status") == "incomplete":
        reason = text_or_none(why.get("reason")) if isinstance(why, dict) else None
        return reason or "incomplete"
    items = body.get("output")
    if isinstance(items, list) and only_refuses(items):
        return "refusal"
    return text_or_none(body.get("status"))


def _offered(request: Body) -> Body:
    text = request.get("text")
    items = request.get("input")
    listed = request.get("tools")
    tools = listed if isinstance(listed, list) else listed or []
    if isinstance(tools, list):
        tools = flat([*tools, *_loaded_by(items if isinstance(items, list) else ())])
    return {
        "tools": tools,
        "tool_choice": _choice(request.get("tool_choice")),
        "response_format": text.get("format") if isinstance(text, dict) else None,
        "max_tokens": request.get("max_output_tokens"),
        "temperature": request.get("temperature"),
        "top_p": request.get("top_p"),
    }


def flat(tools: Sequence[Any]) -> list[Any]:
    """The tools with those of namespaces among them; namesakes that differ lose their schema."""
    found: dict[str, Any] = {}
    nameless: list[Any] = []
    for tool in tools:
        nested = tool.get("tools") if isinstance(tool, dict) else None
        inside = nested if isinstance(nested, list) and tool.get("type") == "namespace" else [tool]
        for one in inside:
            name = one.get("name") if isinstance(one, dict) else None
            if not isinstance(name, str):
                nameless.append(one)
            elif name in found and found[name].get("parameters") != one.get("parameters"):
                found[name] = {"type": "function", "name": name}
            else:
                found[name] = one
    return [*found.values(), *nameless]


def _loaded_by(items: Sequence[Any]) -> Iterator[Any]:
    """Tools that items bring in: found by a search, or added by the developer."""
    for item in items:
        if isinstance(item, dict) and item.get("type") in (
            "tool_search_output",
            "additional_tools",
        ):
            tools = item.get("tools")
            yield from tools if isinstance(tools, list) else ()


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        return choice
    named = choice.get("type") in ("function", "custom") and isinstance(choice.get("name"), str)
    return {"name": choice["name"]} if named else "required"


def _before(request: Body) -> str | None:
    return text_or_none(request.get("previous_response_id")) or _conversation(request)


def _conversation(request: Body) -> str | None:
    kept = request.get("conversation")
    return text_or_none(kept.get("id") if isinstance(kept, dict) else kept)


def _ids(exchange: Exchange) -> list[str]:
    body = exchange.response if isinstance(exchange.response, dict) else {}
    items = body.get("output")
    whole = text_or_none(body.get("id"))
    listed = items if isinstance(items, list) else ()
    parts = [text_or_none(item.get("id")) for item in listed if isinstance(item, dict)]
    kept = _conversation(exchange.request or {})
    return [known for known in (whole, *parts, kept) if known is not None]


def _refs(row: Any) -> list[str]:
    if not isinstance(row, list):
        return []
    return [
        item["id"]
        for item in row
        if item.get("type") == "item_reference" and isinstance(item.get("id"), str)
    ]


def _loaded(exchange: Exchange) -> list[Any]:
    asked = (exchange.request or {}).get("input")
    body = exchange.response if isinstance(exchange.response, dict) else {}
    told = body.get("output")
    items = [*(asked if isinstance(asked, list) else ()), *(told if isinstance(told, list) else ())]
    return flat(list(_loaded_by(items)))


def _guess(halves: Exchange) -> float:
    answer = halves.response if isinstance(halves.response, dict) else None
    if answer is not None:
        if answer.get("object") == "response" or isinstance(answer.get("output"), list):
            return 1.0 if is_answer(answer) else 0.0
        if halves.request is None:
            return 0.3
        return 0.8 if is_answer(answer) else 0.0
    if halves.request is None:
        return 0.0
    listed = isinstance(halves.request.get("input"), list)
    return (0.4 if listed else 0.2) if halves.waits else 0.8


PROVIDER = Provider(
    name="openai-responses",
    is_request=is_request,
    is_answer=is_answer,
    rows=_rows,
    turns=input_messages,
    answers=_answers,
    join=join_response,
    offered=_offered,
    stored=Stored(before=_before, ids=_ids, refs=_refs, loaded=_loaded),
)

FORMAT = traffic(
    PROVIDER,
    "OpenAI Responses, requests with their responses; no error flag on tool results",
    _guess,
)
