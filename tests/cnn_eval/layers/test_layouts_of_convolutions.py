"""Convolutions in the lane layouts of few rows, and whose subnormal elements are no zeros, against single products."""

from __future__ import annotations

import numpy as np
import pytest
from bit_equality import same_bits
from device_products import one_by_one
from lopsided import LOPSIDED

from circuits import Design, design
from circuits.engine.known_operands import column_matmul, wide_kernels
from cnn_eval.layers.convolution import Geometry, convolve


def rows_of_windows(x: np.ndarray) -> np.ndarray:
    """[B H W, C 9]: what a 3 x 3 kernel multiplies at each position of images [B, C, H, W] with a border of zeros."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # [B, C, H, W, 3, 3]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 9 * x.shape[1])


def test_few_positions_and_many_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes run over the filters, once work repays compilation, which is so from the start here."""
    for module in (column_matmul, wide_kernels):
        monkeypatch.setattr(module, "repays_compilation", lambda circuit, products: True)
    rng = np.random.default_rng(4)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 4, 4), (600, 3, 3, 3)))
    x = np.maximum(x, 0)
    result = convolve(design("heap"), x, w, Geometry(padding=(1, 1, 1, 1)), method="gate", threads=2)
    expected = one_by_one(design("heap"), rows_of_windows(x), w.reshape(600, 27).T)
    assert same_bits(result, expected.reshape(2, 4, 4, 600).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
@pytest.mark.parametrize("operand", [0, 1])
def test_subnormals_of_a_depthwise_image_are_no_zeros_to_leave_out(name: str, operand: int) -> None:
    columns = [LOPSIDED] * 3 + ["exact"] * (13 if name == "bfloat16" else 45)
    multiplier = Design(format=name, placement={"columns": columns}, rounding="nearest_even", subnormals="ieee")
    rng = np.random.default_rng(6)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 12, 12), (3, 1, 3, 3)))
    x[rng.random(x.shape) < 0.6] = 0
    subnormal, other = (x, w) if operand == 0 else (w, x)
    subnormal[...] = np.where(rng.random(subnormal.shape) < 0.2, subnormal * np.float32(2.0**-130), subnormal)
    other *= np.float32(2.0**100)
    result = convolve(multiplier, x, w, Geometry(padding=(1, 1, 1, 1), groups=3), method="gate", threads=1)
    for channel in range(3):
        expected = one_by_one(multiplier, rows_of_windows(x[:, channel : channel + 1]), w[channel].reshape(9, 1))
        assert same_bits(np.ascontiguousarray(result[:, channel]), expected.reshape(2, 12, 12))
    assert np.count_nonzero(result)
