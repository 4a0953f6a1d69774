"""Noise of multipliers over random operands: common parts of DA figures 3, 13 and 15.

The noise of a product is e = result - p. The exact product p of the float32 operands is computed in float64, which
holds it without rounding: two 24-bit significands give at most 48 bits, and float64 has 53.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from circuits import Design
from circuits.accuracy.sampling import CHUNK, uniform01
from circuits.support.statistics import normal_quantile, rank_correlation, rank_correlation_interval
from studies.frame.study import Row
from studies.rows.sampled_rows import share_row

PAIRS = {"quick": 10**6, "default": 10**7, "full": 10**8}
RANKED = 10**6
"""Number of pairs behind the rank correlations: the first ones, at every level."""
CELLS = 32
"""Number of equal parts that each operand's interval is divided into, for the variance explained by the operands."""
BOUNDARIES = 4096
"""`jumps` looks for discontinuities at k / BOUNDARIES, 0 < k < BOUNDARIES."""
FIXED = 256
"""Number of uniformly drawn values of the operand that a sweep holds fixed."""
LARGE = 0.01
"""Smallest jump that is counted, relative to the largest product, 1."""
BINS = 160
"""Number of bins of the histogram along either axis, exact product and noise."""
_SIGNS, _FIXED = 1, 2
"""Seeds of the signs and of the fixed operands. The operands themselves have seed 0."""

Reals = NDArray[np.float64]


def operands(pairs: int, *, signed: bool) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yields chunks of first and second operands.

    The magnitudes are those that `error_metrics` draws for "uniform01" with seed 0. If `signed`, each operand gets a
    random sign, which makes it uniform in [-1, 1].
    """
    for chunk in range(-(-pairs // CHUNK)):
        size = min(CHUNK, pairs - chunk * CHUNK)
        x, w = uniform01(0, chunk, size)
        if signed:
            x, w = (np.where(u < 0.5, -v, v) for u, v in zip(uniform01(_SIGNS, chunk, size), (x, w), strict=True))
        yield x, w


@dataclass(frozen=True)
class Noise:
    """Noise statistics of one design.

    - `pairs`: number of evaluated pairs; `larger`: those with |result| > |p|; `negative`: those with e < 0.
    - `mean`, `mean_low`, `mean_high`: mean |e| with its 95 % interval.
    - `absolute`, `relative`: rank correlations with |p| of |e| and of |e / p|, over the first `ranked` pairs.
    - `explained`: share of the variance of e that lies between the CELLS x CELLS cells of operands, corrected for
      chance (epsilon squared: T. L. Kelley, PNAS 21, 1935).
    - `counts`: int64 [BINS, BINS], histogram of the pairs by p (first axis) and e (second axis), in equal bins over
      `product_range` and `noise_range`.
    """

    design: Design
    pairs: int
    larger: int
    negative: int
    mean: float
    mean_low: float
    mean_high: float
    ranked: int
    absolute: float
    relative: float
    explained: float
    counts: NDArray[np.int64]
    product_range: tuple[float, float]
    noise_range: tuple[float, float]


def noise(design: Design, *, pairs: int, signed: bool, reach: float = 1.0) -> Noise:
    """Measures the noise of a float design. Pairs with |e| > `reach` fall into the outermost bins of the histogram."""
    low = -1.0 if signed else 0.0
    ranges = ((low, 1.0), (-reach, reach))
    counts = np.zeros(BINS * BINS, dtype=np.int64)
    cell_counts, cell_sums = np.zeros((2, CELLS * CELLS))
    larger = negative = 0
    sums: list[tuple[float, float, float]] = []
    ranked_values: list[tuple[Reals, Reals]] = []
    ranked_pairs = 0
    for x, w in operands(pairs, signed=signed):
        p = x.astype(np.float64) * w
        e = design.multiply(x, w) - p
        distance = np.abs(e)
        # |p + e| > |p|  <=>  (p + e)^2 - p^2 > 0  <=>  e (2 p + e) > 0
        larger += int(np.count_nonzero(e * (2 * p + e) > 0))
        negative += int(np.count_nonzero(e < 0))
        sums.append((float(e.sum()), float(distance.sum()), float(e @ e)))
        cell = _bin(x, (low, 1.0), CELLS) * CELLS + _bin(w, (low, 1.0), CELLS)
        cell_counts += np.bincount(cell, minlength=CELLS * CELLS)
        cell_sums += np.bincount(cell, e, CELLS * CELLS)
        bin_index = _bin(p, ranges[0], BINS) * BINS + _bin(e, ranges[1], BINS)
        counts += np.bincount(bin_index, minlength=BINS * BINS)
        if ranked_pairs < RANKED:
            ranked_values.append((distance[: RANKED - ranked_pairs], np.abs(p)[: RANKED - ranked_pairs]))
            ranked_pairs += ranked_values[-1][0].size
    total, absolute, squares = (math.fsum(column) for column in zip(*sums, strict=True))
    mean = absolute / pairs
    # Normal interval of a mean: mean +- z sqrt(var / n), with var|e| = mean(e^2) - mean(|e|)^2 (>= 0 despite rounding).
    half = normal_quantile(0.95) * math.sqrt(max(squares / pairs - mean * mean, 0.0) / pairs)
    e_first, p_first = (np.concatenate(column) for column in zip(*ranked_values, strict=True))
    nonzero = p_first > 0
    return Noise(
        design,
        pairs,
        larger,
        negative,
        mean,
        mean - half,
        mean + half,
        ranked_pairs,
        rank_correlation(e_first, p_first),
        rank_correlation(e_first[nonzero] / p_first[nonzero], p_first[nonzero]),
        _explained(cell_counts, cell_sums, total, squares),
        counts.reshape(BINS, BINS),
        *ranges,
    )


def _bin(values: NDArray[Any], ends: tuple[float, float], bins: int) -> NDArray[np.int64]:
    """Returns the index of each value's bin; values outside `ends` go to the first or the last bin."""
    low, high = ends
    return np.clip(((values.astype(np.float64) - low) * (bins / (high - low))).astype(np.int64), 0, bins - 1)


