"""DoReFa quantisation against the paper's equations in plain Python, and the networks of DA table 11."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from circuits import design
from cnn_eval import approximate, load_model
from cnn_eval.data.loading import load
from cnn_eval.models.networks.table11 import Table11
from cnn_eval.models.quantization import (
    Bfloat16,
    QuantConv2d,
    QuantLinear,
    QuantReLU,
    freeze_weights,
    quantize_unit,
    quantize_weight,
)
from cnn_eval.models.registry import build


def by_equation_5(value: float, bits: int) -> float:
    levels = 2**bits - 1
    return round(levels * value) / levels


def by_equation_9(weights: list[float], bits: int) -> list[float]:
    largest = max(abs(math.tanh(weight)) for weight in weights)
    return [2 * by_equation_5(math.tanh(weight) / (2 * largest) + 0.5, bits) - 1 for weight in weights]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_quantised_weights_and_activations_follow_the_equations_of_dorefa(bits: int) -> None:
    weights = torch.randn(200, generator=torch.Generator().manual_seed(bits)) * 0.7
    expected = torch.tensor(by_equation_9(weights.double().tolist(), bits))
    torch.testing.assert_close(quantize_weight(weights, bits), expected, rtol=0, atol=1e-5)
    assert len(quantize_weight(weights, bits).unique()) <= 2**bits
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = torch.tensor([by_equation_5(value, bits) for value in grid.tolist()], dtype=torch.float64)
    torch.testing.assert_close(quantize_unit(grid, bits), expected, rtol=0, atol=1e-12)


def test_one_bit_is_the_sign_times_the_mean_magnitude() -> None:
    weights = torch.tensor([0.5, -0.1, 0.3, -0.7])
    torch.testing.assert_close(quantize_weight(weights, 1), torch.tensor([0.4, -0.4, 0.4, -0.4]))


def test_gradients_pass_straight_through() -> None:
    values = torch.tensor([0.1, 0.52, 0.9], requires_grad=True)
    quantize_unit(values, 2).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1, 1, 1]
    # equation 9: the rounding passes, tanh and the scale remain: d/dw = (1 - tanh^2 w) / max|tanh w|
    weights = torch.tensor([0.3, -1.0, 0.8], requires_grad=True)
    quantize_weight(weights, 4).sum().backward()
    squeezed = weights.detach().tanh()
    torch.testing.assert_close(weights.grad, (1 - squeezed**2) / squeezed.abs().max())
    # ReLU: nothing outside [0, 1]
    values = torch.tensor([-0.5, 0.4, 1.5], requires_grad=True)
    QuantReLU(bits=4)(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 0]


def test_layers_use_quantised_weights_and_keep_their_own() -> None:
    torch.manual_seed(0)
    convolution, linear = QuantConv2d(3, 4, 3, padding=1, bits=4), QuantLinear(5, 6, bits=4)
    images, features = torch.rand(2, 3, 8, 8), torch.rand(2, 5)
    torch.testing.assert_close(
        convolution(images),
        nn.functional.conv2d(images, quantize_weight(convolution.weight, 4), convolution.bias, padding=1),
    )
    torch.testing.assert_close(linear(features), features @ quantize_weight(linear.weight, 4).T + linear.bias)
    assert len(convolution.weight.unique()) > 16
    model = nn.Sequential(convolution, nn.Flatten(), nn.Linear(256, 5), linear)
    frozen = freeze_weights(model)
    assert [type(layer) for layer in frozen] == [nn.Conv2d, nn.Flatten, nn.Linear, nn.Linear]
    assert torch.equal(frozen(images), model(images))
    assert type(model[0]) is QuantConv2d
    # what holds plain layers can be computed through a design
    replaced = approximate(frozen, design("exact"), layers="all")
    torch.testing.assert_close(replaced(images), model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [0, 17])
def test_numbers_of_bits_outside_the_range_are_refused(bits: int) -> None:
    message = rf"^1 <= bits <= 16 must hold, but got {bits}; choose a number of bits in that range\.$"
    for make in (lambda: QuantReLU(bits=bits), lambda: QuantLinear(1, 1, bits=bits)):
        with pytest.raises(ValueError, match=message):
            make()


def test_table_11_networks_have_the_layers_of_the_paper_in_its_order() -> None:
    """The rows of DA table 11, transcribed: full | weight quantised."""
    block = ["Conv", "BN", "ReLU"]
    published = [
        *block, "Conv", "ReLU", "Pool", "BN", "ReLU",
        *block, "Conv", "Pool", "BN", "ReLU",
        *block, "Conv", "Pool", "BN", "ReLU",
        "Dense", "BN", "ReLU", "Dense", "BN", "ReLU", "Dense",
    ]  # fmt: skip
    kinds = {
        QuantConv2d: "Conv",
        nn.Conv2d: "Conv",
        QuantLinear: "Dense",
        nn.Linear: "Dense",
        QuantReLU: "ReLU",
        nn.ReLU: "ReLU",
        nn.MaxPool2d: "Pool",
        nn.BatchNorm2d: "BN",
        nn.BatchNorm1d: "BN",
    }
    bits = {"dorefa_full": (4, 4), "dorefa_weight": (4, None), "dorefa_float": (None, None)}
    for name, (of_weights, of_activations) in bits.items():
        model = build(name, seed=0, for_training=True).eval()
        assert isinstance(model, Table11)
        layers = [layer for layer in model.layers if not isinstance(layer, nn.Flatten)]
        assert [kinds[type(layer)] for layer in layers] == published
        assert {getattr(layer, "bits", None) for layer in layers if kinds[type(layer)] == "Conv"} == {of_weights}
        dense = [layer for layer in layers if kinds[type(layer)] == "Dense"]
        assert [getattr(layer, "bits", None) for layer in dense] == [of_weights, of_weights, None]
        assert {getattr(layer, "bits", None) for layer in layers if kinds[type(layer)] == "ReLU"} == {of_activations}
        assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(("name", "bits"), [("dorefa_full", 4), ("dorefa_weight", 4), ("dorefa_float", None)])
def test_committed_weights_have_the_bits_that_their_name_says(name: str, bits: int | None) -> None:
    layers = [layer for layer in load_model(name).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    distinct = [len(layer.weight.unique()) for layer in layers]
    assert len(distinct) == 9
    if bits is None:
        assert min(distinct) > 500
    else:
        assert max(distinct[:-1]) <= 2**bits
        levels = torch.linspace(-1, 1, 2**bits)
        for layer in layers[:-1]:
            assert float((layer.weight.detach().unique()[:, None] - levels).abs().amin(1).max()) < 1e-6


def test_bfloat16_network_computes_in_bfloat16() -> None:
    model = load_model("lenet5")
    images = load().images[:20]
    computed = Bfloat16(model)(images)
    assert computed.dtype == torch.float32
    # the last layer's outputs are bfloat16 values: 8 bits of mantissa, the rest 0
    assert int((computed.detach().view(torch.int32) & 0xFFFF).abs().max()) == 0
    exact = model(images)
    assert not torch.equal(computed, exact)
    torch.testing.assert_close(computed, exact, rtol=0.05, atol=0.3)
    assert next(model.parameters()).dtype == torch.float32
