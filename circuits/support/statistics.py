"""Confidence intervals, tests and rank correlations, shared by all packages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_RANKED = 20
"""A rank correlation of fewer pairs gets no interval."""
_LARGEST_RHO = 0.95


@lru_cache
def normal_quantile(confidence: float) -> float:
    """The two-sided standard normal quantile, 1.96 for confidence 0.95; 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"0 < confidence < 1 must hold, but got {confidence!r}; 0.95 is usual.")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def student_quantile(confidence: float, degrees: int) -> float:
    """The two-sided quantile of Student's t with `degrees` >= 3 degrees of freedom, within 0.7 %.

    With the normal quantile z and n degrees, by the expansion of Abramowitz, Stegun, Handbook of Mathematical
    Functions, 26.7.5:

        t = z + (z^3 + z) / (4 n) + (5 z^5 + 16 z^3 + 3 z) / (96 n^2) + (3 z^7 + 19 z^5 + 17 z^3 - 15 z) / (384 n^3)
    """
    if degrees < 3:
        raise ValueError(f"degrees >= 3 must hold, but got {degrees}; take more samples.")
    z, n = normal_quantile(confidence), degrees
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of Wilson's score interval for a rate of `successes` in `trials` independent trials.

    The interval holds the rates q that a normal test does not reject, |p - q| <= z sqrt(q (1 - q) / n), with the
    observed rate p and n trials. Squared, this is a quadratic inequality in q, whose roots are

        ( p + z^2 / (2 n)  -+  z sqrt( p (1 - p) / n + z^2 / (4 n^2) ) ) / (1 + z^2 / n)

    (0, 1) without trials. It covers about 95 % from 100 trials on, and at least 83 % of rates so near 0 or 1 that fewer
    than 0.2 events are expected. Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22, 1927. Raises ValueError unless 0 <= successes <= trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(
            f"0 <= successes <= trials must hold, but got successes={successes}, trials={trials}; count again."
        )
    # The rates q for which |rate - q| <= z sqrt(q (1 - q) / n): the roots of a quadratic equation in q,
    #     q = (rate + z^2 / 2n  +-  z sqrt(rate (1 - rate) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    z = normal_quantile(confidence)
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    # At the ends the bound is the rate itself; the subtraction would leave a rounding error.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def paired_difference_interval(gained: int, lost: int, pairs: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of the difference of two rates, first minus second, on the same `pairs` samples.

    `gained`: successes of the first alone; `lost`: successes of the second alone. Source: Agresti, Min, "Simple
    improved confidence intervals for comparing matched proportions", Statistics in Medicine 24, 2005: a half added to
    each cell of the 2 x 2 table. Raises ValueError unless both are at least 0 and gained + lost <= pairs.
    """
    if min(gained, lost) < 0 or gained + lost > pairs:
        raise ValueError(
            f"0 <= gained, 0 <= lost and gained + lost <= pairs must hold, but got gained={gained}, lost={lost}, "
            f"pairs={pairs}; count again."
        )
    # With b = gained + 1/2, c = lost + 1/2 and n = pairs + 2 the difference is (b - c) / n, of the variance
    # (b + c - (b - c)^2 / n) / n^2.
    moved = (gained - lost) / (pairs + 2)
    spread = math.sqrt((gained + lost + 1) - (gained - lost) ** 2 / (pairs + 2)) / (pairs + 2)
    half = normal_quantile(confidence) * spread
    return moved - half, moved + half


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test for two rates on the same samples.

    Only the d = gained + lost pairs that differ tell the rates apart. If the rates are equal, each such pair goes
    either way with probability 1/2, so the smaller count m has a binomial distribution, and

        p = min(1, 2 * sum over k = 0 .. m of binomial(d, k) / 2^d)

    1 if no pair differs. Source: Q. McNemar, Psychometrika 12, 1947; exact form: the binomial test with rate 1/2.
    Raises ValueError for negative counts.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"gained >= 0 and lost >= 0 must hold, but got {gained} and {lost}; count again.")
    pairs = gained + lost
    tail = sum(math.comb(pairs, k) for k in range(min(gained, lost) + 1))
    return min(1.0, float(2 * tail / 2**pairs))


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rho of two sequences of n >= 2 values: the correlation of their ranks, ties at their mean rank.

    NaN where all values of a sequence are equal. Source: C. Spearman, American Journal of Psychology 15, 1904. Raises
    ValueError for other shapes and for NaN, which has no rank.
    """
    arrays = np.asarray(one), np.asarray(other)
    if arrays[0].ndim != 1 or arrays[0].shape != arrays[1].shape or arrays[0].size < 2:
        raise ValueError(
            f"both sequences must have the same length, 2 at least, but have shapes {arrays[0].shape} and "
            f"{arrays[1].shape}; pair them."
        )
    if any(np.isnan(array).any() for array in arrays):
        raise ValueError("no value may be NaN, but some are; leave those pairs out.")
    centred = [ranks - ranks.mean() for ranks in map(ranks, arrays)]
    spread = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return min(1.0, max(-1.0, float(centred[0] @ centred[1]) / spread)) if spread else math.nan


