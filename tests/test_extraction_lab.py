"""The extraction benchmark: texts, parts, what is right, pairs, rows; no model is loaded."""

import json
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
pytest.importorskip("torch")
pytest.importorskip("parts", reason="the benchmarks are no part of the wheel")
import extraction
from parts import extraction_code, extraction_texts, lab_arms, lab_keep, lab_measure, lab_model
from parts import extraction_tasks as tasks
from parts.lab_questions import failures

from misstep import store
from misstep.config import MineConfig
from misstep.types import Message, Part

SEEDS = range(30)
FORMS, CODE = tasks.forms(), tasks.code()
FEW = settings(max_examples=40)


def wrote(text, finish="stop"):
    parts = (Part(kind="text", text=text),)
    return Message(role="assistant", parts=parts, finish_reason=finish, model="m")


def first(family, parts=FORMS):
    return next(q for q in chain(*parts.values()) if q.family == family)


def by_family(parts):
    return list({q.family: q for q in chain(*parts.values())}.values())


# --- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", extraction_texts.names())
def test_what_a_text_says_is_valid_and_stands_in_it(name):
    schema = extraction_texts.schema_of(name)
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    optional = schema["properties"].keys() - set(schema["required"])
    seen = []
    for number in SEEDS:
        page = extraction_texts.page(name, number)
        validator.validate(page.value)
        scalars = dict(tasks.scalars(page.value))
        assert scalars.keys() == page.said.keys()
        for where, said in page.said.items():
            assert said.lower() in page.asked.lower()
            assert said in page.asked or said != scalars[where]
        seen.append(page.value.keys())
    assert all(0 < sum(key in keys for keys in seen) < len(seen) for key in optional)


def test_texts_are_drawn_once_for_all_and_vary():
    pages = [extraction_texts.page("parcel", number) for number in SEEDS]
    assert pages == [extraction_texts.page("parcel", number) for number in SEEDS]
    texts = {page.asked.partition("\n\n")[2] for page in pages}
    assert len(texts) == len(pages)
    assert len({text[:12] for text in texts}) > 10


def test_numbers_and_days_are_spelt_in_several_ways():
    said = {"days": set(), "counts": set()}
    for number in range(200):
        page = extraction_texts.page("hotel_booking", number)
        said["days"].add("".join(c for c in page.said["/arrival"] if not c.isdigit())[:2])
        said["counts"].add(page.said["/nights"].isdigit())
    assert said["counts"] == {True, False}
    assert {"--", ".."} < said["days"]


def test_no_two_forms_are_alike():
    fields = [
        frozenset(extraction_texts.schema_of(name)["properties"])
        for name in extraction_texts.names()
    ]
    overlap = max(len(a & b) / len(a | b) for at, a in enumerate(fields) for b in fields[at + 1 :])
    assert overlap < 0.5


# --- parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parts", "held", "train"), [(FORMS, 15, 320), (CODE, 12, 192)])
def test_parts_share_no_family_and_no_prompt(parts, held, train):
    families = {part: {q.family for q in some} for part, some in parts.items()}
    texts = [q.messages[0].text for some in parts.values() for q in some]
    assert sum(map(len, families.values())) == len(set.union(*families.values())) >= 30
    assert len(families["heldout"]) == held
    assert len(parts["train"]) >= train
    assert len(set(texts)) == len(texts)
    assert all(q.part == part for part, some in parts.items() for q in some)


def test_the_split_does_not_depend_on_the_order_of_the_forms():
    names = extraction_texts.names()
    assert tasks.split(names[::-1], tasks.FORMS) == tasks.split(names, tasks.FORMS)


def test_right_answers_are_right_by_misstep_too():
    for q in (*by_family(FORMS), *by_family(CODE)):
        assert failures(q, q.reference) == ()
        assert q.is_right(q.reference)
        assert len(q.reference.text) < 400


# --- what an answer is worth -------------------------------------------------------------------

