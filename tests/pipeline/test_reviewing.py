"""What a person decides about pairs: written at once, judged, and respected by later runs."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from logs import RIGHT, WRONG, session, write
from misstep import mine, store
from misstep.config import load_config
from misstep.errors import InputError
from misstep.pipeline import loop, mining
from misstep.pipeline.editing import editable, edited
from misstep.pipeline.job import Job
from misstep.pipeline.reviewing import Review
from misstep.types import Message, Part, ToolCall

WISHES = (
    "The eggs on the stove must not boil over, tell me when they are done",
    "I want to leave the house before the bus from the harbour arrives",
    "Somebody parked in front of our gate, remind me to look again",
    "My violin lesson begins soon and the strings still need tuning",
    "Bread dough is rising under a towel next to the warm oven",
    "Wake the night shift once the second compressor has cooled down",
    "The library closes early on Fridays, I should return two novels",
    "Paint on the garden bench dries slowly in this damp weather",
)


@pytest.fixture
def mined(tmp_path):
    """Logs, and the folder that was mined from them."""
    made = []
    for minutes, wish in enumerate(WISHES, 3):
        for arguments_ in (RIGHT, WRONG):
            row = session(minutes, arguments_ % minutes)
            row["messages"][0]["content"] = f"{wish}: {minutes} minutes."
            made.append(row)
    logs, folder = write(tmp_path / "logs" / "timers.jsonl", made), tmp_path / "run"
    config = load_config(None, {"mine.min_votes": 1})
    loop.mine([logs.parent], folder, config, resample=False)
    return logs.parent, folder


def again(mined):
    logs, folder = mined
    return loop.mine([logs], folder, load_config(None, {"mine.min_votes": 1}), resample=False)


def rows(folder):
    return {
        row["id"]: row
        for part in ("train", "dev")
        for row in store.read_rows(folder / "pairs" / f"{part}.parquet")
    }


def arguments(side):
    return side[0]["tool_calls"][0]["function"]["arguments"]


def changed(review, at, minutes):
    """The editable text of a pair with other minutes."""
    body = json.loads(review.editable(at))
    body["tool_calls"][0]["arguments"] = {"minutes": minutes}
    return json.dumps(body)


def test_a_decision_is_in_the_file_as_soon_as_it_is_made(mined):
    _, folder = mined
    review = Review.of(folder, reviewer="ada")
    review.decide(0, "keep")
    (line,) = (folder / "review.jsonl").read_bytes().splitlines()
    row = orjson.loads(line)
    store.check_row(row, "review")
    assert (row["pair"], row["decision"], row["reviewer"]) == (review.heads[0].id, "keep", "ada")
    assert row["time"].endswith("+00:00")
    assert Review.of(folder).word(0) == "keep"


def test_a_dropped_pair_stays_dropped_with_a_reason_and_its_failure_teaches_nothing(mined):
    _, folder = mined
    before = rows(folder)
    review = Review.of(folder)
    gone = review.heads[0].id
    review.decide(0, "drop")
    facts = again(mined)
    assert set(rows(folder)) == set(before) - {gone}
    assert facts["refused"]["REVIEWED_OUT"] == 1
    assert facts["reviewed"] == {"drop": 1}
    refused = [orjson.loads(line) for line in (folder / "refused.jsonl").open("rb")]
    assert [r["said"] for r in refused if r["reason"] == "REVIEWED_OUT"] == [
        "a person who reviewed the pair dropped it"
    ]
    loose = store.read_rows(folder / "unpaired" / "train.parquet")
    place = (before[gone]["session"], before[gone]["step"])
    assert place not in {(row["session"], row["step"]) for row in loose}
    card = (folder / "README.md").read_text()
    assert "| REVIEWED_OUT | 1 | a person who reviewed the pair dropped it |" in card
    assert "| drop | 1 |" in card.partition("## Decisions of a reviewer")[2]


def test_what_was_undone_comes_back(mined):
    _, folder = mined
    before = rows(folder)
    review = Review.of(folder)
    review.decide(0, "drop")
    again(mined)
    (folder / "review.jsonl").open("ab").write(
        orjson.dumps({"pair": review.heads[0].id, "decision": "undo"}) + b"\n"
    )
    again(mined)
    assert set(rows(folder)) == set(before)


def test_an_edited_chosen_side_replaces_the_mined_one_and_is_named(mined):
    _, folder = mined
    review = Review.of(folder)
    old = rows(folder)[review.heads[0].id]
    assert review.edit(0, changed(review, 0, 77)) is None
    facts = again(mined)
    new = [row for row in rows(folder).values() if row["source"] == "review"]
    assert [arguments(row["chosen"]) for row in new] == ['{"minutes": 77}']
    assert [row["edits"] for row in new] == [["edited"]]
    assert new[0]["rejected"] == old["rejected"]
    assert new[0]["id"] != old["id"]
    assert facts["reviewed"] == {"edit": 1}
    assert facts["sources"]["review"] == 1


def test_a_decision_about_an_edited_pair_comes_after_the_edit(mined):
    _, folder = mined
    review = Review.of(folder)
    count = len(review)
    review.edit(0, changed(review, 0, 77))
    again(mined)
    review = Review.of(folder)
    at = next(at for at in range(count) if review.heads[at].source == "review")
    review.decide(at, "drop")
    facts = again(mined)
    assert len(rows(folder)) == count - 1
    assert "review" not in facts["sources"]


def test_an_edit_that_breaks_the_schema_is_refused_and_not_written(mined):
    _, folder = mined
    review = Review.of(folder)
    why = review.edit(0, changed(review, 0, "soon"))
    assert why.startswith("CHOSEN_FAILS: the chosen side is not clean here: WRONG_TYPE")
    assert not (folder / "review.jsonl").exists()


def test_an_edit_with_a_secret_or_the_mark_of_one_is_refused(mined):
    review = Review.of(mined[1])
    for text, code in (("key hf_" + "a1B2c3D4e5" * 4, "SECRET"), ("[REDACTED:x]", "PLACEHOLDER")):
        body = json.loads(review.editable(0)) | {"content": text}
        assert review.edit(0, json.dumps(body)).startswith(code)


def test_an_edit_that_is_no_message_says_what_was_expected(mined):
    review = Review.of(mined[1])
    assert review.edit(0, "{").startswith("not JSON: ")
    assert review.edit(0, '{"a": 1}') == 'expected an object with "content" and "tool_calls"'


def test_a_side_that_fails_cannot_be_swapped_in(mined):
    _, folder = mined
    why = Review.of(folder).decide(0, "swap")
    assert why.startswith("CHOSEN_FAILS")
    assert not (folder / "review.jsonl").exists()


def test_a_swap_in_the_file_is_judged_again_when_it_is_mined(mined):
    _, folder = mined
    pair = Review.of(folder).heads[0].id
    mine.write_decision(folder / "review.jsonl", mine.Decision(pair=pair, word="swap"))
    facts = again(mined)
    assert pair not in rows(folder)
    assert facts["refused"]["CHOSEN_FAILS"] >= 1
    assert "swap" not in facts["reviewed"]


@pytest.mark.source
def test_sides_that_only_a_human_told_apart_can_be_swapped_and_swapped_back(tmp_path):
    logs, folder = Path(__file__).parents[2] / "sample_logs" / "preference", tmp_path / "run"
    loop.mine([logs], folder, load_config(None, {"mine.min_votes": 1}), resample=False)
    review = Review.of(folder)
    found = [at for at in range(len(review)) if review.decide(at, "swap") is None]
    before = {review.heads[at].id: rows(folder)[review.heads[at].id] for at in found}
    facts = again((logs, folder))
    swapped = [row for row in rows(folder).values() if "swapped" in row["edits"]]
    assert len(swapped) == len(found) == facts["reviewed"]["swap"] == 1
    (old,) = before.values()
    assert swapped[0]["chosen"][0]["content"] == old["rejected"][0]["content"]
    assert swapped[0]["rejected"][0]["content"] == old["chosen"][0]["content"]
    review = Review.of(folder)
    at = next(at for at, head in enumerate(review.heads) if head.id == swapped[0]["id"])
    assert review.decide(at, "swap") is None
    again((logs, folder))
    assert rows(folder)[old["id"]]["chosen"][0]["content"] == old["chosen"][0]["content"]


def test_training_takes_decisions_into_account_that_were_made_after_mining(mined):
    _, folder = mined
    job = Job(store.RunFolder(folder), load_config(None, {"mine.min_votes": 1}))
    before = mining.pair_rows(job)
    review = Review.of(folder)
    names = [head.id for head in review.heads]
    review.decide(names.index(before[0].id), "drop")
    review.edit(names.index(before[1].id), changed(review, names.index(before[1].id), 55))
    after = {row.id: row for row in mining.pair_rows(job)}
    assert before[0].id not in after
    assert after[before[1].id].chosen.calls[0].arguments == '{"minutes": 55}'
    assert len(after) == len(before) - 1
    again(mined)
    mined_again = mining.pair_rows(job)
    assert {row.chosen.calls[0].arguments for row in mined_again} == {
        row.chosen.calls[0].arguments for row in after.values()
    }


def test_a_run_that_nobody_reviewed_is_not_mined_again(mined):
    said = []
    logs, folder = mined
    loop.mine(
        [logs], folder, load_config(None, {"mine.min_votes": 1}), resample=False, say=said.append
    )
    assert "mine: unchanged, kept" in said


def test_a_line_that_is_no_decision_is_named(tmp_path):
    path = tmp_path / "review.jsonl"
    path.write_text('{"pair": "a", "decision": "keep"}\n{"pair": "a", "decision": "maybe"}\n')
    with pytest.raises(InputError) as told:
        mine.read_decisions(path)
    assert str(told.value) == (
        f"{path}, line 2: not a decision (pair 'a', decision 'maybe'); expected "
        '{"pair": "…", "decision": "keep | drop | swap | edit | undo"}; remove the line'
    )


def test_rows_of_a_json_lines_file_can_be_reviewed(mined, tmp_path):
    path = tmp_path / "shared" / "pairs.jsonl"
    store.write_jsonl(path, rows(mined[1]).values())
    review = Review.of(path)
    assert len(review) == len(rows(mined[1]))
    review.decide(1, "keep")
    assert (path.parent / "review.jsonl").exists()
    assert review.view(1).chosen == Review.of(mined[1]).view(1).chosen


def test_rows_of_another_make_are_refused_with_the_lacking_column(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    with pytest.raises(InputError) as told:
        Review.of(path)
    assert str(told.value) == (
        f"{path}, line 1: no id; expected a row as `misstep mine` writes it (schemas/pair.json); "
        "`misstep lint` reads pairs of any origin"
    )


def test_what_nobody_touched_keeps_its_bytes():
    call = ToolCall(name="f", arguments='{"b":1,  "a": [1.0]}', id="c7")
    before = Message(role="assistant", parts=(Part(kind="call", call=call),))
    assert edited(editable(before), before).calls[0] == call


def test_a_text_with_hidden_characters_is_edited_as_escaped_json():
    before = Message(role="assistant", parts=(Part(kind="text", text="a\u202eb\x1b[0m"),))
    text = editable(before)
    assert text.isascii()
    assert "\x1b" not in text
    assert edited(text, before).text == before.text


def test_the_command_reads_keys_from_a_real_terminal_and_writes_what_they_say(mined):
    """A pseudo-terminal: what a person's shell gives the program."""
    pytest.importorskip("textual", reason="needs the extra `review`")
    _, folder = mined
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "misstep", "review", str(folder), "--reviewer", "ada"],
        stdin=child,
        stdout=child,
        stderr=child,
        env=environment,
        close_fds=True,
    )
    os.close(child)
    shown = _until(parent, b"quit")
    assert b"undecided" in shown
    os.write(parent, b"d")
    path = folder / "review.jsonl"
    ends = time.monotonic() + 30
    while not path.exists() and time.monotonic() < ends:
        _drain(parent)
    os.write(parent, b"q")
    while process.poll() is None and time.monotonic() < ends:
        _drain(parent)
    os.close(parent)
    assert process.wait(5) == 0
    (row,) = map(orjson.loads, path.read_bytes().splitlines())
    assert (row["decision"], row["reviewer"]) == ("drop", "ada")


def _drain(terminal):
    ready, _, _ = select.select([terminal], [], [], 0.1)
    try:
        return os.read(terminal, 65536) if ready else b""
    except OSError:  # the other end is gone
        return b""


def _until(terminal, text):
    seen, ends = b"", time.monotonic() + 30
    while text not in seen and time.monotonic() < ends:
        seen += _drain(terminal)
    return seen
