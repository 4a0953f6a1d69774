"""float32 values at which products are special: of both signs, and with those at the limits of narrow formats."""

from __future__ import annotations

import numpy as np


def _both_signs(*values: float) -> np.ndarray:
    positive = np.array(values, dtype=np.float32)
    return np.concatenate([positive, -positive])


CORNERS = _both_signs(*(0, 1, 1.5, 1.9999999, 2.0**-126, 2.0**-140, 2.0**-64, 3.4028235e38, 2.0**64, np.inf, np.nan))
"""Zeros, subnormals, the largest number, infinities, NaN, and values whose products over- and underflow."""
CORNERS_OF_FORMATS = np.concatenate(
    [
        CORNERS,
        _both_signs(
            *(448, 449, 464, 480, 57344, 61440, 65504, 65519, 65520, 2**-6, 2**-9, 2**-10, 3 * 2.0**-10),
            *(2**-14, 2**-16, 2**-17, 1.5 * 2**-17, 2**-24, 2**-25, 1.5 * 2**-24),
        ),
    ]
)
"""Also the largest value of each narrow format, its smallest normal one, and half of its smallest subnormal one."""
