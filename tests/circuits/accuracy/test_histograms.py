"""Histograms of magnitudes: bins round to 10 significant bits, and quantiles are read from counts."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.accuracy.histograms import BIN_SHIFT, BINS, QUANTILES, Histogram, ThreadCounts, bin_of


@given(st.floats(min_value=2.0**-1000, max_value=2.0**1000))
def test_the_value_of_a_bin_has_ten_significant_bits(magnitude: float) -> None:
    number = bin_of(magnitude)
    value = float(np.int64(number << BIN_SHIFT).view(np.float64))
    assert 0 < number < BINS
    assert abs(value - magnitude) <= 2.0**-10 * magnitude
    assert bin_of(value) == number
    fraction, _ = math.frexp(value)
    assert (fraction * 2**10).is_integer()


def counted(values: list[float]) -> np.ndarray:
    counts = np.zeros(BINS, dtype=np.int64)
    for value in values:
        counts[bin_of(value)] += 1
    return counts


def test_a_quantile_is_the_smallest_value_that_enough_others_do_not_exceed() -> None:
    values = [float(n) for n in range(1, 1001)]
    histogram = Histogram.of([counted(values[:400]), counted(values[400:])], 1.0, 1000.0)
    assert histogram.quantiles() == {q: pytest.approx(1000 * q, rel=2**-10) for q in QUANTILES}


def test_zeros_count_for_quantiles_and_excess_zeros_do_not() -> None:
    counts = counted([0.0] * 60 + [4.0] * 40)
    assert Histogram.of([counts], 4.0, 4.0).quantiles()[0.5] == 0
    assert Histogram.of([counts], 4.0, 4.0, excess_zeros=60).quantiles()[0.5] == 4
    assert all(math.isnan(value) for value in Histogram.of([counted([])], math.inf, 0.0).quantiles().values())


def test_the_skewness_is_that_of_the_counted_values() -> None:
    values = np.array([0.0] * 90 + [1.0] * 10)
    centred = values - values.mean()
    second, third, fourth = ((centred**k).mean() for k in (2, 3, 4))
    expected = max(third**2 / second**3, (fourth / second**2 - 1) / 2)
    histogram = Histogram.of([counted(values.tolist())], 1.0, 1.0)
    assert histogram.squared_skewness() == pytest.approx(expected)
    assert histogram.squared_skewness(power=3) == pytest.approx(expected)  # the cubes of 0 and 1
    assert Histogram.of([counted([2.0] * 5)], 2.0, 2.0).squared_skewness() == math.inf


def test_every_thread_counts_into_arrays_of_its_own() -> None:
    counts = ThreadCounts()

    def count(_: int) -> None:
        counts.mine()[0, 5] += 1
        counts.mine()[1, 7] += 2

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(count, range(100)))
    assert sum(int(row[5]) for row in counts.of_errors()) == 100
    assert sum(int(row[7]) for row in counts.of_relative_errors()) == 200
