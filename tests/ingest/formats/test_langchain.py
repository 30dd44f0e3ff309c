"""LangChain: what its own serialisers wrote, and small rows."""

from __future__ import annotations

import json

from reading import balances, read, read_one, reasons, shape, steps
from samples import read_sample

HUMAN = {"type": "human", "content": "hi"}
AI = {"type": "ai", "content": "so", "response_metadata": {"finish_reason": "stop"}}


def dumped(kind, **kwargs):
    ids = ["langchain", "schema", "messages", kind]
    return {"lc": 1, "type": "constructor", "id": ids, "kwargs": kwargs}


def test_the_sample_holds_what_the_script_played():
    got = read_sample("langchain")
    balances(got)
    assert len(got.sessions) == 7
    assert steps(got.sessions) == 17
    assert [a.reason for a in got.set_aside] == ["no-answer", "no-answer"]
    (broken,) = [c for s in got.sessions for m in s.messages for c in m.calls if c.fault]
    assert (broken.id, broken.arguments) == ("call_turku", '{"city": "Turku", "day": ')
    flags = [r.is_error for s in got.sessions for m in s.messages for r in m.results]
    assert flags.count(True) == 5
    assert flags.count(False) == 0


def test_rows_and_states_of_the_same_threads_are_the_same_conversations():
    got = read_sample("langchain")
    files = [s.messages[0].origins[0].file for s in got.sessions]
    assert files.count("rows.jsonl") == 5
    assert files.count("states.jsonl") == 0
    assert {s.family for s in got.sessions} >= {"desk-1", "desk-2", "desk-3", "desk-5", "desk-6"}


def test_the_text_of_a_streamed_call_is_verbatim():
    (session,) = [s for s in read_sample("langchain").sessions if "Kemi" in s.messages[0].text]
    (call,) = session.messages[1].calls
    assert (call.arguments, call.verbatim) == ('{"city":  "Kemi", "day": "today"}', True)


def test_updates_of_a_stream_add_up_to_one_conversation():
    (session,) = [s for s in read_sample("langchain").sessions if s.messages[0].role != "user"]
    assert [m.origins[0].line for m in session.messages] == [1, 2, 3, 4, 5]


def test_all_forms_of_a_message_are_the_same_message(tmp_path):
    forms = {
        "plain": [HUMAN, AI],
        "data": [{"type": m["type"], "data": m} for m in (HUMAN, AI)],
        "dumped": [
            dumped("HumanMessage", content="hi"),
            dumped("AIMessage", content="so", response_metadata={"finish_reason": "stop"}),
        ],
    }
    ids = set()
    for name, messages in forms.items():
        (session,) = read_one(tmp_path / name, {"messages": messages}).sessions
        ids.add(session.id)
    assert len(ids) == 1


def test_messages_one_a_line_and_one_list_are_one_conversation(tmp_path):
    by_line = read_one(tmp_path / "a", HUMAN, AI)
    listed = read(tmp_path / "b", {"x.json": json.dumps([HUMAN, AI], indent=1).encode()})
    lists = read_one(tmp_path / "c", [HUMAN, AI], [HUMAN, AI])
    for got in (by_line, listed, lists):
        assert [shape(s) for s in got.sessions] == [["user 'hi'", "assistant 'so'"]]


def test_states_that_grow_are_one_conversation(tmp_path):
    states = [{"values": {"messages": [HUMAN, AI, HUMAN, AI][:n]}} for n in (2, 3, 4)]
    (session,) = read_one(tmp_path, *states).sessions
    assert len(list(session.steps)) == 2


def test_a_row_without_an_answer_is_set_aside(tmp_path):
    got = read_one(tmp_path, {"messages": [HUMAN]}, {"messages": [HUMAN, AI]})
    assert reasons(got) == [(1, "no-answer")]


def test_a_message_of_another_form_is_named_by_its_place(tmp_path):
    rows = [{"messages": [HUMAN, AI]}, {"messages": [HUMAN, {"type": "ai"}, AI]}]
    got = read_one(tmp_path, *rows, format="langchain")
    assert [a.origin.pointer for a in got.set_aside] == ["/messages/1"]


def test_the_providers_refusal_is_the_answers_text(tmp_path):
    ai = {"type": "ai", "content": "", "additional_kwargs": {"refusal": "No."}}
    (session,) = read_one(tmp_path, {"messages": [HUMAN, ai]}).sessions
    assert session.messages[-1].text == "No."
