"""Gradients of products of codes through a design, from its product table.

The output is  y = s_x s_w sum over k of [m(q_x, q_w) - z_w q_x - z_x q_w + z_x z_w], and codes are q = x / s + z,
rounded. Taking the gradient straight through the rounding (0 where a code is clamped),

    dy/dx_k = s_w (m_x(q_x, q_w) - z_w)        dy/dw_k = s_x (m_w(q_x, q_w) - z_x)

with a derivative m_x, m_w of a function of two integers in place of the exact w and x of `ste`:

`table2d`    the central difference of the table, h = 4, both ends limited to the codes that there are:

                 m_x(a, b) = (m(a + h, b) - m(a - h, b)) / ((a + h) - (a - h))

             (2 h in the middle.) Every product has a derivative of its own, so that the backward pass is no product of
             matrices. Source: the difference table of "Appmult-aware retraining", DATE 2025.

`table1d`    the slope of the straight line that fits m(., b) best, a function of b alone:

                 g(b) = sum over a of (a - mean) m(a, b)  /  sum over a of (a - mean)^2

             With a line l(a) = c + g a, setting the derivative of sum (m(a, b) - l(a))^2 by c and g to zero gives this
             g. (The mean of all differences of neighbours would telescope to (m(last, b) - m(first, b)) / (last -
             first), which forgets what lies between.) m_x = g(q_w) has one value for each weight, and m_w likewise one
             for each activation: both gradients are ordinary products of matrices. For an exact design g(b) = b, and
             this is `ste`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from circuits import Design, DesignError
from cnn_eval.layers.convolution import Geometry, places_of_convolution
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.layer_products import Gradients, Needed, Products, Tensor
from cnn_eval.quantized.integer_sums import padded_tensor
from cnn_eval.quantized.quantized_products import QuantizedProducts, masked_gradients
from cnn_eval.quantized.schemes import SCHEMES

__all__ = ["INTEGER_GRADIENTS", "STEP", "TABLE_BITS", "central_differences", "line_slopes"]

Array = NDArray[Any]
STEP = 4
"""h of the central differences."""
TABLE_BITS = 20
"""Most operand bits together of a design whose products are tabled: 8 MB of int64."""
_ROWS_AT_ONCE = 1 << 12
_EXACT = ExactProducts()


class _TableProducts(Products):
    """The forward pass of `forward`, and gradients from the table of its design."""

    def __init__(self, forward: QuantizedProducts) -> None:
        assert forward.design is not None
        _check_table(forward.design)
        self.forward = forward

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        return self.forward.product(x, weight, bias, geometry)

    def _operands(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the codes in the tables, int64."""
        inputs, weights = self.forward.layer.input_grid, self.forward.layer.weight_grid
        return inputs.codes(x).sub_(inputs.low).long(), weights.codes(weight).sub_(weights.low).long()

    def _tables(self, make: Callable[[Design, str, tuple[int, int]], tuple[Array, Array]]) -> tuple[Tensor, Tensor]:
        layer, design = self.forward.layer, self.forward.design
        assert design is not None
        by_x, by_w = make(design, layer.code_scheme.name, layer.bits)
        device = layer.input_grid.scale.device
        return torch.from_numpy(by_x).to(device), torch.from_numpy(by_w).to(device)


class LineSlopeProducts(_TableProducts):
    """`table1d`."""

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        inputs, weights = self.forward.layer.input_grid, self.forward.layer.weight_grid
        by_weight_code, by_input_code = self._tables(line_slopes)
        x_index, w_index = self._operands(x, weight)
        by_x = by_weight = None
        if needed[0]:
            slopes = (by_weight_code[w_index] - weights.along(weights.zero, weight)) * weights.along(
                weights.scale, weight
            )
            by_x = _EXACT.gradient_by_x(gradient, x, slopes, geometry)
        if needed[1]:
            slopes_of_codes = (by_input_code - inputs.zero) * inputs.scale
            # Padding has the zero point's code, whose slope need not be 0.
            padding = float(slopes_of_codes[int(inputs.zero) - inputs.low])
            operands, unpadded = padded_tensor(slopes_of_codes[x_index], geometry, padding)
            by_weight = _EXACT.gradient_by_weight(gradient, operands, weight, unpadded)
        return masked_gradients(self.forward.layer, by_x, by_weight, x, weight)