PARCEL = replace(
    first("parcel"),
    value={"sender": "Ada Ito", "town": "Hull", "weight_kg": 3, "due": "2024-05-01"},
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"sender": "Ada Ito", "weight_kg": 3}', "MISSING_REQUIRED"),
        ('{"sender": "Ada Ito", "town": "Hull", "weight_kg": "3"}', "WRONG_TYPE"),
        ('{"sender": "Ada Ito", "town": "Hull", "weight_kg": 3, "due": "1 May"}', "FORMAT"),
        ('{"sender": "Ada Ito", "town": "Hull", "weight_kg": 3, "to": "x"}', "UNEXPECTED_ARG"),
        ("The parcel is for Hull.", "JSON_NOT_FOUND"),
    ],
)
def test_a_form_fails_by_the_schema_that_was_asked_for(text, code):
    assert code in failures(PARCEL, wrote(text))
    assert not PARCEL.is_right(wrote(text))


def test_fields_are_counted_by_their_place():
    assert PARCEL.fields(wrote('{"sender": "Ada Ito", "town": "Kiel", "weight_kg": 3.0}')) == (2, 4)
    assert PARCEL.fields(wrote('{"parcel": {"sender": "Ada Ito"}}')) == (0, 4)
    assert PARCEL.fields(wrote("none of it")) == (0, 4)
    assert PARCEL.fields(wrote("[" * 100_000)) == (0, 4)
    assert PARCEL.is_right(wrote(json.dumps(PARCEL.value)))


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4)


@FEW
@given(OBJECTS)
def test_an_answer_that_is_right_has_every_field(value):
    wanted = sum(1 for _ in tasks.scalars(value))
    assert tasks.equal_fields(json.loads(json.dumps(value)), value) == (wanted, wanted)
    assert tasks.same(value, value)


@FEW
@given(OBJECTS, st.data())
def test_each_field_counts_once_and_what_is_added_not_at_all(value, data):
    wanted = sum(1 for _ in tasks.scalars(value))
    key = data.draw(st.sampled_from(sorted(value)))
    lost = sum(1 for _ in tasks.scalars(value[key]))
    less = {k: inner for k, inner in value.items() if k != key}
    assert tasks.equal_fields(less, value) == (wanted - lost, wanted)
    assert tasks.equal_fields({**value, "more than that": 1}, value) == (wanted, wanted)
    assert not tasks.same({**value, "more than that": 1}, value)


@FEW
@given(VALUES, OBJECTS)
def test_no_more_fields_are_equal_than_there_are(answer, right):
    equal, wanted = tasks.equal_fields(answer, right)
    assert 0 <= equal <= wanted
    assert not tasks.same(answer, right) or equal == wanted


def test_a_truth_value_is_no_number():
    assert not tasks.same(True, 1)
    assert not tasks.same([0], [False])
    assert tasks.same({"a": 3.0}, {"a": 3})


# --- code --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", extraction_code.names())
def test_the_right_programs_pass_their_cases(name):
    for number in range(3):
        wanted = extraction_code.wanted(name, number)
        scope = {}
        exec(wanted.program, scope)  # a program of ours: answers of models are never run
        for *arguments, result in extraction_code.source()["functions"][name]["cases"]:
            assert scope[wanted.called](*arguments) == result
        assert wanted.called in wanted.asked


RIGHT = "def total(stock):\n    return sum(x for x in stock)"


@pytest.mark.parametrize(
    ("answer", "alike"),
    [
        (RIGHT, True),
        (f"Here:\n```python\n{RIGHT}\n```\nDone.", True),
        (RIGHT.replace("stock", "a").replace("x", "y"), True),
        (
            'def total(stock: list) -> int:\n    """Add up."""\n    return sum(x for x in stock)',
            True,
        ),
        (f"import math\n{RIGHT}\nprint(total([1]))", True),
        (RIGHT.replace("sum", "max"), False),
        (RIGHT.replace("total", "totals"), False),
        (RIGHT[:-1] + "(", False),
        ("", False),
    ],
)
def test_a_program_is_the_right_one_up_to_names_of_its_own(answer, alike):
    assert extraction_code.same_program(answer, RIGHT, called="total") is alike


@FEW
@given(st.text() | st.text(alphabet="def tol(sc):\n re\\`'\"\x00", max_size=80))
def test_any_text_can_be_compared(text):
    assert not extraction_code.same_program(text, RIGHT, called="total")


def test_code_that_does_not_parse_fails_and_is_not_right():
    q = CODE["train"][0]
    broken = q.reference.text.replace("def ", "def def ")
    assert failures(q, wrote(broken)) == ("CODE_SYNTAX",)
    assert failures(q, wrote("I would rather talk about Python.")) == ("CODE_SYNTAX",)
    assert not q.is_right(wrote(broken))
    assert q.fields(wrote(broken)) is None


