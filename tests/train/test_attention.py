"""Attention over trees: three ways with one result, equal to reading each row alone."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from misstep.train import attention, tree  # noqa: E402

SESSION = [
    [*range(1, 40), 90, 91],
    [*range(1, 40), 92],
    [*range(1, 40), 50, *range(60, 75), 93, 94],
    [*range(1, 40), 50, *range(60, 75), 95],
    [7, 8, 9],
]
SIDE_BY_SIDE = [[at, at, *range(30)] for at in range(3)]
ALONE = [[1, 2, 3, 4]]


def drawn(rows, dtype=torch.float32, groups=2):
    """Query, key, value and ends for the tree of the rows."""
    ends = torch.from_numpy(tree.grow(rows).ends)[None, None, None]
    torch.manual_seed(0)
    shapes = ((1, 2 * groups, ends.numel(), 8), *[(1, 2, ends.numel(), 8)] * 2)
    sides = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    return sides, ends


def values_and_gradients(compute, sides, ends):
    out = compute(*sides, ends, 0.3)
    weights = torch.arange(out.numel()).view_as(out).sin()
    return out, torch.autograd.grad((out * weights).sum(), sides)


@pytest.fixture(params=[1, 8, 256])
def block(request, monkeypatch):
    """How much is worked out under one mask: from nothing but runs to everything."""
    monkeypatch.setattr(tree, "_BLOCK", request.param)


@pytest.mark.parametrize("rows", [SESSION, SIDE_BY_SIDE, ALONE])
@pytest.mark.parametrize("groups", [1, 3])
def test_pieces_give_the_values_and_gradients_of_a_dense_mask(block, rows, groups):
    sides, ends = drawn(rows, groups=groups)
    out, grads = values_and_gradients(attention.by_pieces, sides, ends)
    dense, theirs = values_and_gradients(attention.by_mask, sides, ends)
    torch.testing.assert_close(out, dense, atol=1e-6, rtol=1e-5)
    for mine, other in zip(grads, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_pieces_in_bfloat16_are_as_close_as_bfloat16_is(block):
    sides, ends = drawn(SESSION, torch.bfloat16)
    exact = [side.detach().float().requires_grad_() for side in sides]
    out, grads = values_and_gradients(attention.by_pieces, sides, ends)
    dense, theirs = values_and_gradients(attention.by_mask, exact, ends)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), dense, atol=0.02, rtol=0.02)
    for mine, other in zip(grads, theirs, strict=True):
        assert (mine.float() - other).norm() < 0.01 * other.norm()


UNFUSED = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


@UNFUSED
@pytest.mark.parametrize("rows", [SESSION, SIDE_BY_SIDE])
def test_flex_attention_sees_the_same(monkeypatch, rows):
    # its own mathematics, which PyTorch refuses to differentiate on a CPU unless this is taken
    # away; its compiled kernels for CUDA are not run here
    from torch.nn.attention import flex_attention

    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    sides, ends = drawn(rows, groups=3)
    out, grads = values_and_gradients(attention.by_flex, sides, ends)
    dense, theirs = values_and_gradients(attention.by_mask, sides, ends)
    torch.testing.assert_close(out, dense, atol=1e-5, rtol=1e-5)
    for mine, other in zip(grads, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_a_row_of_a_tree_gets_what_it_gets_alone():
    sides, ends = drawn(SESSION)
    out = attention.by_pieces(*sides, ends, 0.3)
    for path in tree.grow(SESSION).paths:
        q, k, v = (side[:, :, path] for side in sides)
        k, v = (side.repeat_interleave(2, 1) for side in (k, v))
        alone = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)
        torch.testing.assert_close(out[:, :, path], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("device", "way"), [("cpu", "pieces"), ("cuda", "flex"), ("mps", "dense")])
def test_the_way_is_chosen_by_the_device(device, way):
    assert attention.way(device) == way


@UNFUSED
@pytest.mark.parametrize("name", ["by_flex", "by_mask"])
def test_a_whole_model_gives_the_same_whichever_way_it_reads(tiny, monkeypatch, name):
    from misstep.models import load

    model = load(tiny, dtype="float32").model
    grown = tree.grow(SESSION)
    given = {
        "input_ids": torch.from_numpy(grown.ids)[None],
        "position_ids": torch.from_numpy(grown.positions)[None],
        "attention_mask": torch.from_numpy(grown.ends)[None, None, None],
    }
    attention.switch(model, on=True)
    with torch.no_grad():
        mine = model(**given).logits
        monkeypatch.setattr(attention, "by_pieces", getattr(attention, name))
        theirs = model(**given).logits
        attention.switch(model, on=False)
        rows = [model(input_ids=torch.tensor([row])).logits[0] for row in SESSION]
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    for row, path in zip(rows, grown.paths, strict=True):
        torch.testing.assert_close(mine[0, path], row, atol=1e-4, rtol=1e-4)
