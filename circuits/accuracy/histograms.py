"""Histograms of the magnitudes |e| and |e / p|, from which quantiles and the skewness of samples are read.

A float64 magnitude, read as an integer, orders like the number itself. Its upper 20 bits (11 of the exponent, 9 of the
fraction, the sign being 0) are therefore a logarithmic bin number that costs one shift: bin k holds the magnitudes that
round to the k-th number of 10 significant bits,

    k = (bits + 2^(BIN_SHIFT - 1)) >> BIN_SHIFT,    value of bin k = the float64 whose bits are k << BIN_SHIFT.

Counts are whole numbers, so that it does not matter which thread counts what. Pages of bins that nothing falls into are
never touched and cost no memory.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.interval_rules import squared_skewness

BIN_SHIFT = 43
"""Bits of a float64 that a bin number leaves out."""
BINS = 1 << (63 - BIN_SHIFT)
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""The quantiles of |e| and |e / p| that are reported."""


def bin_of(magnitude: float) -> int:
    """The bin of a magnitude."""
    return int(np.float64(magnitude).view(np.int64)) + (1 << (BIN_SHIFT - 1)) >> BIN_SHIFT


@dataclass(frozen=True)
class Histogram:
    """`counts[k]` values in bin `first` + k; `zeros` apart, because they lie half a million bins below the others."""

    zeros: int
    first: int
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls, rows: Iterable[NDArray[np.int64]], least: float, greatest: float, *, excess_zeros: int = 0
    ) -> Histogram:
        """The sum of several count arrays [BINS], whose positive values lie between `least` and `greatest`.

        `excess_zeros`: values counted as zeros that are not zero.
        """
        rows = list(rows)
        # Bin 0 holds the zeros; nothing else comes near it.
        first, beyond = (max(bin_of(least), 1), bin_of(greatest) + 1) if greatest > 0 else (1, 1)
        counts = np.zeros(max(beyond - first, 0), dtype=np.int64)
        for row in rows:
            # Only the pages between the extremes are read: a count array of all bins has 2^20 entries, nearly all
            # untouched.
            counts += row[first:beyond]
        return cls(sum(int(row[0]) for row in rows) - excess_zeros, first, counts)

    def quantiles(self) -> dict[float, float]:
        """Probability -> the smallest value that at least that share of the values does not exceed; NaN without any."""
        # cumulative[k]: values in the bins below `first` + k.
        cumulative = self.zeros + np.concatenate(([0], np.cumsum(self.counts)))
        total = int(cumulative[-1])
        if not total:
            return dict.fromkeys(QUANTILES, math.nan)
        #   rank k:  cumulative[k - 1] < ceil(q total) <= cumulative[k];  rank 0: already the zeros suffice.
        ranks = np.searchsorted(cumulative, [max(1, math.ceil(q * total)) for q in QUANTILES])
        bins = np.where(ranks == 0, 0, self.first + ranks - 1).astype(np.int64)
        values = (bins << BIN_SHIFT).view(np.float64)
        return {q: float(value) for q, value in zip(QUANTILES, values, strict=True)}

    def squared_skewness(self, power: int = 1) -> float:
        """`squared_skewness` of the values, each raised to `power`; infinite where all are equal or there is none."""
        occupied = np.flatnonzero(self.counts)
        if not occupied.size:
            return math.inf
        values = (self.first + occupied << BIN_SHIFT).view(np.float64)
        # The skewness has no unit; the largest value as the unit keeps high powers finite.
        # Zeros are values as well, at the end with their own weight.
        values = np.append((values / values[-1]) ** power, 0.0)
        weights = np.append(self.counts[occupied], self.zeros) / (self.counts.sum() + self.zeros)
        centred = values - weights @ values
        square = centred * centred  # products: NumPy's powers above 2 take fifty times as long
        return squared_skewness(*(float(weights @ moment) for moment in (square, square * centred, square * square)))


class ThreadCounts:
    """Two count arrays a thread, of |e| and of |e / p|, that are added up at the end."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[NDArray[np.int64]] = []

    def mine(self) -> NDArray[np.int64]:
        """The int64 [2, BINS] array of the calling thread."""
        counts: NDArray[np.int64] | None = getattr(self._own, "counts", None)
        if counts is None:
            # np.zeros maps pages of zeros that cost nothing until written. Appending to a list is atomic: no lock is
            # needed.
            counts = self._own.counts = np.zeros((2, BINS), dtype=np.int64)
            self._all.append(counts)
        return counts

    def of_errors(self) -> list[NDArray[np.int64]]:
        """The counts of |e| of every thread."""
        return [counts[0] for counts in self._all]

    def of_relative_errors(self) -> list[NDArray[np.int64]]:
        """The counts of |e / p| of every thread; pairs with p = 0 are counted as zeros."""
        return [counts[1] for counts in self._all]
