"""From errors of chunks to the metrics of a whole measurement.

Each chunk is reduced to ten sums, a few counts and extremes, and two histograms. The sums of chunks are added by
math.fsum, which rounds once, and the histograms are whole numbers, so that neither the order of threads nor their
number matters. Means and central moments follow at the end from the sums of powers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.accuracy.error_functions import ErrorFunction
from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.histograms import Histogram, ThreadCounts
from circuits.accuracy.interval_rules import LEAST_PAIRS_OF_VARIANCE, IntervalRules, scaled, squared_skewness
from circuits.accuracy.sampling import Plan
from circuits.designs.design_record import Design

_CHUNKS_HELD = 1 << 16
"""Chunks whose sums are held until they are added up."""


class ErrorSums(NamedTuple):
    """Sums over the pairs with a finite result, in the order in which `exact_sums.tally` gives them; r = |e / p|."""

    e: float
    distance: float
    """Sum of |e|."""
    e2: float
    e3: float
    e4: float
    product: float
    """Sum of |p|."""
    product2: float
    distance_product: float
    """Sum of |e| |p|."""
    relative: float
    """Sum of r, which is 0 where p is 0."""
    relative2: float


class Extremes(NamedTuple):
    """Extremes over the pairs with a finite result; infinity and 0 where there are none."""

    least_error: float = math.inf
    """Least nonzero |e|."""
    greatest_error: float = 0.0
    least_relative: float = math.inf
    """Least nonzero r."""
    greatest_relative: float = 0.0
    greatest_product: float = 0.0
    """Greatest |p|."""

    def joined(self, other: Extremes) -> Extremes:
        """The extremes of both."""
        return Extremes(
            min(self.least_error, other.least_error),
            max(self.greatest_error, other.greatest_error),
            min(self.least_relative, other.least_relative),
            max(self.greatest_relative, other.greatest_relative),
            max(self.greatest_product, other.greatest_product),
        )


Operands = tuple[float, float]
_NOWHERE: Operands = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class ChunkTotals:
    """What one chunk adds, beside its histograms: counts of pairs, sums, extremes and the operands of the maxima."""

    pairs: int
    finite: int
    wrong: int
    nonzero: int
    """Pairs with p != 0."""
    larger: int
    sums: ErrorSums
    extremes: Extremes
    worst_at: Operands
    worst_relative_at: Operands


def measure_chunk(errors: ErrorFunction, counts: NDArray[np.int64], x: NDArray[Any], w: NDArray[Any]) -> ChunkTotals:
    """The totals of the pairs (x, w); adds the bins of |e| to `counts[0]` and those of |e / p| to `counts[1]`."""
    # Imported here because numba takes longer to import than all of this package.
    from circuits.accuracy.exact_sums import tally

    pairs = x.size
    e, p, wrong, finite = errors(x, w)
    if finite is not None:
        e, p, x, w = e[finite], p[finite], x[finite], w[finite]
    sums, e_nonzero, p_nonzero, larger, worst, worst_relative, extremes = tally(e, p, counts[0], counts[1])

    def operands(index: int) -> Operands:
        return _NOWHERE if index < 0 else (_number(x[index]), _number(w[index]))

    return ChunkTotals(
        pairs=pairs,
        finite=e.size,
        wrong=e_nonzero if wrong is None else wrong,
        nonzero=p_nonzero,
        larger=larger,
        sums=ErrorSums(*sums),
        extremes=Extremes(*extremes.tolist()),
        worst_at=operands(worst),
        worst_relative_at=operands(worst_relative),
    )


def _number(value: Any) -> float:
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


class Totals:
    """The totals of all chunks, added in chunk order."""

    def __init__(self) -> None:
        self.pairs = self.finite = self.nonzero = self.wrong = self.larger = 0
        self.extremes = Extremes()
        self.worst_at = self.worst_relative_at = _NOWHERE
        self._sums: list[ErrorSums] = []

    def add(self, chunk: ChunkTotals) -> None:
        """Adds the next chunk."""
        # The first maximum stays; a maximum of 0 has operands too.
        if chunk.extremes.greatest_error > self.extremes.greatest_error or not self.finite:
            self.worst_at = chunk.worst_at
        if chunk.extremes.greatest_relative > self.extremes.greatest_relative or not self.nonzero:
            self.worst_relative_at = chunk.worst_relative_at
        self.extremes = self.extremes.joined(chunk.extremes)
        self.pairs += chunk.pairs
        self.finite += chunk.finite
        self.nonzero += chunk.nonzero
        self.wrong += chunk.wrong
        self.larger += chunk.larger
        self._sums.append(chunk.sums)
        # This rounds once more, but always after the same chunk, so that results still do not depend on threads.
        if len(self._sums) > _CHUNKS_HELD:
            self._sums = [self.sums()]

    def sums(self) -> ErrorSums:
        """The sums over all chunks."""
        return ErrorSums(*(math.fsum(column) for column in zip(*self._sums, strict=True)))

    def metrics(self, design: Design, plan: Plan, counts: ThreadCounts) -> ErrorMetrics:
        """The metrics of everything added; `counts`: the histograms that `measure_chunk` filled."""
        extremes = self.extremes
        distances = Histogram.of(counts.of_errors(), extremes.least_error, extremes.greatest_error)
        ratios = Histogram.of(
            counts.of_relative_errors(),
            extremes.least_relative,
            extremes.greatest_relative,
            excess_zeros=self.finite - self.nonzero,  # pairs with p = 0
        )
        moments = Moments(self.sums(), self.finite, self.nonzero)
        rules = IntervalRules(exhaustive=plan.method == "exhaustive")
        p_max = extremes.greatest_product if plan.p_max is None else plan.p_max
        # Skewness decides whether N is large enough for an interval: rare large errors make small samples look too
        # good.
        skewness = distances.squared_skewness()
        med = rules.mean(moments.med, moments.med_variance, self.finite, skewness)
        return ErrorMetrics(
            design=design.label,
            digest=design.digest,
            method=plan.method,
            distribution=plan.distribution,
            samples=self.pairs,
            relative_samples=self.nonzero,
            not_finite=self.pairs - self.finite,
            seed=plan.seed,
            p_max=p_max,
            p_max_meaning=plan.p_max_meaning,
            med=med,
            # NMED = MED / P_max (Liang, Han, Lombardi, IEEE Trans. Computers 62(9), 2013).
            nmed=scaled(med, p_max),
            mred=rules.mean(moments.mred, moments.mred_variance, self.nonzero, ratios.squared_skewness()),
            mred_ratio_of_means=rules.mean(
                moments.ratio, moments.ratio_variance, self.finite, max(skewness, moments.product_spread)
            ),
            error_rate=rules.rate(self.wrong, self.pairs),
            larger=rules.rate(self.larger, self.finite),
            bias=rules.mean(moments.bias, moments.variance, self.finite, moments.bias_skewness, low=-math.inf),
            # The variance is the mean of (e - m)^2, whose own variance is E[(e - m)^4] - variance^2.
            variance=rules.mean(
                moments.variance,
                moments.fourth - moments.variance * moments.variance,
                self.finite,
                max(distances.squared_skewness(power=2), moments.squared_error_spread),
                least=LEAST_PAIRS_OF_VARIANCE,
            ),
            worst_case=extremes.greatest_error if self.finite else math.nan,
            worst_case_at=self.worst_at,
            worst_relative=extremes.greatest_relative if self.nonzero else math.nan,
            worst_relative_at=self.worst_relative_at,
            quantiles=distances.quantiles(),
            relative_quantiles=ratios.quantiles(),
        )


class Moments:
    """Means and central moments from sums of powers over `finite` pairs, `nonzero` of them with p != 0.

    With m = E[e], the bias:

        variance = E[(e - m)^2] = E[e^2] - m^2
        third    = E[(e - m)^3] = E[e^3] - 3 m E[e^2] + 2 m^3
        fourth   = E[(e - m)^4] = E[e^4] - 4 m E[e^3] + 6 m^2 E[e^2] - 3 m^4

    All are NaN without pairs.
    """

    def __init__(self, sums: ErrorSums, finite: int, nonzero: int) -> None:
        mean = ErrorSums(*(total / finite if finite else math.nan for total in sums))
        self.bias = bias = mean.e
        # A difference of nearly equal numbers loses digits; the variance must not become negative by that.
        self.variance = variance = max(mean.e2 - bias * bias, 0.0)
        self.third = mean.e3 - 3 * bias * mean.e2 + 2 * bias**3
        self.fourth = mean.e4 - 4 * bias * mean.e3 + 6 * bias * bias * mean.e2 - 3 * bias**4
        self.med = mean.distance
        self.med_variance = mean.e2 - self.med * self.med
        self.mred = mred = sums.relative / nonzero if nonzero else math.nan
        self.mred_variance = sums.relative2 / nonzero - mred * mred if nonzero else math.nan
        self._set_ratio(mean)
        # A variance that is all cancellation means that the errors agree as far as float64 tells.
        varies = variance > 1e-12 * mean.e2 and variance * variance > 0
        self.squared_error_spread = self.fourth / (variance * variance) - 1 if varies else math.inf
        """Squared coefficient of variation of (e - m)^2."""
        self.bias_skewness = squared_skewness(variance, self.third, self.fourth) if varies else math.inf

    def _set_ratio(self, mean: ErrorSums) -> None:
        """Sets the ratio R = E|e| / E|p|, its variance and the spread of |p|.

        Delta method, with a = |e| and b = |p|:

            Var(mean a / mean b) N = (Var a - 2 R Cov(a, b) + R^2 Var b) / E[b]^2
                                   = (E[a^2] - 2 R E[a b] + R^2 E[b^2]) / E[b]^2,    because E[a] = R E[b].
        """
        exact = mean.product
        self.ratio = ratio = mean.distance / exact if exact else math.nan
        self.ratio_variance = (
            (mean.e2 - 2 * ratio * mean.distance_product + ratio * ratio * mean.product2) / exact**2
            if exact
            else math.nan
        )
        # The squared coefficient of variation stands in for the squared skewness where the sums lack a third moment:
        # they agree for rare events, of probability q: (1 - q) / q against (1 - 2q)^2 / (q (1 - q)).
        self.product_spread = mean.product2 / exact**2 - 1 if exact else math.inf
