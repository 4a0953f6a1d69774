"""Gradients of approximate layers, each against an independent computation; lowered products and their bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scalar_layers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import DESIGNS, conv, convolutions, same, values
from lopsided import LOPSIDED_ARRAY
from torch import nn

from circuits import Design, DesignError, design
from cnn_eval import approximate
from cnn_eval.layers import lowered_products as lowered
from cnn_eval.layers.lowered_products import masked, masked_factors

# torch says once a process that it copies images for padding="same" with an even kernel.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")

TILED = design("axfpm_tiled")
BILINEAR = (design("exact"), design("axfpm"), TILED)


def gradients(model: nn.Module, x: torch.Tensor, upstream: torch.Tensor) -> list[torch.Tensor]:
    """Gradients by the input and by every parameter."""
    x = x.detach().clone().requires_grad_()
    out = model(x)
    return list(torch.autograd.grad(out, [x, *model.parameters()], upstream))


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(convolutions(), st.integers(0, 99))
def test_straight_through_gradients_are_those_of_the_exact_layer(
    drawn: tuple[nn.Conv2d, tuple[int, int, int, int]], seed: int
) -> None:
    layer, shape = drawn
    layer.weight = nn.Parameter(values(tuple(layer.weight.shape), seed))
    x = values(shape, seed + 1)
    upstream = values(tuple(layer(x).shape), seed + 2)
    assert_close(gradients(approximate(layer, LOPSIDED_ARRAY), x, upstream), gradients(layer, x, upstream))


def test_straight_through_gradients_of_a_linear_layer_and_of_biases() -> None:
    for layer, x in ((nn.Linear(5, 4), values((3, 7, 5), 1)), (nn.Conv2d(2, 3, 3), values((3, 2, 5, 5), 2))):
        upstream = values(tuple(layer(x).shape), 3)
        for compute in ("gate", "lowered"):
            approximated = approximate(layer, TILED, layers="all", compute=compute)
            assert_close(gradients(approximated, x, upstream), gradients(layer, x, upstream))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(convolutions(), st.sampled_from(DESIGNS), st.integers(0, 99), st.booleans())
def test_approximate_gradients_equal_a_scalar_loop(
    drawn: tuple[nn.Conv2d, tuple[int, int, int, int]], multiplier: Design, seed: int, corners: bool
) -> None:
    layer, shape = drawn
    layer.padding_mode = "zeros"
    layer.weight = nn.Parameter(values(tuple(layer.weight.shape), seed))
    x = values(shape, seed + 1, corners=corners)
    approximated = approximate(layer, multiplier, backward="approximate")
    upstream = values(tuple(approximated(x).shape), seed + 2)
    by_x, by_weight = gradients(approximated, x, upstream)
    expected = scalar_layers.convolution_gradients(layer, x.numpy(), upstream.numpy(), multiplier.multiply)
    assert same(by_x, expected[0])
    assert same(by_weight, expected[1])


def test_approximate_gradients_through_circular_padding_add_up_at_the_source() -> None:
    layer, x = conv(padding=1, padding_mode="circular"), values((1, 2, 4, 4), 1)
    upstream = values((1, 3, 4, 4), 2)
    padded = torch.from_numpy(scalar_layers.pad(x[0].numpy(), (1, 1, 1, 1), "circular"))[None]
    bare = conv(padding=0)
    expected, by_weight = scalar_layers.convolution_gradients(
        bare, padded.numpy(), upstream.numpy(), LOPSIDED_ARRAY.multiply
    )
    folded = np.zeros((1, 2, 4, 4), dtype=np.float64)
    for row, column in itertools.product(range(6), range(6)):
        folded[..., (row - 1) % 4, (column - 1) % 4] += expected[..., row, column]
    found = gradients(approximate(layer, LOPSIDED_ARRAY, backward="approximate"), x, upstream)
    np.testing.assert_allclose(found[0].numpy(), folded, rtol=1e-5, atol=1e-5)
    assert same(found[1], by_weight)


@pytest.mark.parametrize("multiplier", DESIGNS, ids=lambda multiplier: multiplier.name)
def test_approximate_gradients_of_a_linear_layer_equal_a_scalar_loop(multiplier: Design) -> None:
    layer, x, upstream = nn.Linear(6, 4), values((5, 6), 1, corners=True), values((5, 4), 2)
    by_x, by_weight, by_bias = gradients(
        approximate(layer, multiplier, layers="linear", backward="approximate"), x, upstream
    )
    weight = layer.weight.detach().numpy()
    assert same(by_x, scalar_layers.linear(upstream.numpy(), weight.T, multiplier.multiply))
    # weight.grad[n, k] = sum over m of x[m, k] * gradient[m, n]
    assert same(by_weight, scalar_layers.linear(x.numpy().T, upstream.numpy().T, multiplier.multiply).T)
    torch.testing.assert_close(by_bias, upstream.sum(0))


def test_approximate_gradients_do_not_depend_on_the_split_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, upstream = conv(stride=2, padding=1), values((6, 2, 7, 7), 1), values((6, 3, 4, 4), 2)
    approximated = approximate(layer, LOPSIDED_ARRAY, backward="approximate")
    whole = gradients(approximated, x, upstream)
    monkeypatch.setattr("cnn_eval.layers.convolution._POSITIONS_PER_CALL", 100)
    assert all(map(same, gradients(approximated, x, upstream), whole))


def test_only_the_gradients_that_are_needed_are_computed() -> None:
    approximated, x = approximate(conv(), TILED, backward="approximate"), values((1, 2, 5, 5), 1)
    approximated.weight.requires_grad_(False)
    x.requires_grad_()
    approximated(x).sum().backward()
    assert x.grad is not None
    assert approximated.weight.grad is None


@pytest.mark.parametrize("backward", ["ste", "approximate", "slope"])
def test_gradients_can_be_taken_once(backward: str) -> None:
    approximated, x = approximate(conv(), TILED, backward=backward), values((1, 2, 5, 5), 1).requires_grad_()
    (gradient,) = torch.autograd.grad(approximated(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


# ---- slope


def axfpm_tiled_real(x: float, w: float) -> float:
    """FACTS 2, on float64 values of float32 numbers: (X & 0x111111) Y + 2 (X & 0xEEEEEE) (Y & 0x888888), exact."""

    def split(value: float) -> tuple[int, float]:
        fraction, exponent = np.frexp(abs(value))
        return int(fraction * 2**24), float(np.ldexp(np.sign(value), int(exponent) - 24))

    (big_x, scale_x), (big_w, scale_w) = split(x), split(w)
    product = (big_x & 0x111111) * big_w + 2 * (big_x & 0xEEEEEE) * (big_w & 0x888888)
    return float(product) * scale_x * scale_w


def test_slope_is_the_chord_of_the_product_over_an_octave() -> None:
    """By finite differences from the first to the last mantissa of an octave, the other operand fixed."""
    first, last = float(np.float32(1)), float(np.float32(2) - np.float32(2.0**-23))
    for scale, other in ((1.0, 0.7), (-4.0, 1.37), (0.125, -2.9)):
        other = float(np.float32(other))
        chord = (axfpm_tiled_real(scale * last, other) - axfpm_tiled_real(scale * first, other)) / (
            scale * (last - first)
        )
        layer = nn.Linear(1, 1, bias=False)
        layer.weight = nn.Parameter(torch.tensor([[other]]))
        approximated = approximate(layer, TILED, layers="linear", backward="slope")
        by_x, _ = gradients(approximated, torch.tensor([[scale * 1.618]]), torch.ones(1, 1))
        np.testing.assert_allclose(by_x.item(), chord, rtol=1e-6)

        chord = (axfpm_tiled_real(other, scale * last) - axfpm_tiled_real(other, scale * first)) / (
            scale * (last - first)
        )
        layer.weight = nn.Parameter(torch.tensor([[scale * 1.618]]))
        approximated = approximate(layer, TILED, layers="linear", backward="slope")
        _, by_weight = gradients(approximated, torch.tensor([[other]]), torch.ones(1, 1))
        np.testing.assert_allclose(by_weight.item(), chord, rtol=1e-6)


def slopes(x: float, w: float) -> tuple[float, float]:
    """(d/dx, d/dw) of axfpm_tiled's form, from FACTS 2 and DESIGN 3."""

    def kept(value: float, mask: int) -> float:
        fraction, exponent = np.frexp(abs(value))
        return float(np.ldexp(np.sign(value) * (int(fraction * 2**24) & mask), int(exponent) - 24))

    def mean_slope(mask: int) -> float:
        return (mask & (2**23 - 1)) / (2**23 - 1)

    by_x = mean_slope(0x111111) * kept(w, 0xFFFFFF) + 2 * mean_slope(0xEEEEEE) * kept(w, 0x888888)
    by_w = mean_slope(0xFFFFFF) * kept(x, 0x111111) + 2 * mean_slope(0x888888) * kept(x, 0xEEEEEE)
    return by_x, by_w


