"""Answering as pieces of work: a worker elsewhere has the same model, adapter and images."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from asking import adapter_on  # noqa: E402
from misstep.errors import ModelError  # noqa: E402
from misstep.models import (  # noqa: E402
    Gallery,
    StopLoops,
    Survey,
    Where,
    batches,
    eye,
    load,
    parcel_of,
    prepare,
    sample,
    sheet_of,
    work,
)

HOW = {"num_generations": 2, "temperature": 1.0, "max_new_tokens": 8, "batch_size": 6}


def where(loaded, **more):
    about = {"base_hash": loaded.base_hash, "dtype": "float32"}
    return Where(model=str(loaded.ref.path), **{**about, **more})


def by_pieces(kit, prompts, images=None, forget=None, **how):
    """The answers, each piece as it would reach another process; `forget` makes this one such."""
    surveyed = work(kit, Survey(prompts=prompts, ways=[how]))
    assert surveyed.fitting == list(range(len(prompts)))
    made = batches(prompts, surveyed.divided[0], seed=3, **how)
    sheets = [pickle.dumps(sheet_of(batch, images)) for batch in made]
    if forget is not None:
        forget()
    found = {}
    for sheet in map(pickle.loads, sheets):
        found.update(zip(sheet.batch.at, work(kit, sheet), strict=True))
    return [found[at] for at in range(len(prompts))]


def test_pieces_give_the_answers_of_one_call_equal_prompts_included(tiny):
    prompts = [[3 + n % 5] * (2 + n % 3) for n in range(20)]
    stop = StopLoops(asked=[n % 2 for n in range(20)])
    kit = prepare(where(tiny))
    whole = sample(tiny, prompts, seed=3, stop_loops=stop, **HOW)
    assert by_pieces(kit, prompts, stop_loops=stop, **HOW) == whole
    assert len({answer.ids for row in whole for answer in row}) > 20


def test_a_batch_takes_along_what_is_said_of_its_own_prompts(tiny):
    stop = StopLoops(asked=[10, 11, 12, 13])
    made = batches([[5], [6], [7], [8]], [[2, 0], [3, 1]], stop_loops=stop, **HOW)
    assert [list(batch.how["stop_loops"].asked) for batch in made] == [[12, 10], [13, 11]]


def test_prompts_that_leave_no_room_for_an_answer_are_left_out(tiny):
    prompts = [[5] * 10, [5] * tiny.window, [6] * (tiny.window - 8)]
    surveyed = work(prepare(where(tiny)), Survey(prompts=prompts, ways=[HOW]))
    assert surveyed.fitting == [0, 2]
    assert sorted(at for batch in surveyed.divided[0] for at in batch) == [0, 1]


def test_an_adapter_travels_with_the_work(tiny, tmp_path):
    adapter = adapter_on(tiny.ref.path, tmp_path / "adapter")
    here = prepare(where(tiny, adapter=adapter))
    parcel = parcel_of(adapter)
    away = prepare(where(tiny, adapter=Path("/nowhere"), parcel=parcel, away=True))
    prompts = [[5, 6, 7, 8], [9, 10, 11]]
    said = [sample(kit, prompts, max_new_tokens=12) for kit in (here.loaded, away.loaded, tiny)]
    assert said[0] == said[1] != said[2]


def test_another_model_under_the_same_name_is_refused(tiny):
    with pytest.raises(ModelError, match=r"^on .*other weights.*put the same model there$"):
        prepare(where(tiny, base_hash="0" * 16, away=True))


def test_a_model_that_a_machine_does_not_have_is_told_with_the_machine(tiny):
    with pytest.raises(ModelError, match=r"^on .*: /nowhere/m: no such model"):
        prepare(Where(model="/nowhere/m", base_hash="0", dtype="float32", away=True))


def test_images_travel_with_the_batches_that_show_them(tmp_path, monkeypatch):
    pytest.importorskip("PIL", reason="needs the ocr extra")
    from eyed import NOTHING, asked, pages
    from tiny_vision import build_eyed

    folder = tmp_path / "images"
    names = pages(folder)
    home = build_eyed(tmp_path / "llava", "llava")
    loaded = load(str(home), dtype="float32", images=folder)
    prompts = [loaded.template.prompt_ids(asked(name, "read"), NOTHING) for name in names]
    how = {**HOW, "batch_size": 4}
    whole = sample(loaded, prompts, seed=3, **how)
    kit = prepare(where(loaded, images=Gallery(folder=Path("/nowhere")), away=True))

    def forget():
        monkeypatch.setattr(eye, "_NAMES", {})

    assert by_pieces(kit, prompts, images=folder, forget=forget, **how) == whole
    assert list(Path(kit.folder.name).iterdir()) == []
