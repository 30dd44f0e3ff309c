"""BFCL: the sample against the checker, modes, questions as tools, scores, turns, mutations."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from misstep.errors import InputError
from misstep.ingest import read_tools
from misstep.types import Outcome
from reading import balances, lines, read, read_one, shape
from samples import LOGS, read_sample

RESULT = "result/m/non_live/BFCL_v4_simple_python_result.json"
SCORE = "score/m/non_live/BFCL_v4_simple_python_score.json"
FUNCTION = {
    "name": "math.add",
    "description": "Adds.",
    "parameters": {"type": "dict", "properties": {"a": {"type": "float"}}, "required": ["a"]},
}


def question(id: str, *turns: str, **more: object) -> dict:
    asked = [[{"role": "user", "content": text}] if text else [] for text in turns]
    return {"id": id, "question": asked, "function": [FUNCTION], **more}


def row(id: str, result: object, **more: object) -> dict:
    return {"id": id, "result": result, "input_token_count": 3, "output_token_count": 2, **more}


def wrong(id: str, raw: object, error: str = "x", kind: str = "type_error:simple") -> dict:
    return {
        "id": id,
        "valid": False,
        "error": [error],
        "error_type": kind,
        "prompt": question(id, "Add?"),
        "model_result_raw": raw,
        "possible_answer": [],
    }


HEADER = {"accuracy": 0.5, "correct_count": 1, "total_count": 2}


def asked(folder, *questions: dict, documents: dict | None = None) -> str:
    path = folder / "given" / "BFCL_v4_simple_python.json"
    path.parent.mkdir()
    path.write_bytes(lines(*questions))
    for name, functions in (documents or {}).items():
        document = path.parent / "multi_turn_func_doc" / f"{name}.json"
        document.parent.mkdir(exist_ok=True)
        document.write_bytes(lines(*functions))
    return str(path)


def test_the_sample_holds_what_the_script_played():
    got = read_sample("bfcl")
    balances(got)
    assert got.set_aside == ()
    assert got.counts.ignored["score-header"] == 2
    right = {(s.messages[-1].model, s.family): s.outcome for s in got.sessions}
    assert right["misstep-sample-FC", "multi_turn_base_0"] is None
    assert [right["misstep-sample-FC", f"simple_python_{n}"].resolved for n in range(6)] == [
        True, False, False, False, False, False,
    ]  # fmt: skip
    assert [right["misstep-sample-prompt", f"simple_python_{n}"].resolved for n in range(6)] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
    called = {s.family: s for s in got.sessions if s.messages[-1].model == "misstep-sample-FC"}
    assert called["simple_python_5"].messages[-1].error.startswith("Error during inference")
    assert called["simple_python_3"].messages[-1].fault.startswith("ast_decoder:decoder_failed")


def test_the_calls_are_those_that_the_checker_decoded():
    decoded = {}
    for path in (LOGS / "bfcl" / "score").rglob("*_score.json"):
        for line in path.read_text().splitlines()[1:]:
            score = json.loads(line)
            if "model_result_decoded" in score:
                decoded[score["model_name"], score["id"]] = score["model_result_decoded"]
    assert len(decoded) == 4
    for session in read_sample("bfcl").sessions:
        answer = session.messages[-1]
        known = decoded.pop((answer.model, session.family), None)
        if known is not None:
            assert [{c.name: json.loads(c.arguments)} for c in answer.calls] == json.loads(
                json.dumps(known)
            )
    assert decoded == {}


def test_turns_of_a_log_keep_queries_results_and_what_could_not_be_decoded():
    (talk,) = [s for s in read_sample("bfcl").sessions if s.family == "multi_turn_base_0"]
    assert [m.role for m in talk.messages] == [
        "user", "assistant", "tool", "assistant", "user", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert [r.name for r in talk.messages[2].results] == ["add", "divide"]
    assert talk.messages[3].fault is None
    assert talk.messages[-1].calls[0].fault.startswith("Expecting value")
    assert talk.messages[1].usage.input_tokens == 100


def test_without_questions_a_stand_in_names_the_question(tmp_path):
    got = read(tmp_path, {RESULT: lines(row("simple_python_0", []), row("simple_python_1", []))})
    assert [s.messages[0].text for s in got.sessions] == [
        "[question simple_python_0, turn 1]",
        "[question simple_python_1, turn 1]",
    ]
    assert {s.messages[0].actor for s in got.sessions} == {"harness"}
    assert {s.messages[1].model for s in got.sessions} == {"m"}


def test_question_files_give_prompts_and_tools_by_question(tmp_path):
    given = asked(tmp_path, question("simple_python_0", "Add 1."))
    rows = lines(row("simple_python_0", [{"math_add": '{"a":  1}'}]), row("simple_python_9", "x"))
    known, unknown = read(tmp_path / "logs", {RESULT: rows}, tools=given).sessions
    assert shape(known) == ["user 'Add 1.'", 'assistant math_add({"a":  1})']
    (tool,) = known.context_of(1).tools
    assert (tool.name, tool.source) == ("math_add", "given")
    assert unknown.contexts == ()


def test_dots_stay_where_the_session_calls_a_dotted_name(tmp_path):
    given = asked(tmp_path, question("simple_python_0", "Add 1."))
    (one,) = read_one(
        tmp_path / "a", row("simple_python_0", "[math.add(a=1.0)]"), tools=given
    ).sessions
    assert [t.name for t in one.context_of(1).tools] == ["math.add"]
    (call,) = one.messages[1].calls
    assert (call.name, call.arguments, call.verbatim) == ("math.add", '{"a": 1.0}', False)


def test_in_java_questions_every_argument_is_offered_as_text(tmp_path):
    given = asked(tmp_path, question("simple_java_0", "Add 1."))
    (one,) = read_one(tmp_path / "a", row("simple_java_0", []), tools=given).sessions
    schema = json.loads(one.context_of(1).tools[0].parameters)
    assert schema["properties"] == {"a": {"type": "string"}}


def test_functions_of_classes_come_from_the_documents_and_late_ones_from_their_turn(tmp_path):
    documents = {"math_api": [{"name": n, "parameters": {}} for n in ("add", "sub", "mul")]}
    talk = question(
        "multi_turn_miss_func_0", "One.", "", function=[], involved_classes=["MathAPI"],
        missed_function={"1": ["sub"]}, excluded_function=["mul"],
    )  # fmt: skip
    given = asked(tmp_path, talk, documents=documents)
    result = [[[{"add": "{}"}], "no sub"], [[{"sub": "{}"}], "done"]]
    (one,) = read_one(tmp_path / "a", row("multi_turn_miss_func_0", result), tools=given).sessions
    assert shape(one) == [
        "user 'One.'",
        "assistant add({})",
        "assistant 'no sub'",
        "user '[question multi_turn_miss_func_0, turn 2]'",
        "assistant sub({})",
        "assistant 'done'",
    ]
    offered = [[t.name for t in one.context_of(i).tools] for i in one.steps]
    assert offered == [["add"], ["add"], ["add", "sub"], ["add", "sub"]]


def test_a_folder_of_questions_is_taken_whole(tmp_path):
    asked(tmp_path, question("simple_python_0", "Add 1."))
    tools = read_tools(tmp_path / "given")
    assert tuple(tools) == ()
    assert bool(tools)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a folder without BFCL question files"):
        read_tools(tmp_path / "empty")


@pytest.mark.parametrize("order", [(RESULT, SCORE), (SCORE, RESULT)])
def test_a_score_says_right_or_wrong_in_any_order_of_files(tmp_path, order):
    data = {
        RESULT: lines(row("simple_python_0", []), row("simple_python_1", [{"math_add": "{}"}])),
        SCORE: lines(HEADER, wrong("simple_python_1", [{"math_add": "{}"}])),
    }
    got = read(tmp_path, {name: data[name] for name in order})
    by = {s.family: s for s in got.sessions}
    assert by["simple_python_0"].outcome == Outcome(resolved=True)
    assert by["simple_python_1"].outcome == Outcome(resolved=False)
    assert shape(by["simple_python_1"])[0] == "user 'Add?'"
    assert [t.name for t in by["simple_python_1"].context_of(1).tools] == ["math_add"]


def test_a_score_without_its_result_is_a_session_of_its_own(tmp_path):
    got = read(tmp_path, {SCORE: lines(HEADER, wrong("simple_python_1", "[math.add(a=1)]"))})
    (one,) = got.sessions
    assert shape(one) == ["user 'Add?'", 'assistant math.add({"a": 1})']
    assert one.context_of(1).tools[0].name == "math.add"


def test_models_in_other_folders_are_told_apart(tmp_path):
    other = RESULT.replace("/m/", "/n/")
    files = {RESULT: lines(row("a_0", [])), other: lines(row("a_0", [{"f": "{}"}]))}
    files[SCORE] = lines(HEADER, wrong("a_0", []))
    got = read(tmp_path, files)
    assert {s.messages[-1].model: s.outcome for s in got.sessions} == {
        "m": Outcome(resolved=False),
        "n": None,
    }


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("[f(a=1), g()]", ['f({"a": 1})', "g({})"]),
        ("```python\n[f()]```", []),
        ("`[f()]`", ["f({})"]),
        ("[f(a=1)", ['f({"a": 1})']),
        ("f(a='x')", ['f({"a": "x"})']),
        ("I call [f()] now", []),
        ("[1, 2]", []),
        ("done", []),
        ("", []),
    ],
)
def test_text_that_is_a_list_of_calls_is_read_as_calls(tmp_path, said, calls):
    (one,) = read_one(tmp_path, row("simple_python_0", said)).sessions
    assert [f"{c.name}({c.arguments})" for c in one.messages[-1].calls] == calls


def test_objects_as_arguments_are_a_rendering(tmp_path):
    (one,) = read_one(tmp_path, row("simple_python_0", [{"f": {"a": 1}}, {"g": "{"}])).sessions
    assert [(c.arguments, c.verbatim, c.index) for c in one.messages[-1].calls] == [
        ('{"a":1}', False, 0),
        ("{", True, 1),
    ]


def test_reasoning_and_logged_tools_are_kept(tmp_path):
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    log = [{"role": "inference_input", "content": {"message": "[]", "tools": tools}}]
    value = row("simple_python_0", [{"f": "{}"}], inference_log=log, reasoning_content="hm")
    (one,) = read_one(tmp_path, value).sessions
    assert one.messages[-1].reasoning == "hm"
    assert [t.name for t in one.context_of(1).tools] == ["f"]


ROWS = [
    row("simple_python_0", [{"f": "{}"}]),
    HEADER,
    wrong("simple_python_1", "[f()]"),
    json.loads(
        (
            LOGS
            / "bfcl"
            / RESULT.replace("/m/", "/misstep-sample-FC/")
            .replace("non_live", "multi_turn")
            .replace("simple_python", "multi_turn_base")
        ).read_text()
    ),
]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), "bfcl")
