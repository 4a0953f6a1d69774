"""Heat maps of error surfaces: mean relative error and signed mean error over both operands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm, TwoSlopeNorm
from matplotlib.figure import Figure

from circuits.accuracy.error_types import ErrorSurface
from circuits.drawing.figure_files import save


def draw_surfaces(surfaces: Sequence[ErrorSurface]) -> Figure:
    """A row a design: MRED, and the mean signed error e, of each bin; first operand down, second across."""
    figure = Figure(figsize=(8.2, 3.5 * len(surfaces)), dpi=120, layout="constrained")
    grid = figure.subplots(len(surfaces), 2, squeeze=False)
    for row, surface in zip(grid, surfaces, strict=True):
        largest = float(np.nanmax(np.abs(surface.bias), initial=0.0)) or 1.0
        signed = TwoSlopeNorm(0.0, -largest, largest)
        highest = float(np.nanmax(surface.mred, initial=0.0)) or 1.0
        # Relative errors grow without bound towards small operands, so the scale is logarithmic beyond 0.1.
        relative = SymLogNorm(0.1, vmin=0.0, vmax=highest) if highest > 1 else matplotlib.colors.Normalize(0.0, highest)
        for axes, values, title, norm, colours in (
            (row[0], surface.mred, "mean |e / p|", relative, "viridis"),
            (row[1], surface.bias, "mean e", signed, "RdBu_r"),
        ):
            _panel(figure, axes, surface, values, title, norm, colours)
        row[0].text(-0.25, 1.12, surface.design, transform=row[0].transAxes, fontweight="bold", parse_math=False)
    return figure


def save_surfaces(surfaces: Sequence[ErrorSurface], path: Path) -> None:
    """Writes `draw_surfaces(surfaces)` as PNG or SVG, by the suffix of `path`; DesignError for another suffix."""
    save(lambda: draw_surfaces(surfaces), path, salt="surfaces", style={"font.size": 8})


def _panel(figure: Figure, axes: Axes, surface: ErrorSurface, values: Any, title: str, norm: Any, colours: str) -> None:
    # Empty bins stay white.
    mesh = axes.pcolormesh(
        surface.w_edges, surface.x_edges, np.ma.masked_invalid(values), norm=norm, cmap=colours, rasterized=True
    )
    axes.set_title(f"{title} ({surface.method}, {surface.samples} pairs)", fontsize=8)
    axes.set_xlabel("second operand w")
    axes.set_ylabel("first operand x")
    figure.colorbar(mesh, ax=axes)
