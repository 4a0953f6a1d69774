"""When a sample gets a confidence interval, and which one.

The normal interval of a mean, value +- z sqrt(Var / N), covers 95 % only where N is large enough for the skewness of
what is averaged. Errors of approximate multipliers are very skewed (rare large ones), so an interval is given for

    N >= max(LEAST_PAIRS, PAIRS_PER_SKEWNESS g),    g = `squared_skewness` of what is averaged,

and for the variance with LEAST_PAIRS_OF_VARIANCE. Otherwise the estimate has no interval, but says how many pairs one
would need. Rates have Wilson's interval, which holds for every N. An exhaustive evaluation leaves nothing to estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from circuits.accuracy.error_types import Estimate
from circuits.support.statistics import normal_quantile, wilson

CONFIDENCE = 0.95
# What the three constants below give: the percent of 1000 samples (300 of 10,000 pairs) that the interval covers where
# there is one; in brackets the percent of samples that have one, if not 100:
#
#                                        300 pairs                 1000 pairs                     10,000 pairs
#                                MED MRED ratio bias     MED MRED ratio bias variance     MED MRED ratio bias variance
#     axfpm        uniform01      95   94   94   95       95   94   96   95    94           95   95   95   95    95
#                  mantissa       95   95   95   95       96   96   96   96    95           93   94   94   93    97
#     axfpm_tiled  uniform01      94   96   96   94       96   95   94   96    93           96   95   95   96    94
#                  mantissa       97   96   96   97       95   95   95   95    96           96   96   97   96    95
#     heap         uniform01  (98)96   96   96   95       94   94   95   95 (84)96          96   95   97   95    95
#                  mantissa       94   95   95   95       94   94   93   95    94           95   94   96   97    95
#     ama1_array   uniform01  (99)94   95   95   95       95   95   95   94 (86)95          94   96   96   95    93
#                  mantissa       95   94   94   95       95   95   95   93    96           95   96   95   97    92
#     ama3, 8 x 8  uniform01      95   (0)  96   95       94   (0)  95   95    95           97   (0)  98   97    95
#                  mantissa       96   94   96   95       94   94   95   94    94           95   94   95   95    97
#
# Without them the variance of axfpm covers 90 % from 100 uniform01 pairs, and the MRED of the last design, over all
# integers, 69 % from 300 and 86 % from 10,000 pairs, because products near 1 decide it and most samples lack them. A
# bootstrap does not mend that: it draws from the same sample.
LEAST_PAIRS = 300
"""Operand pairs below which no mean gets an interval."""
LEAST_PAIRS_OF_VARIANCE = 1000
"""Operand pairs below which the variance gets none: squared errors are more skewed than errors."""
PAIRS_PER_SKEWNESS = 50
"""A mean gets an interval only from at least this many pairs times the squared skewness of what is averaged."""


@dataclass(frozen=True)
class IntervalRules:
    """Turns means and counts into estimates; `exhaustive`: all pairs were evaluated, so intervals have no width."""

    exhaustive: bool

    def mean(
        self,
        value: float,
        variance: float,
        count: int,
        skewness: float,
        *,
        low: float = 0.0,
        least: int = LEAST_PAIRS,
    ) -> Estimate:
        """The estimate of a mean over `count` values of the given variance and squared skewness.

        `low`: the least value that the mean can have; the interval ends there. `least`: pairs that it needs in any
        case.
        """
        if self.exhaustive:
            return Estimate(value, value, value)
        needed = max(least, math.ceil(PAIRS_PER_SKEWNESS * skewness)) if math.isfinite(skewness) else None
        if needed is None or count < needed:
            return Estimate(value, math.nan, math.nan, needed)
        half = normal_quantile(CONFIDENCE) * math.sqrt(max(variance, 0.0) / count)
        return Estimate(value, max(value - half, low), value + half)

    def rate(self, successes: int, trials: int) -> Estimate:
        """The estimate of a rate; NaN without trials."""
        if not trials:
            return Estimate(math.nan, math.nan, math.nan)
        value = successes / trials
        return Estimate(value, value, value) if self.exhaustive else Estimate(value, *wilson(successes, trials))


def scaled(estimate: Estimate, divisor: float) -> Estimate:
    """The estimate divided by a known number; NaN for 0."""
    if not divisor:
        return Estimate(math.nan, math.nan, math.nan)
    return Estimate(estimate.value / divisor, estimate.low / divisor, estimate.high / divisor, estimate.needed)


def squared_skewness(variance: float, third: float, fourth: float) -> float:
    """max(skewness^2, (kurtosis - 1) / 2), from central moments; infinite without variance.

    Decides how large a sample the normal interval of a mean needs. W. G. Cochran, "Sampling Techniques", 3rd edition,
    1977, section 2.15, asks for N > 25 skewness^2, with the true skewness; that of a sample is smaller for heavy tails,
    so PAIRS_PER_SKEWNESS doubles it. Cochran's rule is blind to rare errors of both signs. An error of probability q
    has the kurtosis 1 / q, so that the second term asks for 25 of them.
    """
    if not variance > 0:
        return math.inf
    # skewness = m3 / m2^(3/2),   kurtosis = m4 / m2^2
    skewness = third / (variance * math.sqrt(variance))
    return max(skewness * skewness, (fourth / (variance * variance) - 1) / 2)
