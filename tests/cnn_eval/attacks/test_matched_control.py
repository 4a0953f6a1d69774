"""The matched control: exact products, scaled in each layer by the mean gain of the design."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from circuits import DesignError, design
from cnn_eval import approximate, load_model, matched_control, predict
from cnn_eval.data.loading import load

IMAGES = load().images[:6]
NAME = "heap"  # not commutative


@pytest.fixture(scope="module")
def exact() -> nn.Module:
    return load_model("lenet5")


def conv_sums(model: nn.Module, layer: str, x: torch.Tensor) -> torch.Tensor:
    """The layer's exact sums without its bias, by torch."""
    weight = model.get_submodule(layer).get_parameter("weight")
    return (functional.linear if weight.dim() == 2 else functional.conv2d)(x, weight)


def test_each_layer_has_the_gain_that_fits_the_designs_sums_best(exact: nn.Module) -> None:
    network = approximate(exact, design(NAME), layers="all")
    control = matched_control(exact, network, IMAGES)
    inputs: dict[str, torch.Tensor] = {}
    outputs: dict[str, torch.Tensor] = {}
    for name in ("conv1", "conv2", "fc1", "fc2", "fc3"):

        def hook(module: nn.Module, args: tuple[torch.Tensor], output: torch.Tensor, name: str = name) -> None:
            inputs[name], outputs[name] = args[0], output

        network.get_submodule(name).register_forward_hook(hook)
    with torch.no_grad():
        network(IMAGES)
        for name, output in outputs.items():
            own, scaled = exact.get_submodule(name), control.get_submodule(name)
            gain = float((scaled.get_parameter("weight") / own.get_parameter("weight")).median())
            assert torch.allclose(scaled.get_parameter("weight"), gain * own.get_parameter("weight"), rtol=1e-5)
            assert torch.equal(scaled.get_parameter("bias"), own.get_parameter("bias"))
            bias = own.get_parameter("bias")
            y = output - (bias[:, None, None] if output.dim() == 4 else bias)
            t = conv_sums(exact, name, inputs[name])
            best = float((y - gain * t).double().square().sum())
            for other in (0.99 * gain, 1.01 * gain):
                assert best < float((y - other * t).double().square().sum()), name
            assert abs(gain - 1) > 0.001


def test_only_layers_that_the_design_computes_are_scaled_and_nothing_else_changes(exact: nn.Module) -> None:
    before = {key: value.clone() for key, value in exact.state_dict().items()}
    network = approximate(exact, design(NAME))
    control = matched_control(exact, network, IMAGES)
    assert all(torch.equal(value, before[key]) for key, value in exact.state_dict().items())
    changed = {key for key, value in control.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"conv1.weight", "conv2.weight"}
    assert not [module for module in control.modules() if hasattr(module, "design")]
    assert predict(control, IMAGES).shape == (6,)


def test_an_exact_design_has_a_gain_of_one(exact: nn.Module) -> None:
    control = matched_control(exact, approximate(exact, design("exact")), IMAGES)
    for key, value in control.state_dict().items():
        assert torch.allclose(value, exact.state_dict()[key], rtol=1e-5)


def test_a_control_without_layers_images_or_gain_is_refused(exact: nn.Module) -> None:
    for network, images in ((exact, IMAGES), (approximate(exact, design(NAME)), IMAGES[:0])):
        with pytest.raises(DesignError, match="a matched control needs approximate layers and images, but got"):
            matched_control(exact, network, images)
    with pytest.raises(DesignError, match="the gain of layer conv1 must be positive and finite, but is nan"):
        matched_control(exact, approximate(exact, design(NAME)), 0 * IMAGES)
