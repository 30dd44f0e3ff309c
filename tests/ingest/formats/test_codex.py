"""Codex rollouts: the sample against its script, the turns of a thread, forks, mutations."""

from __future__ import annotations

import copy
import json

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import balances, lines, read, read_one, shape, steps
from samples import LOGS, read_sample

CODEX = "codex"


def line(kind: str, payload: dict, **more: object) -> dict:
    return {"timestamp": "2026-03-09T08:00:00.000Z", "type": kind, "payload": payload, **more}


def said(role: str, text: str) -> dict:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return line("response_item", {"type": "message", "role": role, "content": content})


def called(call_id: str, arguments: str = "{}", name: str = "exec_command") -> dict:
    item = {"type": "function_call", "name": name, "arguments": arguments, "call_id": call_id}
    return line("response_item", item)


def output(call_id: str, value: object) -> dict:
    item = {"type": "function_call_output", "call_id": call_id, "output": value}
    return line("response_item", item)


def event(kind: str, **fields: object) -> dict:
    return line("event_msg", {"type": kind, **fields})


META = line("session_meta", {"id": "t1", "cwd": "/home/ada", "cli_version": "0.169.0"})


def only(got) -> Session:
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def by_first_question(name: str) -> dict[str, list[Session]]:
    found: dict[str, list[Session]] = {}
    for session in read_sample(name).sessions:
        asked = [m.text for m in session.messages if m.role == "user" and m.actor == "human"]
        found.setdefault(asked[0] if asked else "", []).append(session)
    return found


# -- the samples, against what the script played


def test_every_line_of_the_samples_is_read():
    got = read_sample("codex")
    balances(got)
    assert got.set_aside == ()
    assert set(got.counts.formats) == {"codex", "unknown"}


def test_arguments_stand_as_the_model_wrote_them_and_faults_as_the_program_said_them():
    faults = by_first_question(CODEX)["Which prices are there?"][0]
    calls = [c for m in faults.messages for c in m.calls]
    assert [(c.name, c.arguments) for c in calls[:4]] == [
        ("exec_command", '{"cmd": "ls"}'),
        ("exec_command", '{"cmd": "cat prices.csv", '),
        ("read_file", '{"path": "prices.csv"}'),
        ("exec_command", '{"command": "cat prices.csv"}'),
    ]
    assert all(c.verbatim for c in calls)
    assert [c.fault is not None for c in calls] == [False, True, False, True] + [False] * 4
    assert calls[1].fault.startswith("failed to parse function arguments")


def test_results_say_who_caused_what():
    faults = by_first_question(CODEX)["Which prices are there?"][0]
    results = [r for m in faults.messages for r in m.results]
    assert [(r.exit_code, r.is_error, r.cause) for r in results] == [
        (0, None, None),
        (None, True, "model"),
        (None, True, "model"),
        (None, True, "model"),
        (3, None, None),
        (0, None, None),
        (0, None, None),
        (None, True, "model"),
    ]


def test_parallel_calls_are_one_step_and_a_patch_is_free_text():
    faults = by_first_question(CODEX)["Which prices are there?"][0]
    pair = next(m for m in faults.messages if len(m.calls) == 2)
    assert [c.index for c in pair.calls] == [0, 1]
    patch = next(c for m in faults.messages for c in m.calls if c.name == "apply_patch")
    assert (patch.kind, patch.syntax) == ("custom", "text")
    assert patch.arguments.startswith("*** Begin Patch\n")


def test_model_usage_reasoning_and_instructions_are_kept():
    first = by_first_question(CODEX)["Which prices are there?"][0]
    assert first.messages[0].role == "system"
    assert first.messages[0].text == "You are a coding agent. Be brief."
    step = first.messages[next(first.steps)]
    assert (step.model, step.reasoning) == ("misstep-sample", "Look at the folder first.")
    assert (step.usage.input_tokens, step.usage.output_tokens) == (100, 7)


def test_a_fork_that_only_names_its_history_shares_it():
    parent, fork = by_first_question(CODEX)["Which prices are there?"]
    assert fork.parent == parent.id
    assert fork.family == parent.family
    assert parent.messages[: fork.prefix] == fork.messages[: fork.prefix]
    assert [shape(fork)[-2], shape(fork)[-1]] == [
        "user 'Which is higher?'",
        "assistant 'The higher is 4.'",
    ]
    assert shape(parent)[-2:] == ["user 'And the sum?'", "assistant 'And 7 in all.'"]
    assert len(list(fork.steps)) == 1


def test_errors_of_requests_are_steps_without_parts():
    asked = by_first_question(CODEX)
    for question, end in (("Say hello.", "complete"), ("Write.", "cut")):
        last = asked[question][0].messages[-1]
        assert (last.role, last.parts, last.end) == ("assistant", (), end)
        assert last.error


def test_a_sub_agent_is_a_session_of_its_own_below_the_one_that_started_it():
    asked = by_first_question(CODEX)
    parent, (child,) = asked["Let a helper count."][0], asked[""]
    assert child.parent == parent.id
    assert child.family == parent.family
    assert {m.actor for m in child.messages if m.role == "assistant"} == {"sub-agent"}
    assert {m.actor for m in child.messages if m.role == "user"} == {"harness"}


