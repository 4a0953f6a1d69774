"""Products of designs that are bilinear forms in the operand bits, as a few exact products of masked operands.

Let the mantissa circuit compute (`circuits.accuracy.bilinear`)

    P(X, Y) = sum over factors of c (X & x_mask) (Y & y_mask)

for the 24-bit mantissas X, Y of x and w. Sign and exponent are handled exactly, so before its rounding a product is

    m(x, w) = sum over factors of c x' w'        x' = x with its mantissa masked, w' likewise

A sum of products is then a sum of exact sums of products, one for each factor:

    sum over k of m(x_k, w_k) = sum over factors of c (sum over k of x'_k w'_k)

and a convolution through the design is one ordinary convolution by torch for each factor, added up. The results differ
from the bit-accurate ones only in rounding: single products are not rounded, and torch chooses the order of its sums.
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
from cnn_eval.layers.convolution import Geometry
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.layer_products import Gradients, Needed, Products, Tensor

__all__ = [
    "FRACTION_MASK",
    "LoweredProducts",
    "MaskedFactor",
    "masked",
    "masked_factors",
    "masked_weight",
    "plain_sums",
]

# A float32 is sign (1 bit), exponent (8 bits), fraction (23 bits); a hidden one above the fraction gives the mantissa.
_FRACTION_BITS = 23
FRACTION_MASK = (1 << _FRACTION_BITS) - 1
_HIDDEN = 1 << _FRACTION_BITS
_MANTISSA_MASK = _HIDDEN | FRACTION_MASK
_SIGN_AND_EXPONENT = ~FRACTION_MASK  # as int32
_EXACT = ExactProducts()
_CHUNK_BYTES = 2 << 20
"""Bytes of output for each thread that are computed for all factors before the next chunk of the batch."""


@dataclass(frozen=True)
class MaskedFactor:
    """coefficient * x' * w', where the mantissas of x and w are ANDed with masks of 24 bits, hidden one included."""

    x_mask: int
    w_mask: int
    coefficient: float


@lru_cache(maxsize=64)
def masked_factors(design: Design) -> tuple[MaskedFactor, ...]:
    """The factors of a design that can be lowered; all coefficients are positive.

    Raises DesignError for designs that are not float32 with subnormals flushed, have no proved form of masked operands,
    no proof that products are normalised, no full normalisation, or a negative coefficient.
    """
    if design.format != "float32" or design.subnormals != "flush":
        raise DesignError(
            f"lowering needs format='float32' and subnormals='flush', but {design.label} has format={design.format!r} "
            f"and subnormals={design.subnormals!r}; compute it gate-exact."
        )
    factors = []
    for factor in lowered_form(design).factors:
        assert factor.masks is not None  # lowered_form refuses all others
        x_mask, w_mask, coefficient = factor.masks
        factors.append(MaskedFactor(x_mask, w_mask, float(coefficient)))
    if any(factor.coefficient < 0 for factor in factors):
        raise DesignError(
            f"lowering needs factors with positive coefficients for its error bound, but the form of {design.label} "
            "has a negative one; compute it gate-exact."
        )
    return tuple(factors)


def masked(values: Tensor, mask: int) -> Tensor:
    """float32 `values` with their 24-bit mantissas ANDed with `mask`; sign and exponent are kept.

    The result may share memory with `values`. Infinities and NaN stay non-finite; subnormals stay subnormal or zero.
    """
    values = values.detach()
    if mask == _MANTISSA_MASK:
        return values
    bits = values.view(torch.int32)
    fraction_masked = (bits & (_SIGN_AND_EXPONENT | mask & FRACTION_MASK)).view(torch.float32)
    if mask & _HIDDEN:
        return fraction_masked
    # The hidden one is not stored. It stands for the power of two with the value's exponent, so subtract that: exact.
    # In place: the mask has made a new tensor. Infinity minus infinity is NaN, so that non-finite operands stay
    # visible.
    return fraction_masked.sub_((bits & _SIGN_AND_EXPONENT).view(torch.float32))


def _masked_for_all(values: Tensor, factors: tuple[MaskedFactor, ...]) -> list[Tensor]:
    """`values` masked with the x_mask of every factor.

    Of two complementary masks, the operand without the hidden one is computed by subtraction. The two share no bit, so
    that is exact, and it saves two of four passes over the memory.
    """
    if len(factors) == 2 and factors[0].x_mask ^ factors[1].x_mask == _MANTISSA_MASK:
        values = values.detach()
        with_hidden_one = masked(values, max(factor.x_mask for factor in factors))
        #   x = x' + x'',  with disjoint mantissa bits
        without = values - with_hidden_one
        return [with_hidden_one, without] if factors[0].x_mask & _HIDDEN else [without, with_hidden_one]
    return [masked(values, factor.x_mask) for factor in factors]


def masked_weight(weight: Tensor, factor: MaskedFactor) -> Tensor:
    """c w': the masked weight times the coefficient of the factor."""
    masked_values = masked(weight, factor.w_mask)
    return masked_values if factor.coefficient == 1 else masked_values * factor.coefficient