@pytest.mark.parametrize("compute", ["gate", "lowered"])
def test_slope_gradients_of_a_convolution_equal_a_loop(compute: str) -> None:
    layer = conv(in_channels=4, out_channels=4, groups=2, stride=(2, 1), padding=(1, 2), dilation=(1, 2))
    x = values((2, 4, 5, 6), 1)
    approximated = approximate(layer, TILED, backward="slope", compute=compute)
    upstream = values(tuple(approximated(x).shape), 2)
    weight = layer.weight.detach().numpy()
    by_x, by_weight = np.zeros(x.shape), np.zeros(weight.shape)
    top, _, left, _ = scalar_layers.sides(layer)
    for b, image in enumerate(x.numpy()):
        padded = scalar_layers.pad(image, scalar_layers.sides(layer), "zeros")
        for n, row, column, c, i, j, at in scalar_layers.places(layer, padded):
            g = float(upstream[b, n, row, column])
            d_x, d_w = slopes(float(padded[c, i, j]), float(weight[at]))
            by_weight[at] += g * d_w
            if 0 <= i - top < x.shape[2] and 0 <= j - left < x.shape[3]:
                by_x[b, c, i - top, j - left] += g * d_x
    found = gradients(approximated, x, upstream)
    np.testing.assert_allclose(found[0].numpy(), by_x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1].numpy(), by_weight, rtol=1e-4, atol=1e-4)


