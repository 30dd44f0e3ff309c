"""What an adapter gives is not lost beside the base's product, however little it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training import DPO, LORA, pairs, settings

torch = pytest.importorskip("torch")

import peft  # noqa: E402


class One(torch.nn.Module):
    """A model of one linear layer."""

    def __init__(self, *, bias=False, dtype=torch.bfloat16):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(96, 64, bias=bias)
        if bias:
            torch.nn.init.normal_(self.layer.bias, std=3.0)
        self.to(dtype)

    def forward(self, x):
        return self.layer(x)


def adapted(size=1e-4, *, bias=False, dtype=torch.bfloat16, **more):
    """With a LoRA whose B is that large; the adapter is float32, as in training."""
    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, target_modules=["layer"], **more)
    model = peft.get_peft_model(One(bias=bias, dtype=dtype), config)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=size)
    return model


def inputs(*shape, dtype=torch.bfloat16):
    torch.manual_seed(2)
    return torch.randn(*shape, 96).to(dtype)


def by(model, x):
    """As training calls a model."""
    casting = peft.helpers.disable_input_dtype_casting(model)
    with torch.autocast("cpu", dtype=torch.bfloat16), casting:
        return model(x)


def share_kept(model, x):
    """How much of what the adapter gives is in the output: 1 is all of it, 0 nothing."""
    with torch.no_grad():
        with model.disable_adapter():
            base = by(model, x).float()
        exact = adapted_in_float32(model)
        given = exact(x.float())
        with exact.disable_adapter():
            given = given - exact(x.float())
        change = by(model, x).float() - base
    return float((change * given).sum() / (given * given).sum())


def adapted_in_float32(model):
    exact = adapted(bias=model.base_model.model.layer.bias is not None, dtype=torch.float32)
    exact.load_state_dict(model.state_dict())
    return exact.float()


def rounded(model):
    from misstep.train.rounding import round_once

    return round_once(model)


@pytest.mark.parametrize("shape", [(500,), (2, 250)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_share_far_below_the_last_digit_arrives_whole(bias, shape):
    x = inputs(*shape)
    assert share_kept(adapted(bias=bias), x) < 0.5
    assert share_kept(rounded(adapted(bias=bias)), x) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("bias", [False, True])
def test_a_grown_adapter_gives_what_it_gave(bias):
    x = inputs(2, 50)
    plain, once = adapted(0.1, bias=bias), rounded(adapted(0.1, bias=bias))
    exact = adapted_in_float32(plain)(x.float())
    errors = [float((by(model, x).float() - exact).detach().norm()) for model in (once, plain)]
    assert errors[0] <= errors[1] * 1.02
    assert errors[0] < 0.01 * exact.norm()


@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_float32(bias):
    once = rounded(adapted(bias=bias, lora_dropout=0.0))
    exact = adapted_in_float32(once)
    x, y = inputs(3, 40).requires_grad_(), inputs(3, 40).float().requires_grad_()
    for model, given, call in ((once, x, by), (exact, y, lambda model, x: model(x))):
        torch.manual_seed(3)
        out = call(model, given)
        out.backward(torch.randn(out.shape).to(out.dtype))
    grads = dict(once.named_parameters())
    for name, parameter in exact.named_parameters():
        if "lora" in name:
            assert (grads[name].grad - parameter.grad).norm() < 0.02 * parameter.grad.norm()
    assert (x.grad.float() - y.grad).norm() < 0.02 * y.grad.norm()


def test_in_float32_every_digit_stays():
    plain, once = (make(adapted(dtype=torch.float32)) for make in (lambda model: model, rounded))
    x = inputs(3, 40, dtype=torch.float32)
    assert torch.equal(once(x), plain(x))


def test_in_autocast_a_float32_base_gives_bfloat16_with_and_without_bias():
    for bias in (False, True):
        once = rounded(adapted(0.1, bias=bias, dtype=torch.float32))
        assert by(once, inputs(2, 5, dtype=torch.float32)).dtype == torch.bfloat16


def test_an_adapter_that_is_switched_off_gives_nothing():
    x = inputs(2, 50)
    once = rounded(adapted(0.1))
    with once.disable_adapter():
        assert torch.equal(by(once, x), by(One(), x))


def test_a_fresh_adapter_changes_no_digit():
    x = inputs(2, 50)
    assert torch.equal(by(rounded(adapted(0.0)), x), by(One(), x))


@pytest.mark.parametrize("kind", ["dora", "lora_bias", "two adapters"])
def test_what_is_not_a_plain_adapter_is_left_to_peft(kind):
    models = []
    for make in (lambda model: model, rounded):
        biased = kind == "lora_bias"  # that of B, which is drawn like its weight
        more = {"use_dora": kind == "dora", "lora_bias": biased, "lora_alpha": 64}
        model = adapted(0.1, bias=biased, **more)
        if kind == "two adapters":
            torch.manual_seed(4)
            fresh = peft.LoraConfig(r=2, target_modules=["layer"], init_lora_weights=False)
            model.add_adapter("other", fresh)
            model.base_model.set_adapter(["default", "other"])
        models.append(make(model))
    x = inputs(2, 50)
    assert torch.equal(by(models[0], x), by(models[1], x))


def test_the_base_layer_is_called_so_that_sharded_weights_come_together():
    called = []
    once = rounded(adapted())
    layer = once.base_model.model.layer.base_layer
    layer.register_forward_pre_hook(lambda *_: called.append(1))
    by(once, inputs(2, 5))
    assert called == [1]


def test_a_layer_whose_forward_pass_is_another_s_is_left_alone():
    from accelerate.hooks import ModelHook, add_hook_to_module

    model = adapted()
    layer = model.base_model.model.layer.base_layer
    add_hook_to_module(layer, ModelHook())
    before = layer.forward
    rounded(model)
    assert layer.forward == before


def test_weights_that_deepspeed_parts_are_left_to_their_layers(monkeypatch):
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    x = inputs(2, 50)
    assert torch.equal(by(rounded(adapted(0.1)), x), by(adapted(0.1), x))


def test_twice_is_once_and_a_merged_layer_is_a_layer_again():
    x = inputs(2, 50)
    once, twice = rounded(adapted(0.1)), rounded(rounded(adapted(0.1)))
    layer = twice.base_model.model.layer
    assert layer.forward.args[1].__func__ is type(layer).forward
    assert torch.equal(by(once, x), by(twice, x))
    merged = twice.merge_and_unload()
    assert torch.equal(merged.layer(input=x), merged.layer(x))


def test_training_in_bfloat16_learns_what_training_in_float32_does(tiny, tmp_path):
    from misstep import train

    def losses(dtype):
        done = train.train_dpo(
            pairs(18),
            base=tiny,
            adapter=None,
            out=tmp_path / dtype,
            config=replace(DPO, learning_rate=1e-3),
            lora=LORA,
            run=settings(dtype=dtype),
        )
        return [entry["loss"] for entry in done.log if "loss" in entry]

    exact, half = losses("float32"), losses("bfloat16")
    assert half[2:] == pytest.approx(exact[2:], abs=0.05)
