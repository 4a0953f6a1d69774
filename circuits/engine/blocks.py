"""Sizes of a block: what the compiled kernels and the conversions between words and bit-planes agree on.

A block is 512 evaluations (lanes) side by side. One bit of all of them is a bit-plane of 64 bytes, the size of an
AVX-512 register; one 32-bit word of all of them takes 2048 bytes. Numbers of more than 32 bits travel as limbs, arrays
of uint32, the least significant limb first.
"""

from __future__ import annotations

BLOCK = 512
"""Lanes in a block."""

PLANE_BYTES = BLOCK // 8
"""Bytes of one bit-plane of a block."""

LIMB = 32
"""Bits of a limb."""

WORD_BYTES = BLOCK * LIMB // 8
"""Bytes of a block's 32-bit words."""


def limbs(bits: int) -> int:
    """Number of limbs that hold `bits` bits."""
    return -(-bits // LIMB)
