"""Plots the rows of a study: each measured number with its interval, beside the published number."""

from __future__ import annotations

from collections.abc import Sequence

import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from circuits.drawing.figure_files import render
from studies.frame.study import Row

SHOWN = 80
"""Maximum number of rows drawn per study."""
_LINE, _MARGIN = 0.2, 0.75
"""Height of a row, and of the space around a panel, in inches."""


def comparison(rows: Sequence[Row], *, name: str, title: str) -> dict[str, bytes]:
    """Draws the rows of a study with one panel per unit and one line per row.

    Returns the figure as file suffix -> content, for "png" and "svg". If at least a quarter of the rows have a
    published number, only those are drawn.
    """
    compared = [row for row in rows if row.published is not None]
    if 4 * len(compared) < len(rows):
        compared = list(rows)
    drawn = compared[:SHOWN]
    note = "" if len(drawn) == len(compared) else f" (the first {len(drawn)} of {len(compared)} rows)"
    return render(lambda: _figure(drawn, title + note), salt=name, style=seaborn.axes_style("whitegrid"))


def _figure(rows: Sequence[Row], title: str) -> Figure:
    """Draws one panel per unit, above a legend shared by all panels."""
    units = list(dict.fromkeys(row.unit for row in rows))
    panels = [[row for row in rows if row.unit == unit] for unit in units]
    heights = [_MARGIN + _LINE * len(panel) for panel in panels]
    figure = Figure(figsize=(9, 0.9 + sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, panel in zip(grid.flat, panels, strict=True):
        dots(axes, panel, [f"{row.subject}: {row.quantity}" for row in panel])
        axes.set_xlabel(panel[0].unit or "a number without unit", fontsize=8)
        values = [row.measured for row in panel] + [row.published for row in panel if row.published is not None]
        # On a linear axis, values over three decades would collapse onto the left edge.
        if min(values) > 0 and max(values) > 1000 * min(values):
            axes.set_xscale("log")
    figure.suptitle(title, fontsize=10)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    for axes in grid.flat[1:]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def dots(axes: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Draws one line per row, the first on top: a dot on the 95 % interval (measured) and a cross (published)."""
    blue, orange, *_ = seaborn.color_palette("colorblind")
    labelled: set[str] = set()

    def label(text: str) -> str:
        """Returns the text on its first use only, so that the legend lists each kind of mark once."""
        if text in labelled:
            return "_nolegend_"
        labelled.add(text)
        return text

    for height, row in enumerate(reversed(rows)):
        if row.published is not None:
            axes.plot([row.published], [height], "X", color=orange, markersize=8, label=label("published"))
        if row.interval is not None:
            axes.plot(row.interval, [height, height], color=blue, linewidth=2, label=label("95 % interval"))
        axes.plot([row.measured], [height], "o", color=blue, markersize=4.5, label=label("measured"))
    axes.set_yticks(range(len(rows)), list(reversed(names)), fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.margins(x=0.12)
    axes.tick_params(axis="x", labelsize=8)
