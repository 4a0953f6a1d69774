"""Heat maps of error surfaces: mean relative error and signed mean error over both operands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, SymLogNorm, TwoSlopeNorm
from matplotlib.figure import Figure

from circuits.accuracy.error_types import ErrorSurface
from circuits.drawing.figure_files import save

SCALES = ("auto", "linear", "log")
"""Colour scales of relative errors: "log" is linear up to 0.1; "auto" takes it where an error exceeds 1."""
_LINEAR_UP_TO = 0.1


def draw_surfaces(surfaces: Sequence[ErrorSurface], scale: str = "auto") -> Figure:
    """One row per design: MRED and mean signed error e of each bin, first operand vertical, second horizontal.

    All designs share the colours of each quantity, so that equal colours are equal errors; `scale`: one of SCALES.
    """
    figure = Figure(figsize=(8.2, 3.5 * len(surfaces)), dpi=120, layout="constrained")
    grid = figure.subplots(len(surfaces), 2, squeeze=False)
    relative, signed = _shared_colours(surfaces, scale)
    for row, surface in zip(grid, surfaces, strict=True):
        for axes, values, title, norm, colours in (
            (row[0], surface.mred, "mean |e / p|", relative, "viridis"),
            (row[1], surface.bias, "mean e", signed, "RdBu_r"),
        ):
            _panel(figure, axes, surface, values, title, norm, colours)
        row[0].text(-0.25, 1.12, surface.design, transform=row[0].transAxes, fontweight="bold", parse_math=False)
    return figure


def save_surfaces(surfaces: Sequence[ErrorSurface], path: Path, scale: str = "auto") -> None:
    """Writes `draw_surfaces(surfaces, scale)` as PNG or SVG, by the suffix of `path`; DesignError for another one."""
    save(lambda: draw_surfaces(surfaces, scale), path, salt="surfaces", style={"font.size": 8})


def _shared_colours(surfaces: Sequence[ErrorSurface], scale: str) -> tuple[Normalize, Normalize]:
    """The colours of relative and of signed errors, for all surfaces."""
    largest = max(float(np.nanmax(np.abs(surface.bias), initial=0.0)) for surface in surfaces) or 1.0
    highest = max(float(np.nanmax(surface.mred, initial=0.0)) for surface in surfaces) or 1.0
    # Relative errors grow without bound towards small operands, so the scale is then logarithmic beyond 0.1.
    logarithmic = scale == "log" or (scale == "auto" and highest > 1)
    relative = SymLogNorm(_LINEAR_UP_TO, vmin=0.0, vmax=highest) if logarithmic else Normalize(0.0, highest)
    if scale == "log":
        # Signed errors have a unit: three decades below the largest count as the linear part around 0.
        return relative, SymLogNorm(largest / 1000, vmin=-largest, vmax=largest)
    return relative, TwoSlopeNorm(0.0, -largest, largest)


def _panel(figure: Figure, axes: Axes, surface: ErrorSurface, values: Any, title: str, norm: Any, colours: str) -> None:
    # Empty bins stay white.
    mesh = axes.pcolormesh(
        surface.w_edges, surface.x_edges, np.ma.masked_invalid(values), norm=norm, cmap=colours, rasterized=True
    )
    axes.set_title(f"{title} ({surface.method}, {surface.samples} pairs)", fontsize=8)
    axes.set_xlabel("second operand w")
    axes.set_ylabel("first operand x")
    figure.colorbar(mesh, ax=axes)
