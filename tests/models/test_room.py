"""How large batches are: a fixed 2 GB on a CPU, on a GPU half of what is free there."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from misstep.models import Survey, Where, prepare, work  # noqa: E402
from misstep.models import room as room_module  # noqa: E402
from misstep.models.generate import divided, squeezed  # noqa: E402
from misstep.models.room import GB, half_of, read_bytes, room  # noqa: E402
from misstep.models.shared import prompt_bytes  # noqa: E402

PROMPTS = [[7] * 50] * 24
HOW = {"num_generations": 4, "max_new_tokens": 8, "batch_size": 64}
COLUMNS = 50 + 4 * 8
"""Of one prompt with its four answers."""


class _OnGpu:
    """A model as it is, but for where it says it stands."""

    device = torch.device("cuda", 0)

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.fixture
def gpu(tiny, monkeypatch):
    """The tiny model on a GPU with so many bytes free."""

    def made(size, **more):
        monkeypatch.setattr(room_module, "free", lambda device: size)
        return replace(tiny, model=_OnGpu(tiny.model), **more)

    return made


def sizes(loaded, **more):
    return [len(batch) for batch in divided(loaded, PROMPTS, **{**HOW, **more})]


def a_prompt(model):
    return prompt_bytes(model, COLUMNS, 4), read_bytes(model.config, 50, 4)


def test_a_cpu_gives_two_gigabytes_whatever_is_free(tiny, monkeypatch):
    monkeypatch.setattr(room_module, "free", lambda device: 1)
    assert room(tiny) == 2 * GB
    assert sizes(tiny) == [16, 8]


def test_a_gpu_gives_half_of_what_is_free(tiny, gpu):
    kept, read = a_prompt(tiny.model)
    for count in (1, 3, 12):
        loaded = gpu(2 * count * max(kept, read))
        assert sizes(loaded) == [count] * (24 // count)
    assert sizes(gpu(80 * GB)) == [16, 8]  # what is asked for


def test_batches_follow_whole_gigabytes():
    """A few megabytes more or less do not divide prompts otherwise, whose answers would differ."""
    assert half_of(63 * GB) == half_of(62 * GB + GB // 2) == 31 * GB
    assert half_of(GB) == GB // 2


def test_reading_the_prompts_has_the_other_half(tiny, gpu):
    """Long prompts of which little is kept, as with few heads, are bounded by their activations."""
    kept, read = a_prompt(tiny.model)
    assert read > kept, "a tiny model keeps less of a prompt than reading it takes"
    assert sizes(gpu(2 * 6 * kept)) == [6 * kept // read] * (24 // (6 * kept // read))


def test_workers_that_take_one_gpu_share_it(tiny, gpu):
    each = sum(p.numel() * p.element_size() for p in tiny.network.parameters())
    assert room(gpu(20 * GB + each, sharing=2)) == 5 * GB
    assert room(gpu(each // 2, sharing=2)) == 0
    assert sizes(gpu(0, sharing=2)) == [1] * 24  # a batch holds a prompt, whatever is free


def test_smaller_batches_than_asked_are_said(tiny, monkeypatch):
    assert squeezed(tiny, PROMPTS, **HOW) == ""
    monkeypatch.setattr(room_module, "ON_CPU", 3 * a_prompt(tiny.model)[0])
    assert squeezed(tiny, PROMPTS, **HOW) == (
        "prompts are long: about 12 answers are generated together, 64 are asked for "
        "(sample.batch_size), since a batch gets 0.0 GB of memory; shorter prompts "
        "(budget.max_prompt) make it more"
    )
    assert squeezed(tiny, PROMPTS, **{**HOW, "batch_size": 12}) == ""


def test_they_are_said_once_for_all_ways_of_answering(tiny, monkeypatch):
    where = Where(model=str(tiny.ref.path), base_hash=tiny.base_hash, dtype="float32", sharing=3)
    kit = prepare(where)
    assert kit.loaded.sharing == 3
    ways = [{**HOW, "num_generations": 1}, HOW]
    assert work(kit, Survey(prompts=PROMPTS, ways=ways)).note == ""
    monkeypatch.setattr(room_module, "ON_CPU", 3 * a_prompt(tiny.model)[0])
    assert work(kit, Survey(prompts=PROMPTS, ways=ways)).note.count("answers are generated") == 1
