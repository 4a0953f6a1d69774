"""Gradients of designs that are bilinear forms: the mean slope of the product instead of that of the exact one.

Masking a mantissa makes the product a staircase in x, whose derivative is zero almost everywhere. The slope gradient
takes the chord of the staircase over an octave. While x runs through an octave [2^e, 2^(e + 1)), its mantissa fraction
f runs from 0 to 2^23 - 1 and the masked one from 0 to m & (2^23 - 1), so the masked operand rises by

    slope(m) = (m & (2^23 - 1)) / (2^23 - 1)

times as much as x. The hidden one is constant within an octave and contributes no slope. With the bilinear form
m(x, w) = sum over factors of c x' w' (x', w' masked) this gives

    dm/dx = sum of c slope(x_mask) w'        dm/dw = sum of c x' slope(w_mask)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from circuits import Design
from cnn_eval.layers.convolution import Geometry
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.layer_products import Gradients, Needed, Products, Tensor
from cnn_eval.layers.lowered_products import FRACTION_MASK, LoweredProducts, masked, masked_factors, masked_weight

__all__ = ["SlopeProducts", "slope"]

_EXACT = ExactProducts()


@dataclass(frozen=True)
class SlopeProducts(Products):
    """The lowered product with slope gradients. Raises DesignError for designs that cannot be lowered."""

    design: Design

    def __post_init__(self) -> None:
        masked_factors(self.design)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        return LoweredProducts(self.design).product(x, weight, bias, geometry)

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        x_slope, weight_slope = torch.zeros_like(x), torch.zeros_like(weight)
        for factor in masked_factors(self.design):
            if needed[0]:
                weight_slope += masked_weight(weight, factor) * slope(factor.x_mask)
            if needed[1]:
                x_slope += masked(x, factor.x_mask) * (factor.coefficient * slope(factor.w_mask))
        # The exact gradients read only the other operand, dL/dx from the weight and dL/dw from x: with slopes in
        # their places they are the slope gradients.
        return _EXACT.gradients(gradient, x_slope, weight_slope, geometry, needed)


def slope(mask: int) -> float:
    """Mean slope over an octave of a 24-bit mantissa ANDed with `mask`."""
    return (mask & FRACTION_MASK) / FRACTION_MASK