# --- pairs and figures -------------------------------------------------------------------------


def less(q):
    """The right answer without what it must have."""
    if isinstance(q, tasks.CodeQuestion):
        return wrote(q.reference.text.replace("def ", "def def "))
    value = dict(q.value)
    del value[json.loads(q.schema)["required"][0]]
    return wrote(json.dumps(value))


@pytest.mark.parametrize("parts", [FORMS, CODE])
@pytest.mark.parametrize("source", ["sibling", "reference"])
def test_failures_are_paired_by_misstep_with_what_it_finds_clean(parts, source):
    asked = parts["train"][:2]
    rows = lab_model.pairs(
        [(q, [less(q), q.reference] if source == "sibling" else [less(q)]) for q in asked],
        mine=MineConfig(sources=(source,)),
        gold=source == "reference",
    )
    assert {row.chosen.text for row in rows} == {q.reference.text for q in asked}
    assert {row.rejected.text for row in rows} == {less(q).text for q in asked}
    assert {row.context.response_schema is None for row in rows} == {parts is CODE}


def test_figures_say_how_many_fields_are_right():
    q = FORMS["dev"][0]
    before = lab_measure.measure([(q, [less(q)])])
    after = lab_measure.measure([(q, [q.reference])])
    assert lab_measure.told(after)["fields"]["rate"] == 1.0
    assert 0 < lab_measure.told(before)["fields"]["rate"] < 1
    change = lab_measure.paired(before, after)
    assert change["fields"]["difference"] == 1 - lab_measure.told(before)["fields"]["rate"]
    code = CODE["dev"][0]
    assert "fields" not in lab_measure.told(lab_measure.measure([(code, [code.reference])]))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model that fails half of its answers until it has been trained on pairs."""

    def trained(rows, *, start, config, seed):
        folder = tmp_path / f"{type(config).__name__}-{start is not None}"
        folder.mkdir(exist_ok=True)
        told = {"rows": len(rows), "steps": 1, "stopped": "", "cpu_seconds": 0.0, "peak_gb": 0.0}
        (folder / lab_keep.FACTS).write_text(json.dumps(told))
        return folder / "adapter"

    def answers(questions, adapter, *, count, **_):
        good = adapter is not None and adapter.parent.name.startswith("Dpo")
        return [
            (q, [q.reference if good or at % 2 else less(q) for at in range(count)])
            for q in questions
        ]

    monkeypatch.setattr(lab_model, "trained", trained)
    monkeypatch.setattr(lab_model, "answers", answers)
    return trained


def test_arms_are_written_one_by_one_and_asked_once(tmp_path, model, monkeypatch):
    path, size = tmp_path / "out.json", extraction.Size(asked=3, samples=2, judged=20, answers=4)
    lab = extraction.Lab(FORMS, "dev", 1, work="forms", size=size)
    extraction.run(path, lab, ["recipe"], base=True)
    found = store.read_json(path)
    assert [row["arm"] for row in found["rows"]] == ["base", "sft", "recipe"]
    assert {row["work"] for row in found["rows"]} == {"forms"}
    assert found["common"]["samples"] == 2
    assert found["common"]["first_sft"]["max_rows"] == 320
    assert found["rows"][2]["at"]["1.0"]["failed"]["rate"] == 0.0
    assert found["ratios"]["drop_vs_sft, recipe, seed 1, temperature 1.0"] == 1.0
    assert found["ratios"]["best_code_drop, recipe, seed 1, temperature 1.0"] == 1.0
    assert "p_vs_control, recipe, seed 1, temperature 0.7" in found["ratios"]
    monkeypatch.setattr(lab_arms.Lab, "run", lambda *_: pytest.fail("it was run already"))
    extraction.run(path, lab, ["recipe"], base=True)
    assert store.read_json(path)["rows"] == found["rows"]


def test_results_of_another_set_or_size_are_refused(tmp_path, model, monkeypatch, capsys):
    path = tmp_path / "out.json"
    extraction.run(path, extraction.Lab(FORMS, "dev", 1, size=extraction.QUICK), [], base=True)
    for more in (["--code", "--quick"], []):
        monkeypatch.setattr(sys, "argv", ["extraction.py", *more, "--json", str(path)])
        with pytest.raises(SystemExit):
            extraction.main()
        assert "name another file" in capsys.readouterr().err