class DifferenceProducts(_TableProducts):
    """`table2d`. It takes a derivative for every product, one k after the other."""

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        inputs, weights = self.forward.layer.input_grid, self.forward.layer.weight_grid
        difference_by_x, difference_by_w = self._tables(central_differences)
        x_index, w_index = self._operands(x, weight)
        padded, unpadded = padded_tensor(x_index, geometry, int(inputs.zero) - inputs.low)
        places, _ = places_of_convolution(tuple(padded.shape), tuple(weight.shape), unpadded)
        by_x = x.new_zeros(padded.shape)
        by_weight = x.new_zeros(weight.shape)
        depth = weight[0].numel()
        columns = len(weight) // places.groups
        flat_gradient, flat_x, flat_by_x = gradient.reshape(-1), padded.reshape(-1), by_x.view(-1)
        by_rows, w_rows = by_weight.view(places.groups, columns, depth), w_index.view(places.groups, columns, depth)
        scales, zeros = (each.view(places.groups, columns) for each in (weights.scale, weights.zero))
        for number, group in enumerate(places.of_groups()):
            x_step = torch.from_numpy(np.ascontiguousarray(group.x_step)).to(x.device)
            out_columns = torch.arange(columns, device=x.device) * group.out_step
            for first in range(0, group.rows, _ROWS_AT_ONCE):
                rows = slice(first, first + _ROWS_AT_ONCE)
                x_at, out_at = (torch.from_numpy(each[rows]).to(x.device) for each in (group.x_at, group.out_at))
                part = flat_gradient[out_at[:, None] + out_columns]
                for k in range(depth):
                    # The places of one k are distinct, so that adding by index loses nothing.
                    at = x_at + x_step[k]
                    codes, filters = flat_x[at], w_rows[number, :, k]
                    if needed[0]:
                        slopes = (difference_by_x[:, filters] - zeros[number]) * scales[number]
                        flat_by_x[at] += (part * slopes[codes]).sum(1)
                    if needed[1]:
                        slopes = (difference_by_w[:, filters] - inputs.zero) * inputs.scale
                        by_rows[number, :, k] += (part * slopes[codes]).sum(0)
        unpadded_by_x = _cropped(by_x, geometry) if needed[0] else None
        return masked_gradients(self.forward.layer, unpadded_by_x, by_weight if needed[1] else None, x, weight)


def _cropped(x: Tensor, geometry: Geometry | None) -> Tensor:
    if geometry is None:
        return x
    top, bottom, left, right = geometry.padding
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def _refused(forward: QuantizedProducts) -> Products:
    raise DesignError(
        "gradients must be ste, table1d or table2d for an integer design, which multiplies codes and not gradients; "
        "choose one of them."
    )


INTEGER_GRADIENTS: Mapping[str, Callable[[QuantizedProducts], Products]] = MappingProxyType(
    {
        "ste": lambda forward: forward,
        "approximate": _refused,
        "slope": _refused,
        "table1d": LineSlopeProducts,
        "table2d": DifferenceProducts,
    }
)
"""Name -> what computes the gradients of a quantised layer, from its forward computation."""


def _check_table(design: Design) -> None:
    if sum(design.shape) > TABLE_BITS:
        raise DesignError(
            f"operands of at most {TABLE_BITS} bits together must be tabled for this gradient, but {design.label} is "
            f"{design.shape[0]} x {design.shape[1]}; choose backward='ste'."
        )


@lru_cache(maxsize=16)
def _code_products(design: Design, scheme: str, bits: tuple[int, int]) -> Array:
    """m(a, b) for all codes, float64 [codes of x, codes of w]."""
    x, w = (np.arange(low, high + 1) for low, high in map(SCHEMES[scheme].codes, bits))
    return SCHEMES[scheme].product(design, x[:, None], w[None, :]).astype(np.float64)


@lru_cache(maxsize=16)
def line_slopes(design: Design, scheme: str, bits: tuple[int, int]) -> tuple[Array, Array]:
    """(m_x by weight code, m_w by activation code), float32; see the module."""
    products = _code_products(design, scheme, bits)
    x, w = (np.arange(size) - (size - 1) / 2 for size in products.shape)
    return (x @ products / (x @ x)).astype(np.float32), (products @ w / (w @ w)).astype(np.float32)


@lru_cache(maxsize=16)
def central_differences(design: Design, scheme: str, bits: tuple[int, int]) -> tuple[Array, Array]:
    """(m_x, m_w), float32 [codes of x, codes of w] each; see the module."""
    products = _code_products(design, scheme, bits)

    def differences(table: Array) -> Array:
        places = np.arange(len(table))
        above, below = np.minimum(places + STEP, len(table) - 1), np.maximum(places - STEP, 0)
        return np.asarray((table[above] - table[below]) / (above - below)[:, None], dtype=np.float32)

    return differences(products), np.ascontiguousarray(differences(products.T).T)
