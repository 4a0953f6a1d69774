"""Kernels that pass once over a chunk of operand pairs: exact products and errors, then sums, counts and histograms.

Compiled once by numba and cached on disk. The compiler may reorder the sums of a chunk to use vector registers, always
in the same way on one machine; all else is exact. Three ideas make the passes fast without changing a result:

- Magnitudes of float64 are compared and binned as integers, which order alike (`circuits.accuracy.histograms`).
- The loops have no branches that depend on the data, so that they run in vector registers: a condition becomes a
  factor 0 or 1.
- A float64 product of two float32 numbers is exact, so whether a float32 result is correctly rounded is decided on the
  bits of that product.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from circuits.accuracy.histograms import BIN_SHIFT

_MAGNITUDE = (1 << 63) - 1
_HALF = 1 << (BIN_SHIFT - 1)
# Pairs whose ratios and bins (8 + 4 bytes each) are held between the loops of `tally`: 12 KB.
_BLOCK = 1024


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_narrow_integers(product: Any, x: Any, y: Any, e: Any, p: Any) -> None:
    """Sets e = product - x y and p = x y, float64 [n], from uint32 [n] arrays with x y < 2^32; exact."""
    for i in range(len(e)):
        exact = np.int64(x[i]) * np.int64(y[i])
        e[i] = np.float64(np.int64(product[i]) - exact)
        p[i] = np.float64(exact)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_integers(words: Any, x: Any, y: Any, bits: int, e: Any, p: Any) -> None:
    """Sets e = product - x y and p = x y for wider integers: x, y int64 [n] of at most 32 bits.

    `words`: the product in two uint32 words, words[0, i] the low one. `bits`: its bits, at most 62; negative for a
    product of -bits bits in two's complement. e and p are exact below 2^53.
    """
    # Shifting left by 64 - bits and back extends the sign; unsigned products are positive int64 as they are.
    unused = 64 + bits if bits < 0 else 0
    for i in range(len(e)):
        exact = x[i] * y[i]
        whole = np.int64(words[0, i]) | (np.int64(words[1, i]) << 32)
        e[i] = np.float64(((whole << unused) >> unused) - exact)
        p[i] = np.float64(exact)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def errors_of_floats(result: Any, x: Any, w: Any, nearest: bool, e: Any, p: Any) -> Any:
    """Sets e = result - x w and p = x w, float64 [n], of float32 [n] products; both are exact.

    Returns (number of incorrectly rounded results, whether this count is reliable). A result is right if it is x w
    rounded once to float32, to nearest even if `nearest`, else towards zero. The count is reliable only where all
    values are finite and nothing but zeros lies below the normal numbers.
    """
    wrong = special = 0
    smallest, largest = np.float64(2.0**-126), np.float64(3.4028234663852886e38)
    bits = p.view(np.int64)
    for i in range(len(e)):
        #   24 + 24 significant bits <= 53: the product is exact.
        p[i] = np.float64(x[i]) * np.float64(w[i])
        e[i] = np.float64(result[i]) - p[i]
    for i in range(len(e)):
        # float64 has 52 fraction bits and float32 23, so that 29 are rounded away. To nearest even: half an ulp less
        # one, plus the last bit that stays; a carry runs into the exponent field, as it should.
        word = bits[i]
        if nearest:
            word += ((word >> 29) & 1) + ((1 << 28) - 1)
        # `cut` leads from the bits of p to those of the correctly rounded product.
        cut = (word & ~np.int64((1 << 29) - 1)) - bits[i]
        wrong += bits[i] + cut != np.float64(result[i]).view(np.int64)
    for i in range(len(e)):
        # Below the normal numbers float32's ulp no longer shrinks, and the 29 bits above are not those that rounding
        # drops.
        a, b, c, d = abs(x[i]), abs(w[i]), abs(p[i]), abs(np.float64(result[i]))
        normal = (a >= smallest) & (b >= smallest) & (c >= smallest) & (c < largest) & (d <= largest)
        zero = ((a == 0.0) | (a >= smallest)) & ((b == 0.0) | (b >= smallest)) & (c == 0.0) & (d == 0.0)
        special += not (normal | zero)
    return wrong, special == 0


@numba.njit(cache=True, nogil=True)
def enumerate_pairs(first: int, y_bits: int, x: Any, y: Any) -> None:
    """Sets x, y, uint32 [n], to the pairs number first, first + 1, ..., ordered by x, then by y of `y_bits` bits."""
    mask = (1 << y_bits) - 1
    for i in range(len(x)):
        x[i] = (first + i) >> y_bits
        y[i] = (first + i) & mask


@numba.njit(cache=True, nogil=True)
def _count(bits: Any, keys: Any, counts: Any) -> None:
    """Counts the bins of a block of float64 bit patterns; `keys`, int32, is scratch.

    Two loops: the first one runs in vector registers, the second one cannot.
    """
    for i in range(len(bits)):
        # Half a bin is added before the shift, so that a bin holds what rounds to its value (see `histograms`).
        keys[i] = np.int32(((bits[i] & _MAGNITUDE) + _HALF) >> BIN_SHIFT)
    for i in range(len(bits)):
        counts[keys[i]] += 1


@numba.njit(cache=True, nogil=True)
def _extremes(bits: Any) -> Any:
    """(least but 0, greatest) magnitude of float64 bit patterns, as bit patterns; infinity and 0 without any."""
    least, greatest = np.int64(0x7FF) << 52, np.int64(0)
    for i in range(len(bits)):
        magnitude = bits[i] & _MAGNITUDE
        # Patterns of non-negative floats order like the floats; that of infinity is above all finite ones, so 0 never
        # wins.
        positive = magnitude if magnitude else np.int64(0x7FF) << 52
        least = min(least, positive)
        greatest = max(greatest, magnitude)
    return least, greatest


# `reassoc` lets the ten sums run in vector registers, `nnan` and `ninf` hold because `measure_chunk` passes finite
# pairs only. Contraction to fused multiply-adds is not allowed: it would make results depend on the machine.
@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "nnan", "ninf"})
def tally(e: Any, p: Any, counts: Any, relative_counts: Any) -> Any:
    """Returns (sums, wrong, nonzero, larger, index of max |e|, index of max r, extremes) of errors e, exact products p.

    `e`, `p`: float64 [n]; r = |e / p|, and 0 where p is 0. Adds the bins of |e| and of r to `counts` and
    `relative_counts`, int64 [BINS]. `sums` in the order of `accumulation.ErrorSums`. `wrong` counts e != 0, `nonzero`
    p != 0, `larger` |p + e| > |p|. An index is that of the first maximum, -1 without values. `extremes` in the order of
    `accumulation.Extremes`.

    Invariant of the outer loop: sums, counts and extremes cover the blocks before `start`. Ratios and bins of a block
    stay in the first-level cache.
    """
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = 0.0
    wrong = nonzero = larger = 0.0
    worst = worst_relative = -1
    ratio = np.empty(_BLOCK, dtype=np.float64)
    keys = np.empty(_BLOCK, dtype=np.int32)
    extremes = np.array([np.inf, 0.0, np.inf, 0.0, 0.0])
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
            # |p + e| > |p|  <=>  (p + e)^2 > p^2  <=>  e (2p + e) > 0: the sign survives where p + e would round.
            larger += 1.0 if signed * (exact + exact + signed) > 0.0 else 0.0
        _count(errors.view(np.int64), keys, counts)
        _count(ratios.view(np.int64), keys, relative_counts)
        least, greatest = _extremes(errors.view(np.int64))
        # The index is searched for only where a block raises the maximum, which soon becomes rare; > keeps the first of
        # equals.
        if worst < 0 or greatest > extreme_bits[1]:
            for i in range(length):
                if errors.view(np.int64)[i] & _MAGNITUDE == greatest:
                    worst = start + i
                    break
        extreme_bits[0], extreme_bits[1] = min(extreme_bits[0], least), max(extreme_bits[1], greatest)
        least, greatest = _extremes(ratios.view(np.int64))
        if worst_relative < 0 or greatest > extreme_bits[3]:
            for i in range(length):
                # Where p is 0 the ratio is a placeholder: it can tie with a maximum of 0 but is no pair of a relative
                # error.
                if ratios.view(np.int64)[i] == greatest and products[i] != 0.0:
                    worst_relative = start + i
                    break
        extreme_bits[2], extreme_bits[3] = min(extreme_bits[2], least), max(extreme_bits[3], greatest)
        extreme_bits[4] = max(extreme_bits[4], _extremes(products.view(np.int64))[1])
    sums = (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9)
    return sums, int(wrong), int(nonzero), int(larger), worst, worst_relative, extremes
