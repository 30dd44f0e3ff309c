"""What a run took: read back from the notes of its stages and from the answers that it drew."""

from __future__ import annotations

from dataclasses import replace

from misstep import store
from misstep.config import RunConfig
from misstep.pipeline.job import DEPENDENTS, Job, stage
from misstep.pipeline.spent import spent
from misstep.pipeline.timing import FILE, write_timing
from misstep.pipeline.view import _spent
from misstep.store import RunFolder
from misstep.types import Message, Usage


def drawn(folder, *, tokens=(10, 20), seconds=(1.5, 2.0)):
    (folder / "answers").mkdir(parents=True)
    rows = []
    for counted, took in zip(tokens, seconds, strict=True):
        usage = None if counted is None else Usage(output_tokens=counted)
        answer = store.encode(Message(role="assistant", usage=usage)).decode()
        rows.append({"session": "s", "step": 1, "kind": "sampled", "answer": answer})
        rows[-1]["seconds"] = took
    store.write_rows(folder / "answers/resample.parquet", rows)


def trained(folder, name, *, steps=5, seconds=3.0, log=({"num_tokens": 90.0}, {"note": "x"})):
    facts = {"rows": 7, "steps": steps, "log": list(log), "sha256": f"{folder.path.name}-{name}"}
    folder.finish(f"train {name}", "k", outputs=[], facts=facts, seconds=seconds)


def test_every_stage_has_its_steps_tokens_and_seconds(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    drawn(run.path)
    run.finish("mine", "k", outputs=[], facts={"pairs": 3})
    for name in ("sft", "adapter", "control"):
        trained(run, name)
    rows = spent(run, RunConfig())
    assert [row["stage"] for row in rows] == ["sft", "sample", "train", "control"]
    assert rows[1] == {"stage": "sample", "round": "1", "answers": 2, "tokens": 30, "seconds": 3.5}
    assert (rows[2]["steps"], rows[2]["rows"], rows[2]["tokens"], rows[2]["seconds"]) == (
        *(5, 7, 90),
        3.0,
    )
    assert rows[2]["adapter"] == "run-adapter"


def test_several_rounds_have_their_rows_each(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.finish("answers resample", "k", outputs=[], facts={"answers": 2})
    for number in ("1", "2"):
        part = RunFolder(run / f"rounds/{number}")
        drawn(part.path)
        part.finish("mine", "k", outputs=[], facts={"pairs": 3})
        trained(part, "adapter", steps=int(number))
    rows = spent(run, replace(RunConfig(), rounds=2))
    told = [(row["stage"], row["round"], row.get("steps")) for row in rows]
    assert told == [
        ("sample", "1", None),
        ("train", "1", 1),
        ("sample", "2", None),
        ("train", "2", 2),
    ]


def test_what_nobody_noted_is_none(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    drawn(run.path, tokens=(None, 20), seconds=(None, 2.0))
    run.finish("mine", "k", outputs=[], facts={"pairs": 3})
    trained(run, "adapter", seconds=None, log=())
    sample, train = spent(run, RunConfig())
    assert (sample["tokens"], sample["seconds"]) == (None, None)
    assert (train["tokens"], train["seconds"]) == (None, None)


def test_a_stage_notes_how_long_it_took_and_keeps_that_when_it_is_skipped(tmp_path):
    job = Job(RunFolder(tmp_path), RunConfig())
    name = next(iter(DEPENDENTS))
    for _ in range(2):
        stage(job, name, key="k", outputs=[], work=lambda: {"n": 1})
    entry = job.folder.entry(name)
    assert entry is not None
    assert entry["seconds"] >= 0
    assert entry["facts"] == {"n": 1}


def test_it_stands_in_timing_json_and_only_the_measured_adapter_counts(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.finish("mine", "k", outputs=[], facts={"pairs": 3})
    trained(run, "adapter")
    write_timing(Job(run, RunConfig()), None, [])
    assert store.read_json(run / FILE)["spent"] == spent(run, RunConfig())
    assert len(_spent(run.path, {"adapter": "run-adapter"})) == 1
    assert _spent(run.path, {"adapter": "another"}) == ()
