"""What is forgotten is gone: from every file, on a real small run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars
import pytest
from click.testing import CliRunner

from misstep import api, store
from misstep.cli import main
from misstep.config import load_config
from misstep.errors import InputError
from misstep.pipeline import swap
from misstep.pipeline.forget import forget
from misstep.pipeline.forgotten import FILE, forgotten

SAMPLES = Path(__file__).parents[2] / "sample_logs"
FORMATS = ("openai", "together", "sharegpt", "hf")
WORD = re.compile(rb"[A-Za-z0-9_@./-]{10,}")

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the sample logs")


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mined") / "run"
    config = api.writing(load_config(None, {"mine.min_votes": 1}), FORMATS)
    logs = [SAMPLES / name for name in ("claude-code", "openai-chat", "tau-bench", "preference")]
    api.mine(logs, folder, config, resample=False)
    return logs, folder, config


@pytest.fixture
def copy(mined, tmp_path):
    return shutil.copytree(mined[1], tmp_path / "run")


def sessions(folder):
    rows = store.read_rows(folder / "sessions.parquet")
    return {row["id"]: row["session"].encode() for row in rows}


def distinctive(folder, names):
    """Words that stand in these sessions and in no other."""
    known = sessions(folder)
    own = {word for name in names for word in WORD.findall(known[name])}
    rest = {
        word for name, text in known.items() if name not in names for word in WORD.findall(text)
    }
    return {word for word in own - rest if word.decode() not in known}


def everything(folder):
    """The bytes of every file, tables as text too."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                yield path, json.dumps(polars.read_parquet(path).to_dicts(), default=str).encode()


def found(folder, words):
    return {
        (path.name, word)
        for path, data in everything(folder)
        for word in set(WORD.findall(data)) & words
    }


def pair_sessions(folder):
    rows = store.read_rows(folder / "pairs/train.parquet")
    other = [r for r in rows if r["session_chosen"] not in (None, r["session"])]
    own = [r for r in rows if r["session_chosen"] == r["session"]]
    return [own[0]["session"], other[0]["session_chosen"], other[-1]["session"]]


def test_no_file_holds_a_word_of_a_forgotten_session(mined, copy):
    names = pair_sessions(copy)
    done = forget(copy, names)
    words = distinctive(mined[1], done.sessions)
    assert len(words) > 20
    assert found(mined[1], words)
    assert found(copy, words) == set()


def test_pairs_leave_on_either_side_and_the_others_stay(mined, copy):
    chosen = pair_sessions(copy)[1]
    forget(copy, [chosen])
    for part in ("train", "dev"):
        before = store.read_rows(mined[1] / f"pairs/{part}.parquet")
        left = store.read_rows(copy / f"pairs/{part}.parquet")
        assert [r for r in before if chosen not in (r["session"], r["session_chosen"])] == left


def test_exports_follow_the_pairs(copy):
    forget(copy, pair_sessions(copy))
    pairs = len(store.read_rows(copy / "pairs/train.parquet"))
    noted = json.loads((copy / "mined.json").read_text())
    assert len((copy / "pairs/train.jsonl").read_text().splitlines()) == pairs
    for name in ("openai", "sharegpt", "hf"):
        told = noted["outputs"][name]
        for path, rows in told["files"].items():
            assert len((copy / path).read_text().splitlines()) == rows


def test_the_card_names_ids_and_counts(copy):
    names = pair_sessions(copy)
    forget(copy, names[:1])
    card = (copy / "README.md").read_text()
    assert "## Forgotten sessions" in card
    assert f"| {names[0]} | 1 |" in card or f"| {names[0]} | 2 |" in card


def test_what_depended_on_it_is_done_again_and_does_not_bring_it_back(mined, copy):
    logs, _, config = mined
    names = pair_sessions(copy)
    done = forget(copy, names)
    assert set(done.redo) == {"mine", "sft rows"}
    state = json.loads((copy / "stages.json").read_text())
    assert set(state) == {"scan"}
    said = []
    api.mine(logs, copy, config, resample=False, say=said.append)
    assert "scan: unchanged, kept" in said
    assert set(done.sessions).isdisjoint(sessions(copy))
    (copy / "stages.json").unlink()  # a scan from the logs themselves leaves them out too
    api.mine(logs, copy, config, resample=False)
    assert set(done.sessions).isdisjoint(sessions(copy))
    assert found(copy, distinctive(mined[1], done.sessions)) == set()


def test_the_figures_of_the_scan_are_those_of_the_sessions_that_stay(mined, copy):
    logs, _, config = mined
    forget(copy, pair_sessions(copy))
    told = json.loads((copy / "stages.json").read_text())["scan"]["facts"]
    (copy / "stages.json").unlink()
    api.mine(logs, copy, config, resample=False)
    anew = json.loads((copy / "stages.json").read_text())["scan"]["facts"]
    assert anew | {"seconds": 0} == told | {"seconds": 0}
    assert told["sessions"] == len(sessions(copy))


