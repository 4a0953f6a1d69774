"""Between words and bit-planes, for the backends that run on planes; compiled once by numba and cached.

Words 16 b .. 16 b + 15 of a block are row b of a 32 x 32 bit matrix in each of 16 columns; the transposed matrices are
the block's planes, as in `circuits.engine.llvm.vectors`. Lane 16 b + d thus becomes bit b of 32-bit word d of a plane.
That is another order than the one of `circuits.engine.bit_planes`; no lane-wise operation can tell the difference.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from circuits.engine.blocks import BLOCK, LIMB

COLUMNS = BLOCK // LIMB
"""32-bit words of a block's plane."""


@numba.njit(cache=True, nogil=True)
def words_to_planes(words: Any, width: int, planes: Any) -> None:
    """planes uint32 [width, 16 blocks] of the low `width` bits of words uint32 [limbs, 512 blocks]."""
    rows = np.empty((LIMB, COLUMNS), dtype=np.uint32)
    for limb in range((width + LIMB - 1) // LIMB):
        for block in range(words.shape[1] // BLOCK):
            for b in range(LIMB):
                for d in range(COLUMNS):
                    rows[b, d] = words[limb, BLOCK * block + COLUMNS * b + d]
            _transpose(rows)
            for b in range(min(LIMB, width - LIMB * limb)):
                for d in range(COLUMNS):
                    planes[LIMB * limb + b, COLUMNS * block + d] = rows[b, d]


@numba.njit(cache=True, nogil=True)
def planes_to_words(planes: Any, words: Any) -> None:
    """words uint32 [limbs, 512 blocks] from planes uint32 [bits, 16 blocks]; bits beyond are 0."""
    rows = np.empty((LIMB, COLUMNS), dtype=np.uint32)
    for limb in range(words.shape[0]):
        for block in range(words.shape[1] // BLOCK):
            for b in range(LIMB):
                plane = LIMB * limb + b
                for d in range(COLUMNS):
                    rows[b, d] = planes[plane, COLUMNS * block + d] if plane < planes.shape[0] else np.uint32(0)
            _transpose(rows)
            for b in range(LIMB):
                for d in range(COLUMNS):
                    words[limb, BLOCK * block + COLUMNS * b + d] = rows[b, d]


@numba.njit(cache=True, nogil=True)
def _transpose(rows: Any) -> None:
    """Bit b of row p goes to bit p of row b, in every column.

    Stage 16, 8, 4, 2, 1 exchanges that binary digit of the row index with the same digit of the bit index; the
    derivation is in `circuits.engine.llvm.vectors`. `low` marks the bits whose index lacks the digit.
    """
    stage = 16
    low = np.uint32(0x0000FFFF)
    while stage:
        for p in range(LIMB):
            if p & stage:
                continue
            for d in range(COLUMNS):
                a, b = rows[p, d], rows[p + stage, d]
                rows[p, d] = (a & low) | ((b & low) << np.uint32(stage))
                rows[p + stage, d] = ((a >> np.uint32(stage)) & low) | (b & ~low)
        stage >>= 1
        low ^= low << np.uint32(stage)
