"""Scheme `uint8`: affine unsigned codes 0 .. 2^bits - 1 with zero points, for unsigned designs (TFApprox)."""

from __future__ import annotations

from cnn_eval.quantized.schemes.scheme import Scheme, affine_scales, direct_product, direct_sums

SCHEME = Scheme(
    name="uint8",
    signed=False,
    affine=True,
    codes=lambda bits: (0, (1 << bits) - 1),
    scales=lambda low, high, bits: affine_scales(low, high, (1 << bits) - 1),
    product=direct_product,
    sums=direct_sums,
)
