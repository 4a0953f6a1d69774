"""Noise of multipliers over random operands: what the figures of noise share (DA figures 3, 13 and 15).

Noise is e = result - exact product, the exact product p being that of the float32 operands, in float64.
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
"""Pairs whose ranks are taken: the first ones, at every level."""
CELLS = 32
"""The operands' interval is cut into so many equal parts, for the variance that operands explain."""
BOUNDARIES = 4096
"""Jumps are looked for at k / BOUNDARIES, 0 < k < BOUNDARIES: inside the operands' interval."""
FIXED = 256
"""Values of the operand that a sweep leaves alone, drawn uniformly."""
LARGE = 0.01
"""A jump that is counted, in units of the largest product, 1."""
BINS = 160
"""Of the histogram, along the exact product and along the noise."""
_SIGNS, _FIXED = 1, 2
"""Seeds beside that of the operands, 0."""

Reals = NDArray[np.float64]


def operands(pairs: int, *, signed: bool) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Chunks of first and second operands: magnitudes as `error_metrics` draws them for "uniform01" with seed 0;
    `signed` ones with random signs, so uniform in [-1, 1]."""
    for chunk in range(-(-pairs // CHUNK)):
        size = min(CHUNK, pairs - chunk * CHUNK)
        x, w = uniform01(0, chunk, size)
        if signed:
            x, w = (np.where(u < 0.5, -v, v) for u, v in zip(uniform01(_SIGNS, chunk, size), (x, w), strict=True))
        yield x, w


@dataclass(frozen=True)
class Noise:
    """The noise of one design.

    - `pairs` evaluated; `larger`: those with |result| > |p|; `negative`: those with e < 0.
    - `mean`, `mean_low`, `mean_high`: mean |e| with its 95 % interval.
    - `absolute`, `relative`: rank correlation with |p| of |e| and of |e / p|, over the first `ranked` pairs.
    - `explained`: share of the variance of e between the CELLS x CELLS cells of operands, less what chance gives
      (epsilon squared: T. L. Kelley, PNAS 21, 1935).
    - `counts`: int64 [BINS, BINS], pairs by p, then by e, both over equal bins of `product_range` and `noise_range`.
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
    """Of a float design; `reach`: the histogram's largest |e|, beyond which pairs fall into its outermost bins."""
    low = -1.0 if signed else 0.0
    ranges = ((low, 1.0), (-reach, reach))
    counts = np.zeros(BINS * BINS, dtype=np.int64)
    in_cell, sum_in_cell = np.zeros((2, CELLS * CELLS))
    larger = negative = 0
    sums: list[tuple[float, float, float]] = []
    first: list[tuple[Reals, Reals]] = []
    kept = 0
    for x, w in operands(pairs, signed=signed):
        p = x.astype(np.float64) * w
        e = design.multiply(x, w) - p
        distance = np.abs(e)
        larger += int(np.count_nonzero(e * (2 * p + e) > 0))
        negative += int(np.count_nonzero(e < 0))
        sums.append((float(e.sum()), float(distance.sum()), float(e @ e)))
        cell = _bin(x, (low, 1.0), CELLS) * CELLS + _bin(w, (low, 1.0), CELLS)
        in_cell += np.bincount(cell, minlength=CELLS * CELLS)
        sum_in_cell += np.bincount(cell, e, CELLS * CELLS)
        place = _bin(p, ranges[0], BINS) * BINS + _bin(e, ranges[1], BINS)
        counts += np.bincount(place, minlength=BINS * BINS)
        if kept < RANKED:
            first.append((distance[: RANKED - kept], np.abs(p)[: RANKED - kept]))
            kept += first[-1][0].size
    total, absolute, squares = (math.fsum(column) for column in zip(*sums, strict=True))
    mean = absolute / pairs
    half = normal_quantile(0.95) * math.sqrt(max(squares / pairs - mean * mean, 0.0) / pairs)
    e_first, p_first = (np.concatenate(column) for column in zip(*first, strict=True))
    met = p_first > 0
    return Noise(
        design,
        pairs,
        larger,
        negative,
        mean,
        mean - half,
        mean + half,
        kept,
        rank_correlation(e_first, p_first),
        rank_correlation(e_first[met] / p_first[met], p_first[met]),
        _explained(in_cell, sum_in_cell, total, squares),
        counts.reshape(BINS, BINS),
        *ranges,
    )


def _bin(values: NDArray[Any], ends: tuple[float, float], bins: int) -> NDArray[np.int64]:
    low, high = ends
    return np.clip(((values.astype(np.float64) - low) * (bins / (high - low))).astype(np.int64), 0, bins - 1)


def _explained(count: Reals, total_in_cell: Reals, total: float, squares: float) -> float:
    """Epsilon squared of cells with so many values each, of these sums."""
    met = count > 0
    number, cells = float(count.sum()), int(met.sum())
    about_mean = squares - total * total / number
    between = float((total_in_cell[met] ** 2 / count[met]).sum()) - total * total / number
    within = (about_mean - between) / (number - cells)
    return (between - (cells - 1) * within) / about_mean if about_mean else math.nan


@dataclass(frozen=True)
class Jumps:
    """Jumps of e between neighbouring float32 values of one operand, over FIXED values of the other.

    `largest` of all, with the operand `at` its upper side; `averaged`: the largest jump of e averaged over the other
    operand; `count`: jumps of at least LARGE a sweep, on average.
    """

    largest: float
    at: float
    averaged: float
    count: float


