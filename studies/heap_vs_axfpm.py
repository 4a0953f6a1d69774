"""HEAP and Ax-FPM side by side: error, noise, cost, accuracy and transfer, as rows and on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure

from circuits import cost_report, design, error_metrics
from circuits.figures import render
from circuits.metrics import ErrorSurface, Estimate, error_surface, uniform01
from circuits.technology import conditions
from cnn_eval.accuracy import evaluate
from cnn_eval.models import weights_record
from cnn_eval.scenarios import EXAMPLES, transfer
from studies import cost_rows, heap, table8, table9
from studies.study import Row, StudyOptions, StudyResult

TITLE = "HEAP and Ax-FPM side by side on one page"
SOURCE = "DA tables 8 to 10, figure 15"
SUBJECTS = {"heap": "heap", "axfpm": "axfpm", "axfpm_tiled": "axfpm"}
"""Design -> the published multiplier that it stands for; Ax-FPM is two circuits (flat, and tiled as released)."""
LARGER = {"heap": 100 * heap.LARGER, "axfpm": 96.0}
"""Share of results larger than exact, %: DA appendix A and section 4.1."""
TRANSFER = {"pgd": {"heap": 30.0, "axfpm": 28.0}, "fgsm_smallest": {"heap": 16.0, "axfpm": 12.0}}
"""Success against the approximate network, %: DA table 10, which gives no budgets of PGD and FGSM."""
SAMPLES = {"quick": 1_000_000, "default": 10_000_000, "full": 100_000_000}
BINS = 48
SHOWN_PAIRS = 65_536

Section = Callable[[str, StudyOptions], list[Row]]
"""A topic: the rows of one subject (a name in SUBJECTS), the same quantities for all; each becomes a panel."""


def error(name: str, options: StudyOptions) -> list[Row]:
    """Over operands uniform in [0, 1]."""
    found = error_metrics(design(name), samples=SAMPLES[options.level])
    _, ratio, nmed = table8.PUBLISHED[SUBJECTS[name]]
    return [
        _sampled(name, "NMED", found.nmed, nmed),
        _sampled(name, "MRED (ratio of means)", found.mred_ratio_of_means, ratio),
        _sampled(name, "MRED (mean of ratios)", found.mred),
        _sampled(name, "mean e", found.bias),
        _sampled(name, "larger than exact", found.larger, LARGER[SUBJECTS[name]], 100.0, "%"),
    ]


def cost(name: str, options: StudyOptions) -> list[Row]:
    """Mantissa multiplier over the exact one, as drawn."""
    samples = cost_rows.SAMPLES[options.level]
    settled, glitching = (cost_report(design(name), samples=samples, glitches=kind) for kind in ("none", "arc_delay"))
    energy, delay = table9.PUBLISHED[SUBJECTS[name]]
    label = design(name).label
    return [
        Row(label, "energy / exact, glitches included", glitching.ratio("energy"), energy),
        Row(label, "energy / exact, zero delay", settled.ratio("energy")),
        Row(label, "delay / exact", settled.ratio("delay"), delay),
        Row(label, "area / exact", settled.ratio("area")),
    ]


def accuracy(name: str, options: StudyOptions) -> list[Row]:
    """LeNet-5 on MNIST, convolutions through the design."""
    found = evaluate(design(name), data="full" if options.level == "full" else "embedded", folder=options.folder)
    low, high = found.interval
    published = table8.PUBLISHED[SUBJECTS[name]][0]
    return [Row(design(name).label, "accuracy", 100 * found.accuracy, published, (100 * low, 100 * high), "%")]


def transfers(name: str, options: StudyOptions) -> list[Row]:
    """Stored examples that fool the exact network and also this one."""
    rows = []
    for examples, found in transfer(design(name)).items():
        low, high = found.interval
        published = TRANSFER[examples][SUBJECTS[name]]
        remark = f"{found.fooled} of {found.eligible}"
        rows.append(
            Row(
                design(name).label,
                f"transfer, {examples}",
                100 * found.rate,
                published,
                (100 * low, 100 * high),
                "%",
                remark,
            )
        )
    return rows


SECTIONS: Sequence[Section] = (error, cost, accuracy, transfers)
"""What is compared, in the order of rows and panels; a further topic is one more function."""


def run(options: StudyOptions) -> StudyResult:
    """Quick and default on the embedded images; full on the 10,000 of MNIST. All draw the page."""
    found = [[section(name, options) for name in SUBJECTS] for section in SECTIONS]
    rows = [row for of_one in zip(*found, strict=True) for part in of_one for row in part]
    return StudyResult(
        "heap_vs_axfpm",
        TITLE,
        SOURCE,
        rows,
        "reproduced in direction",
        _reason(rows),
        {
            "pairs": SAMPLES[options.level],
            "cost_samples": cost_rows.SAMPLES[options.level],
            "technology": conditions(),
            "data": "full" if options.level == "full" else "embedded",
            "examples": list(EXAMPLES),
            "seed": 0,
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
        render(lambda: _figure(found), salt="heap_vs_axfpm", style=seaborn.axes_style("whitegrid")),
    )


def _reason(rows: Sequence[Row]) -> str:
    """What holds of the published comparison, from the rows."""
    value = {(row.subject, row.quantity): row.measured for row in rows}
    one, other = design("heap").label, design("axfpm").label

    def less(quantity: str) -> bool:
        return value[one, quantity] < value[other, quantity]

    claims = {
        "heap errs less": less("NMED"),
        "axfpm costs less energy and delay": not less("energy / exact, glitches included")
        and not less("delay / exact"),
        "heap is as accurate or more": not less("accuracy"),
        "fewer attacks transfer to axfpm": not less("transfer, fgsm_smallest") and not less("transfer, pgd"),
    }
    told = [f"{claim}: {'holds' if holds else 'does not hold'}" for claim, holds in claims.items()]
    return f"published claims here: {'; '.join(told)}. heap is a reconstruction (study heap)."


def _sampled(
    name: str, quantity: str, estimate: Estimate, published: float | None = None, scale: float = 1.0, unit: str = ""
) -> Row:
    interval = (scale * estimate.low, scale * estimate.high)
    return Row(design(name).label, quantity, scale * estimate.value, published, interval, unit)


# ---- the page


def _figure(found: Sequence[Sequence[Sequence[Row]]]) -> Figure:
    panels = [[of_one[at] for of_one in lists] for lists in found for at in range(len(lists[0]))]
    columns = len(SUBJECTS)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.9 * columns, 6.6 + 1.35 * lines), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[6.6, 1.35 * lines])
    noise, numbers = parts
    noise.suptitle("Noise e = result - exact product, operands uniform in [0, 1]", fontsize=11)
    _noise(noise.subplots(2, columns), noise)
    grid = numbers.subplots(lines, columns, squeeze=False)
    for axes, rows in zip(grid.flat, panels, strict=False):
        _dots(axes, rows)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    numbers.suptitle("measured (dot, 95 % interval) and published (cross)", fontsize=11)
    return figure


def _noise(grid: Any, figure: Any) -> None:
    """Mean e over both operands, one colour scale for all; below, e against the exact product, pair by pair."""
    surfaces: list[ErrorSurface] = [error_surface(design(name), bins=BINS) for name in SUBJECTS]
    largest = max(float(np.nanmax(np.abs(surface.bias))) for surface in surfaces)
    x, w = uniform01(0, 0, SHOWN_PAIRS)
    exact = x.astype(np.float64) * w
    errors = [design(name).multiply(x, w) - exact for name in SUBJECTS]
    low, high = min(e.min() for e in errors), max(e.max() for e in errors)
    for column, (name, surface, e) in enumerate(zip(SUBJECTS, surfaces, errors, strict=True)):
        top, bottom = grid[0, column], grid[1, column]
        mesh = top.pcolormesh(
            surface.w_edges,
            surface.x_edges,
            surface.bias,
            norm=TwoSlopeNorm(0.0, -largest, largest),
            cmap="RdBu_r",
            rasterized=True,
        )
        top.set_title(design(name).label, fontsize=10)
        top.set_xlabel("second operand (weight)", fontsize=8)
        top.set_ylabel("first operand (activation)", fontsize=8)
        hist = bottom.hist2d(
            exact, e, bins=(90, 90), range=((0, 1), (low, high)), norm=LogNorm(1, 300), cmap="viridis", rasterized=True
        )
        bottom.axhline(0, color="0.3", linewidth=0.8)
        bottom.set_xlabel("exact product", fontsize=8)
        bottom.set_ylabel("e", fontsize=8)
    figure.colorbar(mesh, ax=grid[0, :].tolist(), label="mean e", shrink=0.85)
    figure.colorbar(hist[3], ax=grid[1, :].tolist(), label=f"pairs of {SHOWN_PAIRS:,}", shrink=0.85)


def _dots(axes: Axes, rows: Sequence[Row]) -> None:
    blue, orange, *_ = seaborn.color_palette("colorblind")
    for height, row in enumerate(reversed(rows)):
        low, high = row.interval or (row.measured, row.measured)
        if row.published is not None:
            axes.plot([row.published], [height], "X", color=orange, markersize=9)
        axes.plot([low, high], [height, height], color=blue, linewidth=2)
        axes.plot([row.measured], [height], "o", color=blue, markersize=5)
    axes.set_yticks(range(len(rows)), [row.subject.partition(" (")[0] for row in reversed(rows)], fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.margins(x=0.12)
    axes.tick_params(axis="x", labelsize=8)
    unit = f" [{rows[0].unit}]" if rows[0].unit else ""
    axes.set_title(f"{rows[0].quantity}{unit}", fontsize=8, loc="left")
