"""recover(): the least-squares solution, for float and integer designs, kept in the state_dict, and its effect."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from layer_cases import conv, values
from torch import nn

from circuits import Design, DesignError, design
from cnn_eval import approximate, load_images, load_model, predict, quantize, recover
from cnn_eval.models.inference import logits
from cnn_eval.quantized.recovery import SHARED_BY, gain_and_bias

ROUGH = Design(format=None, width=8, signed=True, truncate_columns=9)


@pytest.mark.parametrize("gain", SHARED_BY)
@pytest.mark.parametrize("bias", SHARED_BY)
def test_gain_and_bias_solve_the_least_squares_problem(gain: str, bias: str) -> None:
    generator = np.random.default_rng(5)
    y = generator.standard_normal((4, 30)) * [[1], [2], [0.1], [3]] + [[1], [0], [-2], [5]]
    t = 1.3 * y + generator.standard_normal((4, 30)) + 0.4
    # One row for each value: columns for the gains, then for the biases, that concern it.
    rows, targets = [], []
    for channel in range(4):
        for a, b in zip(y[channel], t[channel], strict=True):
            gains = {"channel": np.eye(4)[channel] * a, "layer": [a], "none": []}[gain]
            biases = {"channel": np.eye(4)[channel], "layer": [1], "none": []}[bias]
            rows.append([*gains, *biases])
            targets.append(b - a if gain == "none" else b)
    solution = np.linalg.lstsq(np.array(rows).reshape(120, -1), np.array(targets), rcond=None)[0]
    count = {"channel": 4, "layer": 1, "none": 0}[gain]
    sums = torch.from_numpy(np.stack([y.sum(1), t.sum(1), (y * y).sum(1), (y * t).sum(1)]))
    found = gain_and_bias(sums, 30, gain=gain, bias=bias)
    np.testing.assert_allclose(found[0], solution[:count] if count else [1], rtol=1e-5)
    np.testing.assert_allclose(found[1], solution[count:] if bias != "none" else [0], rtol=1e-4, atol=1e-5)


def test_a_constant_output_gets_a_bias_alone() -> None:
    sums = torch.tensor([[60.0], [90.0], [120.0], [180.0]], dtype=torch.float64)  # y = 2, t = 3, thirty times
    for gain, bias in (("channel", "channel"), ("layer", "channel"), ("layer", "layer")):
        assert [float(each) for each in gain_and_bias(sums, 30, gain=gain, bias=bias)] == [1, 1]
    zeros = torch.tensor([[0.0], [90.0], [0.0], [0.0]], dtype=torch.float64)
    for bias in ("channel", "layer"):
        assert [float(each) for each in gain_and_bias(zeros, 30, gain="channel", bias=bias)] == [1, 3]


@pytest.mark.parametrize("kind", ["float", "integer"])
def test_layers_come_nearer_to_the_exact_network_one_after_the_other(kind: str) -> None:
    x = values((30, 2, 8, 8), 1)
    float_ = nn.Sequential(conv(1, bias=True, padding=1), nn.ReLU(), conv(2, in_channels=3))
    exact = quantize(float_, x, scheme="int8") if kind == "integer" else float_
    rough = approximate(exact, ROUGH if kind == "integer" else design("axfpm"))
    recovered = recover(rough, x)
    with torch.no_grad():
        target, first_target = exact(x), exact[0](x)
        assert (recovered[0](x) - first_target).square().mean() < (rough[0](x) - first_target).square().mean()
        inputs = recovered[:2](x)
        plain = copy.deepcopy(recovered[2])
        plain.recovery_gain, plain.recovery_bias = torch.ones(1), torch.zeros(1)
        y, t = (each.movedim(1, 0).flatten(1).double().numpy() for each in (plain(inputs), target))
    for channel in range(3):
        slope, constant = np.polyfit(y[channel], t[channel], 1)
        assert float(recovered[2].recovery_gain[channel]) == pytest.approx(slope, rel=1e-4)
        assert float(recovered[2].recovery_bias[channel]) == pytest.approx(constant, rel=1e-3, abs=1e-4)
    assert (recovered(x) - target).square().mean() < (rough(x) - target).square().mean()
    assert "recovery_gain" not in rough[0].state_dict()


def test_an_exact_design_needs_no_recovery() -> None:
    x = values((10, 2, 6, 6), 1)
    network = approximate(
        quantize(conv(1), x, scheme="int8"), Design(format=None, width=8, signed=True, topology="dadda")
    )
    recovered = recover(network, x)
    torch.testing.assert_close(recovered.recovery_gain, torch.ones(3))
    torch.testing.assert_close(recovered.recovery_bias, torch.zeros(3), atol=1e-5, rtol=0)


def test_gain_and_bias_are_kept_in_the_state_dict() -> None:
    x = values((10, 2, 6, 6), 1)
    recovered = recover(approximate(conv(1), design("axfpm")), x, gain="layer")
    fresh = approximate(conv(2), design("axfpm"))
    fresh.load_state_dict(recovered.state_dict())
    assert torch.equal(fresh(x), recovered(x))
    again = recover(recovered, x, gain="layer")
    assert torch.equal(again(x), recovered(x))
    assert recovered(x[0]).shape == (3, 4, 4)


def test_gradients_pass_through_the_correction() -> None:
    x = values((4, 2, 6, 6), 1)
    network = approximate(conv(1), design("axfpm"))
    recovered = recover(network, x)
    (by_x,) = torch.autograd.grad(recovered(x.requires_grad_()).sum(), x)
    weights = recovered.recovery_gain[:, None, None].expand(3, 4, 4)
    (expected,) = torch.autograd.grad((network(x) * weights).sum(), x)
    torch.testing.assert_close(by_x, expected)


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (conv(1), {}, "recovery needs a network with approximate layers, but has none; use approximate first."),
        (approximate(conv(1), design("heap")), {"gain": "image"}, "unknown kind of gain 'image'"),
        (approximate(conv(1), design("heap")), {"bias": "image"}, "unknown kind of bias 'image'"),
    ],
)
def test_recover_refuses_arguments_with_the_reason(network: nn.Module, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(DesignError, match=f"^{message}"):
        recover(network, values((2, 2, 6, 6), 1), **arguments)


def test_images_without_finite_outputs_are_refused() -> None:
    network = approximate(conv(1), design("heap"))
    with pytest.raises(DesignError, match=r"^recovery needs images, but got none; give some"):
        recover(network, torch.zeros(0, 2, 6, 6))
    with pytest.raises(DesignError, match=r"^outputs must be finite to recover them, but those of layer  are not"):
        recover(network, torch.full((2, 2, 6, 6), torch.inf))


def test_recovery_brings_the_logits_of_lenet5_through_axfpm_nearer() -> None:
    model, x = load_model("lenet5"), load_images("mnist", samples=200)[0]
    network = approximate(model, design("axfpm"), compute="lowered")
    recovered = recover(network, load_images("mnist", "train", samples=100)[0])
    target = logits(model, x)
    assert float((logits(recovered, x) - target).abs().mean()) < 0.3 * float((logits(network, x) - target).abs().mean())


@pytest.mark.slow
def test_recovery_raises_the_accuracy_of_alexnet_through_axfpm() -> None:
    """FACTS 8: 59.6 % and 78.2 % on the 1,000 embedded images; here 300 of them, and 150 to recover from."""
    network = approximate(load_model("alexnet"), design("axfpm"), compute="lowered")
    x, labels = load_images("cifar10", samples=300)
    recovered = recover(network, load_images("cifar10", "train", samples=150)[0])
    before, after = (float((predict(each, x) == labels).float().mean()) for each in (network, recovered))
    assert after - before > 0.1
