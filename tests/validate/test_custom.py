from __future__ import annotations

import re
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest

from misstep.codes import CODES, Code
from misstep.config import ValidateConfig
from misstep.errors import ConfigError, SetupError
from misstep.types import Finding
from misstep.validate import Settings, custom, judge, settings, validate, validator
from validate.building import asked, session, tool

LATE = Code(name="TOO_LATE", group="acme", meaning="too late")
ODD = Code(name="ODD_SESSION", group="acme", meaning="odd", level="suspect", offline=False)


@pytest.fixture(autouse=True)
def _own_codes():
    kept = dict(CODES)
    custom.register((LATE, ODD))
    yield
    CODES.clear()
    CODES.update(kept)


@validator(LATE, judges=lambda step: True)
def late(step):
    if "late" in step.text:
        yield step.find("TOO_LATE", "content", span=(0, 4), evidence="late")


@validator(LATE, judges=lambda step: True)
def broken(step):
    yield step.find("TOO_LATE", "content")
    raise ValueError(f"step {step.index}")


@validator(ODD, of="session")
def odd(steps):
    for step in steps[1:]:
        yield step.find("ODD_SESSION", "transcript", evidence=f"{len(steps)} steps")


def told(subject, *own):
    judged = validate(subject, Settings(own=own))
    return [f.code for f in judged.findings], [v.state for v in judged.verdicts]


def two_steps():
    rows = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "one"}] * 2
    return session({"messages": rows})


def test_a_finding_of_the_users_own_fails_its_step():
    assert told(asked(content="too late"), late) == (["TOO_LATE"], ["fail"])


def test_a_validator_that_judged_and_found_nothing_passes_a_step():
    assert told(asked(content="in time"), late) == ([], ["pass"])
    assert told(asked(content="in time")) == ([], ["unjudged"])


def test_what_it_throws_is_its_own_error_and_the_step_is_unjudged():
    judged = validate(asked(content="x"), Settings(own=(broken,)))
    (finding,) = judged.findings
    assert (finding.code, finding.level, finding.cause) == (
        "VALIDATOR_ERROR",
        "info",
        "infrastructure",
    )
    assert finding.evidence == "broken: ValueError('step 1')"
    (verdict,) = judged.verdicts
    assert (verdict.state, verdict.score) == ("unjudged", None)
    assert verdict.why == "a validator failed: broken: ValueError('step 1')"


def test_a_broken_validator_does_not_acquit_a_step_that_another_failed():
    assert told(asked(content="too late"), broken, late) == (
        ["VALIDATOR_ERROR", "TOO_LATE"],
        ["fail"],
    )


def test_a_broken_judge_is_an_error_of_the_validator_too():
    def judges(step):
        return step.nothing

    codes, states = told(asked(content="too late"), replace(late, judges=judges))
    assert (codes, states) == (["VALIDATOR_ERROR"], ["unjudged"])


def test_a_validator_of_sessions_is_asked_once_and_finds_on_any_step():
    calls = []

    @validator(ODD, of="session")
    def counting(steps):
        calls.append(len(steps))
        return odd.check(steps)

    judged = validate(two_steps(), Settings(own=(counting,)))
    assert [(f.code, f.step) for f in judged.findings] == [("ODD_SESSION", 3)]
    assert calls == [2]


def test_a_broken_validator_of_sessions_leaves_every_step_unjudged():
    @validator(ODD, of="session", judges=lambda step: True)
    def failing(steps):
        return 1 / 0

    assert told(two_steps(), failing) == (["VALIDATOR_ERROR"] * 2, ["unjudged"] * 2)


def test_without_a_defect_among_its_codes_it_judges_nothing():
    assert told(two_steps(), replace(odd, judges=lambda step: True)) == (
        ["ODD_SESSION"],
        ["unjudged"] * 2,
    )


def test_a_replayed_step_is_judged_by_codes_that_it_can_show():
    subject = two_steps()
    answer = replace(subject.messages[3], parts=asked(content="late").messages[1].parts)
    found, verdict = judge(subject, 3, answer, settings=Settings(own=(late, odd)))
    assert ([f.code for f in found], verdict.state) == (["TOO_LATE"], "fail")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda step: ["x"], "yielded str, expected a Finding (step.find)"),
        (lambda step: [step.find("TRUNCATED", "content")], "emitted TRUNCATED, which it does"),
        (lambda step: [replace(_one(step), step=9)], "a finding on step 9, which it was not"),
        (lambda step: [replace(_one(step), session="x")], "a finding on step 1, which it was"),
        (lambda step: [replace(_one(step), call=3)], "a finding on call 3 of 0"),
        (lambda step: [replace(_one(step), span=(5, 2))], "a finding with the span (5, 2)"),
        (lambda step: [replace(_one(step), level="bad")], "ValidationError"),
        (lambda step: [replace(_one(step), evidence="x" * 301)], "evidence of more than 300"),
        (lambda step: 3, "TypeError"),
    ],
)
def test_a_finding_that_is_none_is_its_error(made, said):
    wrong = replace(late, check=made)
    (finding,) = validate(asked(content="x"), Settings(own=(wrong,))).findings
    assert finding.code == "VALIDATOR_ERROR"
    assert finding.evidence.startswith(f"late: {said}")


def _one(step) -> Finding:
    return step.find("TOO_LATE", "content")


