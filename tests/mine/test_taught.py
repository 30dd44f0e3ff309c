"""What SFT imitates where the user gave references, and what redaction keeps out of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from misstep import mine, store
from misstep.mine.accepted import CONTRADICTS, REDACTED
from misstep.types import Outcome, Part, Session
from scenes import SETTINGS, TRAIN_ONLY, called, corpus, said, session, user

ASK = user("What is the weather in Oslo for the next days?")
RIGHT, OTHER, WRONG = (
    called("weather", arguments)
    for arguments in ({"city": "Oslo"}, {"city": "Bergen"}, {"town": "Oslo"})
)
PAGE = store.image_name(b"one")
MAIL = "Write to ada@kontor-nord.no before May."


def golds(*rows: dict[str, Any], folder: Path) -> dict[Any, Any]:
    path = folder / "gold.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return dict(mine.by_key(mine.read_references(path)))


def paged(answer: str, **more: Any) -> Session:
    """A request that shows one page and asks for no JSON."""
    asked = session(user("Read the page."), said(answer), tools=(), **more)
    image = Part(kind="image", text=PAGE)
    first = replace(asked.messages[0], parts=(*asked.messages[0].parts, image))
    return replace(asked, messages=(first, *asked.messages[1:]))


def taught(
    *logs: Session, references: Any = None, redact: bool = False
) -> tuple[mine.Taught, list[dict[str, Any]]]:
    known = replace(corpus(*logs), images=[PAGE])
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    terms = mine.Terms(references=references or {}, settings=SETTINGS, redact=redact)
    found = mine.taught(known, split, 99, 0, terms)
    clean = mine.Redactor(active=redact)
    rows = [
        mine.accepted_row(p, known, split, clean, gold=found.golds.get(p)) for p in found.prompts
    ]
    return found, rows


def completions(rows: list[dict[str, Any]]) -> list[str]:
    return [mine.accepted_to_sides(mine.tidy(row)).chosen.text for row in rows]


def calls(rows: list[dict[str, Any]]) -> list[str]:
    sides = (mine.accepted_to_sides(mine.tidy(row)).chosen for row in rows)
    return [call.arguments for side in sides for call in side.calls]


def test_without_references_what_passed_is_imitated_and_nothing_else() -> None:
    logs = session(ASK, OTHER), session(user("And in Rome?"), WRONG), paged("Folha 3")
    found, rows = taught(*logs)
    known = replace(corpus(*logs), images=[PAGE])
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    assert found.prompts == mine.accepted_steps(known, split, 99, 0)
    assert (found.golds, found.left_out, len(rows)) == ({}, {}, 2)
    index = mine.index_of(known)
    assert [row["id"] for row in rows] == [
        index.answer(index.row(p.session, p.step)) for p in found.prompts
    ]


@pytest.mark.parametrize("logged", [OTHER, WRONG])
def test_a_reference_takes_the_place_of_the_logged_call(tmp_path: Path, logged: Any) -> None:
    """Of one that passed, and of one that failed."""
    gold = golds({"prompt": ASK["content"], **RIGHT}, folder=tmp_path)
    found, rows = taught(session(ASK, logged), references=gold)
    assert calls(rows) == ['{"city": "Oslo"}']
    assert (len(found.golds), found.left_out) == (1, {})
    assert rows[0]["origin"][0]["format"] == "references"


def test_a_reference_takes_the_place_of_a_misread_page(tmp_path: Path) -> None:
    gold = golds({"image": PAGE, "answer": "Folha 3"}, folder=tmp_path)
    misread, again = paged("FOLHA 8"), paged("FOLHA 9")
    found, rows = taught(misread, again, references=gold)
    assert completions(rows) == ["Folha 3"]  # an equal answer to an equal prompt, once
    assert len(found.golds) == 1


def test_a_logged_answer_that_says_the_same_stays_as_it_was_written(tmp_path: Path) -> None:
    gold = golds({"image": PAGE, "answer": '{"b": 1, "a": "x"}'}, folder=tmp_path)
    found, rows = taught(paged('{"a": "x",  "b": 1}'), references=gold)
    assert (completions(rows), found.golds) == (['{"a": "x",  "b": 1}'], {})


def test_an_answer_that_contradicts_a_reference_which_fails_is_left_out(tmp_path: Path) -> None:
    gold = golds({"prompt": ASK["content"], **WRONG}, folder=tmp_path)
    found, rows = taught(session(ASK, RIGHT), references=gold)
    assert (rows, found.left_out) == ([], {CONTRADICTS: 1})


def test_what_contradicts_a_reference_is_no_desirable_row_either(tmp_path: Path) -> None:
    gold = golds({"image": PAGE, "answer": "Folha 3"}, folder=tmp_path)
    known = replace(corpus(paged("FOLHA 8"), session(ASK, RIGHT)), images=[PAGE])
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    terms = mine.Terms(references=gold, settings=SETTINGS)
    (kept,) = mine.accepted_steps(known, split, 99, 0, terms=terms)
    assert known.answer(kept).calls


def test_a_session_that_failed_its_task_gives_its_reference_and_not_its_answer(
    tmp_path: Path,
) -> None:
    gold = golds({"image": PAGE, "answer": "Folha 3"}, folder=tmp_path)
    failed = replace(paged("FOLHA 8"), outcome=Outcome(resolved=False))
    assert completions(taught(failed)[1]) == []
    assert completions(taught(failed, references=gold)[1]) == ["Folha 3"]


def test_a_page_whose_gold_redaction_would_change_is_left_out_and_counted(tmp_path: Path) -> None:
    gold = golds({"image": PAGE, "answer": MAIL}, folder=tmp_path)
    found, rows = taught(paged("Write to"), references=gold, redact=True)
    assert (rows, found.left_out) == ([], {REDACTED: 1})
    assert "mine.redact: false" in REDACTED
    assert completions(taught(paged("Write to"), references=gold)[1]) == [MAIL]


def test_a_page_of_its_own_format_has_its_logged_answer_as_gold() -> None:
    own = replace(paged(MAIL), format="imagefolder")
    assert taught(own, redact=True)[0].left_out == {REDACTED: 1}
    found, rows = taught(paged(MAIL), redact=True)  # no gold: redacted as ever
    assert found.left_out == {}
    assert completions(rows) == ["Write to user1@example.com before May."]


def test_text_without_an_image_is_redacted_as_ever(tmp_path: Path) -> None:
    gold = golds({"prompt": "Whom do I ask?", "answer": MAIL}, folder=tmp_path)
    found, rows = taught(
        session(user("Whom do I ask?"), said("Bob.")), references=gold, redact=True
    )
    assert found.left_out == {}
    assert completions(rows) == ["Write to user1@example.com before May."]


@pytest.mark.parametrize("redact", [True, False])
def test_the_gate_refuses_pairs_of_such_a_page(tmp_path: Path, redact: bool) -> None:
    gold = golds({"image": PAGE, "answer": MAIL}, folder=tmp_path)
    looped = paged("Write to ada. " * 80)
    known = replace(corpus(looped), images=[PAGE])
    config = replace(TRAIN_ONLY, redact=redact, length_ratio=(0.001, 1000.0))
    given = [each for found in gold.values() for each in found]
    split = mine.split(known.sessions, config, 0)
    found = mine.mine(known, split=split, config=config, settings=SETTINGS, references=given)
    reasons = [r.reason for r in found.refused]
    assert (reasons, len(found.pairs)) == (["GOLD_REDACTED"], 0) if redact else ([], 1)
    if redact:
        assert found.refused[0].said.endswith("mine.redact: false keeps it")


@pytest.mark.parametrize(("most", "count"), [(1, 1), (2, 2), (0, 3), (-1, 3)])
def test_no_limit_above_zero_draws_all_accepted_steps(most, count):
    asked = [user(f"What is the weather in {city}?") for city in ("Oslo", "Bergen", "Narvik")]
    known = corpus(*(session(ask, RIGHT) for ask in asked))
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    assert len(mine.taught(known, split, most, 0, mine.Terms(settings=SETTINGS)).prompts) == count
