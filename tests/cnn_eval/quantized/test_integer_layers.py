"""Quantised layers against scalar loops over integers and torch's own quantised convolution, and their gradients."""

from __future__ import annotations

import warnings

import integer_layers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import conv, convolutions, same, values
from torch import nn

from circuits import Design, DesignError
from circuits.netlists.netlist import NetlistBuilder
from cnn_eval import Accumulator, approximate, quantize, recorded_operands
from cnn_eval.audit.victim import approximate_victim
from cnn_eval.quantized.integer_gradients import central_differences, line_slopes
from cnn_eval.quantized.quantized_layers import GRID_BUFFERS

SCHEMES = ("int8", "uint8", "sign_magnitude")
BITS = ((8, 8), (8, 4), (3, 6), (2, 2))
HOW = ("native", "exact design", "ama1")


def exact_design(bits: tuple[int, int], scheme: str) -> Design:
    return Design(format=None, width=bits, signed=scheme == "int8", topology="dadda")


def quantised(layer: nn.Module, x: torch.Tensor, scheme: str, bits: tuple[int, int], how: str, **options: object):
    """The layer with its codes multiplied in one of the ways HOW."""
    network = quantize(layer, x, scheme=scheme, bits=bits, calibration="minmax", **options)
    if how == "native":
        return network
    signed = scheme == "int8"
    design = exact_design(bits, scheme) if how == "exact design" else integer_layers.ama1_design(*bits, signed=signed)
    return approximate(network, design, layers="all")


def integer_sums(layer: nn.Module, x: torch.Tensor) -> np.ndarray:
    """S of a convolution with zero padding or a linear layer."""
    sums = layer.products.sums(x, layer.weight.detach(), layer.geometry)
    assert torch.equal(sums, sums.round())
    return sums.numpy().astype(np.int64)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    convolutions(),
    st.sampled_from(SCHEMES),
    st.sampled_from(BITS),
    st.sampled_from(HOW),
    st.integers(0, 99),
    st.booleans(),
)
def test_convolution_equals_integers_one_by_one(
    drawn: tuple[nn.Conv2d, tuple[int, int, int, int]],
    scheme: str,
    bits: tuple[int, int],
    how: str,
    seed: int,
    positive: bool,
) -> None:
    layer, shape = drawn
    layer.weight = nn.Parameter(values(tuple(layer.weight.shape), seed + 1))
    layer.bias = nn.Parameter(values((layer.out_channels,), seed + 2))
    x = values(shape, seed)
    x = torch.cat([x.abs() if positive else x, torch.zeros(1, *shape[1:])])
    network = quantised(layer, x, scheme, bits, how)
    product = integer_layers.product_of(scheme, bits, exact=how != "ama1")
    sums = integer_layers.layer_sums(network, x.numpy(), product)
    out = network(x).detach()
    assert same(out, integer_layers.layer_output(network, sums))
    if layer.padding_mode == "zeros":
        assert np.array_equal(integer_sums(network, x), sums)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_linear_layer_equals_integers_one_by_one(scheme: str, bits: tuple[int, int], how: str) -> None:
    layer = nn.Linear(7, 4)
    layer.weight = nn.Parameter(values((4, 7), 1))
    x = values((5, 7), 2)
    network = quantised(layer, x, scheme, bits, how)
    sums = integer_layers.layer_sums(network, x.numpy(), integer_layers.product_of(scheme, bits, exact=how != "ama1"))
    assert np.array_equal(integer_sums(network, x), sums)
    assert same(network(x), integer_layers.layer_output(network, sums))
    assert same(network(x[:, None])[:, 0], network(x))


def test_the_operands_of_ama1_cannot_be_exchanged() -> None:
    table = integer_layers.ama1_table(8, 8, False)
    assert not np.array_equal(table, table.T)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("scheme", ["uint8", "sign_magnitude"])
def test_products_with_zero_need_not_be_zero(scheme: str, positive: bool) -> None:
    """m(a, b) = 8 a + b, made of wires alone: a product with 0 depends on the other operand."""
    builder = NetlistBuilder("wires")
    x_bits, y_bits = builder.input("x", 3), builder.input("y", 3)
    builder.output("product", [*y_bits, *x_bits])
    layer, x = conv(4, padding=1, groups=2, in_channels=4, out_channels=4), values((2, 4, 4, 5), 5)
    x = x.abs() if positive else x
    network = quantize(layer, x, scheme=scheme, bits=3, calibration="minmax")
    network = approximate(network, Design(netlist=builder.build()))

    def product(a: int, b: int) -> int:
        if scheme == "uint8":
            return 8 * a + b
        return (-1 if (a < 0) != (b < 0) else 1) * (8 * abs(a) + abs(b))

    assert np.array_equal(integer_sums(network, x), integer_layers.layer_sums(network, x.numpy(), product))


