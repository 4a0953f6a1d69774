"""One pass over a chunk of errors: the sums, counts, maxima and histograms behind `circuits.metrics`.

Compiled once by numba and cached. The compiler may reorder the sums of a chunk to use vectors, always in the same way
on one machine; all else is exact.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

BIN_SHIFT = 43
"""Histograms over all magnitudes of float64: bin k holds those that round to the k-th number of 10 significant bits."""
SUMS = ("e", "|e|", "e2", "e3", "e4", "|p|", "p2", "|e||p|", "r", "r2")
"""The order of the sums; r = |e / p|, 0 where p is 0."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_integers(product: Any, x: Any, y: Any, e: Any, p: Any) -> None:
    """e = product - x y and p = x y in float64, from integer arrays; exact below 2^53."""
    for i in range(len(e)):
        exact = np.int64(x[i]) * np.int64(y[i])
        e[i] = np.float64(np.int64(product[i]) - exact)
        p[i] = np.float64(exact)


@numba.njit(cache=True, nogil=True)
def enumerate_pairs(first: int, y_bits: int, x: Any, y: Any) -> None:
    """Operand pairs number first, first + 1, ... in order of x, then y."""
    mask = (1 << y_bits) - 1
    for i in range(len(x)):
        x[i] = (first + i) >> y_bits
        y[i] = (first + i) & mask


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "nnan", "ninf"})
def tally(e: Any, p: Any, ratio: Any) -> Any:
    """(sums, nonzero, larger, |p| max, place of max |e|, place of max r) of errors e and exact products p.

    Writes r = |e / p| (0 where p is 0) to `ratio`. Places are those of the first maximum; -1 without values.
    """
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = 0.0
    nonzero = larger = 0
    largest_product = most = most_relative = 0.0
    for i in range(len(e)):
        signed, exact = e[i], p[i]
        distance, magnitude = abs(signed), abs(exact)
        # Divided by 1 where p is 0: the division never fails and the loop has no branch.
        zero = np.float64(magnitude == 0.0)
        r = distance * (1.0 - zero) / (magnitude + zero)
        ratio[i] = r
        square = signed * signed
        s0 += signed
        s1 += distance
        s2 += square
        s3 += square * signed
        s4 += square * square
        s5 += magnitude
        s6 += magnitude * magnitude
        s7 += distance * magnitude
        s8 += r
        s9 += r * r
        nonzero += magnitude != 0.0
        # |p + e| > |p| as e (2p + e) > 0: the signs survive where p + e would round.
        larger += signed * (exact + exact + signed) > 0.0
        largest_product = magnitude if magnitude > largest_product else largest_product
        most = distance if distance > most else most
        most_relative = r if r > most_relative else most_relative
    sums = (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9)
    worst = worst_relative = -1
    for i in range(len(e)):
        if abs(e[i]) == most:
            worst = i
            break
    for i in range(len(e)):
        if ratio[i] == most_relative and p[i] != 0.0:
            worst_relative = i
            break
    return sums, nonzero, larger, largest_product, worst, worst_relative


@numba.njit(cache=True, nogil=True)
def histogram(bits: Any, p: Any, skip: bool) -> Any:
    """(zeros, first bin, counts) of the magnitudes of float64 given as int64 bit patterns.

    With `skip`, values whose exact product p is 0 are left out.
    """
    half = 1 << (BIN_SHIFT - 1)
    low, high = np.int64(1) << 62, np.int64(0)
    for i in range(len(bits)):
        key = ((bits[i] & 0x7FFFFFFFFFFFFFFF) + half) >> BIN_SHIFT
        if key:
            low = min(low, key)
        high = max(high, key)
    if not high:
        low = np.int64(0)
        counts = np.zeros(0, dtype=np.int64)
    else:
        counts = np.zeros(high - low + 1, dtype=np.int64)
    zeros = 0
    for i in range(len(bits)):
        if not skip or p[i] != 0.0:
            key = ((bits[i] & 0x7FFFFFFFFFFFFFFF) + half) >> BIN_SHIFT
            if key:
                counts[key - low] += 1
            else:
                zeros += 1
    return zeros, low, counts
