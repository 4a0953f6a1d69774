"""One pass over a chunk of errors: the sums, counts, maxima and histograms behind `circuits.accuracy.measurement`.

Compiled once by numba and cached. The compiler may reorder the sums of a chunk to use vectors, always in the same way
on one machine; all else is exact.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from circuits.accuracy.histograms import BIN_SHIFT

_MAGNITUDE = (1 << 63) - 1
_HALF = 1 << (BIN_SHIFT - 1)
_BLOCK = 1024  # values whose ratios and bins stay in the first-level cache


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_narrow_integers(product: Any, x: Any, y: Any, e: Any, p: Any) -> None:
    """e = product - x y and p = x y in float64, from uint32 arrays; exact."""
    for i in range(len(e)):
        exact = np.int64(x[i]) * np.int64(y[i])
        e[i] = np.float64(np.int64(product[i]) - exact)
        p[i] = np.float64(exact)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_integers(words: Any, x: Any, y: Any, bits: int, e: Any, p: Any) -> None:
    """The same of products of `bits` <= 62 bits in two uint32 limbs, words[limb, i]; x, y int64 of at most 32 bits.

    Products are two's complement if `bits` is negative, of -bits bits. e and p are exact below 2^53.
    """
    unused = 64 + bits if bits < 0 else 0
    for i in range(len(e)):
        exact = x[i] * y[i]
        whole = np.int64(words[0, i]) | (np.int64(words[1, i]) << 32)
        e[i] = np.float64(((whole << unused) >> unused) - exact)
        p[i] = np.float64(exact)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_floats(result: Any, x: Any, w: Any, nearest: bool, e: Any, p: Any) -> Any:
    """(wrong results, whether this is right) of float32 products; e = result - x w and p = x w in float64, exact.

    Wrong: not x w rounded once to float32, to nearest even or towards zero. Right only where all is finite and nothing
    but zeros lies below the normal numbers.
    """
    wrong = odd = 0
    smallest, largest = np.float64(2.0**-126), np.float64(3.4028234663852886e38)
    bits = p.view(np.int64)
    for i in range(len(e)):
        p[i] = np.float64(x[i]) * np.float64(w[i])
        e[i] = np.float64(result[i]) - p[i]
    for i in range(len(e)):
        word = bits[i]
        if nearest:
            word += ((word >> 29) & 1) + ((1 << 28) - 1)
        # The 24 leading bits: an error of 0 against them means that the result is correctly rounded.
        cut = (word & ~np.int64((1 << 29) - 1)) - bits[i]
        wrong += bits[i] + cut != np.float64(result[i]).view(np.int64)
    for i in range(len(e)):
        a, b, c, d = abs(x[i]), abs(w[i]), abs(p[i]), abs(np.float64(result[i]))
        fine = (a >= smallest) & (b >= smallest) & (c >= smallest) & (c < largest) & (d <= largest)
        odd += not (fine | (((a == 0.0) | (a >= smallest)) & ((b == 0.0) | (b >= smallest)) & (c == 0.0) & (d == 0.0)))
    return wrong, odd == 0


@numba.njit(cache=True, nogil=True)
def enumerate_pairs(first: int, y_bits: int, x: Any, y: Any) -> None:
    """Operand pairs number first, first + 1, ... in order of x, then y."""
    mask = (1 << y_bits) - 1
    for i in range(len(x)):
        x[i] = (first + i) >> y_bits
        y[i] = (first + i) & mask


@numba.njit(cache=True, nogil=True)
def _count(bits: Any, keys: Any, counts: Any) -> None:
    """Counts the bins of a block of float64 bit patterns; `keys` is scratch."""
    for i in range(len(bits)):
        keys[i] = np.int32(((bits[i] & _MAGNITUDE) + _HALF) >> BIN_SHIFT)
    for i in range(len(bits)):
        counts[keys[i]] += 1


@numba.njit(cache=True, nogil=True)
def _extremes(bits: Any) -> Any:
    """(least but 0, greatest) magnitude of float64 bit patterns, as bit patterns; infinity and 0 where none is."""
    least, greatest = np.int64(0x7FF) << 52, np.int64(0)
    for i in range(len(bits)):
        magnitude = bits[i] & _MAGNITUDE
        positive = magnitude if magnitude else np.int64(0x7FF) << 52
        least = min(least, positive)
        greatest = max(greatest, magnitude)
    return least, greatest


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "nnan", "ninf"})
def tally(e: Any, p: Any, counts: Any, relative_counts: Any) -> Any:
    """(sums, wrong, nonzero, larger, places of max |e| and max r, extremes) of errors e and exact products p.

    Adds the bins of |e| and of r to `counts` and `relative_counts`, int64 [BINS]; r is counted as 0 where p is 0.
    `wrong` counts e != 0, `nonzero` p != 0. Places are those of the first maximum, -1 without values. `extremes`: least
    positive and greatest |e|, least positive and greatest r, greatest |p|; infinity and 0 where there are none.
    """
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = 0.0
    wrong = nonzero = larger = 0.0
    worst = worst_relative = -1
    ratio = np.empty(_BLOCK, dtype=np.float64)
    keys = np.empty(_BLOCK, dtype=np.int32)
    extremes = np.array([np.inf, 0.0, np.inf, 0.0, 0.0])
    # Magnitudes are compared as integers, which order alike and whose extremes run in vector registers.
    extreme_bits = extremes.view(np.int64)
    for start in range(0, len(e), _BLOCK):
        errors, products = e[start : start + _BLOCK], p[start : start + _BLOCK]
        length = len(products)
        ratios = ratio[:length]
        for i in range(length):
            signed, exact = errors[i], products[i]
            distance, magnitude = abs(signed), abs(exact)
            # Divided by 1 where p is 0: the division never fails and the loop has no branch.
            zero = 1.0 if magnitude == 0.0 else 0.0
            r = distance * (1.0 - zero) / (magnitude + zero)
            ratios[i] = r
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
            nonzero += 1.0 - zero
            wrong += 1.0 if signed != 0.0 else 0.0
            # |p + e| > |p| as e (2p + e) > 0: the signs survive where p + e would round.
            larger += 1.0 if signed * (exact + exact + signed) > 0.0 else 0.0
        _count(errors.view(np.int64), keys, counts)
        _count(ratios.view(np.int64), keys, relative_counts)
        least, greatest = _extremes(errors.view(np.int64))
        if worst < 0 or greatest > extreme_bits[1]:
            for i in range(length):
                if errors.view(np.int64)[i] & _MAGNITUDE == greatest:
                    worst = start + i
                    break
        extreme_bits[0], extreme_bits[1] = min(extreme_bits[0], least), max(extreme_bits[1], greatest)
        least, greatest = _extremes(ratios.view(np.int64))
        if worst_relative < 0 or greatest > extreme_bits[3]:
            for i in range(length):
                if ratios.view(np.int64)[i] == greatest and products[i] != 0.0:
                    worst_relative = start + i
                    break
        extreme_bits[2], extreme_bits[3] = min(extreme_bits[2], least), max(extreme_bits[3], greatest)
        extreme_bits[4] = max(extreme_bits[4], _extremes(products.view(np.int64))[1])
    sums = (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9)
    return sums, int(wrong), int(nonzero), int(larger), worst, worst_relative, extremes
