"""Models that are sampled through a cache of transformers: of every kind of layer, or of none."""

import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from continuing import by_transformers  # noqa: E402
from misstep.errors import ModelError  # noqa: E402
from misstep.models import load, sample  # noqa: E402
from misstep.models import shared as shared_module  # noqa: E402
from misstep.models.generate import divided  # noqa: E402
from tiny import build_tokenizer  # noqa: E402

PROMPTS = [[5 + i * 7 % 290 for i in range(size, 2 * size)] for size in (9, 3, 20, 14)]
STATE = {"time_step_rank": 4, "state_size": 4}
KINDS = {
    "gemma2": {"head_dim": 8, "sliding_window": 8},
    "phi3": {},
    "granite": {},
    "mixtral": {"num_local_experts": 4},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64},
    "mamba": STATE,
    "falcon_mamba": STATE,
    "mamba2": {
        "state_size": 8,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 2,
        "expand": 2,
        "chunk_size": 8,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "recurrent_gemma": {
        "lru_width": 32,
        "attention_window_size": 64,
        "block_types": ["recurrent", "attention"],
        "head_dim": 8,
    },
    "openai-gpt": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}
"""Model types with what is their own in a tiny configuration."""
REFUSED = ("recurrent_gemma", "openai-gpt")
SWITCH = 24
"""Tokens beyond which the models of `switching` place all tokens otherwise."""


