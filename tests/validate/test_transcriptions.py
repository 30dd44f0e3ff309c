"""Plain text that answers an image: judged at any length, where nothing else was asked of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from misstep.types import Context, Message, Part, Session, ToolSpec, Verdict
from misstep.validate import Settings, validate

IMAGE = Part(kind="image", text="sha256:" + "0" * 64)
ASK = Message(role="user", parts=(Part(kind="text", text="Read the page."), IMAGE))
READ = Message(
    role="assistant",
    parts=(Part(kind="text", text="Folha 3\nConta da casa"),),
    context=0,
    finish_reason="stop",
)
DEFAULT = Settings()
TOOL = ToolSpec(name="add", parameters='{"type": "object"}')


def judged(*messages: Message, settings: Settings = DEFAULT, **offer: Any) -> Verdict:
    subject = Session(id="s", format="test", messages=messages, contexts=(Context(**offer),))
    return validate(subject, settings).verdicts[-1]


def says(text: str, **more: Any) -> Message:
    return replace(READ, parts=(Part(kind="text", text=text),), **more)


def test_a_short_transcription_is_clean() -> None:
    verdict = judged(ASK, READ)
    assert (verdict.state, verdict.judges) == ("pass", ("text_loop",))


@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        (says("Conta da casa, " * 60), ("REP_LOOP",)),
        (says("Conta da ca", finish_reason="length"), ("TRUNCATED",)),
        (says("  "), ("EMPTY_OUTPUT",)),
    ],
)
def test_a_loop_a_cut_and_an_empty_answer_fail(answer: Message, codes: tuple[str, ...]) -> None:
    verdict = judged(ASK, answer)
    assert (verdict.state, verdict.codes) == ("fail", codes)


def test_a_cut_without_a_reason_and_a_refusal_are_not_judged() -> None:
    assert judged(ASK, replace(READ, end="cut")).state != "pass"
    assert judged(ASK, replace(READ, finish_reason="content_filter")).state == "unjudged"


def test_text_without_an_image_before_it_is_as_it_was() -> None:
    asked = replace(ASK, parts=ASK.parts[:1])
    assert judged(asked, READ).state == "unjudged"
    assert judged(ASK, READ, asked, says("Thank you.")).state == "unjudged"


def test_where_tools_are_on_offer_or_json_is_asked_for_those_judge() -> None:
    assert judged(ASK, READ, tools=(TOOL,)).state == "unjudged"
    assert judged(ASK, READ, settings=Settings(json=True)).codes == ("JSON_NOT_FOUND",)
    assert judged(ASK, READ, json_mode=True).codes == ("JSON_NOT_FOUND",)
