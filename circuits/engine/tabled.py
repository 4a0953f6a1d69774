"""Matrix products of narrow float formats: a table of all mantissa products instead of gates.

A product of normal operands is a power of two times what the mantissas give after normaliser and rounding, and in a
format of eight mantissa bits (bfloat16) there are 2^14 pairs of those. The table is filled through the gates; the sums
are those of the reference, in float32 in ascending k.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from circuits import floats

if TYPE_CHECKING:
    from circuits.designs import Design

WIDEST = 8
"""Mantissa bits, the hidden one included, up to which products are tabled: 64 KB."""
LEAST_EXPONENT_BITS = 4
"""Products of two significands must not leave the format's range."""


def matmul(
    design: Design,
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    x_at: NDArray[np.int64],
    x_step: NDArray[np.int64],
) -> NDArray[np.float32] | None:
    """[m, n]: sum over k, ascending, of x.flat[x_at[m] + x_step[k]] * w[n, k]; bit for bit as Design.multiply and adds.

    None where the table does not serve: a wider format, operands that are not finite, or products that could leave the
    normal range.
    """
    fmt = design.float_format
    if fmt is None or fmt.width > WIDEST or fmt.exponent_bits < LEAST_EXPONENT_BITS:
        return None
    conversion = {"rounding": design.rounding, "subnormals": str(design.subnormals)}
    left, right = (floats.quantize(fmt, values, **conversion) for values in (x, w))
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return None
    (x_index, x_scale), (w_index, w_scale) = _parts(left.ravel(), fmt.width), _parts(right.T, fmt.width)
    x_size, w_size = (np.abs(scale[scale != 0]).astype(np.float64) for scale in (x_scale, w_scale))
    if x_size.size and w_size.size:
        # The significand may grow by a factor of up to 8 (an overflowing tile sum, rounded up).
        largest, least = x_size.max() * w_size.max() * 8, x_size.min() * w_size.min()
        if largest > fmt.largest or least < 2.0**fmt.minimum_exponent:
            return None
    return _sums(_table(design), x_index, x_scale, w_index, w_scale, x_at, np.ascontiguousarray(x_step))


def _parts(values: NDArray[np.float32], width: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(fraction as an integer, sign times power of two) of each value; scale 0 for zero. Contiguous."""
    fraction, exponent = np.frexp(values)
    index = np.ldexp(np.abs(fraction), width).astype(np.int64) & ((1 << (width - 1)) - 1)
    scale = np.copysign(np.ldexp(np.float32(1), exponent - 1), values) * (values != 0)
    return np.ascontiguousarray(index), np.ascontiguousarray(scale, dtype=np.float32)


@lru_cache(maxsize=64)
def _table(design: Design) -> NDArray[np.float32]:
    """[x fraction, w fraction]: the product of 1.fraction and 1.fraction."""
    fmt = design.float_format
    assert fmt is not None
    count = 1 << fmt.fraction_bits
    significands = (1 + np.arange(count) / count).astype(np.float32)
    return design.multiply(significands[:, None], significands[None, :])


@njit(cache=True, nogil=True)
def _sums(
    table: NDArray[np.float32],
    x_index: NDArray[np.int64],
    x_scale: NDArray[np.float32],
    w_index: NDArray[np.int64],
    w_scale: NDArray[np.float32],
    x_at: NDArray[np.int64],
    x_step: NDArray[np.int64],
) -> NDArray[np.float32]:
    depth, columns = w_index.shape
    out = np.zeros((x_at.size, columns), dtype=np.float32)
    for m in range(x_at.size):
        for k in range(depth):
            place = x_at[m] + x_step[k]
            row = table[x_index[place]]
            scale = x_scale[place]
            for n in range(columns):
                # The power of two is exact, and so is its product with the significand.
                out[m, n] += row[w_index[k, n]] * (scale * w_scale[k, n])
    return out