def _explained(cell_counts: Reals, cell_sums: Reals, total: float, squares: float) -> float:
    """Returns epsilon squared from the count and the sum of e in each cell, and the total sums of e and of e^2.

    With N values in K occupied cells:

        SS_total   = sum(e^2) - (sum e)^2 / N
        SS_between = sum over cells of (sum e in the cell)^2 / (count of the cell) - (sum e)^2 / N
        MS_within  = (SS_total - SS_between) / (N - K)
        epsilon^2  = (SS_between - (K - 1) MS_within) / SS_total

    Without any effect of the cells, SS_between has the expectation (K - 1) MS_within, which is therefore subtracted.
    """
    occupied = cell_counts > 0
    pairs, cells = float(cell_counts.sum()), int(occupied.sum())
    about_mean = squares - total * total / pairs
    between = float((cell_sums[occupied] ** 2 / cell_counts[occupied]).sum()) - total * total / pairs
    within = (about_mean - between) / (pairs - cells)
    return (between - (cells - 1) * within) / about_mean if about_mean else math.nan


@dataclass(frozen=True)
class Jumps:
    """Jumps of e between adjacent float32 values of one operand, over FIXED values of the other.

    `largest` is the largest jump and `at` the operand on its upper side. `averaged` is the largest jump of e averaged
    over the other operand. `count` is the mean number of jumps of at least LARGE per sweep.
    """

    largest: float
    at: float
    averaged: float
    count: float


def jumps(design: Design, operand: int) -> Jumps:
    """Measures the jumps along the first (0) or second (1) operand, from the float32 below k / BOUNDARIES to it.

    Operands lie in [0, 1], since a float multiplier handles signs separately. Between adjacent operands the exact
    product changes by at most 2^-24, so that a larger change of e is a jump of the circuit. Most bits of the operand
    change where it passes a multiple of a high power of two; the jumps are therefore looked for there.
    """
    fixed = uniform01(_FIXED, 0, FIXED)[1 - operand][:, None]
    upper = np.arange(1, BOUNDARIES, dtype=np.float32) / np.float32(BOUNDARIES)
    lower = np.nextafter(upper, np.float32(0))
    changes = swept(design, operand, upper, fixed) - swept(design, operand, lower, fixed)
    magnitudes = np.abs(changes)
    largest = magnitudes.max(0)
    return Jumps(
        float(largest.max()),
        float(upper[largest.argmax()]),
        float(np.abs(changes.mean(0)).max()),
        float((magnitudes >= LARGE).sum(1).mean()),
    )


def swept(design: Design, operand: int, values: NDArray[np.float32], fixed: NDArray[np.float32]) -> Reals:
    """Returns e [fixed, values] for `values` [values] of one operand and `fixed` [fixed, 1] of the other."""
    x, w = (values, fixed) if operand == 0 else (fixed, values)
    errors: Reals = design.multiply(x, w) - x.astype(np.float64) * w
    return errors


