"""Sums of integer products, through a design or exactly, with zero points.

With real values x = (q - z) s, and likewise for weights, a layer's sum over k is s_x s_w times

    S = sum (q_x - z_x)(q_w - z_w) = sum q_x q_w  -  z_w sum q_x  -  z_x sum q_w  +  K z_x z_w

A design computes the first sum, of products m(q_x, q_w); the others are computed exactly, as hardware does with one
addition an input and constants. Padding is the code z_x: it goes through the design, and K counts it. (TFApprox,
Vaverka et al., DATE 2020.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from circuits import DesignError
from cnn_eval.layers.convolution import Geometry
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.lowered_products import plain_sums

__all__ = ["exact_sums", "exact_tensor_sums", "padded_codes", "padded_tensor", "window_sums", "with_zero_points"]

Array = NDArray[Any]
Tensor = torch.Tensor
_EXACT_FLOAT32 = 1 << 24
"""Integers up to this magnitude, and all their partial sums, are exact in float32."""
_EXACT_FLOAT64 = 1 << 53
_EXACT = ExactProducts()


def exact_tensor_sums(x: Tensor, weight: Tensor, geometry: Geometry | None) -> Tensor:
    """Exact sums of products of integers that travel as float32: float32 or float64, whichever holds every sum.

    x [B, C, H, W] or [M, K], weight [N, ...]; padded with 0.
    """
    # No partial sum, in whatever order torch adds, exceeds the largest activation times the sum of a filter's weights.
    largest = float(x.abs().amax()) if x.numel() else 0.0
    filters = weight.double().abs().flatten(1).sum(1)
    bound = largest * (float(filters.amax()) if filters.numel() else 0.0)
    if bound >= _EXACT_FLOAT64:
        raise DesignError(f"integer sums must stay below 2^53, but could reach {bound:.3g}; use narrower codes.")
    with plain_sums():
        # A device may choose Winograd's convolution for float32, whose fractions are not exact.
        if bound < _EXACT_FLOAT32 and not x.is_cuda:
            return _EXACT.product(x.float(), weight.float(), None, geometry)
        return _EXACT.product(x.double(), weight.double(), None, geometry)


def exact_sums(x: Array, weight: Array, geometry: Geometry | None) -> Array:
    """`exact_tensor_sums` of integer arrays, int64."""
    left, right = (torch.from_numpy(np.ascontiguousarray(each, dtype=np.float64)) for each in (x, weight))
    return exact_tensor_sums(left, right, geometry).numpy().astype(np.int64)


def padded_codes(x: Array, geometry: Geometry | None, code: int) -> tuple[Array, Geometry | None]:
    """x [B, C, H, W] padded with `code`, and the geometry without its padding; unchanged for a linear layer."""
    if geometry is None or not any(geometry.padding):
        return x, geometry
    top, bottom, left, right = geometry.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=code)
    return padded, without_padding(geometry)


def without_padding(geometry: Geometry) -> Geometry:
    """The same convolution over images that are padded already."""
    return Geometry(stride=geometry.stride, dilation=geometry.dilation, groups=geometry.groups)


def padded_tensor(x: Tensor, geometry: Geometry | None, value: float) -> tuple[Tensor, Geometry | None]:
    """`padded_codes` of a tensor."""
    if geometry is None or not any(geometry.padding):
        return x, geometry
    top, bottom, left, right = geometry.padding
    return functional.pad(x, (left, right, top, bottom), value=value), without_padding(geometry)


def with_zero_points(
    sums: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, x_zero: int, w_zeros: Tensor
) -> Tensor:
    """S, float64 [B, N, OH, OW] or [M, N], from the sums of products of codes; see the module.

    x and weight: codes as float32, x unpadded. `w_zeros`: int32 [N].
    """
    columns: tuple[int, ...] = (-1, 1, 1) if geometry is not None else (-1,)
    weight_sums = weight.double().flatten(1).sum(1)
    zeros = w_zeros.double()
    #   K z_x z_w - z_x sum q_w  depends on the filter alone
    constant = x_zero * (weight[0].numel() * zeros - weight_sums)
    result = sums.double() + constant.reshape(columns)
    if bool(w_zeros.any()):
        result -= zeros.reshape(columns) * window_sums(x, weight.shape, geometry, x_zero)
    return result


def window_sums(x: Tensor, weight: torch.Size, geometry: Geometry | None, padding: int) -> Tensor:
    """The sum of the codes that each output sees, float64 [B, N, OH, OW], or [M, 1] for a linear layer."""
    if geometry is None:
        return x.double().sum(1, keepdim=True)
    padded, unpadded = padded_tensor(x, geometry, padding)
    # One filter of ones a group is enough; every output channel of the group sees the same inputs.
    ones = x.new_ones(geometry.groups, *weight[1:])
    by_group = exact_tensor_sums(padded, ones, unpadded).double()
    return by_group.repeat_interleave(weight[0] // geometry.groups, dim=1)
