"""Intervals of rates, ratios and rank correlations: published values, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from circuits.support.statistics import (
    LEAST_RANKED,
    holm,
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


@pytest.mark.parametrize("trials", [20, 100, 1000])
@pytest.mark.parametrize("rates", [(0.5, 0.5), (0.1, 0.5), (0.9, 0.8), (0.1, 0.1)])
def test_the_interval_of_a_ratio_covers_it_as_often_as_it_should(rates: tuple[float, float], trials: int) -> None:
    rng = np.random.default_rng(trials)
    counts = rng.binomial(trials, rates, (500, 2))
    intervals = [ratio_interval((int(one), trials), (int(other), trials)) for one, other in counts]
    assert sum(low <= rates[0] / rates[1] <= high for low, high in intervals) >= 0.92 * 500


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