def jumps(design: Design, operand: int) -> Jumps:
    """Along the first (0) or second (1) operand, from one float32 below k / BOUNDARIES to k / BOUNDARIES.

    Operands are in [0, 1]: a float multiplier treats signs apart. Between neighbours the exact product moves by less
    than 2^-24 at most, and the circuit's bits change most where the operand passes a multiple of a high power of two.
    """
    fixed = uniform01(_FIXED, 0, FIXED)[1 - operand][:, None]
    upper = np.arange(1, BOUNDARIES, dtype=np.float32) / np.float32(BOUNDARIES)
    lower = np.nextafter(upper, np.float32(0))
    moved = swept(design, operand, upper, fixed) - swept(design, operand, lower, fixed)
    size = np.abs(moved)
    largest = size.max(0)
    return Jumps(
        float(largest.max()),
        float(upper[largest.argmax()]),
        float(np.abs(moved.mean(0)).max()),
        float((size >= LARGE).sum(1).mean()),
    )


def swept(design: Design, operand: int, values: NDArray[np.float32], fixed: NDArray[np.float32]) -> Reals:
    """e [fixed, values] for `values` [values] of one operand and `fixed` [fixed, 1] of the other."""
    x, w = (values, fixed) if operand == 0 else (fixed, values)
    errors: Reals = design.multiply(x, w) - x.astype(np.float64) * w
    return errors


def rows(found: Noise, *, larger: float | None = None, subject: str | None = None) -> list[Row]:
    """The numbers of one design; `larger`: the published share of results larger in magnitude, percent."""
    name = subject or found.design.label
    made = [
        Row(name, "mean |e|", found.mean, interval=(found.mean_low, found.mean_high), remark="largest product 1"),
        share_row(name, "larger in magnitude", found.larger, found.pairs, published=larger),
    ]
    for quantity, rho in (("|e|", found.absolute), ("|e / p|", found.relative)):
        between = rank_correlation_interval(rho, found.ranked)
        made.append(Row(name, f"rank correlation of {quantity} with |p|", rho, interval=between))
    made.append(
        Row(name, f"variance between {CELLS} x {CELLS} operand cells", 100 * found.explained, unit="% of that of e")
    )
    for operand, which in enumerate(("first", "second")):
        jump = jumps(found.design, operand)
        remark = f"at {jump.at:.4g}; averaged {jump.averaged:.3g}; {jump.count:.3g} a sweep of {LARGE:g} or more"
        made.append(Row(name, f"largest jump along the {which} operand", jump.largest, remark=remark))
    return made


def settings(level: str, *, signed: bool) -> dict[str, Any]:
    """What all numbers of `rows` depend on, beside the designs."""
    return {
        "pairs": PAIRS[level],
        "operands": "uniform in [-1, 1]" if signed else "uniform in [0, 1]",
        "ranked_pairs": min(RANKED, PAIRS[level]),
        "operand_cells": [CELLS, CELLS],
        "jumps": {"boundaries": BOUNDARIES, "values_of_the_other_operand": FIXED},
        "seed": 0,
    }


def draw(
    found: Sequence[Noise], names: Sequence[str], *, held: float = 0.95, window: tuple[float, float] = (0.0, 1.0)
) -> Figure:
    """A column a design: pairs by exact product and noise, one colour scale; below, e along each operand while the
    other is `held`, over `window`. Designs of one `noise_range` share the scales of noise."""
    colours = seaborn.color_palette("colorblind")
    figure = Figure(figsize=(3.6 * len(found) + 1.0, 7.0), layout="constrained")
    grid = figure.subplots(2, len(found), squeeze=False)
    most = max(int(entry.counts.max()) for entry in found)
    values = np.linspace(*window, 2048, endpoint=False, dtype=np.float32)
    other = np.full((1, 1), held, dtype=np.float32)
    sweeps = [[swept(entry.design, operand, values, other)[0] for operand in (0, 1)] for entry in found]
    mesh: Any = None
    for column, (entry, name) in enumerate(zip(found, names, strict=True)):
        above, below = grid[0, column], grid[1, column]
        mesh = above.pcolormesh(
            np.linspace(*entry.product_range, BINS + 1),
            np.linspace(*entry.noise_range, BINS + 1),
            np.ma.masked_equal(entry.counts.T, 0),
            norm=LogNorm(1, most),
            cmap="viridis",
            rasterized=True,
        )
        alike = [k for k, each in enumerate(found) if each.noise_range == entry.noise_range]
        above.set_ylim(*_limits([found[k] for k in alike]))
        above.set_title(name, fontsize=10)
        above.set_xlabel("exact product p")
        for errors, text, style, colour in zip(
            sweeps[column], ("first, x", "second, w"), ("-", "--"), colours, strict=False
        ):
            below.plot(values, errors, style, color=colour, linewidth=1.2, label=f"along the {text}")
        reached = np.concatenate([np.concatenate(sweeps[k]) for k in alike])
        spare = 0.05 * float(np.ptp(reached))
        below.set_ylim(float(reached.min()) - spare, float(reached.max()) + spare)
        below.set_xlabel(f"operand (the other one is {held:g})")
    for axes in grid[:, 0]:
        axes.set_ylabel("noise e = result - p")
    figure.colorbar(mesh, ax=list(grid[0]), label=f"pairs, of {found[0].pairs:,}")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _limits(found: Sequence[Noise]) -> tuple[float, float]:
    """The range of noise that the histograms of `found` fill, symmetric to 0."""
    edges = np.linspace(*found[0].noise_range, BINS + 1)
    filled = np.flatnonzero(np.sum([entry.counts for entry in found], axis=(0, 1)))
    reach = max(abs(edges[filled[0]]), abs(edges[filled[-1] + 1]))
    return -reach, reach
