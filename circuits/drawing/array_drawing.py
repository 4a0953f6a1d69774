"""Drawings of multiplier arrays with their cells coloured, as textbooks draw them.

A row is a bit of the first operand, a column is a product column, the most significant on the left, so that an array is
a parallelogram. Of the package `circuits` only this folder imports matplotlib.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from circuits.designs.design_record import Design
from circuits.drawing.array_places import counts_of, placed, undrawn_adders
from circuits.drawing.cell_styles import EDGE, Style, cell_styles
from circuits.netlists.netlist import Netlist


def draw_array(design: Design) -> Figure:
    """Draws the array of `design`: coloured cells, a legend of names and counts, and the definition as title.

    Tiles are framed; the exact adders that sum them have no place and are only counted. Several adders at one place
    (rows of neighbouring tiles, column compression) share its square. Raises DesignError for an imported circuit, whose
    cells have no places.
    """
    netlist = design.netlist()
    spots = placed(design)
    counts = counts_of(spots)
    styles = cell_styles(counts)
    rows = max(row for row, _ in spots) + 1
    columns = max(column for _, column in spots) + 1

    # Inches: squares shrink so that wide arrays fit; above is room for the title and column numbers, below the legend.
    square = min(0.3, max(0.11, 16 / columns))
    width, height = max(columns * square + 1.2, 7.5), rows * square
    legend = _legend(counts, styles, netlist)
    title, title_lines = definition_title(design, width)
    below = 0.55 + 0.2 * -(-len(legend) // legend_columns(width))
    above = 0.75 + 0.19 * title_lines
    total = height + above + below
    figure = Figure(figsize=(width, total), dpi=150)
    drawn = columns * square
    left = (width - drawn + 0.6) / 2
    axes = figure.add_axes((left / width, below / total, drawn / width, height / total))
    _draw_cells(axes, spots, styles, linewidth=min(0.5, 2 * square))
    _draw_tiles(axes, design)
    _label_axes(axes, design, rows, columns)
    figure.text(
        0.5, 1 - 0.1 / total, design.label, ha="center", va="top", fontsize=12, fontweight="bold", parse_math=False
    )
    figure.text(0.5, 1 - 0.36 / total, title, ha="center", va="top", fontsize=8, linespacing=1.3, parse_math=False)
    figure.legend(
        handles=legend,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.08 / total),
        ncols=legend_columns(width),
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        handleheight=1.2,
    )
    return figure


def _draw_cells(
    axes: Axes, spots: Mapping[tuple[int, int], tuple[str, ...]], styles: Mapping[str, Style], *, linewidth: float
) -> None:
    """Draws a unit square for each place, divided among its adders from right to left."""
    for (row, column), names in spots.items():
        for k, name in enumerate(names):
            style = styles[name]
            size = 1 / len(names)
            axes.add_patch(
                Rectangle(
                    (column - 0.5 + (len(names) - 1 - k) * size, row - 0.5),
                    size,
                    1,
                    facecolor=style.colour,
                    hatch=style.hatch,
                    edgecolor=EDGE,
                    linewidth=linewidth,
                    clip_on=False,
                )
            )


def _label_axes(axes: Axes, design: Design, rows: int, columns: int) -> None:
    """Sets limits, ticks and labels: columns from the most significant on the left, row 0 at the top."""
    axes.set_xlim(columns - 0.5, -0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_aspect("equal")
    step = 1 if columns <= 32 else 2 if columns <= 64 else 8
    axes.set_xticks(range(0, columns, step))
    axes.set_yticks(range(0, rows, 1 if rows <= 33 else 4))
    axes.set_yticklabels([_row_label(int(row), design) for row in axes.get_yticks()])
    axes.tick_params(labelsize=6.5, length=2, width=0.5, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xlabel("product column k, weight $2^k$", fontsize=8)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("row: bit i of x", fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_tiles(axes: Axes, design: Design) -> None:
    """Draws thick lines between tiles."""
    if design.tile is None:
        return
    w, v = design.shape
    line: dict[str, Any] = {"color": "black", "linewidth": 1.6, "solid_capstyle": "projecting", "clip_on": False}
    for i in range(0, w, design.tile):
        if i:
            axes.plot((i - 0.5, i + v - 0.5), (i - 0.5, i - 0.5), **line)
    for j in range(design.tile, v, design.tile):
        for i in range(w):
            axes.plot((i + j - 0.5, i + j - 0.5), (i - 0.5, i + 0.5), **line)


def _legend(counts: Mapping[str, int], styles: Mapping[str, Style], netlist: Netlist) -> list[Patch]:
    handles = [
        Patch(facecolor=styles[n].colour, hatch=styles[n].hatch, edgecolor=EDGE, linewidth=0.5, label=f"{n}: {c}")
        for n, c in counts.items()
    ]
    note = undrawn_adders(netlist)
    if note:
        handles.append(Patch(facecolor="none", edgecolor="none", label=note))
    return handles


def legend_columns(width: float) -> int:
    """How many entries of a legend fit side by side into `width` inches."""
    return max(2, int(width // 2.4))


def definition_title(design: Design, width: float) -> tuple[str, int]:
    """(the definition in lines that fit `width` inches, their number)."""
    definition = design.describe()
    keys = ("topology", "width", "format", "placement", "ports (A,B,Cin)", "half adders", "final adder", "tile")
    parts = [f"{key}: {definition[key]}" for key in keys]
    if design.truncate_columns:
        parts.append(f"truncated columns: {design.truncate_columns}")
    # Lines break after commas and semicolons only.
    text = "; ".join(parts).replace(" ", "\u00a0").replace(",\u00a0", ", ").replace(";\u00a0", "; ")
    lines = textwrap.wrap(text, int(width * 14), break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines), len(lines)


def _row_label(row: int, design: Design) -> str:
    return "final" if row == design.shape[0] else str(row)
