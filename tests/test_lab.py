"""The laboratory of `benchmarks/`: its split, its notion of right, its choice of negatives."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
pytest.importorskip("torch")
pytest.importorskip("parts", reason="the benchmarks are no part of the wheel")
from parts import lab_arms, lab_keep, lab_measure, lab_model, lab_questions, lab_results, lab_signed
from parts.lab_questions import Question

from misstep.config import DpoConfig, SftConfig
from misstep.train import Row
from misstep.types import Context, Message, Part, ToolCall, ToolSpec

SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
TOOL = ToolSpec(name="weather", parameters=SCHEMA, strict=True)


def function(name, *parameters):
    return {"name": name, "parameters": {"properties": {key: {} for key in parameters}}}


def said(*calls):
    made = (ToolCall(name=name, arguments=text, index=at) for at, (name, text) in enumerate(calls))
    return Message(role="assistant", parts=tuple(Part(kind="call", call=call) for call in made))


def question(right, tools=(TOOL,)):
    asked = Message(role="user", parts=(Part(kind="text", text="Weather?"),))
    return Question(
        id="q",
        family="f",
        part="dev",
        messages=(asked,),
        tools=tools,
        right=right,
        reference=said(("weather", '{"city": "Oslo"}')),
    )


FULL = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "wet": {"type": "boolean"},
    },
    "required": ["city"],
}
ASKED = replace(
    question([{"weather": {"city": ["Oslo"]}}], (replace(TOOL, parameters=json.dumps(FULL)),)),
    messages=(Message(role="user", parts=(Part(kind="text", text="Is Oslo cold for 3 days?"),)),),
)
OSLO = question([{"weather": {"city": ["Oslo", "Oslo, NO"], "unit": ["", "C"]}}])


# --- families and parts ------------------------------------------------------------------------


def test_questions_over_near_same_functions_are_one_family():
    found = lab_questions.families(
        {
            "a": [function("math.area", "r")],
            "b": [function("Math_area", "radius")],
            "c": [function("geometry.AREA", "x")],
            "d": [function("other", "u", "v", "w")],
            "e": [function("another", "w", "v", "u")],
            "f": [function("third", "u", "v")],
        }
    )
    assert found["a"] == found["c"] != found["b"]
    assert found["d"] == found["e"] != found["f"]


def test_a_question_that_calls_two_functions_unites_their_families():
    found = lab_questions.families(
        {"a": [function("x")], "b": [function("y")], "c": [function("x"), function("y")]}
    )
    assert len(set(found.values())) == 1


@given(st.permutations(["a", "b", "c", "d"]))
def test_families_do_not_depend_on_the_order_of_the_questions(order):
    called = {
        "a": [function("x")],
        "b": [function("x"), function("y")],
        "c": [function("y")],
        "d": [function("z")],
    }
    given_so = {name: called[name] for name in order}
    assert lab_questions.families(given_so) == lab_questions.families(called)


def test_a_large_family_trains_and_the_others_go_by_hash():
    sizes = {f"f{at}": 1 for at in range(600)} | {"big": 7}
    parts = lab_questions.split(sizes)
    counted = list(parts.values())
    assert parts["big"] == "train"
    assert counted.count("heldout") == lab_questions.HELD
    assert counted.count("dev") == lab_questions.DEV
    assert lab_questions.split(dict(reversed(sizes.items()))) == parts


@pytest.mark.skipif(not os.environ.get("BFCL_EVAL"), reason="needs BFCL_EVAL")
def test_no_prompt_shows_a_function_of_another_part():
    parts = lab_questions.questions()
    families = {part: {q.family for q in some} for part, some in parts.items()}
    tools = {part: {t.name for q in some for t in q.tools} for part, some in parts.items()}
    assert len(families["heldout"]) >= 400
    for left, right in (("train", "dev"), ("train", "heldout"), ("dev", "heldout")):
        assert not families[left] & families[right]
        assert not tools[left] & tools[right]


@pytest.mark.skipif(not os.environ.get("BFCL_EVAL"), reason="needs BFCL_EVAL")
def test_every_reference_is_right_and_passes():
    some = [q for part in lab_questions.questions().values() for q in part]
    assert [q.id for q in some if not lab_questions.correct(q, q.reference)] == []
    assert [q.id for q in some if lab_questions.failures(q, q.reference)] == []


def test_bfcl_types_become_json_schema():
    dialect = {
        "type": "dict",
        "properties": {"a": {"type": "float"}, "b": {"type": "tuple", "items": {"type": "any"}}},
    }
    assert lab_questions.json_schema(dialect) == {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "array", "items": {}}},
    }


# --- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('{"city": "Oslo"}', True),
        ('{"city": "oslo,no", "unit": "C"}', True),
        ('{"city": "Bergen"}', False),
        ('{"city": "Oslo", "unit": "F"}', False),
        ('{"city": "Oslo", "day": 1}', False),
        ('{"unit": "C"}', False),
        ('{"city": "Oslo"', False),
        ('["Oslo"]', False),
    ],
)
def test_an_argument_is_right_if_it_is_among_the_possible_ones(arguments, right):
    assert lab_questions.correct(OSLO, said(("weather", arguments))) is right


def test_another_number_of_calls_or_another_tool_is_wrong():
    call = ("weather", '{"city": "Oslo"}')
    assert not lab_questions.correct(OSLO, said(call, call))
    assert not lab_questions.correct(OSLO, said(("climate", call[1])))
    assert not lab_questions.correct(OSLO, said())


def test_a_number_may_be_whole_but_true_is_no_number():
    asked = question([{"weather": {"days": [3.0]}}])
    assert lab_questions.correct(asked, said(("weather", '{"days": 3}')))
    assert not lab_questions.correct(
        question([{"weather": {"days": [1]}}]), said(("weather", '{"days": true}'))
    )


def test_objects_inside_are_compared_by_their_possible_values():
    asked = question([{"weather": {"at": [{"city": ["Oslo"], "zip": ["", "0150"]}]}}])
    assert lab_questions.correct(asked, said(("weather", '{"at": {"city": "Oslo"}}')))
    assert not lab_questions.correct(asked, said(("weather", '{"at": {"zip": "0150"}}')))


def test_an_answer_without_a_call_fails():
    text = Message(role="assistant", parts=(Part(kind="text", text="It is cold."),))
    assert lab_questions.failures(OSLO, text) == ("NO_CALL",)
    assert lab_questions.failures(OSLO, said(("weather", '{"town": "Oslo"}'))) == (
        "MISSING_REQUIRED",
        "UNEXPECTED_ARG",
    )


# --- negatives, labels -------------------------------------------------------------------------


def row(name, rejected, city="Oslo"):
    return Row(
        id=name,
        prompt=OSLO.messages,
        context=Context(tools=OSLO.tools),
        chosen=said(("weather", f'{{"city": "{city}"}}')),
        rejected=said(("weather", rejected)),
    )


FAILED = [row(f"r{at}", f'{{"town": "Oslo", "n": "{"x" * at}"}}') for at in range(5)]


def names(rows):
    return {each.id for each in rows}


def test_the_nearest_failures_are_rejected():
    kept = lab_arms.chosen_negatives(FAILED, "nearest", often=lab_arms.Often())
    assert names(kept) == {"r0", "r1"}


def test_the_most_frequent_failures_are_rejected():
    wrong = [each.rejected for each in FAILED]
    given_so = [(OSLO, [wrong[4], wrong[4], wrong[2], wrong[2], wrong[2], wrong[0]])]
    often = lab_arms.frequencies(given_so)
    assert names(lab_arms.chosen_negatives(FAILED, "frequent", often=often)) == {"r2", "r4"}


def test_random_failures_do_not_depend_on_the_order():
    once = lab_arms.chosen_negatives(FAILED, "random", often=lab_arms.Often())
    again = lab_arms.chosen_negatives(FAILED[::-1], "random", often=lab_arms.Often())
    assert names(once) == names(again)
    assert len(once) == lab_arms.PER_PROMPT


@pytest.mark.parametrize(
    ("rejected", "chosen", "adds"),
    [
        ('{"town": "Oslo"}', '{"city": "Oslo"}', []),
        ('{"town": "Oslo"}', '{"city": "Rome"}', ["/city"]),
        ('{"city": "Rome", "x": 1}', '{"city": "Rome"}', []),
        ('{"city": 3, "days": 3}', '{"city": "3"}', []),
        ('{"town": "Oslo"}', '{"city": "Oslo", "days": 7}', ["/days"]),
        ('{"town": "Oslo"}', '{"city": "Oslo", "days": 3}', []),
        ('{"town": "Oslo"}', '{"city": "Oslo", "unit": "C"}', []),
        ('{"town": "Oslo"}', '{"city": "Oslo", "unit": "F"}', ["/unit"]),
        ('{"city": "Oslo", "wet": "True"}', '{"city": "Oslo", "wet": true}', []),
    ],
)
def test_a_chosen_side_adds_what_neither_prompt_nor_rejected_side_holds(rejected, chosen, adds):
    wrong, right = said(("weather", rejected)), said(("weather", chosen))
    assert lab_signed.added(ASKED, right, wrong) == adds


def test_a_chosen_side_gives_up_what_the_rejected_side_had_from_the_prompt():
    wrong = said(("weather", '{"city": "Oslo", "days": 3, "unit": "K", "mood": "Oslo"}'))
    assert lab_signed.given_up(ASKED, said(("weather", '{"city": "Oslo"}')), wrong) == ["/days"]


def test_of_several_clean_answers_the_one_that_most_agree_with_is_signed():
    clean = [f'{{"city": "Oslo"{more}}}' for more in ("", "", ', "days": 3', ', "days": 9')]
    given_so = [(ASKED, [said(("weather", text)) for text in clean])]
    wrong = replace(row("r", '{"town": "Oslo"}'), prompt=ASKED.messages, context=ASKED.context)
    (kept,) = lab_signed.signed([wrong], given_so)
    assert kept.chosen.calls[0].arguments == clean[0]
    none = [(ASKED, [said(("weather", '{"city": "Rome"}'))])]
    assert lab_signed.signed([wrong], none) == []


def test_both_sides_of_a_pair_are_labelled_and_equal_ones_once():
    rows = lab_arms.labelled(FAILED)
    assert [each.label for each in rows].count(True) == 1
    assert [each.label for each in rows].count(False) == len(FAILED)


# --- figures -----------------------------------------------------------------------------------


def test_counts_are_by_family_and_pairs_compare_alike_questions():
    good, bad = said(("weather", '{"city": "Oslo"}')), said(("weather", '{"town": "Oslo"}'))
    other = replace(OSLO, id="q2", family="g")
    before = lab_measure.measure([(OSLO, [good, bad]), (other, [bad, bad])])
    after = lab_measure.measure([(OSLO, [good, good]), (other, [good, bad])])
    assert (before.failed.k, before.failed.n) == ((1, 2), (2, 2))
    assert before.codes["MISSING_REQUIRED"] == 3
    found = lab_measure.paired(before, after)
    assert found["failed"]["difference"] == -0.5
    assert found["correct"]["difference"] == 0.5
    assert found["fewer_failures"] == pytest.approx(2 / 3, abs=1e-3)
    assert lab_measure.by_family({0.7: before}) == {"0.7": {"failed": "1 2", "correct": "1 0"}}


# --- what is kept ------------------------------------------------------------------------------


def test_work_is_done_once_and_an_interrupted_one_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MISSTEP_LAB", str(tmp_path))
    done = []

    def fails(folder):
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    def works(folder):
        done.append(folder)
        return {"steps": 1}

    with pytest.raises(KeyboardInterrupt):
        lab_keep.kept("adapters", "a", work=fails)
    folders = [lab_keep.kept("adapters", "a", work=works) for _ in range(2)]
    assert len(done) == 1
    assert folders[0] == folders[1]
    assert lab_keep.facts(folders[0])["steps"] == 1


def test_a_setting_that_is_not_changed_is_not_in_the_key():
    assert lab_model.unusual(DpoConfig()) == {}
    assert lab_model.unusual(DpoConfig(beta=0.25)) == {"beta": 0.25}


def test_rounds_share_the_steps_and_go_on_behind_another_arm(tmp_path, monkeypatch):
    trained, asked = [], []
    rows = FAILED[:1]

    def train(rows, *, start, config, seed):
        trained.append((type(config), config.max_steps, [row.rejected for row in rows]))
        return tmp_path / str(len(trained))

    lab = lab_arms.Lab({"train": [OSLO], "dev": [], "heldout": []}, "dev", 1)
    monkeypatch.setattr(lab_model, "trained", train)
    monkeypatch.setattr(lab_arms, "pairs_of", lambda arm, given: rows)
    monkeypatch.setattr(lab_arms.Lab, "start", lambda self: tmp_path)
    monkeypatch.setattr(lab_arms.Lab, "answers", lambda self, *how: asked.append(how))
    settings = {"beta": 0.3, "max_steps": 80}
    first = lab_arms.Arm(name="x", stage="sft")
    arm = lab_arms.Arm(name="y", after=first, rounds=2, settings=settings)
    _, adapter = lab.train(arm)
    assert [each[:2] for each in trained] == [(SftConfig, 40), *[(DpoConfig, 40)] * 2]
    assert [each[2] for each in trained] == [[None], *[[rows[0].rejected]] * 2]
    assert [how[:2] for how in asked] == [(tmp_path, 0), (tmp_path / "1", 1), (tmp_path / "2", 2)]
    assert adapter == tmp_path / "3"


def test_a_control_learns_the_chosen_sides_of_all_rounds_of_another_arm(tmp_path, monkeypatch):
    trained = []

    def train(rows, *, start, config, seed):
        trained.append((start.name, config.max_steps, [row.id for row in rows]))
        return tmp_path / str(len(trained))

    lab = lab_arms.Lab({"train": [OSLO], "dev": [], "heldout": []}, "dev", 1)
    monkeypatch.setattr(lab_model, "trained", train)
    monkeypatch.setattr(lab_arms, "pairs_of", lambda arm, given: [FAILED[arm.depth - 1]])
    monkeypatch.setattr(lab_arms.Lab, "start", lambda self: tmp_path / "0")
    monkeypatch.setattr(lab_arms.Lab, "answers", lambda self, *how: [])
    one = lab_arms.after_sft("one")
    two = lab_arms.behind(one, "two")
    control = lab_arms.Arm(
        name="c", stage="sft", after=one.after, like=two, settings={"max_steps": 80}
    )
    rows, _ = lab.train(control)
    assert [row.id for row in rows] == [FAILED[1].id, FAILED[2].id]
    start, steps, ids = trained[-1]
    assert (steps, ids) == (80, [FAILED[1].id, FAILED[2].id])
    assert start == "1"  # what the first stage left


def test_a_round_without_pairs_leaves_the_adapter_as_it_is(tmp_path, monkeypatch):
    lab = lab_arms.Lab({"train": [OSLO], "dev": [], "heldout": []}, "dev", 1)
    monkeypatch.setattr(lab_model, "trained", lambda rows, **how: tmp_path / "1")
    monkeypatch.setattr(lab_arms, "pairs_of", lambda arm, given: FAILED[: arm.depth == 1])
    monkeypatch.setattr(lab_arms.Lab, "start", lambda self: tmp_path / "0")
    monkeypatch.setattr(lab_arms.Lab, "answers", lambda self, *how: [])
    assert lab.train(lab_arms.after_sft("one")) == ([], tmp_path / "1")


def test_results_hold_an_arm_once(tmp_path):
    path = tmp_path / "ablation.json"
    lab = lab_arms.Lab({"train": [], "dev": [OSLO], "heldout": []}, "dev", 1)
    for steps in (1, 2):
        lab_results.record(path, {**lab.named("sibling"), "steps": steps}, {})
    lab_results.record(path, {**lab.named("other"), "steps": 3}, {})
    assert [each["steps"] for each in lab_results.known(path)] == [2, 3]
    assert lab_results.has(path, lab.named("sibling"))
    assert not lab_results.has(path, {**lab.named("sibling"), "seed": 2})


def test_answers_to_one_question_are_read_as_so_many_answers(tmp_path):
    from misstep.config import IngestConfig
    from misstep.ingest import ingest

    texts = ['{"city": "Oslo"', '{"city": Oslo}', '{"city": "Oslo"}', '{"city": "Rome"}']
    some = [replace(said(("weather", t)), finish_reason="tool_calls") for t in texts]
    lab_model.write_log(tmp_path / "log.jsonl", [(OSLO, some)], "smollm2")
    read = ingest([tmp_path / "log.jsonl"], config=IngestConfig(workers=1)).sessions
    got = [session.messages[step].calls[0].arguments for session in read for step in session.steps]
    assert sorted(got) == sorted(texts)


def test_a_log_row_is_read_with_its_argument_text_as_the_model_wrote_it(tmp_path):
    from misstep.config import IngestConfig
    from misstep.ingest import ingest

    broken = '{"city": "Oslo"'
    answer = replace(said(("weather", broken)), finish_reason="length")
    lab_model.write_log(tmp_path / "log.jsonl", [(OSLO, [answer])], "smollm2")
    (session,) = ingest([tmp_path / "log.jsonl"], config=IngestConfig(workers=1)).sessions
    (step,) = session.steps
    read = session.messages[step]
    assert [call.arguments for call in read.calls] == [broken]
    assert (read.model, read.finish_reason) == ("smollm2", "length")
    assert session.context_of(step).tools[0].strict is True


def test_seeds_are_pooled_from_the_rows_of_the_results(tmp_path):
    path = tmp_path / "results.json"
    other = replace(OSLO, id="q2", family="g")
    asked = {"heldout": [other, OSLO]}
    good, bad = said(("weather", '{"city": "Oslo"}')), said(("weather", '{"town": "Oslo"}'))
    arm = lab_arms.Arm(name="recipe")
    labs = [lab_arms.Lab(asked, "heldout", seed) for seed in (1, 2)]
    for lab, name, ours, theirs in (
        (labs[0], "sft", [bad, bad, good], [bad, bad, bad]),
        (labs[1], "sft", [bad, bad, bad], [bad, bad, good]),
        (labs[0], "recipe", [good, good, good], [good, bad, good]),
        (labs[1], "recipe", [good, good, good], [good, good, good]),
    ):
        one = {0.7: lab_measure.measure([(OSLO, ours), (other, theirs)])}
        told = {"at": lab_measure.all_told(one), "by_family": lab_measure.by_family(one)}
        lab_results.record(path, {**lab.named(name), **told}, {})
    lab_arms.pool(path, labs, [arm])
    before, after = json.loads(path.read_text())["pooled"]
    assert (before["arm"], after["arm"], after["seeds"]) == ("sft", "recipe", [1, 2])
    assert (before["at"]["0.7"]["failed"]["k"], before["at"]["0.7"]["n"]) == (10, 12)
    assert before["at"]["both"]["codes"]["MISSING_REQUIRED"] == 10
    assert after["at"]["0.7"]["failed"]["k"] == 1
    assert after["against"]["sft"]["0.7"]["failed"]["difference"] == -0.75
    with pytest.raises(ValueError, match="of other questions"):
        lab_arms.pool(path, [lab_arms.Lab({"heldout": [OSLO]}, "heldout", 1)], [arm])


def test_seeds_together_are_the_sums_of_their_families():
    def one(failed, codes):
        counts = lab_measure.Counts(failed, (3, 3))
        return lab_measure.Measured(
            families=("a", "b"), failed=counts, correct=counts, codes=dict(codes)
        )

    both = lab_measure.together([one((1, 2), {"ENUM": 3}), one((0, 3), {"ENUM": 1, "RANGE": 2})])
    assert (both.failed.k, both.failed.n, both.families) == ((1, 5), (6, 6), ("a", "b"))
    assert both.codes == {"ENUM": 4, "RANGE": 2}
