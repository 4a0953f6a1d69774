"""Tensors on a device: layers and commands with the kernels run on the host, and what is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from bit_equality import same_bits
from device_products import codes, floats
from layer_cases import conv, values
from lopsided import LOPSIDED_ARRAY
from torch import nn

from circuits import Design, DesignError, design, matmul
from circuits.engine import float_operations, padding
from circuits.engine.device import cuda_tensors, tensor_kinds
from circuits.engine.device.launching import HostLaunches
from circuits.engine.matrix_products import gathering
from circuits.support.processor import DEVICE_VARIABLE
from cnn_eval import approximate
from cnn_eval.commands import main
from cnn_eval.layers import convolution
from cnn_eval.layers.convolution import Geometry, convolve, input_gradient, weight_gradient
from cnn_eval.measure.network_accuracy import base_network
from cnn_eval.models import devices

INT8 = Design(format=None, width=8, signed=True, placement="ama1", ports="pcs")
BFLOAT16 = Design(format="bfloat16", placement="ama1", ports="pcs")
GEOMETRIES = (
    (Geometry(), 1),
    (Geometry(stride=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 2)), 1),
    (Geometry(stride=(1, 3), padding=(1, 1, 1, 1), groups=2), 2),
)


@pytest.fixture
def host_as_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor counts as one on a device, whose launches run as loops on the host."""
    for module in (tensor_kinds, gathering, float_operations, convolution, padding):
        monkeypatch.setattr(module, "on_cuda", lambda values: isinstance(values, torch.Tensor))
    monkeypatch.setattr(cuda_tensors, "CudaLaunches", lambda like: HostLaunches())


@pytest.fixture
def chosen_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")


@pytest.mark.usefixtures("host_as_device")
@pytest.mark.parametrize("each", [LOPSIDED_ARRAY, BFLOAT16], ids=["gates", "table of fractions"])
@pytest.mark.parametrize(("geometry", "groups"), GEOMETRIES)
def test_convolutions_and_gradients_of_tensors_are_those_of_arrays(
    geometry: Geometry, groups: int, each: Design
) -> None:
    x, weight = floats((2, 2 * groups, 6, 7), 1), floats((4, 2, 3, 2), 2)
    with np.errstate(all="ignore"):
        out = convolve(each, x, weight, geometry)
        gradient = floats(out.shape, 3)
        expected = [
            out,
            input_gradient(each, gradient, weight, (6, 7), geometry),
            weight_gradient(each, x, gradient, (3, 2), geometry),
        ]
    tensors = [torch.from_numpy(array) for array in (x, weight, gradient)]
    results = [
        convolve(each, tensors[0], tensors[1], geometry),
        input_gradient(each, tensors[2], tensors[1], (6, 7), geometry),
        weight_gradient(each, tensors[0], tensors[2], (3, 2), geometry),
    ]
    for result, array in zip(results, expected, strict=True):
        assert isinstance(result, torch.Tensor)
        assert same_bits(result.numpy(), array)


@pytest.mark.usefixtures("host_as_device")
@pytest.mark.parametrize("method", ["auto", "gate"])
def test_integer_convolutions_of_tensors_with_a_padding_code_equal_those_of_arrays(method: str) -> None:
    x, weight = codes(INT8, 0, (2, 2, 5, 5), 1), codes(INT8, 1, (3, 2, 3, 3), 2)
    geometry = Geometry(padding=(1, 1, 1, 1))
    result = convolve(INT8, torch.from_numpy(x), torch.from_numpy(weight), geometry, method=method, padding_code=-7)
    assert same_bits(result.numpy(), convolve(INT8, x, weight, geometry, padding_code=-7))