@dataclass(frozen=True)
class LoweredProducts(Products):
    """Sums over the factors of torch's products of masked operands; single products are not rounded.

    For K products p_k per output (a bias counts as one of them), r factors, and unless something over- or underflows,

        |lowered - bit-accurate| <= (K + max(2, (r + 1) / 2)) 2^-23 sum |p_k|

    to first order. In units of 2^-24, the bit-accurate result errs by at most 2 for the truncation of a product and
    K - 1 for the sum; the lowered one by 1 for the coefficient, K for the products and the sum of a factor, and r - 1
    for the sum over factors: together at most 2 + (K - 1) + 1 + K + (r - 1) = 2 K + r + 1 = 2 (K + (r + 1) / 2).
    The result is not finite if an operand is not. Raises DesignError for designs that cannot be lowered.
    """

    design: Design

    def __post_init__(self) -> None:
        masked_factors(self.design)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        if x.is_cuda:
            # torch may take Winograd's algorithm there, which `_plain_sums` cannot forbid.
            raise DesignError("compute='lowered' needs tensors on the CPU, but they are on a CUDA device; use 'gate'.")
        factors = masked_factors(self.design)
        weights = [masked_weight(weight, factor) for factor in factors]
        with plain_sums():
            if len(factors) == 1:
                return _EXACT.product(masked(x, factors[0].x_mask), weights[0], bias, geometry)
            shape = _output_shape(x, weight, geometry)
            out = x.new_empty(len(x), *shape)
            # The bias enters once, with the first factor.
            biases = [bias, *[None] * (len(factors) - 1)]
            # Chunks of images small enough for the terms of all factors to meet in the cache.
            images = max(1, _CHUNK_BYTES * torch.get_num_threads() // (4 * max(1, prod(shape))))
            for chunk, total in zip(torch.split(x, images), torch.split(out, images), strict=True):
                first, second, *others = (
                    _EXACT.product(operand, factor_weight, factor_bias, geometry)
                    for operand, factor_weight, factor_bias in zip(
                        _masked_for_all(chunk, factors), weights, biases, strict=True
                    )
                )
                torch.add(first, second, out=total)
                for term in others:
                    total += term
        return out

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        """Gradient * weight and x * gradient, in this operand order, as in `BitExactProducts.gradients`."""
        by_x, by_weight = torch.zeros_like(x), torch.zeros_like(weight)
        with plain_sums():
            for factor in masked_factors(self.design):
                # The gradient is the first operand of gradient * weight and the second one of x * gradient; an
                # approximate product is not symmetric in its operands.
                as_first, as_second = masked(gradient, factor.x_mask), masked_weight(gradient, factor)
                if needed[0]:
                    by_x += _EXACT.gradient_by_x(as_first, x, masked_weight(weight, factor), geometry)
                if needed[1]:
                    by_weight += _EXACT.gradient_by_weight(as_second, masked(x, factor.x_mask), weight, geometry)
        return by_x if needed[0] else None, by_weight if needed[1] else None


def _output_shape(x: Tensor, weight: Tensor, geometry: Geometry | None) -> tuple[int, ...]:
    """Shape of the output for one image or row."""
    if geometry is None:
        return (len(weight),)
    return len(weight), *geometry.output((x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3]))


def plain_sums() -> AbstractContextManager[Any]:
    """Makes torch compute plain sums of float32 products: no Winograd or FFT convolution, no narrower format."""
    backend: Any = torch.backends.mkldnn
    # Winograd and FFT convolutions form sums of operands before they multiply; bfloat16 and TF32 drop mantissa bits.
    # Neither meets the error bound of the class.
    for name, settings in (("", backend), (".matmul", backend.matmul), (".conv", backend.conv)):
        if settings.fp32_precision not in ("none", "ieee"):
            raise DesignError(
                f"torch.backends.mkldnn{name}.fp32_precision must be 'none' or 'ieee' for lowered products, but is "
                f"{settings.fp32_precision!r}; call torch.set_float32_matmul_precision('highest')."
            )
    context: AbstractContextManager[Any] = torch.backends.nnpack.flags(enabled=False)
    return context
