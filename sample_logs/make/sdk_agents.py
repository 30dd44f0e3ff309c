"""Small agents on the official SDKs: each plays a scene against a server and keeps no log itself.

In: an SDK client whose base URL is a `model_server`, and a `Scene`. The agent calls the model, runs
the calls, sends the results back, and asks once more after a rate limit. Whatever records the
traffic (a transport, a cassette, a proxy) stands outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sdk_scenes import TOOLS, Scene, use

MODEL = "misstep-sample"


def rounds(scene: Scene, ask: Callable[[], bool], errors: tuple[type[Exception], ...]) -> None:
    """Ask until an answer calls no tool; an error of the server is one lost round."""
    for _ in range(scene.rounds):
        try:
            if not ask():
                return
        except errors as error:
            print(f"  {scene.user!r}: {type(error).__name__}")


def chat(client: Any, scene: Scene, errors: tuple[type[Exception], ...]) -> None:
    """OpenAI chat completions."""
    tools = [
        {"type": "function", "function": {"name": n, "description": d, "parameters": p}}
        for n, (d, p) in TOOLS.items()
    ]
    messages: list[Any] = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": scene.user},
    ]
    options: dict[str, Any] = {"tools": tools}
    if scene.schema:
        named = {"name": "city", "schema": scene.schema, "strict": True}
        options = {"response_format": {"type": "json_schema", "json_schema": named}}

    def ask() -> bool:
        if scene.stream:
            with client.chat.completions.stream(
                model=MODEL, messages=messages, **options
            ) as stream:
                said = stream.get_final_completion().choices[0].message
        else:
            said = (
                client.chat.completions.create(model=MODEL, messages=messages, **options)
                .choices[0]
                .message
            )
        messages.append(said.model_dump(exclude_none=True, exclude={"parsed"}))
        for call in messages[-1].get("tool_calls") or ():
            for extra in ("index", "parsed_arguments"):
                call.pop(extra, None)
                call["function"].pop(extra, None)
            told, _ = use(call["function"]["name"], call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": told})
        return bool(said.tool_calls)

    rounds(scene, ask, errors)


def responses(
    client: Any, scene: Scene, errors: tuple[type[Exception], ...], *, chained: bool = False
) -> None:
    """OpenAI Responses; with the whole history, or chained by `previous_response_id`."""
    tools = [
        {"type": "function", "name": n, "description": d, "parameters": p, "strict": False}
        for n, (d, p) in TOOLS.items()
    ]
    options: dict[str, Any] = {"tools": tools, "instructions": "Answer briefly."}
    if scene.schema:
        named = {"type": "json_schema", "name": "city", "schema": scene.schema, "strict": True}
        options = {"instructions": "Answer briefly.", "text": {"format": named}}
    items: list[Any] = [{"role": "user", "content": scene.user}]

    def ask() -> bool:
        if scene.stream:
            with client.responses.stream(model=MODEL, input=items, **options) as stream:
                said = stream.get_final_response()
        else:
            said = client.responses.create(model=MODEL, input=items, **options)
        put_out = [item.model_dump(exclude_none=True) for item in said.output]
        for item in put_out:
            item.pop("parsed_arguments", None)
        items.extend(put_out)
        if chained:
            options["previous_response_id"] = said.id
            items.clear()
        called = False
        for item in put_out:
            if item["type"] == "function_call":
                told, _ = use(item["name"], item["arguments"])
            elif item["type"] == "custom_tool_call":
                told = "3 rows"
            else:
                continue
            called = True
            kind = f"{item['type']}_output"
            items.append({"type": kind, "call_id": item["call_id"], "output": told})
        return called

    options.update(getattr(scene, "options", {}))
    rounds(scene, ask, errors)


def messages(client: Any, scene: Scene, errors: tuple[type[Exception], ...]) -> None:
    """Anthropic Messages; streams are read event by event, so that broken input comes through."""
    tools = [{"name": n, "description": d, "input_schema": p} for n, (d, p) in TOOLS.items()]
    said_so_far: list[Any] = [{"role": "user", "content": scene.user}]
    options = {"model": MODEL, "max_tokens": 400, "system": "Answer briefly.", "tools": tools}

    def ask() -> bool:
        if scene.stream:
            blocks = _blocks(client.messages.create(messages=said_so_far, stream=True, **options))
        else:
            answer = client.messages.create(messages=said_so_far, **options)
            blocks = [block.model_dump(exclude_none=True) for block in answer.content]
        said_so_far.append({"role": "assistant", "content": blocks})
        results = []
        for block in blocks:
            if block["type"] == "tool_use":
                told, failed = use(block["name"], block.pop("raw", block["input"]))
                result = {"type": "tool_result", "tool_use_id": block["id"], "content": told}
                results.append({**result, "is_error": failed})
        if results:
            said_so_far.append({"role": "user", "content": results})
        return bool(results)

    rounds(scene, ask, errors)


def _blocks(stream: Any) -> list[dict[str, Any]]:
    """The blocks of a stream; `raw` keeps the input's text, the client's `input` an object."""
    blocks: list[dict[str, Any]] = []
    for event in stream:
        if event.type == "content_block_start":
            blocks.append(event.content_block.model_dump(exclude_none=True))
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            blocks[-1]["text"] += event.delta.text
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            blocks[-1]["raw"] = blocks[-1].get("raw", "") + event.delta.partial_json
    for block in blocks:
        if "raw" in block:
            block["input"] = _object(block["raw"])
    return blocks


def _object(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return {"INVALID_JSON": text}


def gemini(client: Any, scene: Scene, errors: tuple[type[Exception], ...]) -> None:
    """Gemini generateContent."""
    from google.genai import types

    declared = [
        types.FunctionDeclaration(name=n, description=d, parameters=_open_api(p))
        for n, (d, p) in TOOLS.items()
    ]
    config: dict[str, Any] = {"system_instruction": "Answer briefly."}
    if scene.schema:
        config |= {"response_mime_type": "application/json"}
        config["response_schema"] = _open_api(scene.schema)
    else:
        config["tools"] = [types.Tool(function_declarations=declared)]
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=scene.user)])]

    def ask() -> bool:
        given = {"model": MODEL, "contents": contents, "config": config}
        if scene.stream:
            chunks = list(client.models.generate_content_stream(**given))
        else:
            chunks = [client.models.generate_content(**given)]
        candidates = [chunk.candidates[0] for chunk in chunks]
        if candidates[-1].finish_reason == "MALFORMED_FUNCTION_CALL":
            return True
        parts = [part for one in candidates if one.content for part in one.content.parts or []]
        contents.append(types.Content(role="model", parts=parts))
        results = []
        for part in parts:
            if part.function_call:
                told, failed = use(part.function_call.name, dict(part.function_call.args or {}))
                key = "error" if failed else "output"
                results.append(
                    types.Part.from_function_response(
                        name=part.function_call.name, response={key: told}
                    )
                )
        if results:
            contents.append(types.Content(role="user", parts=results))
        return bool(results)

    rounds(scene, ask, errors)


def _open_api(schema: Any) -> Any:
    """A JSON Schema in the subset of OpenAPI that Gemini's `parameters` take."""
    if not isinstance(schema, dict):
        return schema
    kept = {k: v for k, v in schema.items() if k != "additionalProperties"}
    if isinstance(kept.get("type"), str):
        kept["type"] = kept["type"].upper()
    if "properties" in kept:
        kept["properties"] = {k: _open_api(v) for k, v in kept["properties"].items()}
    return kept