def test_a_compaction_starts_a_session_and_its_summary_is_no_step():
    before, after = by_first_question(CODEX)["Read it slowly."]
    assert after.parent == before.id
    assert steps([before, after]) == 2
    assert not any(m.text == "The file has the prices 3 and 4." for m in before.messages)
    assert shape(after)[-1] == "assistant 'As said: 3 and 4.'"


# -- lines


def test_an_old_exit_code_in_json_and_a_newer_one_in_the_head_are_read(tmp_path):
    wrapped = json.dumps({"output": "no", "metadata": {"exit_code": 2, "duration_seconds": 0.1}})
    headed = "Exit code: 1\nWall time: 0.1 seconds\nOutput:\nno"
    got = read_one(
        tmp_path, META, said("user", "x"), called("a"), output("a", wrapped), called("b"),
        output("b", headed),
    )  # fmt: skip
    results = [r for m in only(got).messages for r in m.results]
    assert [(r.exit_code, r.is_error) for r in results] == [(2, None), (1, None)]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("exec command rejected by user", "human"),
        ("patch rejected by user", "human"),
        ("aborted by user after 2.1s", "human"),
        ("aborted", "human"),
        ("unsupported call: read_file", "model"),
        ("failed in sandbox LinuxSeccomp with exit code 1", None),
        ("apply_patch verification failed: Failed to find expected lines in /x/a:\nx", None),
    ],
)
def test_fixed_sentences_of_the_program_tell_the_cause(tmp_path, text, cause):
    got = read_one(tmp_path, META, said("user", "x"), called("a"), output("a", text))
    (result,) = only(got).messages[-1].results
    assert (result.is_error, result.cause) == (True, cause)


def test_a_list_and_a_flag_are_read_as_output(tmp_path):
    listed = [{"type": "input_text", "text": "seen"}, {"type": "input_image", "image_url": "data:"}]
    flagged = {"content": "broken", "success": False}
    got = read_one(
        tmp_path, META, said("user", "x"), called("a"), called("b"), output("a", listed),
        output("b", flagged),
    )  # fmt: skip
    first, second = only(got).messages[-1].results
    assert (first.text.partition("blake2b:")[0], first.is_error) == ("seen\n", None)
    assert (second.text, second.is_error) == ("broken", True)


def test_the_event_of_a_command_gives_the_exit_code_that_the_output_lacks(tmp_path):
    ended = {"type": "CommandExecution", "id": "a", "status": "failed", "exit_code": 7}
    got = read_one(
        tmp_path, META, said("user", "x"), called("a"), event("item_completed", item=ended),
        output("a", "no"),
    )  # fmt: skip
    assert only(got).messages[-1].results[0].exit_code == 7


def test_a_declined_command_is_a_humans_no(tmp_path):
    ended = {"type": "CommandExecution", "id": "a", "status": "declined"}
    got = read_one(
        tmp_path, META, said("user", "x"), called("a"), output("a", "not run"),
        event("item_completed", item=ended),
    )  # fmt: skip
    (result,) = only(got).messages[-1].results
    assert (result.is_error, result.cause) == (True, "human")


def test_events_that_repeat_items_are_counted_once(tmp_path):
    got = read_one(
        tmp_path, META, event("user_message", message="x"), said("user", "x"),
        event("agent_message", message="y"), said("assistant", "y"),
    )  # fmt: skip
    assert shape(only(got)) == ["user 'x'", "assistant 'y'"]
    assert got.counts.ignored == {"agent_message": 1, "session_meta": 1, "user_message": 1}


def test_reasoning_that_only_an_event_holds_is_kept(tmp_path):
    hidden = line("response_item", {"type": "reasoning", "summary": [], "encrypted_content": "x"})
    raw = event("agent_reasoning_raw_content", text="Think.")
    got = read_one(tmp_path, META, said("user", "x"), hidden, raw, said("assistant", "y"))
    assert only(got).messages[-1].reasoning == "Think."


def test_a_token_count_ends_a_request(tmp_path):
    counted = event("token_count", info={"last_token_usage": {"input_tokens": 9}})
    got = read_one(
        tmp_path, META, said("user", "x"), said("assistant", "a"), counted, said("assistant", "b")
    )
    assert shape(only(got)) == ["user 'x'", "assistant 'a'", "assistant 'b'"]
    assert only(got).messages[1].usage.input_tokens == 9


def test_a_rollback_leaves_a_branch(tmp_path):
    got = read_one(
        tmp_path, META, said("user", "x"), said("assistant", "a"), said("user", "y"),
        said("assistant", "b"), event("thread_rolled_back", num_turns=1), said("user", "z"),
        said("assistant", "c"),
    )  # fmt: skip
    first, second = got.sessions
    assert shape(first) == ["user 'x'", "assistant 'a'", "user 'y'", "assistant 'b'"]
    assert (second.parent, second.prefix) == (first.id, 2)
    assert steps(got.sessions) == 3


