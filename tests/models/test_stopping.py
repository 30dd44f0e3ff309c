"""Loops that are cut off while answers are sampled."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from misstep.config import LimitsConfig  # noqa: E402
from misstep.models import LOOK, StopLoops, load, sample  # noqa: E402
from misstep.models.generate import stop_ids  # noqa: E402
from tiny import build_tiny  # noqa: E402

HOW = {"temperature": 0, "max_new_tokens": 8 * LOOK}
LOOPING = ENDING = 6
"""Prompts of each kind."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model that says one fixed word after each, and prompts: a circle, and a way to the end."""
    loaded = load(str(build_tiny(tmp_path_factory.mktemp("m") / "model")), dtype="float32")
    network, (stop,) = loaded.network, stop_ids(loaded)
    words = network.get_input_embeddings().weight
    texts = {at: loaded.tokenizer.decode([at]) for at in range(len(words)) if at != stop}
    named = [at for at, text in texts.items() if text.strip().isalpha() and text.isascii()]
    named.sort(key=lambda at: (-len(texts[at]), at))
    circle, way = named[:12], named[12:40]
    after = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    after |= dict(zip(way, [*way[1:], stop], strict=True))
    with torch.no_grad():
        for layer in network.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        head = torch.zeros_like(words)
        for at, then in after.items():
            head[then] += torch.nn.functional.normalize(words[at], dim=0)
        network.get_output_embeddings().weight = torch.nn.Parameter(head)
    return loaded, [[at] for at in (*circle[:LOOPING], *way[:ENDING])]


@pytest.fixture(scope="module")
def whole(world):
    return [answer for (answer,) in sample(*world, **HOW)]


def stopped(world, asked=0, limits=None, **how):
    stop = StopLoops(asked=[asked] * len(world[1]), limits=limits or LimitsConfig())
    return [a for (a,) in sample(*world, stop_loops=stop, **{**HOW, **how})]


def test_a_loop_ends_early_with_the_same_beginning_and_counts_as_cut(world, whole):
    short = stopped(world)
    for answer, full in zip(short[:LOOPING], whole[:LOOPING], strict=True):
        assert len(full.ids) == 8 * LOOK
        assert len(answer.ids) < len(full.ids)
        assert len(answer.ids) % LOOK == 0
        assert full.ids[: len(answer.ids)] == answer.ids
        assert answer.finish_reason == full.finish_reason == "length"


def test_answers_that_do_not_loop_are_as_without(world, whole):
    assert all(answer.finish_reason == "stop" for answer in whole[LOOPING:])
    assert stopped(world)[LOOPING:] == whole[LOOPING:]


def test_what_the_prompt_asks_for_is_let_run(world, whole):
    assert stopped(world, asked=10_000) == whole


def test_thresholds_are_those_of_the_validators(world, whole):
    far = LimitsConfig(loop_length=10**6, trailing_space=10**6)
    assert stopped(world, limits=far) == whole


def test_stopping_is_the_same_in_any_batch(world):
    assert stopped(world, batch_size=3) == stopped(world, batch_size=12)
