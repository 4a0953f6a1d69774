"""Integer models of the families of approximate multipliers, from the papers' formulas; no code of the generators.

Each takes int64 arrays of operands (below 2^31) and returns the int64 products. The models of magnitudes take unsigned
operands; `signed_magnitudes` makes signed ones of them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

Numbers = np.ndarray


def leading(x: Numbers) -> Numbers:
    """Position of the leading one; -1 for 0. Exact below 2^53."""
    return np.where(x > 0, np.frexp(np.maximum(x, 1).astype(np.float64))[1] - 1, -1).astype(np.int64)


def mitchell(x: Numbers, y: Numbers) -> Numbers:
    """Mitchell 1962: 2^(k1+k2) (1 + f1 + f2), or 2^(k1+k2+1) (f1 + f2) from f1 + f2 = 1 on; 2^k f = x - 2^k."""
    k1, k2 = leading(np.maximum(x, 1)), leading(np.maximum(y, 1))
    # 2^(k1+k2) (f1 + f2), an integer.
    s = ((x - (1 << k1)) << k2) + ((y - (1 << k2)) << k1)
    one = np.int64(1) << (k1 + k2)
    return np.where((x == 0) | (y == 0), 0, np.where(s < one, one + s, 2 * s))


def mbm(x: Numbers, y: Numbers, width: tuple[int, int], truncate: int = 0) -> Numbers:
    """Saadat et al. 2018: c = 0.078125 = 5 / 64 on top of Mitchell's mantissa, but where the product would overflow."""
    k1, k2 = leading(np.maximum(x, 1)), leading(np.maximum(y, 1))
    n = max(max(width) - 1, 7)
    f1, f2 = (x << (n - k1)) - (1 << n), (y << (n - k2)) - (1 << n)  # times 2^n
    if truncate:
        f1, f2 = ((f >> truncate | 1) << truncate for f in (f1, f2))
    s = f1 + f2
    mantissa = np.where(s < 1 << n, (1 << n) + s, 2 * s)
    corrected = mantissa + (5 << n - 6)
    top = (k1 == width[0] - 1) & (k2 == width[1] - 1) & (corrected >= 4 << n)
    mantissa = np.where(top, mantissa, corrected)
    return np.where((x == 0) | (y == 0), 0, (mantissa << (k1 + k2)) >> n)


def drum(x: Numbers, y: Numbers, k: int) -> Numbers:
    """Hashemi et al. 2015: k bits from the leading one on, the last one set where bits are left out."""

    def segment(a: Numbers) -> Numbers:
        s = np.maximum(leading(a) - k + 1, 0)
        return np.where(s > 0, (a >> s | 1) << s, a)

    return segment(x) * segment(y)


def static_segment(x: Numbers, y: Numbers, width: tuple[int, int], m: int, places: int = 2) -> Numbers:
    """Narayanamoorthy et al. 2015: the m bits at the lowest of the fixed places that cover the leading one."""

    def segment(a: Numbers, n: int) -> Numbers:
        result = (a >> (n - m)) << (n - m)
        if places == 3:
            middle = (n - m) // 2
            result = np.where(a < 1 << (m + middle), (a >> middle) << middle, result)
        return np.where(a < 1 << m, a, result)

    return segment(x, width[0]) * segment(y, width[1])


def roba(x: Numbers, y: Numbers) -> Numbers:
    """Zendegani et al. 2017: xr y + yr x - xr yr with the nearest powers of two, halves up, but 3 to 2."""

    def power(a: Numbers) -> Numbers:
        down = np.int64(1) << np.maximum(leading(a), 0)
        return np.where(a == 0, 0, np.where((2 * a >= 3 * down) & (a != 3) & (a > 1), 2 * down, down))

    xr, yr = power(x), power(y)
    return xr * y + yr * x - xr * yr


def kulkarni(x: Numbers, y: Numbers) -> Numbers:
    """Kulkarni et al. 2011: digits of two bits, 3 x 3 = 7."""
    total = np.zeros_like(x)
    for i in range(0, 32, 2):
        for j in range(0, 32, 2):
            a, b = x >> i & 3, y >> j & 3
            if a.any() and b.any():
                total = total + (np.where((a == 3) & (b == 3), 7, a * b) << (i + j))
    return total


def broken_array(x: Numbers, y: Numbers, width: tuple[int, int], horizontal: int, vertical: int) -> Numbers:
    """Mahdiani et al. 2010: the cells of rows from `horizontal` and columns from `vertical` on."""
    total = np.zeros_like(x)
    for i in range(horizontal, width[0]):
        for j in range(width[1]):
            if i + j >= vertical:
                total = total + ((x >> i & 1) * (y >> j & 1) << (i + j))
    return total