def test_a_fork_that_repeats_its_history_counts_it_once_in_any_order_of_files(tmp_path):
    history = [said("user", "x"), called("c1"), output("c1", "one"), said("assistant", "a")]
    fork = line("session_meta", {"id": "t2", "forked_from_id": "t1"})
    one = lines(META, *history, said("user", "y"), said("assistant", "b"))
    two = lines(fork, META, *history, said("user", "z"), said("assistant", "c"))
    got = [
        read(tmp_path / order, dict(zip(order, files, strict=True)))
        for order, files in (("pq", (one, two)), ("qp", (two, one)))
    ]
    for each in got:
        assert steps(each.sessions) == 4
        parent, child = sorted(each.sessions, key=lambda s: s.prefix)
        assert (child.parent, child.prefix, child.family) == (parent.id, 4, "t1")
        assert shape(parent)[-1] == "assistant 'b'"


def test_a_fork_whose_parent_is_lost_stands_for_itself(tmp_path):
    fork = line("session_meta", {"id": "t2", "forked_from_id": "gone"})
    session = only(read_one(tmp_path, fork, said("user", "x"), said("assistant", "a")))
    assert (session.parent, session.prefix) == (None, 0)


def test_answers_that_a_compaction_carries_over_are_counted_once(tmp_path):
    kept = [said("user", "x")["payload"], said("assistant", "a")["payload"]]
    replaced = line("compacted", {"message": "", "replacement_history": kept})
    got = read_one(
        tmp_path, META, said("user", "x"), said("assistant", "a"), replaced, said("user", "y"),
        said("assistant", "b"),
    )  # fmt: skip
    assert steps(got.sessions) == 2
    assert shape(got.sessions[1])[-1] == "assistant 'b'"
    assert got.sessions[1].parent == got.sessions[0].id


def test_old_rollouts_with_bare_items_are_known_by_their_head(tmp_path):
    head = {"id": "t0", "timestamp": "2025-06-01T08:00:00Z", "instructions": "Be brief.", "git": {}}
    got = read_one(
        tmp_path, head, {"record_type": "state"}, said("user", "x")["payload"],
        called("c1", '{"command":["ls"]}', "shell")["payload"], output("c1", "a.txt")["payload"],
        said("assistant", "one file")["payload"],
    )  # fmt: skip
    assert shape(only(got)) == [
        "system 'Be brief.'",
        "user 'x'",
        'assistant shell({"command":["ls"]})',
        "tool ->'a.txt'",
        "assistant 'one file'",
    ]
    assert only(got).family == "t0"


def test_an_archived_rollout_is_read_compressed(tmp_path):
    packed = zstandard.compress(lines(META, said("user", "x"), said("assistant", "a")))
    got = read(tmp_path, {"archived_sessions/rollout-1.jsonl.zst": packed})
    assert shape(only(got)) == ["user 'x'", "assistant 'a'"]


def test_hosted_calls_are_marked(tmp_path):
    search = {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "rain"}}
    action = {"type": "exec", "command": ["ls"]}
    shell = {"type": "local_shell_call", "call_id": "s", "status": "completed", "action": action}
    got = read_one(
        tmp_path, META, said("user", "x"), line("response_item", search),
        line("response_item", shell), output("s", "a.txt"),
    )  # fmt: skip
    calls = [c for m in only(got).messages for c in m.calls]
    assert [(c.name, c.kind) for c in calls] == [
        ("web_search", "hosted"),
        ("local_shell", "hosted"),
    ]


# -- real files


@needs_corpus
def test_a_real_rollout_of_a_relative_is_read_whole():
    got = ingest([CORPUS / "logs" / "other-clis" / "traex_rollout_subagent.jsonl"])
    session = only(got)
    assert session.format == "codex"
    assert {m.actor for m in session.messages if m.role == "assistant"} == {"sub-agent"}
    assert [c.name for m in session.messages for c in m.calls] == [
        "spawn_agent",
        "wait_agent",
        "exec_command",
    ]


# -- anything anywhere

ROLLOUT = [
    META,
    line("turn_context", {"model": "m"}),
    said("user", "x"),
    line(
        "response_item", {"type": "reasoning", "summary": [{"type": "summary_text", "text": "r"}]}
    ),
    called("c1", '{"cmd": "ls"}'),
    event("item_completed", item={"type": "CommandExecution", "id": "c1", "exit_code": 1}),
    output("c1", [{"type": "input_text", "text": "one"}]),
    event("token_count", info={"last_token_usage": {"input_tokens": 9}}),
    line("compacted", {"message": "m", "replacement_history": [said("user", "x")["payload"]]}),
    said("assistant", "y"),
    event("thread_rolled_back", num_turns=1),
    line("session_meta", {"id": "t2", "history_base": {"end_ordinal_exclusive": 3}}, ordinal=4),
    event("task_complete", error={"message": "no"}),
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_rollout_with_anything_anywhere_is_read_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(ROLLOUT), tmp_path_factory.mktemp("any"), "codex")


def test_the_sample_holds_no_path_of_the_machine_it_was_made_on():
    for path in (LOGS / "codex" / "sessions").glob("*"):
        assert "/home/ada" in path.read_text("utf-8")