def converse(client: Any, scene: Scene, errors: tuple[type[Exception], ...]) -> None:
    """Bedrock Converse."""
    tools = [
        {"toolSpec": {"name": n, "description": d, "inputSchema": {"json": p}}}
        for n, (d, p) in TOOLS.items()
    ]
    said_so_far: list[Any] = [{"role": "user", "content": [{"text": scene.user}]}]
    options = {
        "modelId": MODEL,
        "system": [{"text": "Answer briefly."}],
        "toolConfig": {"tools": tools},
        "inferenceConfig": {"maxTokens": 400},
    }

    def ask() -> bool:
        if scene.stream:
            stream = client.converse_stream(messages=said_so_far, **options)["stream"]
            content = _content(stream)
        else:
            answer = client.converse(messages=said_so_far, **options)
            content = answer["output"]["message"]["content"]
        raw = [block.pop("raw", None) for block in content]
        said_so_far.append({"role": "assistant", "content": content})
        results = []
        for block, text in zip(content, raw, strict=True):
            if "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
                told, failed = use(block["toolUse"]["name"], text or block["toolUse"]["input"])
                result = {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": told}]}
                status = "error" if failed else "success"
                results.append({"toolResult": {**result, "status": status}})
        if results:
            said_so_far.append({"role": "user", "content": results})
        return bool(results)

    rounds(scene, ask, errors)


def _content(stream: Any) -> list[dict[str, Any]]:
    blocks: dict[int, dict[str, Any]] = {}
    for event in stream:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            blocks[start["contentBlockIndex"]] = {
                "toolUse": {**start["start"]["toolUse"], "input": {}},
                "raw": "",
            }
        elif "contentBlockDelta" in event:
            at, delta = event["contentBlockDelta"]["contentBlockIndex"], event["contentBlockDelta"]
            if "text" in delta["delta"]:
                block = blocks.setdefault(at, {"text": ""})
                block["text"] += delta["delta"]["text"]
            elif "toolUse" in delta["delta"]:
                blocks[at]["raw"] += delta["delta"]["toolUse"]["input"]
    for block in blocks.values():
        if "raw" in block:
            block["toolUse"]["input"] = _object(block["raw"])
    return [blocks[at] for at in sorted(blocks)]
