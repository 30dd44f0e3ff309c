"""Any log with any value put in any place: nothing raises, the books balance, sessions hold."""

from __future__ import annotations

import copy
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep import store
from misstep.chat import to_chat
from misstep.config import IngestConfig
from misstep.ingest import FORMATS, ingest
from misstep.types import Session
from reading import balances, lines

TOOL = {"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "t", "arguments": '{"a": 1}'}}
CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
]
USE = {"type": "tool_use", "id": "c1", "name": "t", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "one", "is_error": True}
CHUNK = {
    "object": "chat.completion.chunk",
    "choices": [
        {
            "index": 0,
            "delta": {"content": "x", "tool_calls": [{"index": 0, "function": {"name": "t"}}]},
            "finish_reason": "stop",
        }
    ],
}
EVENTS = [
    {"type": "message_start", "message": {"type": "message", "content": [], "usage": {}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
LOGS: dict[str, list[Any]] = {
    "openai-chat": [
        {
            "request": {"model": "m", "messages": CHAT, "tools": [TOOL], "tool_choice": "auto"},
            "response": {
                "id": "r",
                "created": 1,
                "choices": [
                    {"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 3},
            },
            "status": 200,
        },
        {"request": {"messages": CHAT[:2]}, "response": {"error": {"failed_generation": "{"}}},
        {"request": {"messages": CHAT[:2]}, "response": [CHUNK]},
    ],
    "anthropic-messages": [
        {
            "request": {
                "system": "be brief",
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": [USE]},
                    {"role": "user", "content": [RESULT, {"type": "text", "text": "on"}]},
                ],
                "tools": [{"name": "t", "input_schema": {}}],
                "output_config": {"format": {"type": "json_schema", "schema": {}}},
            },
            "response": {"type": "message", "content": [USE], "stop_reason": "tool_use"},
        },
        {"request": {"messages": [{"role": "user", "content": "a"}]}, "response": EVENTS},
    ],
    "claude-code": [
        {"type": "user", "uuid": "1", "parentUuid": None, "sessionId": "s", "message": CHAT[1]},
        {
            "type": "assistant",
            "uuid": "2",
            "parentUuid": "1",
            "sessionId": "s",
            "message": {"id": "m", "content": [{"type": "thinking", "thinking": "t"}], "usage": {}},
        },
        {
            "type": "assistant",
            "uuid": "3",
            "parentUuid": "2",
            "sessionId": "s",
            "message": {"id": "m", "content": [USE], "stop_reason": "tool_use"},
        },
        {"type": "progress", "uuid": "4", "parentUuid": "3"},
        {
            "type": "user",
            "uuid": "5",
            "parentUuid": "4",
            "sessionId": "s",
            "message": {"content": [RESULT]},
            "toolUseResult": "Error: one",
        },
        {"type": "system", "uuid": "6", "parentUuid": None, "logicalParentUuid": "5"},
        {"type": "user", "uuid": "7", "parentUuid": "6", "message": {"content": "more"}},
    ],
    "tau-bench": [{"task_id": 1, "trial": 0, "reward": 1.0, "info": {}, "traj": CHAT}],
    "chat-rows": [
        {"messages": CHAT, "tools": [TOOL], "outcome": {"reward": 1}, "id": "a", "copies": 2},
        {
            "messages": [
                {"role": "assistant", "parts": [{"kind": "text", "text": "x"}], "context": 0}
            ],
            "contexts": [{"tools": [], "max_tokens": 3}],
            "parent": "a",
            "prefix": 1,
        },
    ],
}
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "1", "c1", "s", "t", "user", "assistant", "text", "{}", "data: {}", "["]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "role", "content", "text", "body", "name", "uuid"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def mutate(data: st.DataObject, value: Any) -> Any:
    """The value with something else in one place, however deep."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 5)):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: mutate(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 5)):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], mutate(data, value[at]), *value[at + 1 :]]
    return data.draw(JUNK)


def holds(session: Session) -> None:
    """What every other room takes for granted."""
    assert 0 <= session.prefix <= len(session.messages)
    assert session.messages
    for step in session.steps:
        session.context_of(step)
    assert store.decode(store.encode(session), Session) == session
    orjson.dumps(to_chat(session.messages))
    for message in session.messages:
        for call in message.calls:
            assert isinstance(call.name, str)
            assert isinstance(call.arguments, str)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_log_with_anything_anywhere_never_raises(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(LOGS)))
    rows = copy.deepcopy(LOGS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        rows = mutate(data, rows)
        if not isinstance(rows, list):
            rows = [rows]
    folder = tmp_path_factory.mktemp("any")
    (folder / "log.jsonl").write_bytes(lines(*rows))
    forced = data.draw(st.sampled_from([None, name, *(known.name for known in FORMATS)]))
    got = ingest([folder], config=IngestConfig(format=forced))
    balances(got)
    for session in got.sessions:
        holds(session)


def test_the_untouched_logs_are_recognised_and_used_whole(tmp_path):
    for name, rows in LOGS.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "log.jsonl").write_bytes(lines(*rows))
        got = ingest([folder])
        assert list(got.counts.formats) == [name]
        assert got.set_aside == ()
        assert got.sessions
