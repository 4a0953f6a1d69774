"""Results on a CUDA device (`pytest -m device`) are those of the processor, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bit_equality import same_bits
from corner_values import CORNERS_OF_FORMATS
from device_products import codes, floats, one_by_one
from layer_cases import DESIGNS, conv, values
from torch import nn

from circuits import FORMATS, NAMED, Design, DesignError, design, matmul
from circuits.engine.device import gate_products
from circuits.support.processor import DEVICE_VARIABLE
from cnn_eval import approximate, load_model, predict, quantize, recorded_operands
from cnn_eval.commands import main
from cnn_eval.data.loading import load

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NARROW = {"placement": "ama1", "ports": "pcs"}


def on_device(each: Design, x: np.ndarray, w: np.ndarray, method: str = "auto") -> np.ndarray:
    result = matmul(each, torch.from_numpy(x).cuda(), torch.from_numpy(w).cuda(), method=method)
    return result.cpu().numpy()


@pytest.mark.parametrize("name", NAMED)
def test_every_named_design_gives_the_bits_of_the_cpu(name: str) -> None:
    corners = CORNERS_OF_FORMATS[:, None], CORNERS_OF_FORMATS[None, :]
    assert same_bits(on_device(design(name), *corners), one_by_one(design(name), *corners))
    for rows, depth, columns in ((3000, 20, 9), (5, 20, 200)):
        x, w = floats((rows, depth), rows), floats((depth, columns), columns)
        assert same_bits(on_device(design(name), x, w), one_by_one(design(name), x, w))


def test_sums_on_the_device_may_be_subnormal() -> None:
    x, w = np.array([[1.5, 1]]) * 2.0**-63, np.array([[1], [-1]]) * 2.0**-63
    assert on_device(design("exact"), x.astype(np.float32), w.astype(np.float32)).tolist() == [[2.0**-127]]


@pytest.mark.parametrize("name", ["exact", "heap", "bfloat16"])
def test_ten_million_products_are_those_of_the_cpu(name: str) -> None:
    x, w = floats((4000, 1), 1, corners=0), floats((1, 2500), 2, corners=0)
    assert same_bits(on_device(design(name), x, w), matmul(design(name), x, w))


@pytest.mark.parametrize("name", [name for name in (*FORMATS, "e5m7", "e7m6") if name != "float32"])
def test_every_format_gives_the_bits_of_the_cpu(name: str) -> None:
    for subnormals in ("flush", "ieee"):
        each = Design(format=name, subnormals=subnormals, rounding="nearest_even", **NARROW)
        if not gate_products.refusal(each):
            x, w = floats((3000, 5), 1), floats((5, 7), 2)
            for method in ("gate", "auto"):
                assert same_bits(on_device(each, x, w, method), one_by_one(each, x, w))


def test_products_that_overflow_and_vanish_by_the_table_are_those_of_the_cpu() -> None:
    each = Design(format="bfloat16", **NARROW)
    rng = np.random.default_rng(1)
    x, w = (rng.integers(0, 1 << 32, shape, dtype=np.uint32).view(np.float32) for shape in ((3000, 1), (1, 2000)))
    assert same_bits(on_device(each, x, w), matmul(each, x, w))


@pytest.mark.parametrize(
    "each",
    [
        Design(format=None, width=8, signed=True, **NARROW),
        Design(format=None, width=(8, 5), **NARROW),
        Design(format=None, width=(12, 16), signed=True, **NARROW),
        Design(format=None, width=24, **NARROW),
    ],
    ids=lambda each: str(each.shape),
)
def test_integer_sums_are_those_of_the_cpu(each: Design) -> None:
    x, w = codes(each, 0, (3000, 30), 1), codes(each, 1, (30, 21), 2)
    expected = one_by_one(each, x, w)
    assert same_bits(on_device(each, x, w), expected)
    assert same_bits(on_device(each, x, w, "gate"), expected)


@pytest.mark.parametrize("each", DESIGNS, ids=lambda each: each.label)
@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": (1, 2)},
        {"dilation": (1, 2), "groups": 2, "in_channels": 4, "out_channels": 6},
        {"groups": 4, "in_channels": 4, "out_channels": 4, "padding": "same"},
    ],
)
def test_layers_and_their_gradients_are_those_of_the_cpu(each: Design, options: dict[str, object]) -> None:
    layer = conv(1, **{"bias": True, **options})
    x = values((3, layer.in_channels, 9, 8), 2)
    for backward in ("approximate", "ste", "slope"):
        try:
            approximated = approximate(layer, each, backward=backward)
        except DesignError:
            continue  # a design without a slope
        results = []
        for device in ("cpu", "cuda"):
            network, leaf = approximated.to(device), x.to(device, copy=True).requires_grad_()
            network.zero_grad()
            out = network(leaf)
            out.backward(values(tuple(out.shape), 3).to(device))
            results.append([out, leaf.grad, network.weight.grad])
            results[-1] = [tensor.detach().cpu().clone() for tensor in results[-1]]
        assert same_bits(results[0][0], results[1][0])
        for one, other in zip(results[0][1:], results[1][1:], strict=True):
            if backward == "approximate":
                assert same_bits(one.numpy(), other.numpy())
            else:
                # torch sums in an order of its own on each device, and may take TF32 where the user lets it.
                torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


def test_linear_layers_and_empty_batches_are_those_of_the_cpu() -> None:
    layer = approximate(nn.Linear(30, 7), design("heap"), layers="linear")
    x = values((33, 30), 1)
    with torch.no_grad():
        expected = layer(x)
        assert same_bits(layer.cuda()(x.cuda()).cpu(), expected)
        assert layer(x[:0].cuda()).shape == (0, 7)


def test_layers_work_on_a_stream_of_the_user() -> None:
    layer, x = approximate(conv(1), design("exact")), values((4, 2, 9, 9), 1)
    with torch.no_grad():
        expected = layer(x)
        layer.cuda()
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            result = layer(x.cuda())
        stream.synchronize()
    assert same_bits(result.cpu(), expected)


def test_recorded_operands_are_those_of_the_cpu() -> None:
    layer, x = nn.Sequential(conv(1)), values((4, 2, 9, 9), 1)
    pairs = []
    for device in ("cpu", "cuda"):
        network = approximate(layer, design("heap"), record=True).to(device)
        with torch.no_grad():
            network(x.to(device))
        pairs.append(recorded_operands(network, "0", samples=100, seed=1))
    for one, other in zip(*pairs, strict=True):
        assert same_bits(one, other)


def test_a_network_predicts_the_classes_of_the_cpu() -> None:
    images = load("mnist", "test").images[:200]
    network = approximate(load_model("lenet5"), design("heap"), layers="all")
    expected = predict(network, images)
    assert torch.equal(predict(network.cuda(), images.cuda()).cpu(), expected)


@pytest.mark.parametrize("scheme", ["int8", "uint8", "sign_magnitude"])
@pytest.mark.parametrize("exact", [True, False])
def test_quantised_layers_give_the_sums_of_the_cpu(scheme: str, exact: bool) -> None:
    x = values((6, 2, 9, 9), 1, corners=False)
    network = nn.Sequential(conv(1), nn.ReLU(), nn.Flatten(), nn.Linear(147, 7)).eval()
    network = quantize(network, x, scheme=scheme)
    if not exact:
        signed = scheme == "int8"
        network = approximate(network, Design(format=None, width=8, signed=signed, **NARROW), layers="all")
    with torch.no_grad():
        expected = network(x)
        assert same_bits(network.cuda()(x.cuda()).cpu(), expected)


def test_networks_can_be_quantised_on_the_device() -> None:
    images = load("cifar10", "test").images[:100]
    networks = [quantize(load_model("resnet8").to(device), images.to(device)) for device in ("cpu", "cuda")]
    # Calibration runs the float network, whose sums differ in the last bits.
    agree = predict(networks[0], images) == predict(networks[1], images.cuda()).cpu()
    assert agree.float().mean() > 0.95


@pytest.mark.parametrize("backward", ["ste", "table1d", "table2d"])
def test_gradients_of_quantised_layers_are_near_those_of_the_cpu(backward: str) -> None:
    x = values((3, 2, 6, 6), 1, corners=False)
    network = quantize(nn.Sequential(conv(1)).eval(), x, scheme="uint8")
    network = approximate(network, Design(format=None, width=8, **NARROW), backward=backward)
    gradients = []
    for device in ("cpu", "cuda"):
        network = network.to(device)
        network.zero_grad()
        network(x.to(device)).square().sum().backward()
        gradients.append(network[0].weight.grad.cpu().clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("command", ["accuracy heap --samples 50", "transfer heap --samples 20"])
def test_commands_print_the_same_on_the_device(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = []
    for device in ("cpu", "cuda"):
        monkeypatch.setenv(DEVICE_VARIABLE, "cpu")  # restored afterwards: the option writes to the environment
        assert main([*command.split(), "--device", device]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
