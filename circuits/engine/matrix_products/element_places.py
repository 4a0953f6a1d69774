"""Where a matrix product finds its elements, so that convolution needs no copy of its patches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places:
    """Offsets, in elements, of the operands and results of `gathering.gathered_matmul`.

    `x_at` int64 [M], `x_step` int64 [K]: element (m, k) of x is x.flat[x_at[m] + x_step[k]]. `out_at` int64 [M] and the
    number `out_step`: result (m, n) goes to out.flat[out_at[m] + n out_step]. `prepared` holds what kernels prepare for
    these places; it lives as long as they do and may be used by several threads.
    """

    x_at: Offsets
    x_step: Offsets
    out_at: Offsets
    out_step: int
    prepared: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