@pytest.mark.usefixtures("host_as_device")
def test_matmul_of_tensors_equals_that_of_arrays() -> None:
    x, w = floats((5, 3), 1), floats((3, 4), 2)
    with np.errstate(all="ignore"):
        expected = matmul(LOPSIDED_ARRAY, x, w)
    assert same_bits(matmul(LOPSIDED_ARRAY, torch.from_numpy(x), torch.from_numpy(w)).numpy(), expected)
    x, w = codes(INT8, 0, (5, 3), 1), codes(INT8, 1, (3, 4), 2)
    # Any dtype of integers, and elements anywhere.
    wide = torch.from_numpy(np.ascontiguousarray(x.T)).long().T
    assert same_bits(matmul(INT8, wide, torch.from_numpy(w)).numpy(), matmul(INT8, x, w))
    assert (
        matmul(INT8, torch.zeros(2, 0, dtype=torch.int8), torch.zeros(0, 3, dtype=torch.int8)).tolist() == [[0] * 3] * 2
    )
    with pytest.raises(DesignError, match=r"^-2\^7 <= x < 2\^7 must hold, but got 128; mask the operand\.$"):
        matmul(INT8, wide * 0 + 128, torch.from_numpy(w))
    with pytest.raises(DesignError, match=r"^operand x must hold integers, but has dtype float32; convert it\.$"):
        matmul(INT8, torch.zeros(5, 3), torch.from_numpy(w))
    with pytest.raises(DesignError, match=r"^x and w must both be CUDA tensors or neither"):
        matmul(INT8, x, torch.from_numpy(w))


@pytest.mark.usefixtures("host_as_device")
def test_what_a_device_does_not_serve_is_refused_in_one_line() -> None:
    x = torch.ones(2, 2)
    with pytest.raises(DesignError) as error:
        matmul(Design(subnormals="ieee"), x, x)
    assert str(error.value) == (
        "a CUDA device needs subnormals='flush' in formats as large as float32, but the design has 'ieee'; compute on "
        "the CPU."
    )
    with pytest.raises(DesignError, match=r"^a CUDA device needs operands of at most 32 bits, but the design has 40"):
        matmul(Design(format=None, width=40), x.long(), x.long())


def test_tensors_on_another_device_are_refused() -> None:
    layer = approximate(conv(), LOPSIDED_ARRAY)
    with pytest.raises(DesignError, match=r"^activations must be float32 on the CPU or a CUDA device, but are"):
        layer(values((1, 2, 5, 5), 1).to("meta"))


@pytest.mark.usefixtures("chosen_cuda")
def test_a_network_takes_and_returns_tensors_on_the_cpu_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "require_cuda", lambda: None)
    monkeypatch.setattr(devices, "_CUDA", "cpu")
    moved: list[str] = []
    original = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *a, **k: (moved.append("to"), original(self, *a, **k))[1])
    network = base_network("lenet5")
    plain = copy.deepcopy(network)
    plain._forward_pre_hooks.clear()
    victim = approximate(network, design("heap"))
    images = torch.rand(2, 1, 28, 28)
    moved.clear()
    assert torch.equal(network(images), plain(images))
    assert moved == ["to"]
    # Copies are on the device as well: the hooks go with them.
    assert victim(images).is_cpu
    assert moved == ["to"] * 2
    images.requires_grad_()
    assert torch.autograd.grad(victim(images).sum(), images)[0].is_cpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["accuracy heap", "transfer heap", "attack heap --attacks fgsm", "audit heap"])
def test_without_a_device_every_command_says_so(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")  # restored afterwards: the option writes to the environment
    assert main([*command.split(), "--device", "cuda"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no CUDA device: ")
    assert error.count("\n") == 1


def test_unknown_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "gpu")
    with pytest.raises(DesignError, match=r"unknown value of APPROX_DEVICE 'gpu'"):
        base_network("lenet5")


def test_a_lowered_layer_on_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = approximate(nn.Linear(3, 2), design("axfpm_tiled"), layers="linear", compute="lowered")
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    with pytest.raises(DesignError, match=r"^compute='lowered' needs tensors on the CPU"), torch.no_grad():
        layer(torch.ones(1, 3))
