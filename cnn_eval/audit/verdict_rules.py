"""The verdict of an audit: which of four it is, by the first rule that holds.

    rule                    holds where                                                  rules out
    gradient masking        attacks through the network's own gradients fool at least    robustness that only stops
                            10 percentage points fewer eligible images than the same     gradients: another attack
                            attacks through a surrogate gradient, or than Square         finds the examples
    robust                  more images stay right under the worst case of all attacks   a difference by chance: the
                            than in the exact network, and McNemar's p < .05             same images are compared
    brittle transfer only   in some pair, under 90 % of the exact network's              "does not transfer" taken
                            minimum-norm examples fool the subject, and at least 90 %    for resistance
                            of those with a margin
    not more robust         otherwise

The order matters: masked gradients make the robust accuracy itself doubtful, so they are looked at first. FACTS 7 shows
what masking looks like on two multipliers: the surrogate and Square gain 63 to 84 points over plain autograd.

McNemar's exact test compares two networks on the same images. Only the images on which they differ say anything: with
`gained` robust in the subject alone and `lost` in the exact network alone, `gained` is binomial (gained + lost, 1/2) if
neither network is more robust; p is the two-sided probability of a split at least as uneven.
"""

from __future__ import annotations

__all__ = ["MASKING_POINTS", "SIGNIFICANT", "TRANSFERS", "VERDICTS", "is_brittle", "verdict_of"]

VERDICTS = ("gradient masking", "robust", "brittle transfer only", "not more robust")
"""In the order in which the rules are tried."""
MASKING_POINTS = 10.0
"""Percentage points by which native gradients must fall behind."""
TRANSFERS = 0.90
"""Transfer rate below which minimum-norm examples count as brittle, and which examples with a margin must reach."""
SIGNIFICANT = 0.05
"""Largest p value, exclusive, of a difference that counts."""


def verdict_of(*, hidden_points: float, robust: int, robust_exact: int, p_value: float, brittle: bool) -> str:
    """One of VERDICTS.

    `hidden_points`: percentage points of eligible images by which the native gradient falls behind the strongest other
    attack; `robust`, `robust_exact`: images that stay right under all attacks; `p_value`: of McNemar's test between
    those; `brittle`: whether `is_brittle` holds for a pair of example sets.
    """
    if hidden_points >= MASKING_POINTS:
        return VERDICTS[0]
    # p is two-sided: it does not say which network is the more robust one.
    if robust > robust_exact and p_value < SIGNIFICANT:
        return VERDICTS[1]
    return VERDICTS[2] if brittle else VERDICTS[3]


def is_brittle(minimum_rate: float | None, margin_rate: float | None) -> bool:
    """Whether a small margin makes examples transfer that otherwise do not; None: no example was crafted."""
    return minimum_rate is not None and margin_rate is not None and minimum_rate < TRANSFERS <= margin_rate
