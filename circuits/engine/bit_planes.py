"""Bit-planes: plane k holds bit k of many values side by side, 64 values in a word.

Value (lane) L is bit L % 64 of word L // 64 of every plane. One bitwise operation on planes thus evaluates a gate for
all values at once (bit-sliced simulation). Lanes beyond the number of values are zero on packing and ignored on
unpacking.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.uint64]
"""uint64 [bits, words]."""


def pack(values: NDArray[np.unsignedinteger], width: int, words: int | None = None) -> Planes:
    """The planes, uint64 [width, words], of the low `width` <= 64 bits of `values` (uint64 [n])."""
    values = np.ascontiguousarray(values, dtype="<u8").ravel()
    words = -(-values.size // 64) if words is None else words
    bits = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little", count=width)
    padded = np.zeros((width, words * 64), dtype=np.uint8)
    padded[:, : values.size] = bits.T
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def unpack(planes: Planes, count: int) -> NDArray[np.uint64]:
    """The values, uint64 [count], whose bits are `planes` ([width <= 64, words]), the least significant first."""
    bits = np.unpackbits(np.ascontiguousarray(planes, dtype="<u8").view(np.uint8), axis=1, bitorder="little")
    padded = np.zeros((count, 64), dtype=np.uint8)
    padded[:, : planes.shape[0]] = bits[:, :count].T
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").ravel().astype(np.uint64, copy=False)