def test_slope_of_exact_is_the_exact_gradient_and_axfpm_has_none_by_the_weight() -> None:
    layer, x, upstream = conv(), values((2, 2, 5, 5), 1), values((2, 3, 3, 3), 2)
    exact = gradients(layer, x, upstream)
    assert_close(gradients(approximate(layer, design("exact"), backward="slope"), x, upstream), exact)
    # axfpm gives x * 2^(exponent(w) + 1), except for x's last bit (FACTS 2).
    by_x, by_weight = gradients(approximate(layer, design("axfpm"), backward="slope"), x, upstream)
    powers = conv()
    with torch.no_grad():
        powers.weight.copy_(powers.weight.sign() * 2 ** (powers.weight.abs().log2().floor() + 1))
    torch.testing.assert_close(by_x, gradients(powers, x, upstream)[0], rtol=1e-5, atol=1e-4)
    assert by_weight.abs().max() < 1e-5 * exact[1].abs().max()


# ---- lowered


def bound(layer: nn.Module, x: torch.Tensor, multiplier: Design) -> torch.Tensor:
    """(K + 2) 2^-23 sum |p_k| (DESIGN 4). The |p_k| are the products of magnitudes, since signs only multiply."""
    bare = approximate(layer, multiplier, layers="all")
    with torch.no_grad():
        bare.weight.abs_()
        magnitudes = bare(x.abs()).double()
    depth = layer.weight[0].numel()
    # The gate-exact sum of magnitudes is itself rounded.
    return (depth + 2) * 2.0**-23 * magnitudes * (1 + depth * 2.0**-23)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(convolutions(), st.sampled_from(BILINEAR), st.integers(0, 99))
def test_lowered_convolution_stays_within_the_bound(
    drawn: tuple[nn.Conv2d, tuple[int, int, int, int]], multiplier: Design, seed: int
) -> None:
    layer, shape = drawn
    layer.weight = nn.Parameter(values(tuple(layer.weight.shape), seed))
    x = values(shape, seed + 1)
    gate = approximate(layer, multiplier)(x).double()
    lowered = approximate(layer, multiplier, compute="lowered")(x).double()
    assert torch.all((lowered - gate).abs() <= bound(layer, x, multiplier))


@pytest.mark.parametrize("multiplier", BILINEAR, ids=lambda multiplier: multiplier.name)
def test_lowered_layers_of_usual_sizes_stay_within_the_bound(multiplier: Design) -> None:
    layers = (
        (nn.Conv2d(64, 16, 3, padding=1, bias=False), (2, 64, 8, 8)),
        (nn.Conv2d(6, 16, 5, bias=False), (4, 6, 12, 12)),
        (nn.Linear(700, 20, bias=False), (9, 700)),
    )
    for seed, (layer, shape) in enumerate(layers):
        x = values(shape, seed).abs()
        gate = approximate(layer, multiplier, layers="all")(x).double()
        approximated = approximate(layer, multiplier, layers="all", compute="lowered")
        assert torch.all((approximated(x).double() - gate).abs() <= bound(layer, x, multiplier))