def test_an_unknown_session_is_named_with_near_ones(copy):
    name = pair_sessions(copy)[0]
    wrong = name[:-1] + ("0" if name[-1] != "0" else "1")
    with pytest.raises(InputError, match=rf"knows no session '{wrong}'; did you mean .*{name}"):
        forget(copy, [wrong])
    assert not (copy / FILE).exists()


def test_forgetting_twice_changes_nothing_more(copy):
    name = pair_sessions(copy)[0]
    forget(copy, [name])
    before = dict(everything(copy))
    assert forget(copy, [name]).already == (name,)
    assert before == dict(everything(copy))


def test_a_folder_of_pairs_alone_is_enough(mined, tmp_path):
    folder = tmp_path / "pairs only"
    folder.mkdir()
    for name in ("pairs", "unpaired", "openai", "README.md", "mined.json"):
        source = mined[1] / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    names = pair_sessions(folder)
    forget(folder, names)
    assert found(folder, distinctive(mined[1], names)) == set()


def test_a_killed_swap_changes_nothing_or_is_finished(copy, monkeypatch):
    name = pair_sessions(copy)[0]
    before = dict(everything(copy))
    with monkeypatch.context() as patch:
        patch.setattr(swap.store, "write_json", _killed)
        with pytest.raises(KeyboardInterrupt):
            forget(copy, [name])
    assert before == dict(everything(copy))
    moved = []

    def replace(source, target):
        if ".forget" in str(source) and ".forget" not in str(target):
            if len(moved) == 3:
                raise KeyboardInterrupt
            moved.append(target)
        shutil.move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(swap.os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            forget(copy, [name])
    assert forget(copy, [name]).already == (name,)
    assert name in forgotten(copy)
    assert name not in sessions(copy)
    assert not (copy / ".forget").exists()


def _killed(*_, **__):
    raise KeyboardInterrupt


def test_a_decision_about_a_row_that_left_goes_with_it(copy):
    rows = store.read_rows(copy / "pairs/train.parquet")
    gone = pair_sessions(copy)[0]
    left = next(r for r in rows if gone in (r["session"], r["session_chosen"]))
    stays = next(r for r in rows if gone not in (r["session"], r["session_chosen"]))
    text = {"role": "assistant", "content": "the words of a session that nobody else has"}
    lines = [
        {"pair": left["id"], "decision": "keep"},
        {"pair": stays["id"], "decision": "drop"},
        {"pair": "0" * 16, "decision": "edit", "edited": text},
    ]
    (copy / "review.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    forget(copy, [gone])
    kept = [json.loads(line) for line in (copy / "review.jsonl").read_text().splitlines()]
    assert kept == [lines[1]]


def test_the_command_says_what_it_did(copy):
    name = pair_sessions(copy)[1]
    result = CliRunner().invoke(main, ["forget", str(copy), "--session", name])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"forgot 1 session: {name}\n")
    assert "the next run does again: sft rows, mine" in result.stdout
    told = CliRunner().invoke(main, ["forget", str(copy), "--session", name, "--json"])
    assert json.loads(told.stdout)["already"] == [name]


def test_unpaired_rows_count_for_adapters_that_kto_trained():
    from misstep.pipeline.adapternotes import trained_on

    left = {"unpaired/train.parquet": ["u1", "u2"], "pairs/train.parquet": ["p1", "p2"]}
    facts = {"left_out": ["u2", "p1-accepted"]}
    state = {"train adapter": {"facts": {**facts, "stage": "kto"}}, "train control": {"facts": {}}}
    assert trained_on(state, left) == {"adapter": 3, "control": 4}
    state["train adapter"]["facts"]["stage"] = "dpo"
    assert trained_on(state, left) == {"adapter": 2, "control": 2}


@pytest.mark.slow
def test_an_adapter_says_that_it_was_trained_on_what_was_forgotten(tmp_path):
    pytest.importorskip("torch", reason="training needs the train extra")
    from logs import mixed, write
    from tiny import build_tiny

    from .conftest import SMALL

    run = tmp_path / "run"
    model = str(build_tiny(tmp_path / "tiny"))
    log = mixed(tmp_path / "log.jsonl", 24)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for at, row in enumerate(rows):
        row["messages"][2]["content"] = f"done by harbour-{at}-walrus"
        row["messages"] += [{"role": "user", "content": "Again, please."}, row["messages"][1]]
    write(log, rows)
    config = load_config(None, {**SMALL, "model": model})
    api.run([log], run, config)
    before = distinctive(run, [name := store.read_rows(run / "pairs/train.parquet")[0]["session"]])
    assert found(run, before)
    done = forget(run, [name])
    assert done.adapters["adapter"] >= 1
    assert {"mine", "sft rows", "train adapter"} <= set(done.redo)
    assert found(run, before) == set()
    card = (run / "adapter/README.md").read_text()
    assert f"| {name} | {done.adapters['adapter']} |" in card
    assert not (run / "report.html").exists()
    assert (run / "adapter/adapter_model.safetensors").exists()
    said = []
    api.run([log], run, config, say=said.append)
    assert "scan: unchanged, kept" in said
    assert "train adapter …" in said
    assert name not in (run / "adapter/README.md").read_text()
    assert found(run, before) == set()