@pytest.mark.parametrize("bits", [(12, 12), (16, 16), (16, 10)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_codes_of_more_than_eight_bits_sum_exactly(scheme: str, bits: tuple[int, int]) -> None:
    layer, x = conv(1, padding=1, out_channels=2, in_channels=2), values((1, 2, 4, 4), 3)
    network = quantised(layer, x, scheme, bits, "exact design")
    sums = integer_layers.layer_sums(network, x.numpy(), lambda a, b: a * b)
    assert np.array_equal(integer_sums(network, x), sums)
    assert np.array_equal(integer_sums(quantised(layer, x, scheme, bits, "native"), x), sums)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_accumulators_of_few_bits_wrap_or_saturate_and_count_overflows(scheme: str, overflow: str, how: str) -> None:
    layer, x = conv(4, padding=1, groups=2, in_channels=4, out_channels=4), values((2, 4, 4, 5), 5)
    network = quantised(layer, x, scheme, (4, 4), how, accumulator=Accumulator(6, overflow))
    product = integer_layers.product_of(scheme, (4, 4), exact=how != "ama1")
    limits = (0, 63) if scheme == "uint8" else (-32, 31)
    limited = integer_layers.layer_sums(network, x.numpy(), product, limits=limits, saturates=overflow == "saturate")
    exact = integer_layers.layer_sums(network, x.numpy(), product)
    network.accumulate_in(Accumulator(6, overflow))  # starts counting anew
    assert np.array_equal(integer_sums(network, x), limited)
    assert not np.array_equal(limited, exact)
    assert network.overflows.sums == limited.size
    differing = int((limited != exact).sum())
    # A sum that saturates on the way can end at the exact one.
    if overflow == "wrap":
        assert network.overflows.overflowed == differing
    assert network.overflows.overflowed >= differing
    wide = Accumulator(24, overflow)
    network.accumulate_in(wide)
    assert np.array_equal(integer_sums(network, x), exact)
    assert (network.overflows.overflowed, network.accumulator) == (0, wide)


def test_a_saturated_sum_is_counted_once_wherever_it_saturates() -> None:
    """7 bits hold -64..63: 60 + 60 - 60 saturates on the way, -60 - 60 at the end, 60 - 60 + 60 never."""
    layer = nn.Linear(3, 3, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[10.0, 10, -10], [-10, -10, 0], [10, -10, 10]]))
    network = quantize(layer, torch.tensor([[6.0, 6, 6], [-1, 0, 0]]), scheme="int8", bits=8, calibration="minmax")
    grids = {name: getattr(network, name) for name in GRID_BUFFERS}
    network.use_grids("int8", {**grids, "input_scale": torch.tensor(1.0), "weight_scale": torch.ones(3)})
    network.accumulate_in(Accumulator(7, "saturate"))
    assert integer_sums(network, torch.tensor([[6.0, 6, 6]])).tolist() == [[3, -64, 60]]
    assert (network.overflows.overflowed, network.overflows.sums) == (2, 3)


def test_an_accumulator_has_bits_and_a_kind_of_overflow() -> None:
    with pytest.raises(
        DesignError, match=r"^2 <= bits <= 63 must hold for an accumulator, but got 1; choose another\.$"
    ):
        Accumulator(1)
    with pytest.raises(DesignError, match=r"^unknown overflow of an accumulator 'clip'"):
        Accumulator(8, "clip")  # type: ignore[arg-type]


def test_codes_round_half_to_even_and_clamp() -> None:
    layer = quantize(nn.Linear(1, 1), torch.tensor([[-127.0], [127.0]]), scheme="int8", calibration="minmax")
    x = torch.tensor([0.5, 1.5, -0.5, -2.5, 126.5, 127.5, 1e30, -1e30, -0.0, 1e-45, torch.inf, -torch.inf])
    expected = [0, 2, 0, -2, 126, 127, 127, -127, 0, 0, 127, -127]
    assert float(layer.input_scale) == 1
    assert layer.input_codes(x[:, None])[:, 0].tolist() == expected
    with pytest.raises(DesignError, match=r"^values to quantise must be numbers, but some are NaN; check the weights"):
        layer(torch.tensor([[torch.nan]]))


