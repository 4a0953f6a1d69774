"""Scheme `int8`: symmetric two's complement codes, -(2^(bits - 1) - 1) .. 2^(bits - 1) - 1, for signed designs.

The code -2^(bits - 1) is left out, so that the codes are symmetric and negation never overflows (AdaPT, TransAxx).
"""

from __future__ import annotations

from cnn_eval.quantized.schemes.scheme import Scheme, direct_product, direct_sums, symmetric_scales


def _greatest(bits: int) -> int:
    return (1 << bits - 1) - 1


SCHEME = Scheme(
    name="int8",
    signed=True,
    affine=False,
    codes=lambda bits: (-_greatest(bits), _greatest(bits)),
    scales=lambda low, high, bits: symmetric_scales(low, high, _greatest(bits)),
    product=direct_product,
    sums=direct_sums,
)
