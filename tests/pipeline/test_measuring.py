"""Arms are compared on the prompts that all of them have answered."""

from __future__ import annotations

from misstep import store
from misstep.config import RunConfig
from misstep.evaluate import ArmAnswers
from misstep.pipeline import measuring
from misstep.pipeline.job import Job
from misstep.types import Message, Prompt

ONE, TWO = (Prompt(session=name, step=1) for name in ("one", "two"))
SAID = ArmAnswers(greedy=Message(role="assistant"), sampled=())


def shared(tmp_path, lost):
    said = []
    folder = store.RunFolder(tmp_path)
    folder.finish("answers base", "key", outputs=[], facts={"lost": 0, "prompts": 2})
    folder.finish("answers sft", "key", outputs=[], facts={"lost": lost, "prompts": 2 - lost})
    job = Job(folder, RunConfig(), say=said.append)
    return measuring._shared(job, {"base": {ONE: SAID, TWO: SAID}, "sft": {TWO: SAID}}), said


def test_a_prompt_that_an_arm_lost_is_left_out_of_all_and_said(tmp_path):
    answers, said = shared(tmp_path, lost=1)
    assert answers == {"base": {TWO: SAID}, "sft": {TWO: SAID}}
    assert said == [
        "1 held-out prompts are compared, those that every arm has answered; "
        "1 are not among the answers of an arm"
    ]


def test_answers_that_are_missing_for_no_reason_are_left_for_the_evaluation_to_refuse(tmp_path):
    answers, said = shared(tmp_path, lost=0)
    assert ONE in answers["base"]
    assert ONE not in answers["sft"]
    assert said == []


def test_prompts_that_several_arms_lost_are_counted_together(tmp_path):
    three = {Prompt(session=name, step=1): SAID for name in ("one", "two", "three")}
    folder, said = store.RunFolder(tmp_path), []
    for arm in ("base", "sft"):
        folder.finish(f"answers {arm}", "key", outputs=[], facts={"lost": 1, "prompts": 2})
    given = {
        arm: {p: SAID for p in three if p.session != gone}
        for arm, gone in (("base", "one"), ("sft", "two"))
    }
    answers = measuring._shared(Job(folder, RunConfig(), say=said.append), given)
    assert [p.session for p in answers["base"]] == ["three"]
    assert said[0].endswith("; 2 are not among the answers of an arm")