def test_its_evidence_holds_no_secret():
    secret = "ghp_" + "a1B2c3D4e5" * 4

    @validator(LATE)
    def leaky(step):
        yield step.find("TOO_LATE", "content", evidence=f"key {secret}")

    (finding,) = validate(asked(content="x"), Settings(own=(leaky,))).findings
    assert secret not in finding.evidence


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (Code(name="late", group="a", meaning="b"), "expected capitals"),
        (Code(name="TRUNCATED", group="a", meaning="b"), "is misstep's own; choose another name"),
        (Code(name="A_B", group="", meaning="b"), "expected a level, a group and a meaning"),
        (Code(name="A_B", group="a", meaning="b", level="bad"), "expected a level, a group"),
        ("A_B", "expected a misstep.validate.Code, got 'A_B'"),
    ],
)
def test_codes_are_declared_rightly_or_refused(code, said):
    with pytest.raises(SetupError, match=said):
        validator(code)


def test_a_validator_declares_at_least_one_code():
    with pytest.raises(SetupError, match="a validator without codes"):
        validator()


SOURCE = """
from misstep.validate import Code, validator

@validator(Code(name="TOO_LATE", group="acme", meaning="too late"))
def late(step):
    return []

@validator(Code(name="TOO_LATE", group="acme", meaning="again"))
def again(step):
    return []

plain = print
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "own_checks.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "own_checks.py"
    sys.modules.pop("own_checks", None)


def config(*paths):
    return ValidateConfig(validators=paths)


def test_a_validator_is_found_by_its_path_in_the_current_folder(module):
    assert [own.name for own in settings(config("own_checks:late")).own] == ["late"]
    assert settings(config("own_checks:late"), own=False).own == ()


@pytest.mark.parametrize(
    ("paths", "error", "said"),
    [
        (["own_checks"], ConfigError, "expected package.module:function"),
        (["own_checks:none"], SetupError, "the module has no 'none'"),
        (["own_checks:plain"], SetupError, "expected a function declared with @misstep.validate"),
        (["no_such_module:x"], SetupError, "cannot be loaded: ModuleNotFoundError"),
        (["own_checks:late", "own_checks:again"], SetupError, "two validators declare the code"),
    ],
)
def test_what_cannot_be_loaded_ends_before_any_work(module, paths, error, said):
    with pytest.raises(error, match=said):
        settings(config(*paths))


def test_a_changed_file_is_another_validator(module):
    before = custom.identity(["own_checks:late"])
    assert custom.identity(["own_checks:late"]) == before
    module.write_text(SOURCE + "\n# changed\n")
    assert custom.identity(["own_checks:late"]) != before


def test_entry_points_join_by_themselves(monkeypatch):
    class Point:
        name, value, dist = "late", "acme:late", None

        def load(self):
            return late

    monkeypatch.setattr(custom, "entry_points", lambda group: [Point()])
    custom._plugged.cache_clear()
    try:
        assert [own.name for own in settings(ValidateConfig()).own] == ["late"]
        assert custom.identity([]) == ["late acme:late "]
    finally:
        custom._plugged.cache_clear()


def test_a_call_can_be_judged_by_a_validator_of_the_users_own():
    @validator(LATE, judges=lambda step: bool(step.calls))
    def calls(step):
        for index, parsed in enumerate(step.arguments):
            if parsed.value.get("hour", 0) > 20:
                yield step.find("TOO_LATE", "arguments", call=index, where="/hour")

    subject = asked(tools=[tool("t", {"type": "object"})], calls=[_hour(23)])
    judged = validate(subject, Settings(own=(calls,)))
    assert ("TOO_LATE", 0) in [(f.code, f.call) for f in judged.findings]
    assert judged.verdicts[0].judges[-1] == "calls"


def _hour(hour):
    return {"name": "t", "arguments": f'{{"hour": {hour}}}', "id": "c"}


@validator(LATE, judges=lambda step: True)
def endless(step):
    try:
        while step.text == "hang":
            time.sleep(0)
    except Exception:  # noqa: BLE001  as users do
        pass
    yield step.find("TOO_LATE", "content")


@validator(LATE, judges=lambda step: re.match(r"(a+)+$", "a" * 60 + "!") is None)
def slow_judge(step):
    return ()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no alarm signal")
@pytest.mark.parametrize("own", [endless, slow_judge], ids=["check", "judges"])
def test_a_validator_that_never_ends_is_stopped_and_the_step_is_unjudged(own):
    began = time.perf_counter()
    judged = validate(asked(content="hang"), Settings(own=(own,), time_limit=0.05))
    assert time.perf_counter() - began < 5
    (finding,) = judged.findings
    assert (finding.code, finding.level) == ("VALIDATOR_ERROR", "info")
    assert "took longer than 0.05 s" in finding.evidence
    assert [v.state for v in judged.verdicts] == ["unjudged"]


def test_a_validator_in_time_is_not_disturbed_and_the_alarm_is_put_back():
    before = signal.getsignal(signal.SIGALRM)
    judged = validate(asked(content="fine"), Settings(own=(endless,), time_limit=5.0))
    assert [f.code for f in judged.findings] == ["TOO_LATE"]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_outside_the_main_thread_there_is_no_limit_and_no_fault():
    told: list[str] = []

    def work():
        judged = validate(asked(content="fine"), Settings(own=(endless,), time_limit=0.05))
        told.extend(f.code for f in judged.findings)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == ["TOO_LATE"]
