"""Products of designs that are bilinear forms in the operand bits, as a few exact products of masked operands.

Where the mantissa circuit computes P = sum over factors of c (X & x_mask) (Y & y_mask) (`circuits.accuracy.bilinear`), a product
of floats before its rounding is the sum over factors of c x' w', each operand's mantissa masked, its sign and exponent
kept. A convolution is then one convolution by torch for each factor, and their sum.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch

from circuits import Design, DesignError
from circuits.accuracy.bilinear import lowered_form
from circuits.engine.float_circuit import has_kernel
from cnn_eval.layers.convolution import Geometry
from cnn_eval.layers.layer_products import ExactProducts, Gradients, Products, Tensor, Wanted

_FRACTION = 23
_FRACTION_MASK = (1 << _FRACTION) - 1
_HIDDEN = 1 << _FRACTION
_ALL = _HIDDEN | _FRACTION_MASK
_SIGN_AND_EXPONENT = ~_FRACTION_MASK  # as int32
_EXACT = ExactProducts()
_BYTES_A_RUN = 2 << 20
"""Output, for each thread, that is computed for all factors before the next part of the batch."""


@dataclass(frozen=True)
class MaskedFactor:
    """coefficient * x' * w', the mantissas of x and w ANDed with masks of 24 bits, the hidden one included."""

    x_mask: int
    w_mask: int
    coefficient: float


@lru_cache(maxsize=64)
def masked_factors(design: Design) -> tuple[MaskedFactor, ...]:
    """The factors of a design that can be lowered; the coefficients are positive.

    Raises DesignError where the design is not float32 with subnormals flushed, has no proved form of masked operands,
    no proof that its products are normalised, no full normalisation, or a negative coefficient.
    """
    if not has_kernel(design):
        raise DesignError(
            f"lowering needs format='float32' and subnormals='flush', but {design.label} has format={design.format!r} "
            f"and subnormals={design.subnormals!r}; compute it gate-exact."
        )
    factors = []
    for factor in lowered_form(design).factors:
        assert factor.masks is not None  # lowered_form refuses the others
        x_mask, w_mask, coefficient = factor.masks
        factors.append(MaskedFactor(x_mask, w_mask, float(coefficient)))
    if any(factor.coefficient < 0 for factor in factors):
        raise DesignError(
            f"lowering needs factors with positive coefficients for its error bound, but the form of {design.label} "
            "has a negative one; compute it gate-exact."
        )
    return tuple(factors)


def masked(values: Tensor, mask: int) -> Tensor:
    """float32 `values` with their 24-bit mantissas ANDed with `mask`, sign and exponent kept.

    The result may share memory with `values`. What is not finite stays so; subnormals stay subnormal or zero.
    """
    values = values.detach()
    if mask == _ALL:
        return values
    bits = values.view(torch.int32)
    kept = (bits & (_SIGN_AND_EXPONENT | mask & _FRACTION_MASK)).view(torch.float32)
    # The power of two, which the hidden one stands for.
    return kept if mask & _HIDDEN else kept.sub_((bits & _SIGN_AND_EXPONENT).view(torch.float32))


def _masked_all(values: Tensor, factors: tuple[MaskedFactor, ...]) -> list[Tensor]:
    """`masked` with every factor's x_mask; of two complementary masks the one without the hidden one by subtraction.

    That is exact, since the two share no bit, and saves two of four passes over the memory.
    """
    if len(factors) == 2 and factors[0].x_mask ^ factors[1].x_mask == _ALL:
        values = values.detach()
        leading = masked(values, max(factor.x_mask for factor in factors))
        rest = values - leading
        return [leading, rest] if factors[0].x_mask & _HIDDEN else [rest, leading]
    return [masked(values, factor.x_mask) for factor in factors]


@dataclass(frozen=True)
class LoweredProducts(Products):
    """Sums over the factors of torch's products of masked operands; without the rounding of single products.

    |lowered - gate-exact| <= (K + 2) * 2^-23 * sum |p_k| for K products p_k an output (a bias counts as one of them),
    while nothing overflows or underflows; with r > 3 factors (r + 1) / 2 in place of 2. (To first order, in units of
    2^-24: 2 for the truncation and K - 1 for the sum, gate-exact; 1 for the coefficient, K for products and sum of a
    factor and r - 1 for the sum of factors, lowered.) Not finite where an operand met is not. Raises DesignError for
    designs that cannot be lowered.
    """

    design: Design

    def __post_init__(self) -> None:
        masked_factors(self.design)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        factors = masked_factors(self.design)
        weights = [_masked_weight(weight, factor) for factor in factors]
        with _plain_sums():
            if len(factors) == 1:
                return _EXACT.product(masked(x, factors[0].x_mask), weights[0], bias, geometry)
            shape = _output_shape(x, weight, geometry)
            out = x.new_empty(len(x), *shape)
            addends = [bias, *[None] * (len(factors) - 1)]
            # Runs of images small enough for the terms to meet in the cache.
            images = max(1, _BYTES_A_RUN * torch.get_num_threads() // (4 * max(1, prod(shape))))
            for part, total in zip(torch.split(x, images), torch.split(out, images), strict=True):
                first, second, *rest = (
                    _EXACT.product(operand, factor_weight, addend, geometry)
                    for operand, factor_weight, addend in zip(_masked_all(part, factors), weights, addends, strict=True)
                )
                torch.add(first, second, out=total)
                for term in rest:
                    total += term
        return out

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, wanted: Wanted
    ) -> Gradients:
        """As GateProducts.gradients: gradient times weight, x times gradient."""
        by_x, by_weight = torch.zeros_like(x), torch.zeros_like(weight)
        with _plain_sums():
            for factor in masked_factors(self.design):
                first, second = masked(gradient, factor.x_mask), _masked_weight(gradient, factor)
                if wanted[0]:
                    by_x += _EXACT.by_x(first, x, _masked_weight(weight, factor), geometry)
                if wanted[1]:
                    by_weight += _EXACT.by_weight(second, masked(x, factor.x_mask), weight, geometry)
        return by_x if wanted[0] else None, by_weight if wanted[1] else None


@dataclass(frozen=True)
class SlopeProducts(Products):
    """Gradients of the lowered form, a masked operand's derivative being its mean slope over an octave.

    d(x w)/dx = sum over factors of c * slope(x_mask) * w', d(x w)/dw = sum of c * x' * slope(w_mask), with
    slope(m) = (m & (2^23 - 1)) / (2^23 - 1). The hidden one is constant within an octave and has no slope.
    """

    design: Design

    def __post_init__(self) -> None:
        masked_factors(self.design)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        return LoweredProducts(self.design).product(x, weight, bias, geometry)

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, wanted: Wanted
    ) -> Gradients:
        x_slope, weight_slope = torch.zeros_like(x), torch.zeros_like(weight)
        for factor in masked_factors(self.design):
            if wanted[0]:
                weight_slope += _masked_weight(weight, factor) * slope(factor.x_mask)
            if wanted[1]:
                x_slope += masked(x, factor.x_mask) * (factor.coefficient * slope(factor.w_mask))
        return _EXACT.gradients(gradient, x_slope, weight_slope, geometry, wanted)


def slope(mask: int) -> float:
    """Mean slope over an octave of a mantissa masked with `mask` (24 bits)."""
    return (mask & _FRACTION_MASK) / _FRACTION_MASK


def _masked_weight(weight: Tensor, factor: MaskedFactor) -> Tensor:
    kept = masked(weight, factor.w_mask)
    return kept if factor.coefficient == 1 else kept * factor.coefficient


def _output_shape(x: Tensor, weight: Tensor, geometry: Geometry | None) -> tuple[int, ...]:
    """Of one image's or row's output."""
    if geometry is None:
        return (len(weight),)
    return len(weight), *geometry.output((x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3]))


def _plain_sums() -> AbstractContextManager[Any]:
    """Lets torch sum float32 products only as such: no Winograd or FFT convolution, no narrower format."""
    backend: Any = torch.backends.mkldnn
    for name, settings in (("", backend), (".matmul", backend.matmul), (".conv", backend.conv)):
        if settings.fp32_precision not in ("none", "ieee"):
            raise DesignError(
                f"torch.backends.mkldnn{name}.fp32_precision must be 'none' or 'ieee' for lowered products, but is "
                f"{settings.fp32_precision!r}; call torch.set_float32_matmul_precision('highest')."
            )
    context: AbstractContextManager[Any] = torch.backends.nnpack.flags(enabled=False)
    return context
