"""Intervals of sampled metrics: they cover the true value as often as they claim, or are left out with the reason."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import numpy as np
import pytest

from circuits import Design, ErrorMetrics, Estimate, design, error_metrics
from circuits.accuracy.interval_rules import LEAST_PAIRS, LEAST_PAIRS_OF_VARIANCE, PAIRS_PER_SKEWNESS, squared_skewness
from circuits.commands import main
from circuits.commands.error_table import format_estimate

MEANS = ("med", "nmed", "mred", "mred_ratio_of_means", "bias", "variance")
FLOATS = ("axfpm", "axfpm_tiled", "heap", "ama1_array")
SKEWED = Design(format=None, width=8, placement="ama3")
"""An integer design: |e / p| of the smallest products is thousands of times its mean."""


@lru_cache
def reference(tried: Design, distribution: str) -> ErrorMetrics:
    """Metrics over a million pairs, or over all pairs of a small design."""
    return error_metrics(tried, samples=2**20, seed=10**6, distribution=distribution)


def coverage(tried: Design, distribution: str, pairs: int, seeds: int) -> dict[str, tuple[int, int]]:
    """Metric -> (number of intervals given, number of those that cover the reference's value)."""
    exact = reference(tried, distribution)
    counts = dict.fromkeys([*MEANS, "error_rate", "larger"], (0, 0))
    for seed in range(seeds):
        sampled = error_metrics(tried, samples=pairs, seed=seed, distribution=distribution, method="sampled", threads=1)
        for name, (given, covering) in counts.items():
            estimate = getattr(sampled, name)
            covers = estimate.low <= getattr(exact, name).value <= estimate.high
            counts[name] = given + estimate.has_interval, covering + covers
    return counts


@pytest.mark.parametrize(
    ("pairs", "seeds"), [(100, 2), (300, 60), (1000, 60), pytest.param(10_000, 30, marks=pytest.mark.slow)]
)
def test_intervals_that_are_given_cover_92_times_in_100(pairs: int, seeds: int) -> None:
    """Pooled over designs and distributions: 480 runs, 240 with 10,000 pairs. 92 % is 95 % less 3 standard errors."""
    given, covering = dict.fromkeys([*MEANS, "larger"], 0), dict.fromkeys([*MEANS, "larger"], 0)
    for name in FLOATS:
        for distribution in ("uniform01", "mantissa"):
            for metric, counts in coverage(design(name), distribution, pairs, seeds).items():
                if metric in given:
                    given[metric], covering[metric] = given[metric] + counts[0], covering[metric] + counts[1]
    tries = len(FLOATS) * 2 * seeds
    for metric, count in given.items():
        least = 0 if metric == "larger" else LEAST_PAIRS_OF_VARIANCE if metric == "variance" else LEAST_PAIRS
        assert count >= 0.9 * tries if pairs >= least else count == 0, (metric, count)
        if seeds >= 30:
            assert covering[metric] >= 0.92 * count, (metric, count, covering[metric])


@pytest.mark.parametrize(("pairs", "seeds"), [(300, 200), (1000, 200), (10_000, 50)])
def test_skewed_relative_errors_get_no_interval_and_the_others_one_that_covers(pairs: int, seeds: int) -> None:
    """The normal interval of this MRED covers 69 % at 300 pairs and 86 % at 10,000."""
    counts = coverage(SKEWED, "uniform01", pairs, seeds)
    given, _ = counts.pop("mred")
    assert given == 0
    for metric, (given, covering) in counts.items():
        if metric != "variance" or pairs >= LEAST_PAIRS_OF_VARIANCE:
            assert given == seeds, metric
            assert covering >= seeds * (0.95 - 3 * math.sqrt(0.95 * 0.05 / seeds)), (metric, covering)


def test_the_sample_that_is_asked_for_gives_an_interval() -> None:
    few = error_metrics(design("heap"), samples=200)
    assert few.mred.needed == LEAST_PAIRS
    assert few.variance.needed is not None
    assert few.variance.needed >= LEAST_PAIRS_OF_VARIANCE
    assert (math.isnan(few.mred.low), math.isnan(few.mred.half_width)) == (True, True)
    enough = error_metrics(design("heap"), samples=LEAST_PAIRS_OF_VARIANCE * 2)
    assert all(getattr(enough, name).has_interval and getattr(enough, name).needed is None for name in MEANS)
    assert few.error_rate.has_interval  # Wilson's holds at every count
    skewed = error_metrics(SKEWED, samples=100_000, method="sampled").mred
    assert skewed.needed is not None
    assert skewed.needed > 100_000


def test_no_error_seen_is_no_proof_that_there_is_none() -> None:
    """Operands of 12 bits are sampled: all pairs are right, which bounds the error rate but not the mean error."""
    m = error_metrics(Design(format=None, width=12), samples=5000)
    assert (m.med.value, m.bias.value, m.variance.value) == (0, 0, 0)
    for name in MEANS:
        assert not getattr(m, name).has_interval
        assert getattr(m, name).needed is None
    assert 0 == m.error_rate.low < m.error_rate.high < 0.001
    # All pairs evaluated: certain.
    m = error_metrics(Design(format=None, width=8))
    assert m.med == m.variance == Estimate(0, 0, 0)


def test_rare_errors_get_an_interval_once_enough_of_them_are_seen() -> None:
    """Without its four lowest columns 1 * 1 gives 0, while 16 * 1 is right; skewness^2 is about 4000 / wrong."""
    multiplier = Design(format=None, width=12, truncate_columns=4)
    for wrong, has_interval in ((0, False), (10, False), (40, False), (70, True)):
        x = np.full(4000, 16)
        x[:wrong] = 1
        m = error_metrics(multiplier, operands=(x, np.ones(4000, dtype=int)))
        assert m.error_rate.value == wrong / 4000
        assert m.error_rate.has_interval
        assert m.med.has_interval == m.mred.has_interval == m.bias.has_interval == has_interval, wrong


def test_squared_skewness_of_known_distributions() -> None:
    # Exponential: central moments 1, 2, 9, so that skewness 2 and kurtosis 9.
    assert squared_skewness(1.0, 2.0, 9.0) == 4
    assert squared_skewness(0.25, 0.25, 9 / 16) == 4  # dimensionless: the same at half the scale
    # Normal: 1, 0, 3.
    assert squared_skewness(1.0, 0.0, 3.0) == 1
    # +-1 with probability q / 2 each: variance and fourth moment q, kurtosis 1 / q.
    assert squared_skewness(0.01, 0.0, 0.01) == pytest.approx(99 / 2)
    assert squared_skewness(0.0, 0.0, 0.0) == math.inf


def test_the_skewness_of_a_sample_decides() -> None:
    """|e| of axfpm for w = 1.5 is half the product: the skewness of |e| is that of x."""
    x = np.random.default_rng(0).exponential(size=20_000).astype(np.float32) ** 5
    m = error_metrics(design("axfpm"), operands=(x, np.full(20_000, 1.5, dtype=np.float32)))
    values = x.astype(float)
    centred = values - values.mean()
    variance, third, fourth = (float((centred**k).mean()) for k in (2, 3, 4))
    expected = max(third**2 / variance**3, (fourth / variance**2 - 1) / 2) * PAIRS_PER_SKEWNESS
    assert m.med.needed == pytest.approx(expected, rel=0.01)
    assert m.nmed.needed == m.med.needed
    # The variance averages squares, which are more skewed.
    squares = (values * values / (values * values).max()) - np.mean(values * values) / (values * values).max()
    variance, third, fourth = (float((squares**k).mean()) for k in (2, 3, 4))
    expected = max(third**2 / variance**3, (fourth / variance**2 - 1) / 2) * PAIRS_PER_SKEWNESS
    assert m.variance.needed == pytest.approx(expected, rel=0.01)


def test_rare_large_products_keep_the_ratio_of_means_from_an_interval() -> None:
    """Without its four lowest columns x * 1 loses x mod 16, alike for all x, while few x are large."""
    x = 1 + np.arange(4000) % 15
    x[:10] += 4080
    m = error_metrics(Design(format=None, width=12, truncate_columns=4), operands=(x, np.ones(4000, dtype=int)))
    assert m.med.has_interval
    assert not m.mred_ratio_of_means.has_interval
    x[:300] = 1 + np.arange(300) % 15 + 4080
    m = error_metrics(Design(format=None, width=12, truncate_columns=4), operands=(x, np.ones(4000, dtype=int)))
    assert m.mred_ratio_of_means.has_interval


def test_intervals_are_the_same_on_any_number_of_threads() -> None:
    metrics = [error_metrics(SKEWED, samples=400_000, method="sampled", threads=n) for n in (1, 2)]
    assert metrics[0].to_dict() == metrics[1].to_dict()
    assert metrics[0].mred.needed == metrics[1].mred.needed


# ---- how they are printed


def test_the_table_says_how_many_pairs_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "axfpm", "heap", "--samples", "100"]) == 0
    out = capsys.readouterr().out
    assert format_estimate(error_metrics(design("axfpm"), samples=100).mred) in out
    assert out.count("±-") == 12
    means = "MED; NMED; MRED, mean of ratios; MRED, ratio of means; bias"
    note = f"axfpm: no interval for {means}: one needs at least 300 pairs."
    assert note in " ".join(out.split())
    needed = error_metrics(design("heap"), samples=100).variance.needed
    assert f"heap (reconstructed): no interval for variance: one needs at least {needed:,} pairs." in out
    assert main(["metrics", "axfpm", "--samples", "20000"]) == 0
    assert "no interval" not in capsys.readouterr().out


def test_an_interval_left_out_is_null_in_json_and_empty_in_csv(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("metrics", "show"):
        assert main([command, "axfpm", "--samples", "100", "--format", "json"]) == 0
        (printed,) = json.loads(capsys.readouterr().out)["designs"]
        assert printed["errors"]["mred"]["value"] > 0
        assert printed["errors"]["mred"]["low"] is None is printed["errors"]["mred"]["high"]
        assert main([command, "axfpm", "--samples", "100", "--format", "csv"]) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if ",errors,mred," in line)
        assert line.rstrip(",").count(",") == 3  # design, group, quantity, value
