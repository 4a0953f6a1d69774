"""Plot of margin curves: one panel per attack, one line per network, published rates as stars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from circuits.drawing.figure_files import render
from cnn_eval.measure.margin_curves import CURVES, MarginPoint

__all__ = ["margins_plot"]

_MARKERS = "osD^vPX<>"
_PUBLISHED = "*pH8"
_CONTROL = {"color": "black", "linestyle": (0, (4, 2)), "marker": "x"}


def margins_plot(
    points: Sequence[MarginPoint],
    *,
    control: str | None = None,
    published: Mapping[str, Mapping[str, float]],
    title: str,
) -> dict[str, bytes]:
    """Draws the plot; returns the contents of the files, "png" and "svg" (`circuits.drawing.figure_files.render`).

    `control`: the victim drawn dashed in black. `published`: name -> attack -> rate in percent, drawn at the first
    value of the attack's curve.
    """
    return render(
        lambda: _figure(points, control, published, title), salt="margins", style=seaborn.axes_style("whitegrid")
    )


def _figure(
    points: Sequence[MarginPoint], control: str | None, published: Mapping[str, Mapping[str, float]], title: str
) -> Figure:
    attacks = list(dict.fromkeys(point.attack for point in points))
    columns = min(2, len(attacks))
    rows = math.ceil(len(attacks) / columns)
    figure = Figure(figsize=(4.6 * columns, 3.1 * rows + 0.9), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for name, axes in zip(attacks, panels, strict=False):
        _panel(axes, name, [point for point in points if point.attack == name], control, published)
    for axes in panels[len(attacks) :]:
        axes.remove()
    figure.suptitle(title, fontsize=10, parse_math=False)
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    legend = figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _panel(
    axes: Axes,
    name: str,
    points: Sequence[MarginPoint],
    control: str | None,
    published: Mapping[str, Mapping[str, float]],
) -> None:
    curve = CURVES[name]
    values = [value for value in curve.values if any(point.value == value for point in points)]
    # Evenly spaced, because the first steps past the boundary matter most.
    positions = {value: float(k) for k, value in enumerate(values)}
    victims = list(dict.fromkeys(point.victim for point in points))
    colours = iter(zip(seaborn.color_palette("colorblind", 9), _MARKERS, strict=True))
    spread = 0.05
    for k, victim in enumerate(victims):
        of_victim = [point for point in points if point.victim == victim and point.rate is not None]
        style: dict[str, Any] = dict(_CONTROL)
        if victim != control:
            colour, marker = next(colours)
            style = {"color": colour, "linestyle": "-", "marker": marker}
        x = [positions[point.value] + spread * (k - (len(victims) - 1) / 2) for point in of_victim]
        y = [100 * (point.rate or 0.0) for point in of_victim]
        errors = [
            [max(0.0, rate - 100 * point.interval[0]) for rate, point in zip(y, of_victim, strict=True)],
            [max(0.0, 100 * point.interval[1] - rate) for rate, point in zip(y, of_victim, strict=True)],
        ]
        axes.errorbar(x, y, errors, label=victim, markersize=5, linewidth=1.3, elinewidth=0.8, capsize=2, **style)
    for k, (source, rates) in enumerate(published.items()):
        if name in rates:
            axes.plot(
                -0.4 + 0.17 * k,
                rates[name],
                _PUBLISHED[k % len(_PUBLISHED)],
                color="white",
                markeredgecolor="black",
                markersize=11,
                label=f"{source}, published",
                clip_on=False,
            )
    axes.set_xticks(list(positions.values()), [f"{value:g}" for value in values])
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_ylim(-3, 103)
    axes.set_xlabel(curve.axis_label)
    subplot = axes.get_subplotspec()
    if subplot is None or subplot.is_first_col():
        axes.set_ylabel("transfer rate [%]")
    axes.set_title(curve.title, fontsize=10)
