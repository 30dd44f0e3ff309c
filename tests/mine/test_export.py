"""Rows, files and the dataset card."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given

from misstep import mine, store
from misstep.chat import from_chat, to_chat
from misstep.errors import StageError
from misstep.mine.rows import Redactor, _gist, _message
from misstep.types import Part, Prompt, ToolCall
from scenes import TRAIN_ONLY, called, corpus, mined, result, said, session, user
from strategies import sessions as any_sessions

KEY = "AKIA" + "Z7Q2M4X6B8N1V3C5"
ASK = user(f"What is the weather in Oslo? My key is {KEY}.")
LOG = session(
    ASK,
    called("weather", '{"town": "Oslo', "Let me see."),
    result(f"Error: invalid JSON arguments ({KEY})", error=True),
    called("weather", {"city": "Oslo"}, "Let me see."),
    result("sunny", error=False),
)
LOOSE = session(user("And what about the weather of Bergen?"), called("weather", {"k": KEY}))


@pytest.fixture
def written(tmp_path):
    known = corpus(LOG, LOOSE)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    counts = mine.export(mined(LOG, LOOSE), known, split, folder=tmp_path)
    return tmp_path, counts


def test_every_file_is_written_and_counted(written):
    folder, counts = written
    assert counts == {
        "pairs/train.parquet": 1,
        "unpaired/train.parquet": 1,
        "pairs/dev.parquet": 0,
        "unpaired/dev.parquet": 0,
        "refused.jsonl": 0,
        "secrets": 2,
    }
    assert all((folder / name).is_file() for name in counts if name != "secrets")


def test_a_pair_row_holds_both_sides_and_where_they_come_from(written):
    row = store.read_rows(written[0] / "pairs" / "train.parquet")[0]
    assert row["chosen"][0]["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert row["rejected"][0]["tool_calls"][0]["function"]["arguments"] == '{"town": "Oslo'
    assert [t["function"]["name"] for t in json.loads(row["tools"])] == ["weather", "book"]
    assert row["origin_rejected"] == [{"file": "log.jsonl", "line": 2, "format": "test"}]
    assert (row["source"], row["edits"], row["cut"]) == ("retry", ["splice"], False)
    assert (row["session"], row["step"]) == (LOG.id, 1)


def test_no_secret_leaves(written):
    for path in written[0].rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes()
    row = store.read_rows(written[0] / "pairs" / "train.parquet")[0]
    assert row["prompt"][0]["content"].endswith("My key is [REDACTED:aws-key].")
    loose = store.read_rows(written[0] / "unpaired" / "train.parquet")[0]
    assert "[REDACTED:aws-key]" in loose["completion"][0]["tool_calls"][0]["function"]["arguments"]


def test_a_row_is_enough_to_train_from(written):
    row = store.read_rows(written[0] / "pairs" / "train.parquet")[0]
    sides = mine.row_to_sides(row)
    pair = mined(LOG).pairs[0]
    assert to_chat([sides.chosen]) == to_chat([pair.chosen])
    assert to_chat([sides.rejected]) == to_chat([pair.rejected])
    assert [t.name for t in sides.context.tools] == ["weather", "book"]
    given_schema = json.loads(LOG.contexts[0].tools[0].parameters)
    assert json.loads(sides.context.tools[0].parameters) == given_schema
    assert (sides.family, sides.source, sides.codes) == (pair.family, "retry", pair.codes)


def test_a_cut_side_is_read_back_as_cut(tmp_path):
    loop = session(user("Write."), said("All is well here. " * 60, finish_reason="length"))
    row = mine.pair_row(replace(mined(LOG).pairs[0], cut=True), corpus(LOG))
    assert mine.row_to_sides(row).rejected.end == "cut"
    unpaired = mined(loop).unpaired[0]
    assert mine.unpaired_row(unpaired, corpus(loop))["cut"] is True


def test_rows_keep_their_schemas(written):
    pair = mined(LOG).pairs[0]
    store.check_row(mine.pair_row(pair, corpus(LOG)), "pair")
    broken = mine.pair_row(pair, corpus(LOG)) | {"margin": 0}
    with pytest.raises(StageError, match=r"a pair row breaks schemas/pair.json at /margin"):
        store.check_row(broken, "pair")


def test_no_pairs_are_empty_tables_that_can_be_read(tmp_path):
    known = corpus(session(user("hi"), said("hello")))
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    mine.export(mined(*known.sessions.values()), known, split, folder=tmp_path)
    assert store.read_rows(tmp_path / "pairs" / "train.parquet") == []
    assert (tmp_path / "refused.jsonl").read_text() == ""


def test_a_refused_candidate_is_written_with_its_reason(tmp_path):
    clean = session(ASK, called("weather", {"city": "***"}))
    known = corpus(session(ASK, called("weather", {"town": "x"})), clean)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    mine.export(mined(*known.sessions.values()), known, split, folder=tmp_path)
    row = json.loads((tmp_path / "refused.jsonl").read_text())
    assert (row["source"], row["reason"]) == ("sibling", "PLACEHOLDER")
    assert row["said"] == "the chosen side holds the mark of a redaction"


def test_the_card_begins_with_front_matter_that_names_the_files(written):
    card = (written[0] / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["configs"] == [
        {
            "config_name": "pairs",
            "data_files": [{"split": "train", "path": "pairs/train.parquet"}],
            "default": True,
        },
        {
            "config_name": "unpaired",
            "data_files": [{"split": "train", "path": "unpaired/train.parquet"}],
        },
    ]
    assert front["size_categories"] == ["n<1K"]
    assert "dpo" in front["tags"]


def test_the_card_counts_sources_and_codes(written):
    card = (written[0] / "README.md").read_text()
    assert "Failed steps: 2, of them 0 in held-out families" in card
    assert "Pairs: 1. Failures without a partner: 1." in card
    assert "Secrets replaced by `[REDACTED:kind]`: 2." in card
    assert "| retry | 1 |" in card
    assert "| ARGS_UNPARSABLE | 1 | the arguments are not JSON |" in card


def test_two_exports_are_the_same_bytes(tmp_path):
    known = corpus(LOG, LOOSE)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    for name, logs in (("a", (LOG, LOOSE)), ("b", (LOOSE, LOG))):
        mine.export(mined(*logs), known, split, folder=tmp_path / name)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            other = tmp_path / "b" / path.relative_to(tmp_path / "a")
            assert path.read_bytes() == other.read_bytes(), path.name


@given(any_sessions)
def test_a_prompt_survives_the_table(log):
    for row in to_chat(log.messages):
        padded = {"tool_calls": None, "name": None, "tool_call_id": None} | row
        assert _message(padded) == from_chat(row)


def test_text_behind_a_call_comes_back_behind_the_call():
    call = Part(kind="call", call=ToolCall(name="weather", arguments='{"city": "Oslo"}'))
    parts = (call, Part(kind="text", text=f"And so on with {KEY}."))
    log = session(ASK, called("weather", {"city": "Oslo"}))
    answer = replace(log.messages[1], parts=parts)
    known = corpus(replace(log, messages=(log.messages[0], answer)))
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    row = mine.accepted_row(Prompt(session=log.id, step=1), known, split)
    got = mine.accepted_to_sides(row).chosen.parts
    assert got[0] == call
    assert got[1].text == "And so on with [REDACTED:aws-key]."
    assert KEY not in str(row)


def test_plain_rows_need_no_exact_form(written):
    assert store.read_rows(written[0] / "pairs" / "train.parquet")[0]["exact"] is None


@given(any_sessions)
def test_a_template_sees_the_same_parts_after_the_table(log):
    known = corpus(log)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    for step in log.steps:
        row = mine.accepted_row(Prompt(session=log.id, step=step), known, split)
        sides = mine.accepted_to_sides(json.loads(json.dumps(row)))
        before = [Redactor().message(m) for m in (*log.messages[:step], log.messages[step])]
        assert _gist((*sides.prompt, sides.chosen)) == _gist(before)


def test_pairs_of_sampled_answers_have_no_place_in_the_logs(tmp_path):
    right = session(user("Weather in Oslo, please."), called("weather", {"city": "Oslo"}))
    answers = [
        replace(right.messages[1], origins=(), model="base"),
        replace(corpus(LOOSE).answer(Prompt(session=LOOSE.id, step=1)), origins=()),
    ]
    found = mined(right, answers={Prompt(session=right.id, step=1): answers})
    known = corpus(right)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    mine.export(found, known, split, folder=tmp_path)
    row = store.read_rows(tmp_path / "pairs" / "train.parquet")[0]
    assert (row["source"], row["origin_chosen"], row["model_chosen"]) == ("resample", [], "base")
    assert mine.row_to_sides(row).source == "resample"