@pytest.mark.parametrize("groups", [1, 2])
def test_torchs_own_quantised_convolution_agrees(groups: int) -> None:
    """uint8 by int8 codes shifted by 128: the same scales, zero points and sums; results may round differently once."""
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups)
    x = torch.rand(3, 4, 9, 9) * 3 - 1
    network = quantize(layer, x, scheme="uint8", calibration="minmax")
    scales, zeros = network.weight_scale.double(), network.weight_zero_point.long() - 128
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of these operators
        codes = torch._make_per_tensor_quantized_tensor(
            network.input_codes(x).to(torch.uint8), float(network.input_scale), int(network.input_zero_point)
        )
        weight = torch._make_per_channel_quantized_tensor((network.weight_codes - 128).to(torch.int8), scales, zeros, 0)
        out_scale = 0.01
        try:
            packed = torch.ops.quantized.conv2d_prepack(weight, layer.bias.detach(), [2, 2], [1, 1], [1, 1], groups)
            theirs = torch.ops.quantized.conv2d(codes, packed, out_scale, 128).int_repr().int()
        except (RuntimeError, NotImplementedError) as error:
            pytest.skip(f"this build of torch has no quantised convolution: {error}")
    ours = torch.round(network(x).detach() / out_scale).add(128).clamp(0, 255).int()
    assert int((ours - theirs).abs().max()) <= 1
    assert float((ours == theirs).float().mean()) > 0.99


# Gradients.


def gradients(layer: nn.Module, x: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_()
    layer.zero_grad()
    (layer(x) * weights).sum().backward()
    assert x.grad is not None
    return x.grad, layer.weight.grad


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ste_is_the_gradient_of_the_rounded_layer(scheme: str) -> None:
    layer, x = conv(7, padding=1, stride=2, groups=2, in_channels=4, out_channels=4), values((2, 4, 5, 5), 8)
    network = approximate(
        quantize(layer, x, scheme=scheme, calibration="minmax"), exact_design((8, 8), scheme), backward="ste"
    )
    weights = values(tuple(layer(x).shape), 9)
    by_x, by_weight = gradients(network, x, weights)
    plain = conv(7, padding=1, stride=2, groups=2, in_channels=4, out_channels=4)
    rounded = network.input_grid.centred(x) * network.input_scale
    plain.weight.data = network.weight_grid.centred(network.weight) * network.weight_scale[:, None, None, None]
    expected = gradients(plain, rounded, weights)
    torch.testing.assert_close((by_x, by_weight), expected)


@pytest.mark.parametrize("backward", ["ste", "table1d", "table2d"])
def test_clamped_operands_have_no_gradient(backward: str) -> None:
    x = values((2, 2, 5, 5), 8)
    network = approximate(quantize(conv(7), x, scheme="uint8"), exact_design((8, 8), "uint8"), backward=backward)
    far = x.clone()
    far[0, 0, 2, 2] = 1e6
    far[0, 1, 2, 2] = -1e6
    network.weight.data[0, 0, 0, 0] = 1e6
    by_x, by_weight = gradients(network, far, torch.ones_like(network(far)))
    assert by_x[0, :, 2, 2].tolist() == [0, 0]
    assert by_weight[0, 0, 0, 0] == 0
    assert by_x.count_nonzero() > 50


@pytest.mark.parametrize("scheme", SCHEMES)
def test_table_gradients_of_an_exact_design_are_ste(scheme: str) -> None:
    x, layer = values((2, 2, 6, 6), 8), conv(7, padding=1, dilation=2)
    network = quantize(layer, x, scheme=scheme, bits=(6, 5))
    design = exact_design((6, 5), scheme)
    weights = values(tuple(network(x).shape), 9)
    expected = gradients(approximate(network, design), x, weights)
    for backward in ("table1d", "table2d"):
        found = gradients(approximate(network, design, backward=backward), x, weights)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("backward", ["table1d", "table2d"])
def test_table_gradients_of_ama1_equal_slopes_taken_one_by_one(scheme: str, backward: str) -> None:
    bits = (4, 5)
    layer = nn.Linear(5, 3, bias=False)
    layer.weight = nn.Parameter(values((3, 5), 1))
    x, weights = values((4, 5), 2), values((4, 3), 3)
    network = quantised(layer, x, scheme, bits, "ama1")
    network = approximate(
        quantize(layer, x, scheme=scheme, bits=bits, calibration="minmax"),
        integer_layers.ama1_design(*bits, signed=scheme == "int8"),
        layers="all",
        backward=backward,
    )
    product = integer_layers.product_of(scheme, bits, exact=False)
    (x_low, x_high), (w_low, w_high) = (integer_layers.code_range(scheme, width) for width in bits)
    x_range, w_range = np.arange(x_low, x_high + 1), np.arange(w_low, w_high + 1)

    def slope(line: list[int], at: int) -> float:
        """The derivative of a row or column of the table, at one place or of the best line."""
        if backward == "table1d":
            return float(np.polyfit(np.arange(len(line)), line, 1)[0])
        above, below = min(at + 4, len(line) - 1), max(at - 4, 0)
        return (line[above] - line[below]) / (above - below)

    q_x, q_w = network.input_codes(x).numpy(), network.weight_codes.numpy()
    z_x, z_w = int(network.input_zero_point), network.weight_zero_point.numpy()
    by_x, by_weight = np.zeros((4, 5)), np.zeros((3, 5))
    for m, n, k in np.ndindex(4, 3, 5):
        a, b = int(q_x[m, k]), int(q_w[n, k])
        by_a = slope([product(int(each), b) for each in x_range], a - x_low) - z_w[n]
        by_b = slope([product(a, int(each)) for each in w_range], b - w_low) - z_x
        by_x[m, k] += float(weights[m, n]) * float(network.weight_scale[n]) * by_a
        by_weight[n, k] += float(weights[m, n]) * float(network.input_scale) * by_b
    found = gradients(network, x, weights)
    torch.testing.assert_close(found[0], torch.from_numpy(by_x).float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], torch.from_numpy(by_weight).float(), rtol=1e-4, atol=1e-4)


