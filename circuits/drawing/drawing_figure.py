"""A drawing as a figure of matplotlib, with the title and the legend that drawings of arrays have."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Rectangle

from circuits.designs.design_record import Design
from circuits.drawing.array_drawing import definition_title, legend_columns
from circuits.drawing.cell_styles import EDGE
from circuits.drawing.drawing_record import Box, Dots, Drawing, Lines

__all__ = ["figure_of"]

_ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def figure_of(drawing: Drawing, design: Design) -> Figure:
    """Draws `drawing` of `design`: its name and definition above, legend and notes below."""
    # Inches a unit: large drawings shrink, down to where dots can still be told apart.
    unit = min(0.26, max(0.07, 15 / drawing.width))
    width = max(drawing.width * unit + 0.8, 7.5)
    title, title_lines = definition_title(design, width)
    notes = [line for note in drawing.notes for line in textwrap.wrap(note, int(width * 14))]
    entries = -(-len(drawing.legend) // legend_columns(width))
    above, below = 0.55 + 0.19 * title_lines, 0.25 + 0.2 * entries + 0.17 * len(notes)
    total = drawing.height * unit + above + below
    figure = Figure(figsize=(width, total), dpi=150)
    left = (width - drawing.width * unit) / 2
    place = (left / width, below / total, drawing.width * unit / width, drawing.height * unit / total)
    axes = figure.add_axes(place)
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.set_axis_off()
    _draw(axes, drawing, unit)
    figure.text(
        0.5, 1 - 0.1 / total, design.label, ha="center", va="top", fontsize=12, fontweight="bold", parse_math=False
    )
    figure.text(0.5, 1 - 0.36 / total, title, ha="center", va="top", fontsize=8, linespacing=1.3, parse_math=False)
    figure.text(0.5, 0.06 / total, "\n".join(notes), ha="center", va="bottom", fontsize=7, parse_math=False)
    figure.legend(
        handles=[
            Patch(facecolor=style.colour, hatch=style.hatch, edgecolor=EDGE, linewidth=0.5, label=f"{name}: {count}")
            for name, style, count in drawing.legend
        ],
        loc="lower center",
        bbox_to_anchor=(0.5, (0.1 + 0.17 * len(notes)) / total),
        ncols=legend_columns(width),
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        handleheight=1.2,
    )
    return figure


def _draw(axes: Axes, drawing: Drawing, unit: float) -> None:
    points = 72 * unit  # a unit in points, for widths of lines and sizes of text
    filled: list[Circle] = []
    rings: list[Circle] = []
    for shape in drawing.shapes:
        if isinstance(shape, Box):
            style = drawing.legend[shape.style][1]
            look: dict[str, Any] = {"facecolor": style.colour, "hatch": style.hatch, "edgecolor": EDGE}
            # Dots and names must stand out from the frame that they are in.
            look["alpha"] = 0.7 if shape.rounded else 1.0
            corner, size = (shape.x, shape.y), (shape.width, shape.height)
            axes.add_patch(Rectangle(corner, *size, linewidth=0.03 * points, clip_on=False, zorder=2, **look))
        elif isinstance(shape, Dots):
            circles = [Circle((shape.x, shape.y + k), 0.18) for k in range(shape.count)]
            (rings if shape.open else filled).extend(circles)
        elif isinstance(shape, Lines):
            ends = shape.points
            segments = [((ends[k], ends[k + 1]), (ends[k + 2], ends[k + 3])) for k in range(0, len(ends), 4)]
            strong = (
                {"colors": "0.1", "linewidths": 0.06 * points}
                if shape.strong
                else {"colors": "0.6", "linewidths": 0.035 * points}
            )
            axes.add_collection(LineCollection(segments, zorder=1, **strong))
        else:
            axes.text(
                shape.x,
                shape.y,
                shape.text,
                fontsize=max(1.0, shape.size * points * 0.85),
                ha=_ALIGNED[shape.anchor],
                va="baseline",
                parse_math=False,
                zorder=4,
            )
    axes.add_collection(
        PatchCollection(filled, facecolor="black", edgecolor="white", linewidth=0.05 * points, zorder=3)
    )
    axes.add_collection(PatchCollection(rings, facecolor="white", edgecolor="black", linewidth=0.05 * points, zorder=3))