def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """The rank of each value, from 1; c equal values that end at rank k share the mean k - (c - 1) / 2."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    places: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return places


def rank_correlation_interval(rho: float, pairs: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of Spearman's rho from `pairs` >= 4 independent pairs; (NaN, NaN) where no interval can be trusted.

    Fisher's transform with the standard error of D. G. Bonett and T. A. Wright, "Sample size requirements for
    estimating Pearson, Kendall and Spearman correlations", Psychometrika 65, 2000. They vouch for |rho| < 0.95. Beyond
    that it is too narrow (normal pairs of correlation 0.99: it covers 83 % with 20 pairs and 90 % with 100), and at
    |rho| = 1, which fewer than LEAST_RANKED pairs often give by chance, it has no width. So there is none for
    |rho| >= 0.95, for fewer pairs than that, and where rho is NaN. Elsewhere it covers 94 % to 98 %. Raises ValueError.
    """
    if pairs < 4:
        raise ValueError(f"pairs >= 4 must hold, but got {pairs}; take more.")
    if pairs < LEAST_RANKED or not abs(rho) < _LARGEST_RHO:
        return math.nan, math.nan
    half = normal_quantile(confidence) * math.sqrt((1 + rho * rho / 2) / (pairs - 3))
    centre = math.atanh(rho)
    return math.tanh(centre - half), math.tanh(centre + half)


def ratio_interval(one: tuple[int, int], other: tuple[int, int], confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of the rate `one` over the rate `other`, each (successes, trials), from independent samples.

    From the two Wilson intervals, and like them usable at every count (coverage of 90 % and more from 5 trials on);
    high is infinite where `other` has no success, and the interval is (0, inf) where either has no trial. Source: R. G.
    Newcombe, "MOVER-R confidence intervals for ratios and products of two independently estimated quantities",
    Statistical Methods in Medical Research 25, 2016; here in the form that does not divide by zero. Raises ValueError
    as `wilson` does.
    """
    (low_one, high_one), (low_other, high_other) = wilson(*one, confidence), wilson(*other, confidence)
    if not one[1] or not other[1]:
        return 0.0, math.inf
    rate_one, rate_other = one[0] / one[1], other[0] / other[1]
    low = _lower_ratio(rate_one, low_one, rate_other, high_other)
    inverse = _lower_ratio(rate_other, low_other, rate_one, high_one)
    return low, 1 / inverse if inverse else math.inf


def _lower_ratio(rate: float, low: float, other: float, high: float) -> float:
    """Lower limit of rate / other, from the lower limit `low` of the one and the upper limit `high` of the other.

    With r = rate, o = other, the MOVER-R limit is

        (r o - sqrt(r^2 o^2 - l (2r - l) h (2o - h))) / (h (2o - h)),    l = low, h = high,

    here multiplied by its conjugate, so that nothing is divided by h (2o - h), which may be 0:

        l (2r - l) / (r o + sqrt(...)).
    """
    product = rate * other
    spread = low * (2 * rate - low)
    root = math.sqrt(product * product - spread * high * (2 * other - high))
    return spread / (product + root) if spread else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of n tests, adjusted so that one below a level is significant at it among all of them.

    In ascending order, the k-th of n (from 0) is multiplied by n - k, is at least the one before it, and at most 1.
    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
    1979. Raises ValueError for values outside [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(
            f"p values must lie from 0 to 1, but got {min(p_values):g} to {max(p_values):g}; correct them."
        )
    adjusted, largest = [0.0] * len(p_values), 0.0
    for k, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - k) * p_values[place]))
        adjusted[place] = largest
    return adjusted
