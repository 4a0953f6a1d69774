"""Bilinear interpolation in characterised tables, for compiled kernels (see `kernel_records`).

With slew s in [s_k, s_k+1] and load c in [c_l, c_l+1], weights u = (s - s_k) / (s_k+1 - s_k) and
v = (c - c_l) / (c_l+1 - c_l):

    value = (1 - u) ((1 - v) T[k, l]     + v T[k, l + 1])
          +      u  ((1 - v) T[k + 1, l] + v T[k + 1, l + 1])

Beyond the grid the nearest interval is continued (u or v below 0 or above 1).
"""

from __future__ import annotations

from typing import Any

import numba

from circuits.cost.kernel_records import Floats


@numba.njit(cache=True, nogil=True)
def weights(axis: Floats, value: float) -> Any:
    """(k, u): the interval of `axis` that holds `value` or is nearest to it, and the weight of its upper end."""
    k = 0
    while k + 2 < len(axis) and value > axis[k + 1]:
        k += 1
    return k, (value - axis[k]) / (axis[k + 1] - axis[k])


@numba.njit(cache=True, nogil=True)
def interpolated(table: Floats, s: int, ws: float, c: int, wc: float) -> float:
    """`table` [S, L] at slew interval `s` with weight `ws` and load interval `c` with weight `wc`."""
    low = table[s, c] * (1 - wc) + table[s, c + 1] * wc
    high = table[s + 1, c] * (1 - wc) + table[s + 1, c + 1] * wc
    value: float = low * (1 - ws) + high * ws
    return value
