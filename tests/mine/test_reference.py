"""Reading gold answers, and which steps they stand for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from misstep import store
from misstep.errors import InputError
from misstep.mine import by_key, read_references, references_by_key
from misstep.types import Part
from scenes import called, calls_of, mined, result, said, session, user

EXPECTED = (
    'expected an object such as {"prompt": "…", "answer": "…"}, with prompt, id, image, or session '
    "and step as the key, and answer or tool_calls"
)
NO_IMAGE = "image 'no.png' cannot be read: No such file or directory"
ASK = user("What is the weather in Oslo for the next days?")
WRONG = called("weather", {"town": "Oslo"})
GOLD = {"tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]}


def read(tmp_path: Path, *rows):
    path = tmp_path / "gold.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return read_references(path)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"prompt": "Hello  THERE", "answer": "x"}, ("prompt", "hello there")),
        ({"prompt": [{"role": "user", "content": "Hi"}], "answer": "x"}, ("prompt", "hi")),
        ({"id": "a1", "answer": "x"}, ("id", "a1")),
        ({"id": 7, "answer": "x"}, ("id", "7")),
        ({"session": "s", "step": 3, "answer": "x"}, ("id", "s#3")),
    ],
)
def test_a_row_is_keyed_by_prompt_id_or_step(tmp_path, row, key):
    assert [reference.key for reference in read(tmp_path, row)] == [key]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "answer": {"role": "assistant", "content": "text"}},
        {"prompt": "p", "answer": "text"},
        {"prompt": "p", "text": "text"},
    ],
)
def test_an_answer_is_text_or_a_chat_message(tmp_path, row):
    assert read(tmp_path, row)[0].answer.text == "text"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "answer": GOLD},
        {"prompt": "p", "answer": GOLD["tool_calls"]},
        {"prompt": "p", **GOLD},
    ],
)
def test_an_answer_may_be_calls(tmp_path, row):
    assert calls_of(read(tmp_path, row)[0].answer) == [("weather", '{"city": "Oslo"}')]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("[1]", "got list"),
        ('{"answer": "x"}', "no prompt, id, image or session"),
        ('{"prompt": "p"}', "no answer"),
        ('{"prompt": " ", "answer": "x"}', "no prompt, id, image or session"),
        ('{"session": "s", "step": "two", "answer": "x"}', "step 'two' is not a message index"),
        ('{"image": "no.png", "answer": "x"}', NO_IMAGE),
        ('{"prompt": "p", "tool_calls": [1]}', "tool_calls[0]: expected an object, got int"),
    ],
)
def test_a_line_that_is_no_gold_answer_is_a_wrong_set_up(tmp_path, row, why):
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"prompt": "p", "answer": "x"}, row)
    path = tmp_path / "gold.jsonl"
    assert str(caught.value) == f"{path}, line 2: not a gold answer ({why}); {EXPECTED}"


@pytest.mark.parametrize("data", [b"not json\n", b"\xff\xfe\n", b'{"prompt": \n'])
def test_a_file_that_is_no_jsonl_is_a_wrong_set_up(tmp_path, data):
    path = tmp_path / "gold.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match="line 1: not a gold answer"):
        read_references(path)


def test_a_missing_file_is_a_wrong_set_up(tmp_path):
    with pytest.raises(InputError) as caught:
        read_references(tmp_path / "none.jsonl")
    assert str(caught.value) == (
        f"{tmp_path}/none.jsonl: cannot be read (No such file or directory); "
        f"give a JSONL file of gold answers"
    )


def test_an_id_without_a_step_stands_for_the_first_step(tmp_path):
    failed = session(ASK, WRONG, result("city is required"), WRONG)
    pairs = mined(failed, references=read(tmp_path, {"id": failed.id, **GOLD})).pairs
    assert [(p.source, p.prompt.step) for p in pairs] == [("reference", 1)]


def test_a_step_of_a_session_can_be_named(tmp_path):
    failed = session(ASK, said("Which Oslo?"), user("Norway"), WRONG)
    pairs = mined(
        failed, references=read(tmp_path, {"session": failed.id, "step": 3, **GOLD})
    ).pairs
    assert [(p.source, p.prompt.step) for p in pairs] == [("reference", 3)]


def test_the_logs_own_id_names_a_session(tmp_path):
    failed = session(ASK, WRONG)
    origins = tuple(replace(o, row="ticket-17") for o in failed.messages[0].origins)
    named = replace(
        failed, messages=(replace(failed.messages[0], origins=origins), *failed.messages[1:])
    )
    assert len(mined(named, references=read(tmp_path, {"id": "ticket-17", **GOLD})).pairs) == 1


def test_a_wrong_gold_answer_is_refused_like_any_other(tmp_path):
    gold = {"prompt": ASK["content"], "tool_calls": [{"name": "weather", "arguments": {}}]}
    found = mined(session(ASK, WRONG), references=read(tmp_path, gold))
    assert [r.reason for r in found.refused] == ["CHOSEN_FAILS"]


def pictured(session_, *images):
    """The session with images in its first message."""
    parts = tuple(Part(kind="image", text=name) for name in images)
    first = replace(session_.messages[0], parts=(*session_.messages[0].parts, *parts))
    return replace(session_, messages=(first, *session_.messages[1:]))


PAGE_ONE, PAGE_TWO = (store.image_name(data) for data in (b"one", b"two"))


@pytest.mark.parametrize("key", [PAGE_ONE, "pages/1.png"])
def test_an_image_is_named_by_its_file_or_by_the_hash_of_its_bytes(tmp_path, key):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/1.png").write_bytes(b"one")
    (gold,) = read(tmp_path, {"image": key, **GOLD})
    assert gold.key == ("image", PAGE_ONE)


def found_for(tmp_path, asked, *rows):
    known = by_key(read(tmp_path, *rows))
    return [each.answer.text for each in references_by_key(known, asked, len(asked.messages) - 1)]


def test_pages_under_one_prompt_are_told_apart_by_their_images(tmp_path):
    rows = [{"image": PAGE_ONE, "answer": "one"}, {"image": PAGE_TWO, "answer": "two"}]
    rows.append({"prompt": ASK["content"], "answer": "any"})
    asked = session(ASK, said("…"))
    assert found_for(tmp_path, pictured(asked, PAGE_ONE), *rows) == ["one"]
    assert found_for(tmp_path, pictured(asked, PAGE_TWO), *rows) == ["two"]
    assert found_for(tmp_path, pictured(asked, PAGE_ONE, PAGE_TWO), *rows) == []
    assert found_for(tmp_path, asked, *rows) == ["any"]


def test_an_image_of_an_earlier_turn_is_not_what_is_asked_about(tmp_path):
    asked = pictured(session(ASK, said("…"), user("And the date?"), said("…")), PAGE_ONE)
    rows = [{"image": PAGE_ONE, "answer": "one"}, {"prompt": "And the date?", "answer": "1921"}]
    assert found_for(tmp_path, asked, *rows) == ["1921"]


def test_an_id_goes_before_an_image(tmp_path):
    asked = pictured(session(ASK, said("…")), PAGE_ONE)
    rows = [{"image": PAGE_ONE, "answer": "one"}, {"id": asked.id, "answer": "by id"}]
    assert found_for(tmp_path, asked, *rows) == ["by id"]