def rows(stats: Noise, *, larger: float | None = None, subject: str | None = None) -> list[Row]:
    """Returns the rows of one design. `larger` is the published percentage of results larger in magnitude."""
    name = subject or stats.design.label
    noise_rows = [
        Row(name, "mean |e|", stats.mean, interval=(stats.mean_low, stats.mean_high), remark="largest product 1"),
        share_row(name, "larger in magnitude", stats.larger, stats.pairs, published=larger),
    ]
    for quantity, rho in (("|e|", stats.absolute), ("|e / p|", stats.relative)):
        between = rank_correlation_interval(rho, stats.ranked)
        noise_rows.append(Row(name, f"rank correlation of {quantity} with |p|", rho, interval=between))
    noise_rows.append(
        Row(name, f"variance between {CELLS} x {CELLS} operand cells", 100 * stats.explained, unit="% of that of e")
    )
    for operand, which in enumerate(("first", "second")):
        jump = jumps(stats.design, operand)
        remark = f"at {jump.at:.4g}; averaged {jump.averaged:.3g}; {jump.count:.3g} a sweep of {LARGE:g} or more"
        noise_rows.append(Row(name, f"largest jump along the {which} operand", jump.largest, remark=remark))
    return noise_rows


def settings(level: str, *, signed: bool) -> dict[str, Any]:
    """Returns the settings that all numbers of `rows` depend on, besides the design."""
    return {
        "pairs": PAIRS[level],
        "operands": "uniform in [-1, 1]" if signed else "uniform in [0, 1]",
        "ranked_pairs": min(RANKED, PAIRS[level]),
        "operand_cells": [CELLS, CELLS],
        "jumps": {"boundaries": BOUNDARIES, "values_of_the_other_operand": FIXED},
        "seed": 0,
    }


def draw(
    noises: Sequence[Noise], names: Sequence[str], *, fixed: float = 0.95, window: tuple[float, float] = (0.0, 1.0)
) -> Figure:
    """Draws one column per design.

    The upper panel is the histogram of pairs by exact product and noise, on a colour scale shared by all designs. The
    lower panel shows e along each operand over `window`, while the other operand is `fixed`. Designs with the
    same `noise_range` share the scales of the noise.
    """
    colours = seaborn.color_palette("colorblind")
    figure = Figure(figsize=(3.6 * len(noises) + 1.0, 7.0), layout="constrained")
    grid = figure.subplots(2, len(noises), squeeze=False)
    highest_count = max(int(stats.counts.max()) for stats in noises)
    values = np.linspace(*window, 2048, endpoint=False, dtype=np.float32)
    fixed_operand = np.full((1, 1), fixed, dtype=np.float32)
    sweeps = [[swept(stats.design, operand, values, fixed_operand)[0] for operand in (0, 1)] for stats in noises]
    mesh: Any = None
    for column, (stats, name) in enumerate(zip(noises, names, strict=True)):
        above, below = grid[0, column], grid[1, column]
        mesh = above.pcolormesh(
            np.linspace(*stats.product_range, BINS + 1),
            np.linspace(*stats.noise_range, BINS + 1),
            np.ma.masked_equal(stats.counts.T, 0),
            norm=LogNorm(1, highest_count),
            cmap="viridis",
            rasterized=True,
        )
        same_scale = [k for k, other_stats in enumerate(noises) if other_stats.noise_range == stats.noise_range]
        above.set_ylim(*_limits([noises[k] for k in same_scale]))
        above.set_title(name, fontsize=10)
        above.set_xlabel("exact product p")
        for errors, text, style, colour in zip(
            sweeps[column], ("first, x", "second, w"), ("-", "--"), colours, strict=False
        ):
            below.plot(values, errors, style, color=colour, linewidth=1.2, label=f"along the {text}")
        visible_errors = np.concatenate([np.concatenate(sweeps[k]) for k in same_scale])
        padding = 0.05 * float(np.ptp(visible_errors))
        below.set_ylim(float(visible_errors.min()) - padding, float(visible_errors.max()) + padding)
        below.set_xlabel(f"operand (the other one is {fixed:g})")
    for axes in grid[:, 0]:
        axes.set_ylabel("noise e = result - p")
    figure.colorbar(mesh, ax=list(grid[0]), label=f"pairs, of {noises[0].pairs:,}")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _limits(noises: Sequence[Noise]) -> tuple[float, float]:
    """Returns the range of noise that the histograms fill, symmetric about 0."""
    edges = np.linspace(*noises[0].noise_range, BINS + 1)
    filled = np.flatnonzero(np.sum([stats.counts for stats in noises], axis=(0, 1)))
    reach = max(abs(edges[filled[0]]), abs(edges[filled[-1] + 1]))
    return -reach, reach
