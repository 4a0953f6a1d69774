"""Float products of a design."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits import floats
from circuits.engine import integers


def multiply(design, x: ArrayLike, w: ArrayLike) -> NDArray[np.float32]:
    """Elementwise products; see Design.multiply."""
    return floats.multiply(
        design.float_format,
        x,
        w,
        lambda a, b: integers.multiply(design.program(), a, b),
        rounding=design.rounding,
        normalization=design.normalization,
        subnormals=design.subnormals,
    )
