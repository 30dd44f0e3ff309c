import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from misstep.errors import ModelError  # noqa: E402
from misstep.models.draw import pick, prompt_keys, uniforms  # noqa: E402


def counts(logits, draws=20_000, **how):
    rows = torch.tensor([logits]).expand(draws, -1)
    even = (torch.arange(draws) + 0.5) / draws
    return torch.bincount(pick(rows, even, **how), minlength=len(logits)) / draws


def test_the_most_likely_token_is_taken_at_temperature_zero():
    assert pick(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([0.0]), temperature=0, top_p=1) == 1


def test_tokens_come_as_often_as_their_probability():
    logits = torch.linspace(-2, 2, 700).tolist()
    expected = torch.tensor(logits).softmax(-1)
    assert torch.allclose(counts(logits, temperature=1.0, top_p=1.0), expected, atol=2e-4)


def test_the_temperature_divides_the_logits():
    expected = torch.tensor([0.5, 1.0]).softmax(-1)
    assert torch.allclose(counts([1.0, 2.0], temperature=2.0, top_p=1.0), expected, atol=2e-4)


def test_a_nucleus_keeps_the_smallest_set_that_reaches_top_p():
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log().tolist()
    got = counts(logits, temperature=1.0, top_p=0.7)
    assert torch.allclose(got, torch.tensor([0, 2 / 3, 0, 1 / 3]), atol=2e-4)


def test_a_flat_nucleus_wider_than_the_first_guess_is_found():
    got = counts([0.0] * 1000, temperature=1.0, top_p=0.9)
    assert int((got > 0).sum()) in (899, 900, 901)


@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-24, 1.0])
def test_a_token_without_weight_is_never_drawn(draw):
    logits = torch.full((1, 1000), -torch.inf)
    logits[0, [300, 700]] = 0.0
    assert int(pick(logits, torch.tensor([draw]), temperature=1.0, top_p=1.0)) in (300, 700)


@pytest.mark.parametrize(("temperature", "top_p"), [(0, 1.0), (1.0, 1.0), (1.0, 0.9)])
def test_logits_that_are_no_numbers_are_said(temperature, top_p):
    logits = torch.zeros(2, 700)
    logits[1, 400] = torch.nan
    with pytest.raises(ModelError, match=r"not a number \(NaN\): its weights"):
        pick(logits, torch.tensor([0.3, 0.6]), temperature=temperature, top_p=top_p)


def test_picking_leaves_the_logits_as_they_were():
    logits = torch.tensor([[1.0, 2.0]])
    pick(logits, torch.tensor([0.5]), temperature=2.0, top_p=1.0)
    assert logits.tolist() == [[1.0, 2.0]]


def test_equal_prompts_in_one_call_draw_differently():
    first, second = prompt_keys([[1, 2], [1, 2]], seed=0)
    assert first != second


def test_draws_depend_on_the_seed_and_the_prompt_alone():
    assert prompt_keys([[1, 2], [3]], seed=0) == prompt_keys([[3], [1, 2]], seed=0)[::-1]
    assert prompt_keys([[1, 2]], seed=0) != prompt_keys([[1, 2]], seed=1)


def test_more_or_longer_answers_keep_the_draws_of_the_others():
    few, many = uniforms(b"key", 2, 5), uniforms(b"key", 4, 9)
    assert torch.equal(few, many[:2, :5])
    assert not torch.equal(many[0], many[1])
