"""`misstep lint` and `misstep mine --explain` from the command line."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from logs import RIGHT, TOOL, WRONG, answer, mixed, write
from misstep.cli import main
from samples import LOGS as SAMPLES


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def rows(count, right=RIGHT, wrong=WRONG):
    asks = [f"Please start a timer of {n} minutes for task number {n * 17}." for n in range(count)]
    return [
        {
            "prompt": [{"role": "user", "content": ask}],
            "chosen": [answer(right % (n + 1))],
            "rejected": [answer(wrong % (n + 1))],
            "tools": [TOOL],
        }
        for n, ask in enumerate(asks)
    ]


@pytest.fixture
def pairs(tmp_path):
    made = rows(3)
    for n, word in enumerate(("breakfast", "the long walk", "x")):
        made[n]["prompt"][0]["content"] = f"Start a timer for {word}: {n + 1} minutes."
    return write(tmp_path / "pairs.jsonl", made)


def test_good_pairs_pass_and_strict_says_so(pairs):
    got = run("lint", pairs, "--strict")
    assert got.exit_code == 0, got.output
    assert got.output.startswith(f"3 rows in 1 file of {pairs}: 3 pairs; 3 without objection\n")
    assert got.output.endswith("no fault found\n")


def test_a_fault_is_named_with_its_place_and_strict_exits_with_three(pairs):
    with pairs.open("a") as out:
        out.write('{"prompt": "hi", "chosen": "a", "rejected": "a"}\n{broken\n')
    got = run("lint", pairs, "--json", "--strict")
    facts = json.loads(got.stdout)
    assert got.exit_code == 3
    assert facts["wrong"] == {"NOT_A_PAIR": 1, "SAME_SIDES": 1}
    assert facts["examples"]["SAME_SIDES"] == [
        {"place": "pairs.jsonl line 4", "said": "both sides say the same"}
    ]
    assert run("lint", pairs).exit_code == 0


def test_a_secret_in_an_ordinary_pair_is_a_fault(tmp_path):
    secret = "key ghp_" + "a1B2c3D4e5" * 4
    ask = [{"role": "user", "content": "Which key?"}]
    path = write(tmp_path / "s.jsonl", [{"prompt": ask, "chosen": secret, "rejected": "z"}])
    got = run("lint", path, "--strict")
    assert got.exit_code == 3
    assert "SECRET" in got.output
    assert secret not in got.output


def test_a_parquet_of_plain_texts_is_read(tmp_path):
    path = tmp_path / "made.parquet"
    pl.DataFrame({"prompt": ["a b"], "chosen": ["yes"], "rejected": ["no"]}).write_parquet(path)
    facts = json.loads(run("lint", path, "--json").stdout)
    assert (facts["pairs"], facts["wrong"], facts["unsure"]) == (1, {}, {"REJECTED_CLEAN": 1})


def test_one_feature_that_separates_the_sides_is_a_fault(tmp_path):
    path = write(tmp_path / "p.jsonl", rows(40, wrong='{"minutes": "%d minutes, if you please"}'))
    facts = json.loads(run("lint", path, "--json", "--set", "mine.near_duplicate=1").stdout)
    tell = facts["tells"][0]
    assert facts["wrong"] == {}
    assert (tell["accuracy"], tell["flagged"], tell["n"]) == (1.0, True, 40)
    assert 0.9 < tell["low"] < tell["high"] == 1.0
    assert facts["faulty"]


def test_the_held_out_prompts_of_a_run_are_found_again(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 12)
    out = tmp_path / "run"
    made = run("mine", log, "-o", out, "--quiet", "--set", "mine.heldout=0.5")
    assert made.exit_code == 0, made.output
    assert json.loads(run("lint", out, "--json").stdout)["wrong"] == {}
    session = json.loads(log.read_text().splitlines()[0])
    ask = session["messages"][:1]
    leak = {"prompt": ask, "chosen": [answer(RIGHT % 1)], "rejected": [answer(WRONG % 1)]}
    other = write(tmp_path / "other.jsonl", [{**leak, "tools": [TOOL]}])
    held = write(tmp_path / "held.jsonl", [{"messages": ask}])
    facts = json.loads(run("lint", other, "--heldout", held, "--json").stdout)
    assert facts["wrong"] == {"LEAK": 1}


def test_what_cannot_be_asked_is_said(pairs):
    facts = json.loads(run("lint", pairs, "--json").stdout)
    assert facts["not_asked"]["LEARNED_LATER"] == (
        "what followed the failure stands in the log alone"
    )
    assert facts["not_asked"]["PROMPT_LONG"] == "asked with --model"


def test_a_folder_without_rows_is_a_wrong_set_up(tmp_path):
    got = CliRunner().invoke(main, ["lint", str(tmp_path)])
    assert got.exit_code == 2
    assert got.stderr == (
        f"misstep: {tmp_path}: holds no rows; give JSONL, JSON or Parquet with pairs\n"
    )


def test_a_held_out_file_without_prompts_is_a_wrong_set_up(pairs, tmp_path):
    held = write(tmp_path / "held.jsonl", [{"note": 1}])
    got = CliRunner().invoke(main, ["lint", str(pairs), "--heldout", str(held)])
    assert got.exit_code == 2
    assert "holds no held-out prompts" in got.stderr


def test_the_funnel_adds_up_and_shows_why(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 6)
    words = ["-o", tmp_path / "run", "--quiet", "--set", "mine.min_margin=0.99"]
    got = run("mine", log, *words, "--explain")
    lines = got.output.splitlines()
    assert lines[0] == "      6 failed steps"
    numbers = [int(line.split()[0]) for line in lines if line[:7].strip().lstrip("-").isdigit()]
    split = next(at for at, line in enumerate(lines) if line.endswith("candidates"))
    assert any("NO_MARGIN" in line for line in lines[split:])
    assert sum("wanted" in line for line in lines) <= 3
    assert numbers[-1] == 0


def test_the_funnel_counts_failures_of_a_kind_that_is_not_asked_for(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 6)
    words = ["-o", tmp_path / "run", "--quiet", "--set", "mine.rejected=[loops]"]
    lines = run("mine", log, *words, "--explain").output.splitlines()
    told = {line[7:].strip(): int(line[:7]) for line in lines if line[:7].strip("- ").isdigit()}
    unasked = -told["mine.rejected has not their kind"]
    assert told["failed steps"] == unasked - told["in held-out families"]
    reason = "FAILURE_UNASKED: it fails without a loop, and mine.rejected has no failures"
    assert told["candidates"] == -told[reason] > 0
    assert told["pairs"] == 0


def test_a_line_that_is_no_json_is_shown_with_its_place(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"a":\n', encoding="utf-8")
    result = CliRunner().invoke(main, ["lint", str(path)])
    assert "pairs.jsonl line 1: expected a JSON object, got '{\"a\":'" in result.output


def test_a_folder_of_one_family_holds_nothing_out_and_is_examined(tmp_path):
    log, folder = tmp_path / "log.jsonl", tmp_path / "out"
    mixed(log, 1)
    assert run("mine", log, "-o", folder).exit_code == 0
    assert not pl.read_parquet(folder / "heldout.parquet").height
    got = run("lint", folder)
    assert (got.exit_code, got.output.splitlines()[-1]) == (0, "no fault found")
    assert "LEAK: asked with --heldout" in got.output
    empty = run("lint", folder, "--heldout", folder / "heldout.parquet")
    assert empty.exit_code == 2
    assert "holds no held-out prompts" in empty.output


def test_a_folder_is_held_against_the_demands_that_it_was_mined_with(tmp_path):
    folder = tmp_path / "mined"
    folder.mkdir()
    write(folder / "pairs.jsonl", rows(3))
    assert run("lint", folder, "--strict").exit_code == 0
    own = "mine: {length_ratio: [2, 9], references: no.jsonl}\nvalidate: {validators: ['no:it']}\n"
    (folder / "config.yaml").write_text(own)
    got = json.loads(run("lint", folder, "--json").stdout)
    assert got["wrong"] == {"LENGTH_RATIO": 3}
    assert run("lint", folder, "--strict", "--set", "mine.length_ratio=[0, 9]").exit_code == 0
    (folder / "config.yaml").write_text("mine: {min_votes: 0}\n")
    told = run("lint", folder)
    assert told.exit_code == 2
    assert f"{folder / 'config.yaml'}: mine.min_votes: out of range" in told.output


@pytest.mark.parametrize(("label", "wrong"), [(True, {"NO_TOOLS": 1}), (False, {})])
def test_a_call_of_what_was_not_offered_is_a_fault_where_it_is_taught(tmp_path, label, wrong):
    ask = [{"role": "user", "content": "Start a timer of two minutes."}]
    row = {"prompt": ask, "completion": [answer(RIGHT % 2)], "label": label}
    file = write(tmp_path / "rows.jsonl", [row])
    found = json.loads(run("lint", file, "--json").stdout)["wrong"]
    assert {code: n for code, n in found.items() if code == "NO_TOOLS"} == wrong


def test_rows_that_mining_wrote_are_no_faults_of_their_own(tmp_path):
    # code as a call's argument, and sessions whose log records no tools
    logs = ["smolagents", "claude-code"]
    mined = run("mine", *(SAMPLES / name for name in logs), "-o", tmp_path / "run")
    assert mined.exit_code == 0, mined.output
    found = json.loads(run("lint", tmp_path / "run", "--json").stdout)
    assert found["pairs"] >= 2
    assert found["labels"]["true"] > 0
    assert found["wrong"] == {}
