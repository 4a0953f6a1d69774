"""AlexNet through designs: everything that works for LeNet-5, on colour images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from circuits import CELLS, Design
from cnn_eval import approximate, load_model
from cnn_eval.commands import main
from cnn_eval.data.loading import load
from cnn_eval.layers.approximate_layers import approximate_layer
from cnn_eval.layers.convolution import convolve
from cnn_eval.models.inference import logits

# does not commute: AMA4 sits where the ports matter, and rows belong to the first operand
MIXED = Design(
    topology="carry_save_array", placement={"columns": [CELLS["ama4"]] * 20 + ["exact"] * 28}, ports="csp", name="mixed"
)


def test_alexnet_multiplies_through_the_design() -> None:
    """Each convolution's output is the float32 sum of scalar products, checked at random positions of two images."""
    images = load("cifar10").images[:2]
    network = approximate(load_model("alexnet"), MIXED, record=False)
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for number in range(1, 6):
        name = f"conv{number}"
        approximate_layer(network, name).register_forward_hook(
            lambda _, given, output, name=name: seen.__setitem__(name, (given[0], output))
        )
    assert logits(network, images).shape == (2, 10)
    random = np.random.default_rng(5)
    for name, (given, output) in seen.items():
        layer = approximate_layer(network, name)
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        size, pad = weight.shape[2], weight.shape[2] // 2
        padded = np.pad(given.numpy(), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        for _ in range(3):
            image, channel = random.integers(2), random.integers(output.shape[1])
            y, x = random.integers(output.shape[2]), random.integers(output.shape[3])
            products = MIXED.multiply(padded[image, :, y : y + size, x : x + size], weight[channel]).ravel()
            total = np.float32(0)
            for product in products:
                total = np.float32(total + product)
            assert output[image, channel, y, x].item() == np.float32(total + bias[channel])


@pytest.mark.slow
def test_results_do_not_depend_on_the_batch_split() -> None:
    images = load("cifar10").images[:5]
    network = approximate(load_model("alexnet"), MIXED, layers="conv", filter=lambda name, _: name == "conv5")
    x = network.get_submodule("conv5")
    assert x.design == MIXED
    whole, split = logits(network, images), logits(network, images, batch_size=2)
    torch.testing.assert_close(whole, split, rtol=1e-5, atol=1e-5)
    given = torch.rand(3, 8, 6, 6).numpy()
    weight = torch.randn(4, 8, 3, 3).numpy()
    geometry = x.geometry
    together = convolve(MIXED, given, weight, geometry)
    apart = np.concatenate([convolve(MIXED, given[i : i + 1], weight, geometry) for i in range(3)])
    assert together.tobytes() == apart.tobytes()


@pytest.mark.slow
def test_commands_run_the_larger_networks_through_designs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accuracy", "exact", "axfpm", "--model", "alexnet", "--samples", "20", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["images"] for row in result["results"]] == [20, 20]
    assert result["results"][0]["accuracy"] >= 0.6
    assert main(["accuracy", "axfpm", "--model", "dorefa_weight", "--samples", "10", "--compute", "lowered"]) == 0
    assert "dorefa_weight" in capsys.readouterr().out
    assert main(["transfer", "axfpm", "--model", "alexnet", "--samples", "20", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["results"]
    assert all(0 <= row["fooled"] <= row["eligible"] <= 20 for row in rows)
    assert rows[0]["eligible"] > 0