def built(folder, kind, **more):
    """A tiny model of that type with random weights, loaded from a folder."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = build_tokenizer()
    usual = {"hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    bare = {"gpt2": {}, "openai-gpt": {}, "bloom": {"hidden_size": 32}, "mpt": {}}
    own = bare.get(kind, {**usual, **heads})
    if "mamba" in kind:
        own = usual
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        pad_token_id=0,
        bos_token_id=1,
        **{**own, **KINDS.get(kind, {}), **more},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load(str(folder), dtype="float32")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The model of a type, built once."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = built(tmp_path_factory.mktemp(kind) / "model", kind)
        return made[kind]

    return of


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in REFUSED])
def test_every_answer_of_a_prompt_is_that_of_transformers(network, kind):
    loaded = network(kind)
    assert not shared_module.supports(loaded.network)
    got = sample(loaded, PROMPTS, num_generations=3, temperature=0, max_new_tokens=12)
    wanted = [by_transformers(loaded, prompt, 12) for prompt in PROMPTS]
    assert [{a.ids for a in answers} for answers in got] == [{ids} for ids in wanted]


@pytest.mark.parametrize("kind", ["gemma2", "mamba", "lfm2"])
def test_sampled_answers_do_not_depend_on_the_batch(network, kind):
    how = {"num_generations": 3, "temperature": 1.0, "max_new_tokens": 10, "seed": 3}
    together = sample(network(kind), PROMPTS, **how)
    alone = [sample(network(kind), [prompt], batch_size=3, **how)[0] for prompt in PROMPTS]
    assert together == alone
    assert any(len(set(answers)) > 1 for answers in together)


@pytest.mark.parametrize("kind", ["gemma2", "mixtral", "mamba", "lfm2"])
def test_a_prompt_is_read_once_for_all_its_answers(network, kind):
    loaded, read = network(kind), []

    def note(_, __, given):
        read.append(tuple(given["input_ids"].shape))

    handle = loaded.network.register_forward_pre_hook(note, with_kwargs=True)
    try:
        sample(loaded, PROMPTS, num_generations=5, max_new_tokens=2)
    finally:
        handle.remove()
    assert read == [(len(PROMPTS), 20), (len(PROMPTS) * 5, 1)]


@pytest.mark.parametrize(("kind", "window"), [("mpt", 64), ("bloom", None), ("mamba", None)])
def test_a_model_without_position_embeddings_has_the_window_it_names_or_none(network, kind, window):
    assert network(kind).window == (window or sys.maxsize)


def test_a_state_that_cannot_be_copied_is_said_before_anything_is_sampled(network):
    loaded = network("recurrent_gemma")
    with pytest.raises(ModelError) as raised:
        sample(loaded, PROMPTS)
    assert str(raised.value) == (
        "a model of type 'recurrent_gemma' cannot be sampled here: it keeps its state in a way of "
        "its own; serve it and give its address with --endpoint, or take another --model"
    )


def test_steps_of_a_session_are_not_padded_to_its_longest(network):
    """Nothing of what they share is read once, so only their length counts."""
    steps = [[at] * 30 + [7] * more for more in (0, 9, 20, 45) for at in (5, 6)]
    places = divided(network("phi3"), steps, batch_size=2)
    assert places == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_model_that_keeps_nothing_of_what_it_read_is_refused(network):
    with pytest.raises(ModelError, match="'openai-gpt' cannot be sampled here: it keeps nothing"):
        sample(network("openai-gpt"), PROMPTS)


@pytest.fixture(scope="module", params=["phi3", "phimoe"])
def switching(request, tmp_path_factory):
    """A model with other rotary positions for short texts than for long ones."""
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": SWITCH,
    }
    more = {"original_max_position_embeddings": SWITCH, "max_position_embeddings": 256}
    if request.param == "phimoe":
        rope |= {"short_mscale": 1.1, "long_mscale": 1.3}
        more["num_local_experts"] = 4
    folder = tmp_path_factory.mktemp(request.param) / "model"
    return built(folder, request.param, rope_parameters=rope, **more)


LENGTHS = (3, 4, SWITCH - 6, SWITCH - 6, SWITCH - 1, SWITCH, SWITCH + 1, SWITCH + 20)


def of_lengths(lengths):
    return [[5 + at * 31 + i * 7 % 97 for i in range(n)] for at, n in enumerate(lengths)]


@pytest.mark.parametrize("batch_size", [3, 128])
def test_no_prompt_is_placed_as_a_longer_one_of_its_batch(switching, batch_size):
    """Some stay short with their answers, some are long from the start, some grow long."""
    prompts = of_lengths(LENGTHS)
    how = {"num_generations": 3, "max_new_tokens": 20, "batch_size": batch_size}
    got = sample(switching, prompts, temperature=0, **how)
    wanted = [by_transformers(switching, prompt, 20) for prompt in prompts]
    assert [{a.ids for a in answers} for answers in got] == [{ids} for ids in wanted]
    drawn = sample(switching, prompts, seed=3, **how)
    assert drawn == [sample(switching, [prompt], seed=3, **how)[0] for prompt in prompts]


def test_only_prompts_that_grow_long_are_answered_apart(switching):
    places = divided(switching, of_lengths(LENGTHS), max_new_tokens=20)
    assert places == [[0, 1], [2, 3], [4], [5], [6, 7]]


def test_a_prompt_counts_once_for_each_answer_that_holds_a_copy_of_it(network, tiny, monkeypatch):
    """Of 300 columns 4 answers to 50 tokens take 232 where each holds them, 82 where none does."""
    prompts, how = [[7] * 50] * 6, {"num_generations": 4, "max_new_tokens": 8, "batch_size": 64}
    sizes = {}
    for loaded in (network("phi3"), tiny):
        column = shared_module.prompt_bytes(loaded.network, 1, 1)
        monkeypatch.setattr("misstep.models.room.ON_CPU", 300 * column)
        sizes[loaded] = [len(batch) for batch in divided(loaded, prompts, **how)]
    assert list(sizes.values()) == [[1] * 6, [3, 3]]


def test_a_recurrent_state_is_as_large_whatever_the_prompt(network, monkeypatch):
    loaded = network("mamba")
    state = 2 * 64 * (4 + 4) * 4  # layers, inner width, state and convolution, bytes of a float
    assert shared_module.prompt_bytes(loaded.network, 9_999, 3) == 3 * state
    monkeypatch.setattr("misstep.models.room.ON_CPU", 7 * state)
    places = divided(loaded, [[5] * 500] * 4, num_generations=3, max_new_tokens=999)
    assert [len(batch) for batch in places] == [2, 2]
