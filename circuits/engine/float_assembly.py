"""Float32 products around mantissa products, one lane after the other: for backends without a float kernel.

Compiled once by numba and cached. Semantics: steps 2 to 5 of `circuits.floats.arithmetic`, subnormals flushed. The
compiled kernels do the same on whole vectors (see `circuits.engine.llvm.float_parts` for the derivation).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_FRACTION = 23
_HIDDEN = 1 << 48  # the leading one, aligned to that of the widest product


@numba.njit(cache=True, nogil=True)
def mantissas(operands: Any, words: Any) -> None:
    """24-bit mantissas with the leading one set, uint32 [n], of float32 bit patterns uint32 [n]."""
    for i in range(len(operands)):
        words[i] = (operands[i] & np.uint32(0x7FFFFF)) | np.uint32(0x800000)


@numba.njit(cache=True, nogil=True)
def assemble(x: Any, w: Any, products: Any, nearest: bool, released: bool, out: Any) -> None:
    """Writes the bit patterns of float32 products into `out`, uint32 [n].

    `x`, `w`: bit patterns of the operands, uint32 [n]. `products`: mantissa products, uint32 [2 limbs, lanes >= n].
    `nearest`: round to nearest, ties to even; else truncate. `released`: the normaliser raises the exponent by one at
    most.
    """
    drop = 48 - _FRACTION
    for i in range(len(out)):
        sign = (x[i] ^ w[i]) & np.uint32(0x80000000)
        x_exponent, w_exponent = np.int64(x[i] >> 23 & 0xFF), np.int64(w[i] >> 23 & 0xFF)
        if x_exponent == 255 or w_exponent == 255:
            x_nan = x_exponent == 255 and x[i] & np.uint32(0x7FFFFF) != 0
            w_nan = w_exponent == 255 and w[i] & np.uint32(0x7FFFFF) != 0
            invalid = x_nan or w_nan or x_exponent == 0 or w_exponent == 0
            out[i] = np.uint32(0x7FC00000) if invalid else sign | np.uint32(0x7F800000)
            continue
        if x_exponent == 0 or w_exponent == 0:
            out[i] = sign
            continue
        # The leading one of a product lies at bit 46 + shift; what is below 2^46 is taken as if it had one there.
        product = np.int64(products[0, i]) | (np.int64(products[1, i]) << 32)
        shift = np.int64(product >= 1 << 47) + np.int64(product >= 1 << 48)
        significand = ((product << (2 - shift)) & (_HIDDEN - 1)) | _HIDDEN
        rounded = significand >> drop
        if nearest:
            rest, half = significand & ((1 << drop) - 1), 1 << (drop - 1)
            rounded += np.int64(rest > half or (rest == half and rounded & 1))
        raised = np.int64(shift > 0) if released else shift
        exponent = x_exponent + w_exponent - 127 + raised + (rounded >> (_FRACTION + 1))  # the last: rounded up to 2.0
        if exponent < 1:
            out[i] = sign
        elif exponent > 254:
            out[i] = sign | np.uint32(0x7F800000)
        else:
            out[i] = sign | np.uint32(exponent << _FRACTION) | np.uint32(rounded & 0x7FFFFF)
