"""What is shown of an answer to a page: its loop is marked, whichever rule found it."""

from __future__ import annotations

from misstep import validate
from misstep.config import ValidateConfig
from misstep.pipeline.pageview import _answer, place_of
from misstep.types import Context, Message, Origin, Part, Prompt, Session

FORM = '{"text": "Nome: Ana\\nIdade: 61\\nTotal 6' + "4" * 60


def says(text: str, finish: str) -> Message:
    return Message(
        role="assistant", parts=(Part(kind="text", text=text),), finish_reason=finish, context=0
    )


def page(*origins: Origin) -> Session:
    asked = Message(role="user", parts=(Part(kind="text", text="page"),))
    logged = Message(
        role="assistant", parts=(Part(kind="text", text="{}"),), context=0, origins=origins
    )
    return Session(id="abc", format="test", messages=(asked, logged), contexts=(Context(),))


def shown(text: str, finish: str) -> dict:
    settings = validate.settings(ValidateConfig())
    prompt = Prompt(session="abc", step=1)
    return _answer("sft", page(), prompt, says(text, finish), gold=None, settings=settings)


def test_a_loop_that_the_published_rule_alone_finds_is_marked() -> None:
    answer = shown(FORM, "length")
    assert (answer["codes"], answer["published"]) == ([], True)
    assert [text for text, look in answer["runs"] if look == "mark"] == ["4" * 60]


def test_an_answer_that_did_not_loop_has_no_mark() -> None:
    answer = shown(FORM, "stop")
    assert not answer["published"]
    assert not [text for text, look in answer["runs"] if look == "mark"]


def test_lines_that_an_answer_names_are_lines_to_read() -> None:
    text = "".join(text for text, _ in shown(FORM, "stop")["runs"])
    assert text.startswith('{"text": "Nome: Ana\\n\nIdade: 61\\n\nTotal')


def test_the_place_says_the_line_of_a_log() -> None:
    line = Origin(file="requests.jsonl", line=7, format="openai-chat", pointer="/messages/1")
    assert place_of(page(line), 1) == "requests.jsonl:7 /messages/1"
    assert place_of(page(Origin(file="ata.png", format="page-pairs")), 1) == "ata.png"
    assert place_of(page(), 1) == "abc"
