"""Matrix products of narrow formats: every pair of fractions through the gates once, products looked up afterwards.

For formats with float32's exponent and few fraction bits (bfloat16, tf32). The table holds the float32 product of each
pair of significands in [1, 2), rounding and normaliser included, as the design's own gates give it. A product of other
exponents is that one with both exponents added: with an unbounded exponent rounding does not depend on the scale.
Overflow and flushing are decided on the sum, as `circuits.floats.arithmetic` says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from circuits.engine.float_circuit import FloatCircuit
from circuits.floats import arithmetic

Array = NDArray[np.float32]
Table = NDArray[np.int32]
_ZERO = -1024
"""Exponent of zeros: no other exponent lifts a product with it out of the flushed ones."""


@lru_cache(maxsize=16)
def table(design: FloatCircuit) -> Table:
    """Bit patterns int32 [2**f, 2**f] of 1.i times 1.j, first operand first, for f fraction bits."""
    fmt = design.float_format
    assert fmt is not None
    count = 1 << fmt.fraction_bits
    significands = (1 + np.arange(count) / count).astype(np.float32)
    return design.multiply(significands[:, None], significands).view(np.int32)


class TabledMatmul:
    """Operands of a product of matrices, converted to the format; `run` computes some of its rows.

    x: float32, any shape; w: float32 [N, K]. `serves` is False where an operand is infinite or NaN.
    """

    def __init__(self, design: FloatCircuit, x: Array, w: Array) -> None:
        fmt = design.float_format
        assert fmt is not None
        conversion = {"rounding": design.rounding, "subnormals": str(design.subnormals)}
        left, right = (arithmetic.quantize(fmt, values, **conversion) for values in (x.ravel(), w.T))
        self.serves = bool(np.isfinite(left).all() and np.isfinite(right).all())
        self._table = table(design)
        self._drop = 23 - fmt.fraction_bits
        self._x = left.view(np.int32)
        words = np.ascontiguousarray(right).view(np.int32)
        exponents = words >> 23 & 0xFF
        self._fractions = (words & 0x7FFFFF) >> self._drop
        self._exponents = np.where(exponents == 0, _ZERO, exponents - 127).astype(np.int32)
        self._signs = words & np.int32(-0x80000000)

    def run(self, x_at: NDArray[np.int64], x_step: NDArray[np.int64], sums: Array) -> None:
        """sums [M, N]: over k, ascending from +0, of x[x_at[m] + x_step[k]] * w[n, k]."""
        _accumulate(self._table, self._drop, self._x, x_at, x_step, self._fractions, self._exponents, self._signs, sums)


@numba.njit(cache=True, nogil=True)
def _accumulate(
    products: Any, drop: Any, x: Any, x_at: Any, x_step: Any, fractions: Any, exponents: Any, signs: Any, sums: Any
) -> None:
    depth, columns = fractions.shape
    words = np.empty(columns, dtype=np.int32)
    values = words.view(np.float32)
    for m in range(len(x_at)):
        row = sums[m]
        row[:] = 0
        for k in range(depth):
            word = x[x_at[m] + x_step[k]]
            exponent = word >> 23 & 0xFF
            if exponent == 0:
                continue  # a sum from +0 never is -0, and no zero changes it
            raised = np.int32(exponent - 127)
            sign = word & np.int32(-0x80000000)
            column = products[(word & 0x7FFFFF) >> drop]
            of_k, e_k, s_k = fractions[k], exponents[k], signs[k]
            for n in range(columns):
                product = column[of_k[n]]
                scale = raised + e_k[n]
                reached = (product >> 23) + scale
                magnitude = product + (scale << 23)
                magnitude = np.int32(0x7F800000) if reached > 254 else magnitude
                magnitude = np.int32(0) if reached < 1 else magnitude
                words[n] = magnitude | (sign ^ s_k[n])
            for n in range(columns):
                row[n] += values[n]
