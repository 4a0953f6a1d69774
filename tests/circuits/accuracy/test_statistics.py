"""Intervals of rates, ratios and rank correlations: published values, and coverage by simulation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb, inf

import numpy as np
import pytest

from circuits.support.statistics import (
    LEAST_RANKED,
    holm,
    normal_quantile,
    rank_correlation,
    rank_correlation_interval,
    ratio_interval,
    wilson,
)


def test_wilson_equals_published_intervals() -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 17, 1998, table I, method 3."""
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(successes, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson(20, 20)[1] == 1
    assert wilson(0, 0) == (0, 1)
    narrow, wide = wilson(5, 10, 0.5), wilson(5, 10, 0.99)
    assert wide[0] < narrow[0] < 0.5 < narrow[1] < wide[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 2), "0 <= successes <= trials must hold, but got successes=3, trials=2; count again."),
        ((1, 2, 1.0), "0 < confidence < 1 must hold, but got 1.0; 0.95 is usual."),
    ],
)
def test_wilson_refuses_impossible_counts_and_confidences(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        wilson(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("pairs", [6, 20, 50, 300])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
def test_rank_correlation_interval_covers_where_there_is_one(correlation: float, pairs: int) -> None:
    """Normal pairs, for which Spearman's rho is 6 / pi arcsin(r / 2)."""
    rng = np.random.default_rng(pairs)
    truth = 6 / math.pi * math.asin(correlation / 2)
    given = covering = 0
    for _ in range(300):
        pair = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], pairs)
        low, high = rank_correlation_interval(rank_correlation(pair[:, 0], pair[:, 1]), pairs)
        given += not math.isnan(low)
        covering += low <= truth <= high
    # For strongly correlated pairs an interval is given only in the few samples that do not look strongly correlated.
    assert given - covering <= 0.08 * 300
    if correlation <= 0.9:
        assert covering >= 0.92 * given
        assert given == 0 if pairs < LEAST_RANKED else given >= 0.9 * 300
    else:
        assert given < 0.1 * 300


def test_holm_is_the_step_down_procedure() -> None:
    """As rejected one after the other, each at level / (tests left), by loops; and two values by hand."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    stream = np.random.default_rng(0)
    for _ in range(200):
        p_values = (stream.random(6) ** 3).tolist()
        level = float(stream.uniform(0.001, 0.5))
        left, rejected = sorted(range(6), key=p_values.__getitem__), set()
        while left and p_values[left[0]] * len(left) < level:
            rejected.add(left.pop(0))
        assert {k for k, p in enumerate(holm(p_values)) if p < level} == rejected
    with pytest.raises(ValueError, match=r"^p values must lie from 0 to 1, but got -0.1 to 2; correct them\.$"):
        holm([-0.1, 2])


def mean_ranks(values: Sequence[float]) -> list[Fraction]:
    """Ranks by counting: those below, and half of the others that are equal."""
    return [
        1 + sum(other < value for other in values) + Fraction(sum(other == value for other in values) - 1, 2)
        for value in values
    ]


@pytest.mark.parametrize("distinct", [3, 12, 10**6])
def test_rank_correlation_is_the_correlation_of_mean_ranks(distinct: int) -> None:
    stream = np.random.default_rng(distinct)
    one, other = stream.integers(0, distinct, (2, 80)).astype(float)
    other += one / 2
    ranks = [np.array([float(rank) for rank in mean_ranks(values.tolist())]) for values in (one, other)]
    assert rank_correlation(one, other) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)


def test_rank_correlation_agrees_with_values_by_hand() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 1e9]) == 1
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    # d = 0, 0, 1, -1: 1 - 6 * 2 / (4 * 15)
    assert rank_correlation([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_the_interval_of_a_rank_correlation_is_fishers_or_left_out() -> None:
    low, high = rank_correlation_interval(0.5, 103)
    half = normal_quantile(0.95) * math.sqrt(1.125) / 10
    assert (math.atanh(low), math.atanh(high)) == pytest.approx((math.atanh(0.5) - half, math.atanh(0.5) + half))
    # Fewer than 20 pairs, and correlations beyond the range of the standard error: an interval would be too narrow.
    for rho, pairs in ((-1.0, 10), (0.5, 19), (0.95, 1000), (-1.0, 1000)):
        assert all(map(math.isnan, rank_correlation_interval(rho, pairs)))
    assert not any(map(math.isnan, rank_correlation_interval(0.5, 20)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: rank_correlation([1, 2], [1, 2, 3]),
            "both sequences must have the same length, 2 at least, but have shapes (2,) and (3,); pair them.",
        ),
        (lambda: rank_correlation([1, math.nan], [1, 2]), "no value may be NaN, but some are; leave those pairs out."),
        (lambda: rank_correlation_interval(0.5, 3), "pairs >= 4 must hold, but got 3; take more."),
    ],
)
def test_what_has_no_rank_correlation_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_the_interval_of_a_ratio_covers_it_as_often_as_it_should() -> None:
    """All outcomes of two samples, weighed by the binomial distribution."""

    def weight(k: int, n: int, p: float) -> float:
        return comb(n, k) * p**k * (1 - p) ** (n - k)

    for n, m, p, q in ((16, 20, 0.6, 0.3), (40, 40, 0.9, 0.45), (20, 16, 0.05, 0.4), (30, 30, 0.5, 0.5)):
        covered = 0.0
        for a in range(n + 1):
            for b in range(m + 1):
                low, high = ratio_interval((a, n), (b, m))
                covered += weight(a, n, p) * weight(b, m, q) * (low <= p / q <= high)
        assert 0.93 < covered < 0.985


def test_the_interval_of_a_ratio_has_the_published_limits_and_open_ends() -> None:
    low, high = ratio_interval((62, 100), (40, 100))
    assert low < 1.55 < high
    # Newcombe 2016, the limits as printed there, solved for the ratio
    (l1, u1), (l2, u2) = wilson(62, 100), wilson(40, 100)
    root = ((0.62 * 0.4) ** 2 - l1 * u2 * (2 * 0.62 - l1) * (2 * 0.4 - u2)) ** 0.5
    assert low == pytest.approx((0.62 * 0.4 - root) / (u2 * (2 * 0.4 - u2)))
    root = ((0.62 * 0.4) ** 2 - u1 * l2 * (2 * 0.62 - u1) * (2 * 0.4 - l2)) ** 0.5
    assert high == pytest.approx((0.62 * 0.4 + root) / (l2 * (2 * 0.4 - l2)))
    inverse = ratio_interval((40, 100), (62, 100))
    assert inverse == (pytest.approx(1 / high), pytest.approx(1 / low))
    assert ratio_interval((0, 20), (5, 20))[0] == 0
    assert ratio_interval((5, 20), (0, 20))[1] == inf
    assert ratio_interval((0, 20), (0, 20)) == ratio_interval((0, 0), (5, 20)) == (0, inf)
    with pytest.raises(ValueError, match="0 <= successes <= trials must hold"):
        ratio_interval((3, 2), (1, 2))
