"""MCP: the sample, pairing by id, causes of errors, wrappers and text logs, mutations."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from reading import balances, read, read_one, shape
from samples import read_sample

TOOL = {"name": "f", "inputSchema": {"type": "object"}, "outputSchema": {"type": "string"}}


def rpc(id: object = None, **more: object) -> dict:
    return {"jsonrpc": "2.0", **({} if id is None else {"id": id}), **more}


def call(id: object, name: str = "f", **arguments: object) -> dict:
    return rpc(id, method="tools/call", params={"name": name, "arguments": arguments})


def gave(id: object, text: str, error: bool = False) -> dict:
    return rpc(id, result={"content": [{"type": "text", "text": text}], "isError": error})


def listed(id: object, *tools: dict) -> dict:
    return rpc(id, result={"tools": list(tools)})


def test_the_sample_holds_what_the_script_played():
    got = read_sample("mcp")
    balances(got)
    assert got.set_aside == ()
    desktop, wire = got.sessions
    names = [[c.name for c in m.calls] for m in wire.messages if m.role == "assistant"]
    assert names == [
        ["find_order"],
        ["quote_delivery", "note"],
        ["find_order"],
        ["find_order"],
        ["quote_delivery"],
        ["cancel_order"],
    ]
    flags = [r.is_error for m in wire.messages for r in m.results]
    assert flags == [False, False, False, True, True, True, True]
    assert {t.name for t in wire.contexts[0].tools} == {"find_order", "quote_delivery", "note"}
    assert all(t.contract is not None for t in wire.contexts[0].tools)
    first = desktop.messages[0]
    assert json.loads(first.calls[0].arguments) == {"text": 'Grüße {"not": "a call"}'}
    assert first.time is not None


def test_results_find_their_call_by_id_in_any_order(tmp_path):
    rows = (call(1, a=1), call(2, a=2), gave(2, "two"), gave(1, "one"), call(3), gave(3, "three"))
    (session,) = read_one(tmp_path, *rows).sessions
    assert shape(session) == [
        'assistant f({"a":1}) f({"a":2})',
        "tool ->'two' ->'one'",
        "assistant f({})",
        "tool ->'three'",
    ]
    assert [r.call_id for r in session.messages[1].results] == ["2", "1"]


@pytest.mark.parametrize(
    ("code", "cause"),
    [(-32602, "model"), (-32603, "tool"), (-32001, "infrastructure"), (-32601, None), ("x", None)],
)
def test_protocol_errors_have_a_cause(tmp_path, code, cause):
    error = rpc(1, error={"code": code, "message": "Unknown tool: f", "data": "more"})
    (session,) = read_one(tmp_path, call(1), error).sessions
    (result,) = session.messages[1].results
    assert (result.is_error, result.cause, result.text) == (True, cause, "Unknown tool: f\nmore")


def test_pages_of_a_tool_list_add_up_and_a_new_list_replaces_them(tmp_path):
    more = {"method": "tools/list", "params": {"cursor": "p2"}}
    other = {"name": "g", "inputSchema": {}}
    rows = (
        rpc(1, method="tools/list"), listed(1, TOOL), rpc(2, **more), listed(2, other), call(3),
        gave(3, "x"), rpc(4, method="tools/list"), listed(4, other), call(5), gave(5, "y"),
    )  # fmt: skip
    (session,) = read_one(tmp_path, *rows).sessions
    offered = [[t.name for t in session.context_of(i).tools] for i in session.steps]
    assert offered == [["f", "g"], ["g"]]
    assert session.contexts[0].tools[0].contract == '{"output_schema":{"type":"string"}}'


def test_calls_before_any_list_know_no_tools(tmp_path):
    (session,) = read_one(tmp_path, call(1), gave(1, "x")).sessions
    assert session.contexts == ()


def test_a_new_handshake_begins_a_new_session(tmp_path):
    start = rpc(0, method="initialize", params={})
    got = read_one(tmp_path, start, call(1), gave(1, "x"), start, call(1, a=2), gave(1, "y"))
    assert [shape(s)[-1] for s in got.sessions] == ["tool ->'x'", "tool ->'y'"]
    assert got.counts.ignored == {"initialize": 2}


def test_servers_that_share_a_log_are_told_apart(tmp_path):
    def line(server: str, message: dict) -> str:
        return f"2026-01-02T03:04:05.000Z [{server}] [info] Message: {json.dumps(message)}\n"

    text = "starting\n" + line("a", call(1)) + line("b", call(1, "g"))
    text += line("b", gave(1, "from b")) + line("a", gave(1, "from a"))
    got = read(tmp_path, {"mcp.log": text.encode()})
    assert [shape(s) for s in got.sessions] == [
        ["assistant f({})", "tool ->'from a'"],
        ["assistant g({})", "tool ->'from b'"],
    ]
    assert got.counts.ignored == {"text": 1}


def test_wrapped_messages_and_batches_are_read(tmp_path):
    rows = ({"timestamp": 1.0, "message": call(1)}, {"payload": json.dumps(gave(1, "x"))})
    (session,) = read_one(tmp_path, *rows).sessions
    assert shape(session) == ["assistant f({})", "tool ->'x'"]
    assert session.messages[0].time == 1.0


def test_requests_of_the_server_and_lost_responses_are_ignored(tmp_path):
    rows = (
        rpc(1, method="sampling/createMessage", params={}), rpc(1, result={"role": "assistant"}),
        rpc(method="notifications/progress"), call(2), gave(9, "whose?"), gave(2, "x"),
    )  # fmt: skip
    got = read_one(tmp_path, *rows)
    assert got.counts.used == 2
    assert got.counts.ignored == {
        "notifications/progress": 1,
        "response": 2,
        "sampling/createMessage": 1,
    }


def test_json_rpc_of_another_protocol_is_not_claimed(tmp_path):
    got = read_one(tmp_path, rpc(1, method="textDocument/hover"), rpc(1, result={}))
    assert "mcp" not in got.counts.formats


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    rows = [rpc(1, method="tools/list"), listed(1, TOOL), call(2, a=1), gave(2, "x", True)]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), "mcp")
