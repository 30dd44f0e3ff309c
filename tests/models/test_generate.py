import random

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from continuing import by_transformers  # noqa: E402
from misstep.models import load, sample  # noqa: E402
from misstep.models import shared as shared_module  # noqa: E402
from misstep.models.generate import stop_ids  # noqa: E402
from tiny import build_tiny  # noqa: E402


def prompts_of(count, *, common=0, seed=0):
    rng = random.Random(seed)
    head = [rng.randrange(3, 300) for _ in range(common)]
    return [head + [rng.randrange(3, 300) for _ in range(rng.randint(1, 30))] for _ in range(count)]


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def network(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "model"
    return load(str(build_tiny(folder, kind=request.param)), dtype="float32")


@pytest.mark.parametrize("common", [0, 5, 40])
def test_greedy_answers_are_those_of_transformers(network, common):
    prompts = prompts_of(9, common=common)
    got = sample(network, prompts, temperature=0, max_new_tokens=20, batch_size=4)
    assert [a.ids for (a,) in got] == [by_transformers(network, p, 20) for p in prompts]


def test_prompts_that_go_on_from_one_another_are_answered_as_if_each_were_alone(network):
    rng = random.Random(7)

    def more(tokens, count):
        return [*tokens, *(rng.randrange(3, 300) for _ in range(count))]

    tools = more([], 40)
    steps = [tools]
    for count in (70, 30, 65):  # the middle one is too short to be read for itself
        steps.append(more(steps[-1], count))
    others = [more(tools, 90), more(steps[2], 2), more([], 12)]
    prompts = [steps[3], others[2], steps[1], *others[:2], steps[2], steps[3], tools]
    got = sample(network, prompts, temperature=0, max_new_tokens=16)
    assert [a.ids for (a,) in got] == [by_transformers(network, p, 16) for p in prompts]


def test_long_prompts_are_read_a_stretch_at_a_time(network, monkeypatch):
    """What attention takes beside keys and values does not grow with the square of a prompt."""
    masks = []

    def noted(*given, attn_mask, **named):
        masks.append(attn_mask.numel())
        return attention(*given, attn_mask=attn_mask, **named)

    attention = shared_module.scaled_dot_product_attention
    monkeypatch.setattr(shared_module, "scaled_dot_product_attention", noted)
    monkeypatch.setattr(shared_module, "_STRETCH", 32, raising=False)
    prompts = [*prompts_of(3, common=150), *prompts_of(2, common=330, seed=1)]
    got = sample(network, prompts, temperature=0, max_new_tokens=12)
    assert [a.ids for (a,) in got] == [by_transformers(network, p, 12) for p in prompts]
    assert max(masks) <= 2 * 32 * max(map(len, prompts))


def test_k_greedy_answers_are_all_the_same(network):
    prompts = prompts_of(5, common=20)
    got = sample(network, prompts, num_generations=3, temperature=0, max_new_tokens=12)
    assert all(len({a.ids for a in answers}) == 1 for answers in got)
    assert [a[0].ids for a in got] == [by_transformers(network, p, 12) for p in prompts]


def test_answers_that_end_early_do_not_disturb_the_others(network, monkeypatch):
    """With many stop tokens, rows and whole prompts leave the batch at different steps."""
    monkeypatch.setattr("misstep.models.generate.stop_ids", lambda _: frozenset(range(0, 400, 9)))
    monkeypatch.setattr("continuing.stop_ids", lambda _: frozenset(range(0, 400, 9)))
    prompts = prompts_of(16, common=20)
    got = sample(network, prompts, temperature=0, max_new_tokens=30, batch_size=16)
    assert [a.ids for (a,) in got] == [by_transformers(network, p, 30) for p in prompts]
    assert len({len(a.ids) for (a,) in got}) > 3
    how = {"num_generations": 4, "temperature": 1.0, "max_new_tokens": 30, "seed": 3}
    together = sample(network, prompts, batch_size=64, **how)
    alone = [sample(network, [p], batch_size=4, **how)[0] for p in prompts]
    assert together == alone


def test_models_that_cannot_share_are_sampled_through_their_own_cache(tiny, monkeypatch):
    prompts = prompts_of(7, common=20)
    how = {"num_generations": 3, "temperature": 1.0, "max_new_tokens": 16, "batch_size": 6}
    fast = sample(tiny, prompts, **how)
    monkeypatch.setattr(shared_module, "supports", lambda _: False)
    assert sample(tiny, prompts, **how) == fast


def test_a_model_with_a_sliding_window_cannot_share(tmp_path):
    folder = build_tiny(
        tmp_path / "m", kind="qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=0
    )
    loaded = load(str(folder), dtype="float32")
    assert not shared_module.supports(loaded.network)
    prompts = prompts_of(4)
    got = sample(loaded, prompts, temperature=0, max_new_tokens=12)
    assert [a.ids for (a,) in got] == [by_transformers(loaded, p, 12) for p in prompts]


def test_answers_do_not_depend_on_order_or_batch(tiny):
    prompts = prompts_of(9, common=30)
    how = {"temperature": 1.0, "max_new_tokens": 16, "seed": 5}
    one = sample(tiny, prompts, num_generations=2, batch_size=32, **how)
    two = sample(tiny, prompts[::-1], num_generations=2, batch_size=4, **how)
    assert one == two[::-1]


def test_the_seed_decides(tiny):
    prompts = prompts_of(3)
    how = {"num_generations": 2, "max_new_tokens": 16}
    assert sample(tiny, prompts, seed=1, **how) == sample(tiny, prompts, seed=1, **how)
    assert sample(tiny, prompts, seed=1, **how) != sample(tiny, prompts, seed=2, **how)


def test_an_answer_says_how_it_ended(tiny, monkeypatch):
    prompts = prompts_of(8)
    monkeypatch.setattr("misstep.models.generate.stop_ids", lambda _: frozenset(range(0, 400, 7)))
    answers = [a for (a,) in sample(tiny, prompts, max_new_tokens=6)]
    for answer in answers:
        ended = answer.ids[-1] % 7 == 0
        assert answer.finish_reason == ("stop" if ended else "length")
        body = answer.ids[:-1] if ended else answer.ids
        assert answer.text == tiny.tokenizer.decode(list(body))
    assert {a.finish_reason for a in answers} == {"stop", "length"}


def test_control_tokens_inside_an_answer_stay_visible(tiny):
    start = tiny.tokenizer.convert_tokens_to_ids("<|im_start|>")
    with torch.no_grad():
        loud = load(str(tiny.ref.path), dtype="float32")
        loud.model.get_output_embeddings().weight = torch.nn.Parameter(
            torch.zeros_like(loud.model.get_output_embeddings().weight)
        )
        loud.model.get_output_embeddings().bias = torch.nn.Parameter(
            torch.nn.functional.one_hot(torch.tensor(start), 500).float()[: len(tiny.tokenizer)]
        )
    ((answer,),) = sample(loud, [[5, 6]], temperature=0, max_new_tokens=2)
    assert answer.text == "<|im_start|><|im_start|>"


def test_no_prompts_give_no_answers(tiny):
    assert sample(tiny, []) == []


def test_progress_counts_prompts(tiny):
    seen = []
    sample(
        tiny,
        prompts_of(5),
        max_new_tokens=2,
        batch_size=2,
        progress=lambda done, of: seen.append((done, of)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_long_prompts_make_smaller_batches(tiny, monkeypatch):
    monkeypatch.setattr("misstep.models.room.ON_CPU", 20_000)
    seen = []
    sample(tiny, prompts_of(6), max_new_tokens=4, progress=lambda done, of: seen.append(done))
    assert len(seen) > 1


def test_the_model_attends_as_before_afterwards(tiny):
    before = tiny.model.config._attn_implementation
    sample(tiny, prompts_of(2), max_new_tokens=2)
    assert tiny.model.config._attn_implementation == before


def test_an_answer_stops_at_the_end_of_turn(tiny):
    assert stop_ids(tiny) == {tiny.template.end_id}


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_model_answers_as_transformers_generates(smollm2):
    from misstep.types import Context, Message, Part

    loaded = load("smollm2", dtype="float32")
    asked = ["Name a colour.", "What is two plus two?", "Say hello in French."]
    prompts = [
        smollm2.template.prompt_ids(
            [Message(role="user", parts=(Part(kind="text", text=t),))], Context()
        )
        for t in asked
    ]
    got = sample(loaded, prompts, temperature=0, max_new_tokens=16)
    assert [a.ids for (a,) in got] == [by_transformers(loaded, p, 16) for p in prompts]
