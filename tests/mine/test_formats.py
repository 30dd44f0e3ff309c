"""Other trainers' formats: each line is what its owner describes, or is set aside with a reason."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import jsonschema
import pytest

from misstep import ingest, mine
from misstep.config import IngestConfig
from misstep.errors import UnknownName
from scenes import TRAIN_ONLY, called, corpus, mined, result, said, session, user

MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "user", "assistant", "tool"]},
        "content": {"type": ["string", "null"]},
        "tool_call_id": {"type": "string"},
        "tool_calls": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type", "function"],
                "properties": {
                    "type": {"const": "function"},
                    "function": {
                        "type": "object",
                        "required": ["name", "arguments"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"pattern": "^[A-Za-z0-9_-]{1,64}$"},
                            "arguments": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
    "additionalProperties": False,
}
SIDE = {"type": "array", "minItems": 1, "maxItems": 1, "items": MESSAGE}
TOOL = {
    "type": "object",
    "required": ["type", "function"],
    "properties": {"function": {"type": "object", "required": ["name"]}},
}
PREFERENCE = {
    "type": "object",
    "required": ["input", "preferred_output", "non_preferred_output"],
    "additionalProperties": False,
    "properties": {
        "input": {
            "type": "object",
            "required": ["messages"],
            "additionalProperties": False,
            "properties": {
                "messages": {"type": "array", "minItems": 1, "items": MESSAGE},
                "tools": {"type": "array", "minItems": 1, "items": TOOL},
                "parallel_tool_calls": {"type": "boolean"},
            },
        },
        "preferred_output": SIDE,
        "non_preferred_output": SIDE,
    },
}
TURN = {
    "type": "object",
    "required": ["from", "value"],
    "additionalProperties": False,
    "properties": {
        "from": {"enum": ["human", "gpt", "observation", "function_call"]},
        "value": {"type": "string"},
    },
}
SHAREGPT = {
    "type": "object",
    "required": ["conversations", "system", "tools"],
    "properties": {
        "conversations": {"type": "array", "minItems": 1, "items": TURN},
        "chosen": TURN,
        "rejected": TURN,
        "system": {"type": "string"},
        "tools": {"type": "string"},
        "kto_tag": {"type": "boolean"},
    },
    "additionalProperties": False,
}
"""What the owners of the formats describe (`Output.described`), as schemas."""
NAMES = ("openai", "together", "sharegpt", "hf")


def log(number, *, wrong='{"town": "Oslo"}', text="", **more):
    """A failed call and its accepted correction."""
    return session(
        user(f"What is the weather in Oslo on day number {number}?"),
        called("weather", wrong, text, **more),
        result("Error: invalid arguments", error=True),
        called("weather", {"city": "Oslo"}, text, **more),
        result("sunny", error=False),
        user(f"And how was it in Bergen on day number {number}?"),
        called("weather", {"k": number}),
    )


def write(folder, *logs, names=NAMES):
    known = corpus(*logs)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    config = replace(TRAIN_ONLY, outputs=names)
    return mine.export(mined(*logs), known, split, folder=folder, config=config)["outputs"]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["openai", "together"])
def test_preference_rows_are_as_their_owner_describes_them(tmp_path, name):
    write(tmp_path, log(1), log(2, wrong='{"city": "Oslo'))
    rows = lines(tmp_path / name / "train.jsonl")
    assert len(rows) == 2
    for row in rows:
        jsonschema.validate(row, PREFERENCE)
        assert ("parallel_tool_calls" in row["input"]) == (name == "openai")
    broken = {r["non_preferred_output"][0]["tool_calls"][0]["function"]["arguments"] for r in rows}
    assert '{"city": "Oslo' in broken


def test_our_own_reader_reads_the_preference_rows_back(tmp_path):
    write(tmp_path, log(1))
    read = ingest.ingest([tmp_path / "openai/train.jsonl"], config=IngestConfig())
    assert {s.format for s in read.sessions} == {"preference"}
    thumbs = {s.outcome.thumbs: s.messages[-1].calls[0].arguments for s in read.sessions}
    assert thumbs == {"up": '{"city": "Oslo"}', "down": '{"town": "Oslo"}'}


def test_sharegpt_rows_alternate_and_come_with_their_dataset_info(tmp_path):
    write(tmp_path, log(1))
    for row in lines(tmp_path / "sharegpt/pairs_train.jsonl"):
        jsonschema.validate(row, SHAREGPT)
        assert [t["from"] for t in row["conversations"]] == ["human"]
        assert json.loads(row["rejected"]["value"]) == {
            "name": "weather",
            "arguments": {"town": "Oslo"},
        }
        assert [tool["name"] for tool in json.loads(row["tools"])] == ["weather", "book"]
    for row in lines(tmp_path / "sharegpt/unpaired_train.jsonl"):
        jsonschema.validate(row, SHAREGPT)
        assert len(row["conversations"]) % 2 == 0
        assert row["conversations"][-1]["from"] == "function_call"
    info = json.loads((tmp_path / "sharegpt/dataset_info.json").read_text())
    assert info["misstep_pairs_train"]["ranking"] is True
    assert info["misstep_pairs_train"]["columns"]["chosen"] == "chosen"
    assert info["misstep_unpaired_train"]["columns"]["kto_tag"] == "kto_tag"
    for entry in info.values():
        assert (tmp_path / "sharegpt" / entry["file_name"]).is_file()


@pytest.mark.parametrize(
    ("made", "reasons"),
    [
        (
            log(1, wrong='{"city": "Oslo'),
            {"sharegpt": "broken-arguments", "hf": "broken-arguments"},
        ),
        (
            log(1, wrong='{"town": 1e400}'),
            {"sharegpt": "inexact-arguments", "hf": "inexact-arguments"},
        ),
        (
            log(1, wrong='{"town": 1, "town": 2}'),
            {"sharegpt": "inexact-arguments", "hf": "inexact-arguments"},
        ),
        (log(1, text="Let me see."), {"sharegpt": "text-and-call"}),
        (
            log(1, reasoning_content="The user wants the weather."),
            {"openai": "reasoning", "together": "reasoning", "sharegpt": "reasoning"},
        ),
    ],
)
def test_what_a_format_cannot_carry_is_set_aside_with_its_reason(tmp_path, made, reasons):
    told = write(tmp_path, made)
    for name in NAMES:
        path = tmp_path / name / "set_aside.jsonl"
        aside = lines(path) if path.exists() else []
        assert Counter(row["reason"] for row in aside) == told[name]["set_aside"]
        pairs = [row["reason"] for row in aside if row["kind"] == "pairs"]
        assert pairs == ([reasons[name]] if name in reasons else []), name


def test_a_side_that_never_ended_goes_to_no_other_trainer(tmp_path):
    loop = session(
        user("Write about the sea and nothing else, please."),
        said("All is well here. " * 60, finish_reason="length"),
    )
    told = write(tmp_path, loop, log(1))
    for name in ("sharegpt", "hf"):
        assert told[name]["set_aside"]["cut-side"] == 1


def test_results_without_their_call_are_set_aside_for_hosted_trainers(tmp_path):
    rows = list(log(1).messages)
    lost = session(
        user("What is the weather in the town of Oslo?"),
        called("weather", {"city": "Oslo"}),
        user("You did not wait for it. What is the weather in Oslo?"),
        called("weather", {"town": "Oslo"}),
        result("Error: invalid arguments", error=True),
        called("weather", {"city": "Oslo"}),
        result("sunny", error=False),
    )
    told = write(tmp_path, lost)
    assert rows
    assert told["openai"]["set_aside"] == {"tool-results": 1}


def test_a_format_that_is_no_longer_asked_for_is_swept_away(tmp_path):
    write(tmp_path, log(1))
    write(tmp_path, log(1), names=("openai",))
    assert (tmp_path / "openai/train.jsonl").exists()
    assert not list((tmp_path / "hf").rglob("*.jsonl"))
    assert not (tmp_path / "sharegpt/dataset_info.json").exists()


def test_an_unknown_format_is_named_with_the_nearest(tmp_path):
    with pytest.raises(UnknownName, match="unknown output format 'openia'; did you mean openai"):
        write(tmp_path, log(1), names=("openia",))


def test_every_format_says_where_it_is_described():
    assert all(output.described.startswith("https://") for output in mine.OUTPUTS)
