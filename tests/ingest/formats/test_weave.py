"""W&B Weave: calls that its SDK sent, and small ones."""

from __future__ import annotations

from misstep.types import Outcome
from reading import balances, read_one, shape, steps
from samples import read_sample

ASKED = {"messages": [{"role": "user", "content": "hi"}], "model": "m"}
CALLED = {
    "choices": [
        {"message": {"tool_calls": [{"id": "c", "function": {"name": "look", "arguments": "{}"}}]}}
    ]
}


def call(id, op, **more):
    return {
        "id": id,
        "op_name": f"weave:///ada/p/op/{op}:v1",
        "trace_id": "t",
        "started_at": f"2026-01-01T00:00:0{id}Z",
        "inputs": {},
        **more,
    }


def model(id, output, **more):
    return call(id, "openai.chat.completions.create", inputs=ASKED, output=output, **more)


def test_the_sample_holds_what_the_script_played():
    got = read_sample("weave")
    balances(got)
    assert (len(got.sessions), steps(got.sessions)) == (3, 9)
    main = next(s for s in got.sessions if s.family == "paint-1" and s.parent is None)
    (expert,) = [s for s in got.sessions if s.parent]
    assert expert.parent == main.id
    assert {expert.messages[i].actor for i in expert.steps} == {"sub-agent"}
    results = {r.call_id: r for m in main.messages for r in m.results}
    assert results["call_cellar"].is_error
    assert results["call_cellar"].hint == "KeyError: 'cellar'"
    assert results["call_coats"].hint == "TypeError: coats must be an integer"
    assert results["call_hall"].is_error is None
    assert [c.arguments for m in main.messages for c in m.calls][3] == '{"metres": 40, "coats": 2'


def test_a_table_with_flat_columns_reads_like_objects():
    (session,) = [s for s in read_sample("weave").sessions if s.family == "paint-2"]
    assert session.messages[0].origins[0].file == "calls.csv"
    assert session.messages[-1].error.startswith("InternalServerError: ")
    assert session.messages[-1].model == "paint-model"
    assert [t.name for t in session.contexts[0].tools] == [
        "room_size",
        "paint_needed",
        "ask_colour",
    ]


def test_an_op_is_a_tool_only_where_the_model_called_its_name(tmp_path):
    got = read_one(
        tmp_path,
        model("1", CALLED),
        call("2", "look", output="x"),
        call("3", "help", output="y"),
    )
    (session,) = got.sessions
    assert shape(session) == ["user 'hi'", "assistant look({})", "tool ->'x'"]
    assert got.counts.ignored == {"op": 1}


def test_a_reaction_to_the_outermost_call_is_thumbs(tmp_path):
    told = {"feedback_type": "wandb.reaction.1", "payload": {"emoji": "👎"}}
    root = call("0", "agent", summary={"weave": {"feedback": [told]}})
    got = read_one(tmp_path, root, model("1", {"choices": [{"message": {"content": "so"}}]}))
    assert got.sessions[0].outcome == Outcome(thumbs="down")


def test_the_kind_that_an_op_was_given_counts_more_than_its_name(tmp_path):
    kinds = {"attributes": {"weave": {"kind": "llm"}}}
    own = call("1", "my_model", inputs=ASKED, output="so", **kinds)
    assert shape(read_one(tmp_path, own).sessions[0]) == ["user 'hi'", "assistant 'so'"]
