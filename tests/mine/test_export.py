"""Rows, files and the dataset card."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given

import misstep
from misstep import mine, store
from misstep.chat import from_chat, to_chat
from misstep.errors import StageError
from misstep.mine.rows import Redactor, _gist
from misstep.mine.sides import _message
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
    files = {name: count for name, count in counts.items() if "." in name}
    assert files == {
        "pairs/train.parquet": 1,
        "unpaired/train.parquet": 2,
        "pairs/dev.parquet": 0,
        "unpaired/dev.parquet": 0,
        "refused.jsonl": 0,
    }
    assert all((folder / name).is_file() for name in files)
    assert counts["redacted"] == {"aws-key": counts["secrets"]}
    assert counts["outputs"]["jsonl"]["files"] == {
        "pairs/train.jsonl": 1,
        "unpaired/train.jsonl": 2,
    }


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
    told = {config.pop("description") for config in front["configs"]}
    assert len(told) == 2
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
    assert "Pairs: 1. Failures without a partner: 1, with 1 accepted steps" in card
    assert "Secrets and personal data replaced in the rows: " in card
    assert "| candidates: a failure with something better | 1 |" in card
    assert "| failed steps | 2 |" in card
    assert f"{'chosen':<31}rejected" in card
    assert f"{'█' * 24} 1".ljust(31) + "█" in card
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


def test_a_value_has_one_stand_in_in_all_rows_of_its_session(tmp_path):
    mail, home = "ada.king@analytical.org", "/home/ada/engine"
    log = session(
        user(f"Look into {home} and write to {mail}; not to bob@analytical.org. Thanks!"),
        called("weather", '{"town": "Oslo'),
        result("Error: invalid JSON arguments", error=True),
        called("weather", {"city": f"{home}/notes for {mail}"}),
        result("sunny", error=False),
        user("And the weather of Bergen?"),
        called("weather", {"k": "bob@analytical.org"}),
    )
    known = corpus(log)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    mine.export(mined(log), known, split, folder=tmp_path)
    pair = store.read_rows(tmp_path / "pairs" / "train.parquet")[0]
    loose = store.read_rows(tmp_path / "unpaired" / "train.parquet")
    assert pair["prompt"][0]["content"] == (
        "Look into /home/user1/engine and write to user1@example.com; not to "
        "user2@example.com. Thanks!"
    )
    failed = next(row for row in loose if not row["label"])
    called_with = failed["completion"][0]["tool_calls"][0]["function"]["arguments"]
    assert called_with == '{"k": "user2@example.com"}'
    text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"analytical" not in text


def test_without_redaction_the_card_says_so(tmp_path):
    known = corpus(LOG, LOOSE)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    config = replace(TRAIN_ONLY, redact=False)
    counts = mine.export(mined(LOG, LOOSE), known, split, folder=tmp_path, config=config)
    row = store.read_rows(tmp_path / "pairs" / "train.parquet")[0]
    assert KEY in row["prompt"][0]["content"]
    assert counts["secrets"] == 0
    assert "**Not redacted** (`--no-redact`)" in (tmp_path / "README.md").read_text()


def test_labels_alternate_and_accepted_steps_are_no_more_than_failures(tmp_path):
    clean = [session(user(f"Weather of town {n}, please, now."), *_fine(n)) for n in range(6)]
    bad = [session(user(f"Weather of place {n}, now please."), _bad(n)) for n in range(4)]
    known = corpus(*clean, *bad)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    mine.export(mined(*clean, *bad), known, split, folder=tmp_path)
    labels = [r["label"] for r in store.read_rows(tmp_path / "unpaired" / "train.parquet")]
    assert labels == [False, True] * 4


def _fine(number):
    yield called("weather", {"city": f"Town {number}"})
    yield result("sunny", error=False)


def _bad(number):
    return called("weather", {"town": f"Place {number}"})


def test_a_row_names_its_sessions_its_detectors_and_its_version():
    ask = user("What is the weather in the town of Oslo today?")
    failed = session(ask, called("weather", {"town": "Oslo"}))
    other = session(ask, called("weather", {"city": "Oslo"}), result("sunny", error=False))
    found = mined(failed, other).pairs[0]
    far = replace(found.chosen, origins=(replace(found.chosen.origins[0], line=99),))
    messages = (other.messages[0], far, *other.messages[2:])
    known = corpus(failed, replace(other, messages=messages))
    row = mine.pair_row(replace(found, origin_chosen=far.origins), known)
    assert (row["session"], row["session_chosen"]) == (failed.id, other.id)
    assert row["validators"] == [f"{code}@1" for code in found.codes]
    assert row["misstep"] == misstep.__version__


def test_images_of_a_prompt_stand_in_a_column_of_their_own():
    picture = Part(kind="image", text="shots/page.png")
    log = session(ASK, called("weather", {"city": "Oslo"}))
    asked = replace(log.messages[0], parts=(*log.messages[0].parts, picture))
    known = corpus(replace(log, messages=(asked, log.messages[1])))
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    row = mine.accepted_row(Prompt(session=log.id, step=1), known, split)
    assert row["images"] == ["shots/page.png"]
    assert mine.accepted_to_sides(row).prompt[0].parts[-1] == picture