def test_slopes_of_exact_products_are_the_other_operand() -> None:
    design = exact_design((8, 8), "uint8")
    by_weight, by_input = line_slopes(design, "uint8", (8, 8))
    np.testing.assert_allclose(by_weight, np.arange(256), atol=1e-4)
    np.testing.assert_allclose(by_input, np.arange(256), atol=1e-4)
    by_x, by_w = central_differences(design, "uint8", (8, 8))
    assert np.array_equal(by_x, np.tile(np.arange(256, dtype=np.float32), (256, 1)))
    assert np.array_equal(by_w, by_x.T)


@pytest.mark.parametrize(
    ("backward", "bits", "message"),
    [
        ("approximate", (8, 8), "layer , backward='approximate': gradients must be ste, table1d or table2d for an "),
        ("slope", (8, 8), "layer , backward='slope': gradients must be ste, table1d or table2d for an integer design"),
        ("table1d", (16, 8), "layer , backward='table1d': operands of at most 20 bits together must be tabled for "),
    ],
)
def test_gradients_that_an_integer_design_does_not_have_are_refused(
    backward: str, bits: tuple[int, int], message: str
) -> None:
    x = values((1, 2, 4, 4), 1)
    network = quantize(conv(1), x, scheme="uint8", bits=bits)
    with pytest.raises(DesignError, match=f"^{message}"):
        approximate(network, exact_design(bits, "uint8"), backward=backward)


def test_an_audit_uses_every_gradient_of_a_quantised_network_that_is_cheap() -> None:
    network = approximate(quantize(conv(1), values((1, 2, 4, 4), 1), scheme="uint8"), exact_design((8, 8), "uint8"))
    victim = approximate_victim(network, name="network", compute="auto")
    assert set(victim.gradients) == {"ste", "table1d"}
    assert victim.value is victim.judge


def test_table_gradients_need_an_integer_design() -> None:
    with pytest.raises(
        DesignError, match=r"^layer , backward='table1d': needs an integer design in a quantised layer;"
    ):
        approximate(conv(1), Design(), backward="table1d")


def test_recorded_operands_of_quantised_layers_are_codes() -> None:
    x = values((3, 2, 4, 4), 1)
    network = quantize(conv(1, padding=1), x, scheme="uint8")
    network = approximate(network, exact_design((8, 8), "uint8"), record=True)
    network(x)
    left, right = recorded_operands(network, "", samples=4000)
    assert set(left) <= set(network.input_codes(x).flatten().tolist()) | {int(network.input_zero_point)}
    assert set(right) == set(network.weight_codes.flatten().tolist())
