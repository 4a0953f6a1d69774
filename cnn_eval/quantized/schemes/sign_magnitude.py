"""Scheme `sign_magnitude`: codes -(2^bits - 1) .. 2^bits - 1 whose magnitudes go through an unsigned design.

The product of the codes a and b is  s(a) s(b) m(|a|, |b|)  with s(0) = +1: the sign is the XOR of the sign bits.

Sums go through the engine, which knows only m. Split x by sign into magnitudes x+ and x- with 0 in the other's places,
and w likewise. Of the four sums of m(x+-, w+-), with the sign of a product each, a term k with signs (s, t) takes part
in all: once with its magnitudes, and three times with a 0 in place of x, of w or of both,

    A = sum of s t [m(|x|, |w|) - m(|x|, 0) - m(0, |w|) + m(0, 0)]

so that the wanted sum is A plus the sum of  s t [m(|x|, 0) + m(0, |w|) - m(0, 0)],  two exact sums of tabled values.
For most designs a product with 0 is 0 and they vanish. Activations without negative codes need only x+:

    A = sum of t [m(x, |w|) - m(x, 0)]
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits import Design
from circuits.engine.multiplier_circuit import code_dtype
from cnn_eval.layers.convolution import Geometry
from cnn_eval.quantized.integer_sums import exact_sums, padded_codes
from cnn_eval.quantized.schemes.scheme import Scheme, direct_sums, symmetric_scales

Array = NDArray[Any]


def _signs(codes: Array) -> Array:
    return np.where(codes < 0, -1, 1)


def _product(design: Design, x: Array, w: Array) -> Array:
    magnitudes = design.multiply_integers(np.abs(x.astype(np.int64)), np.abs(w.astype(np.int64))).astype(np.int64)
    return np.asarray(_signs(x) * _signs(w) * magnitudes)


def _sums(
    design: Design, x: Array, w: Array, geometry: Geometry | None, padding_code: int, method: str, threads: int
) -> Array:
    x, geometry = padded_codes(x, geometry, padding_code)
    groups = 1 if geometry is None else geometry.groups
    x_parts = [x] if x.min(initial=0) >= 0 else [np.maximum(x, 0), np.maximum(-x, 0)]
    # The filters of a group must stay together: [groups, 2 N / groups, ...].
    by_group = w.reshape(groups, -1, *w.shape[1:])
    halves = np.concatenate([np.maximum(by_group, 0), np.maximum(-by_group, 0)], axis=1).reshape(-1, *w.shape[1:])
    total: Array | int = 0
    for sign, part in zip((1, -1), x_parts, strict=False):
        operands = (part.astype(code_dtype(design.shape[0], False)), halves.astype(code_dtype(design.shape[1], False)))
        sums = direct_sums(design, *operands, geometry, 0, method, threads)
        split = sums.reshape(len(sums), groups, 2, -1, *sums.shape[2:])
        # A difference of two sums of dtype int32 may need one bit more.
        total = total + sign * (split[:, :, 0].astype(np.int64) - split[:, :, 1])
    out = np.asarray(total).reshape(len(x), len(w), *sums.shape[2:])
    return out + _of_zeros(design, x, w, geometry, both=len(x_parts) == 2)


def _of_zeros(design: Design, x: Array, w: Array, geometry: Geometry | None, *, both: bool) -> Array | int:
    """What the sums of the parts lack, for designs whose products with 0 are not all 0; see the module."""
    by_x, by_w = _zero_products(design)
    total: Array | int = 0
    if by_x.any():
        total = total + exact_sums(_signs(x) * by_x[np.abs(x)], _signs(w), geometry)
    if both and (by_w - by_w[0]).any():
        total = total + exact_sums(_signs(x), _signs(w) * (by_w - by_w[0])[np.abs(w)], geometry)
    return total


@lru_cache(maxsize=64)
def _zero_products(design: Design) -> tuple[Array, Array]:
    """(m(a, 0) for all a, m(0, b) for all b), int64."""
    first, second = (np.arange(1 << width) for width in design.shape)
    zero = np.zeros(1, dtype=np.int64)
    return (
        design.multiply_integers(first, zero).astype(np.int64),
        design.multiply_integers(zero, second).astype(np.int64),
    )


SCHEME = Scheme(
    name="sign_magnitude",
    signed=False,
    affine=False,
    codes=lambda bits: (1 - (1 << bits), (1 << bits) - 1),
    scales=lambda low, high, bits: symmetric_scales(low, high, (1 << bits) - 1),
    product=_product,
    sums=_sums,
)