def truncated(x: Numbers, y: Numbers, width: tuple[int, int], columns: int, compensation: str) -> Numbers:
    """Unsigned: columns from `columns` on, and what stands for the others."""
    total = broken_array(x, y, width, 0, columns)
    if compensation == "constant":
        dropped = [1 << i + j for i in range(width[0]) for j in range(width[1]) if i + j < columns]
        total = total + (round(Fraction(sum(dropped), 4 << columns)) << columns)
    elif compensation == "variable" and columns:
        last = broken_array(x, y, width, 0, columns - 1) - broken_array(x, y, width, 0, columns)
        total = total + 2 * last
    return total % (1 << sum(width))


def signed_columns(x: Numbers, y: Numbers, width: tuple[int, int]) -> list[Numbers]:
    """How many bits of each product column are set in a signed array (Baugh, Wooley 1973).

    Partial products of one sign bit are complemented, and 2^(w-1) + 2^(v-1) + 2^(w+v-1) is added.
    """
    w, v = width
    ones = (1 << w - 1) + (1 << v - 1) + (1 << w + v - 1)
    columns = [np.full_like(x, ones >> k & 1) for k in range(w + v)]
    for i in range(w):
        for j in range(v):
            product = (x >> i & 1) * (y >> j & 1)
            columns[i + j] += 1 - product if (i == w - 1) != (j == v - 1) else product
    return columns


def wrapped(total: Numbers, bits: int) -> Numbers:
    """The number in two's complement of the lowest bits."""
    total = total % (1 << bits)
    return np.where(total >> (bits - 1) & 1, total - (1 << bits), total)


def signed_broken_array(x: Numbers, y: Numbers, width: tuple[int, int], horizontal: int, vertical: int) -> Numbers:
    """The array of x without its lowest bits, a number in two's complement again, without the lowest columns."""
    w, v = width[0] - horizontal, width[1]
    columns = signed_columns(x >> horizontal, y, (w, v))
    kept = sum((bits << k for k, bits in enumerate(columns) if k + horizontal >= vertical), np.zeros_like(x))
    return wrapped(kept << horizontal, w + horizontal + v)


def signed_truncated(x: Numbers, y: Numbers, width: tuple[int, int], columns: int, compensation: str) -> Numbers:
    """The signed array's columns from `columns` on, and what stands for the others: their mean, or the last of them."""
    every = signed_columns(x, y, width)
    total = sum((bits << k for k, bits in enumerate(every) if k >= columns), np.zeros_like(x))
    if compensation == "constant":
        # All pairs of operands have every pair of bits equally often, so that the mean over them is exact.
        dropped = sum((bits << k for k, bits in enumerate(every) if k < columns), np.zeros_like(x))
        total = total + (round(Fraction(int(dropped.sum()), dropped.size << columns)) << columns)
    elif compensation == "variable" and columns:
        total = total + (every[columns - 1] << columns)
    return wrapped(total, sum(width))


def approximate_booth(x: Numbers, y: Numbers, width: tuple[int, int], *, encoder: str, p: int, signed: bool) -> Numbers:
    """Liu et al. 2017: the rows of exact Booth digits, and what its bits below column p are instead."""
    w, v = width
    total = np.zeros_like(x)
    for n in range((w + 1) // 2 if signed else w // 2 + 1):
        low = x >> (2 * n - 1) & 1 if n else np.zeros_like(x)
        middle, high = x >> 2 * n & 1, x >> (2 * n + 1) & 1
        # Digit d: the row is |d| y, its bits inverted where d < 0, and 1 is added then; so row + carry = d y.
        digit = -2 * high + middle + low
        row = digit * y - (digit < 0)
        for j in range(min(p - 2 * n, v)):
            bit = y >> j & 1
            wrong = high ^ bit if encoder == "2" else (middle ^ low) & (high ^ bit)
            row = row + ((wrong - (row >> j & 1)) << j)
        total = total + ((row + (digit < 0)) << 2 * n)
    return wrapped(total, w + v) if signed else total % (1 << w + v)


def signed_magnitudes(model: Callable[[Numbers, Numbers], Numbers], x: Numbers, y: Numbers) -> Numbers:
    """The product of the magnitudes by `model`, with the sign of x y."""
    return np.sign(x) * np.sign(y) * model(abs(x), abs(y))
