"""Equality of results bit for bit, which tells +0 from -0."""

from __future__ import annotations

import numpy as np


def equal_bits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two float32 arrays are equal bit for bit, any NaN equal to any NaN."""
    return (one.view(np.uint32) == other.view(np.uint32)) | (np.isnan(one) & np.isnan(other))


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays, of float32 or of integers, are equal bit for bit; their types and shapes must agree."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    if one.dtype != np.float32:
        return bool((one == other).all())
    return bool(equal_bits(one, other).all())
