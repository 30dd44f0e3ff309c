"""ToolBench: search trees as forks of one family, verdicts of the harness, chains, real files."""

from __future__ import annotations

import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Outcome
from reading import balances, lines, read, read_one, shape, steps
from samples import LOGS, read_sample


def test_the_sample_holds_what_the_script_played():
    got = read_sample("toolbench")
    balances(got)
    assert got.set_aside == ()
    search, again, chain, second = got.sessions
    assert steps(got.sessions) == 12
    assert (again.parent, again.prefix) == (search.id, 4)
    assert (second.parent, second.prefix) == (chain.id, 1)
    assert {s.family for s in got.sessions} == {search.family}
    assert [s.outcome for s in got.sessions] == [
        Outcome(resolved=False),
        Outcome(resolved=True),
        Outcome(resolved=False),
        Outcome(resolved=True),
    ]
    assert [t.name for t in search.contexts[0].tools][-1] == "Finish"


def test_the_codes_of_the_harness_say_who_caused_an_error():
    got = read_sample("toolbench")
    told = {r.hint: r.cause for s in got.sessions for m in s.messages for r in m.results if r.hint}
    assert told == {
        "observation_code 1": "model",
        "observation_code 2": "model",
        "observation_code 5": "infrastructure",
        "observation_code 11": None,
        "observation_code 12": None,
    }


def test_what_was_shown_before_a_second_try_stands_before_it():
    again = read_sample("toolbench").sessions[1]
    shown = again.messages[4]
    assert (shown.role, shown.actor) == ("user", "harness")
    assert shown.text == "You tried this before: track_for_post(P7). Do otherwise."


def test_without_those_words_the_tries_stand_there_as_json(tmp_path):
    value = json.loads((LOGS / "toolbench" / "1_DFS_woFilter_w2.json").read_text())
    del value["answer_generation"]["train_messages"]
    got = read_one(tmp_path, value)
    shown = next(m for m in got.sessions[1].messages[3:] if m.role == "user")
    (tried,) = json.loads(shown.text)
    assert (tried["name"], tried["arguments"]) == ("locate_for_post", '{"parcel": "P7"}')
    assert got.sessions[0].messages[0].text == value["answer_generation"]["query"]


def test_a_thought_that_was_expanded_is_an_answer_of_its_own():
    search = read_sample("toolbench").sessions[0]
    assert shape(search)[-3:-1] == [
        "assistant 'Nothing works.'",
        'assistant Finish({"return_type": "give_up_and_restart"})',
    ]


def test_the_unit_is_a_file_and_a_file_without_answers_is_set_aside(tmp_path):
    empty = {"tree": {"tree": {}}, "answer_generation": {"function": [], "query": "q"}}
    got = read(tmp_path, {"1.json": lines(empty)})
    assert [e.reason for e in got.set_aside] == ["no-answer"]


def nodes(root: dict):
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(node["children"])


@needs_corpus
def test_real_trees_count_as_plain_code_counts_them():
    folder = CORPUS / "logs" / "toolbench"
    got = ingest([folder])
    balances(got)
    assert got.set_aside == ()
    all_nodes = [
        node
        for path in folder.glob("*/*.json")
        for node in nodes(json.loads(path.read_text())["tree"]["tree"])
    ]
    actions = [n for n in all_nodes if n["node_type"] == "Action"]
    alone = [
        n
        for n in all_nodes
        if n["node_type"] == "Thought" and (n["expand_num"] or not n["children"])
    ]
    own = [(s, s.messages[i]) for s in got.sessions for i in s.steps]
    assert len(own) == len(actions) + len(alone) == 145
    assert sum(len(m.calls) for _, m in own) == len(actions) == 136
    unknown = [n for n in all_nodes if n.get("observation_code") == 1]
    offered = [{t.name for t in s.context_of(i).tools} for s in got.sessions for i in s.steps]
    missing = sum(
        any(c.name not in names for c in m.calls)
        for (_, m), names in zip(own, offered, strict=True)
    )
    assert missing == len(unknown) == 13
    assert len({s.family for s in got.sessions}) == 10


ROWS = [json.loads((LOGS / "toolbench" / "1_DFS_woFilter_w2.json").read_text())]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), "toolbench")
