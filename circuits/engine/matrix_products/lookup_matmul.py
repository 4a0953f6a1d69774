"""Matrix products of formats with few fraction bits: every pair of fractions is multiplied once, then looked up.

For formats with float32's exponent and few fraction bits (bfloat16, tf32). The table holds the float32 product of each
pair of significands in [1, 2), rounding and normaliser included, as the circuit's own gates give it. With the unbiased
exponents e_x and e_w,

    x w = sign(x) sign(w) table[fraction(x), fraction(w)] 2^(e_x + e_w),

because rounding with an unbounded exponent does not depend on the scale. In bit patterns the power of two is an
addition of (e_x + e_w) << 23. Overflow and flushing are decided on the exponent, as `circuits.floats.arithmetic` says.
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
"""Exponent of zeros, so low that a product with any other exponent is flushed."""


@lru_cache(maxsize=16)
def table(circuit: FloatCircuit) -> Table:
    """Bit patterns int32 [2**f, 2**f] of 1.i times 1.j, first operand first, for f fraction bits."""
    fmt = circuit.float_format
    assert fmt is not None
    count = 1 << fmt.fraction_bits
    significands = (1 + np.arange(count) / count).astype(np.float32)
    return circuit.multiply(significands[:, None], significands).view(np.int32)


class TabledMatmul:
    """A matrix product with its operands converted to the format; `run` computes some of its rows.

    x: float32, any shape; w: float32 [N, K]. `serves` is False where an operand is infinite or NaN.
    """

    def __init__(self, circuit: FloatCircuit, x: Array, w: Array) -> None:
        fmt = circuit.float_format
        assert fmt is not None
        conversion = {"rounding": circuit.rounding, "subnormals": str(circuit.subnormals)}
        # w transposed to [K, N], so that the inner loop over n reads consecutive words.
        left, right = (arithmetic.quantize(fmt, values, **conversion) for values in (x.ravel(), w.T))
        self.serves = bool(np.isfinite(left).all() and np.isfinite(right).all())
        self._table = table(circuit)
        self._drop = 23 - fmt.fraction_bits
        self._x = left.view(np.int32)
        words = np.ascontiguousarray(right).view(np.int32)
        exponents = words >> 23 & 0xFF
        self._fractions = (words & 0x7FFFFF) >> self._drop
        self._exponents = np.where(exponents == 0, _ZERO, exponents - 127).astype(np.int32)
        self._signs = words & np.int32(-0x80000000)

    def run(self, x_at: NDArray[np.int64], x_step: NDArray[np.int64], sums: Array) -> None:
        """Writes into sums [M, N] the sum over k, ascending from +0, of x[x_at[m] + x_step[k]] * w[n, k]."""
        _accumulate(self._table, self._drop, self._x, x_at, x_step, self._fractions, self._exponents, self._signs, sums)


@numba.njit(cache=True, nogil=True)
def _accumulate(
    products: Any, drop: Any, x: Any, x_at: Any, x_step: Any, fractions: Any, exponents: Any, signs: Any, sums: Any
) -> None:
    """`TabledMatmul.run` on bit patterns.

    `products` int32: the table; `drop`: fraction bits of float32 beyond the format's; `x` int32: all operands;
    `fractions`, `exponents` (unbiased, _ZERO for zeros) and `signs` int32 [K, N]: of the weights; `sums`: float32
    [M, N].
    """
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
                continue  # a sum that begins at +0 never is -0, so that adding a zero does not change it
            x_exponent = np.int32(exponent - 127)
            sign = word & np.int32(-0x80000000)
            products_of_x = products[(word & 0x7FFFFF) >> drop]
            w_fractions, w_exponents, w_signs = fractions[k], exponents[k], signs[k]
            for n in range(columns):
                product = products_of_x[w_fractions[n]]
                scale = x_exponent + w_exponents[n]
                # With b the biased exponent of the significands' product and s = e_x + e_w:
                #
                #   exponent of the result  =  b + s,    word of the result  =  product + (s << 23)
                #
                # s << 23 overflows int32 where b + s is far out of 1 .. 254; the two selections below replace just
                # those words. For zeros s is at most _ZERO + 127, far below.
                biased = (product >> 23) + scale
                magnitude = product + (scale << 23)
                magnitude = np.int32(0x7F800000) if biased > 254 else magnitude
                magnitude = np.int32(0) if biased < 1 else magnitude
                words[n] = magnitude | (sign ^ w_signs[n])
            # A loop of its own: integer operations above and float additions here both run in vector registers.
            for n in range(columns):
                row[n] += values[n]