def test_lowered_products_in_chunks_equal_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = conv(bias=True, padding=1), values((9, 2, 6, 6), 1)
    expected = approximate(layer, TILED, compute="lowered")(x)
    monkeypatch.setattr(lowered, "_CHUNK_BYTES", 4 * 200 // torch.get_num_threads())
    torch.testing.assert_close(approximate(layer, TILED, compute="lowered")(x), expected, rtol=1e-5, atol=1e-5)


def test_lowered_gradients_are_near_the_gate_exact_ones() -> None:
    layer = conv(in_channels=4, out_channels=4, groups=2, stride=2, padding=1, bias=True)
    for made_of, x in ((layer, values((2, 4, 7, 7), 1)), (nn.Linear(6, 5), values((3, 6), 2))):
        upstream = values(tuple(made_of(x).shape), 3)
        gate, low = (
            gradients(approximate(made_of, TILED, layers="all", backward="approximate", compute=compute), x, upstream)
            for compute in ("gate", "lowered")
        )
        for one, other in zip(gate, low, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_lowered_results_are_not_finite_where_an_operand_is_not() -> None:
    layer = nn.Linear(3, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[1.5, 0.0, -2.0]]))
    for multiplier in BILINEAR:
        approximated = approximate(layer, multiplier, layers="linear", compute="lowered")
        for value in (np.inf, -np.inf, np.nan):
            assert not approximated(torch.tensor([[value, 1.0, 1.0]])).isfinite().any()
        assert approximated(torch.ones(1, 3)).isfinite().all()


def test_masking_keeps_sign_and_exponent_and_the_bits_of_the_mask() -> None:
    x = torch.tensor([1.9999999, -3.75, 0.0, 2.0**-130])
    assert masked(x, 0xFFFFFF) is not None
    assert torch.equal(masked(x, 0xFFFFFF), x)
    assert masked(x, 0x800000).tolist()[:3] == [1.0, -2.0, 0.0]
    assert masked(x, 0x600000).tolist()[:3] == [0.75, -1.5, 0.0]  # -3.75 = -2 (1 + 1/2 + 1/4 + 1/8)
    assert [(f.x_mask, f.w_mask, f.coefficient) for f in masked_factors(TILED)] == [
        (0x111111, 0xFFFFFF, 1.0),
        (0xEEEEEE, 0x888888, 2.0),
    ]


@pytest.mark.parametrize("arguments", [{"compute": "lowered"}, {"backward": "slope"}])
def test_designs_that_cannot_be_lowered_are_refused(arguments: dict[str, str]) -> None:
    ((key, value),) = arguments.items()
    start = f"layer conv1, {key}={value!r}: lowering needs "

    def message(multiplier: Design) -> str:
        with pytest.raises(DesignError) as error:
            approximate(nn.ModuleDict({"conv1": conv()}), multiplier, **arguments)
        return str(error.value).removeprefix(start)

    assert message(design("axfpm_released")) == (
        "normalization='full', but axfpm_released has 'released': its result is no bilinear form; compute it "
        "gate-exact."
    )
    assert message(design("ama3_array")) == (
        "a bilinear form in the operand bits, but none is proved for ama3_array; compute it gate-exact."
    )
    assert message(Design(format="bfloat16", name="brain")) == (
        "format='float32' and subnormals='flush', but brain has format='bfloat16' and subnormals='flush'; "
        "compute it gate-exact."
    )


def test_lowered_products_refuse_a_narrower_float_format_of_torch() -> None:
    approximated, x = approximate(conv(), TILED, compute="lowered"), values((1, 2, 5, 5), 1)
    try:
        torch.set_float32_matmul_precision("medium")
        with pytest.raises(DesignError) as error:
            approximated(x)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert str(error.value) == (
        "torch.backends.mkldnn.matmul.fp32_precision must be 'none' or 'ieee' for lowered products, but is 'bf16'; "
        "call torch.set_float32_matmul_precision('highest')."
    )
    approximated(x)
