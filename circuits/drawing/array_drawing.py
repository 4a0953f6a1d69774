"""Drawings of multiplier arrays with their cells coloured, as textbooks draw them.

A row is a bit of the first operand, a column is a product column, the most significant on the left, so that an array is
a parallelogram. Of the package `circuits` only this folder imports matplotlib.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from circuits.cells.adder_cells import EXACT, AdderCell
from circuits.designs.design_record import Design
from circuits.drawing.figure_files import save
from circuits.errors import DesignError
from circuits.netlists.gates import HALF_ADDER
from circuits.netlists.netlist import Component, Netlist

GATES_ONLY = "gates only (partial products)"
"""The legend's name for places without an adder."""

# seaborn's "colorblind" palette (Waskom, JOSS 2021) without its grey; a hatch a round where there are more cells.
_COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#ece133", "#56b4e9")
_HATCHES = ("", "///", "...", "xxx", "\\\\\\")
_NEUTRAL = {EXACT.name: "#b5b5b5", HALF_ADDER.name: "#dedede", GATES_ONLY: "#faf4e1"}
_EDGE = "#4d4d4d"


@dataclass(frozen=True)
class Style:
    """How one kind of cell is filled."""

    colour: str
    hatch: str = ""


def places(netlist: Netlist) -> dict[tuple[int, int], tuple[str, ...]]:
    """(row, product column) -> names of the adders there, in drawing order; (GATES_ONLY,) if there are only gates."""
    adders: dict[tuple[int, int], list[str]] = {}
    for instance in netlist.instances:
        if instance.place is None:
            continue
        row, column = instance.place
        here = adders.setdefault((row, row + column), [])
        if _is_adder(instance.component):
            here.append(instance.component.name)
    return {spot: tuple(names) or (GATES_ONLY,) for spot, names in adders.items()}


def draw_array(design: Design) -> Figure:
    """Draws the array of `design`: coloured cells, a legend of names and counts, and the definition as title.

    Tiles are framed; the exact adders that sum them have no place and are only counted. Several adders at one place
    (rows of neighbouring tiles, column compression) share its square. Raises DesignError for an imported circuit, whose
    cells have no places.
    """
    netlist = design.netlist()
    spots = _placed(design)
    counts = _counts(spots)
    styles = _styles(counts)
    rows = max(row for row, _ in spots) + 1
    columns = max(column for _, column in spots) + 1

    # Inches: squares shrink so that wide arrays fit; above is room for the title and column numbers, below the legend.
    square = min(0.3, max(0.11, 16 / columns))
    width, height = max(columns * square + 1.2, 7.5), rows * square
    legend = _legend(counts, styles, netlist)
    title, title_lines = _title(design, width)
    below = 0.55 + 0.2 * -(-len(legend) // _legend_columns(width))
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
        ncols=_legend_columns(width),
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        handleheight=1.2,
    )
    return figure


def save_drawing(design: Design, path: Path) -> None:
    """Writes `draw_array(design)` as PNG or SVG, by the suffix of `path`; DesignError for another suffix."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # a name in another script: boxes
        save(lambda: draw_array(design), path, salt=design.digest, style={"hatch.linewidth": 0.5})


def array_svg(design: Design, *, names: Iterable[str] = ()) -> str:
    """A small drawing for a web page, an SVG element in a <figure>: coloured cells, equal neighbours joined, a legend.

    Cells in `names` have the same colours in all drawings with the same `names`. Names are escaped. Raises DesignError
    as `draw_array` does.
    """
    spots = _placed(design)
    counts = _counts(spots)
    styles = _styles(dict.fromkeys([*names, *counts], 0))
    rows = max(row for row, _ in spots) + 1
    columns = max(column for _, column in spots) + 1
    shapes = []
    for row in range(rows):
        # Columns from the most significant on the left, as `draw_array` has them.
        for (here, left), run in _runs([(spots.get((row, columns - 1 - k)), k) for k in range(columns)]):
            if here is None:
                continue
            width = run / len(here)
            for place, name in enumerate(here):
                style = styles[name]
                mark = f' fill-opacity="{1 - 0.35 * bool(style.hatch):g}"' if style.hatch else ""
                shapes.append(
                    f'<rect x="{left + place * width:g}" y="{row}" width="{width:g}" height="1" '
                    f'fill="{style.colour}"{mark}><title>{escape(name)}, row {row}</title></rect>'
                )
    legend = " ".join(
        f'<span><i style="background:{styles[name].colour};opacity:{1 - 0.35 * bool(styles[name].hatch):g}"></i>'
        f"{escape(name)}: {count}</span>"
        for name, count in counts.items()
    )
    grid = "".join(f"M{k} 0V{rows}" for k in range(1, columns)) + "".join(f"M0 {k}H{columns}" for k in range(1, rows))
    return (
        f'<figure class="array"><svg viewBox="0 0 {columns} {rows}" role="img" '
        f'aria-label="array of {escape(design.label)}">{"".join(shapes)}'
        f'<path d="{grid}" stroke="#fff" stroke-opacity=".55" stroke-width=".06"/></svg>'
        f"<figcaption>{legend}</figcaption></figure>"
    )


def _runs(items: list[tuple[Any, int]]) -> Iterator[tuple[tuple[Any, int], int]]:
    """((value, position), length) of each run of equal values; places with several adders are not joined."""
    start = 0
    for k in range(1, len(items) + 1):
        value = items[start][0]
        if k == len(items) or items[k][0] != value or (value is not None and len(value) > 1):
            yield items[start], k - start
            start = k


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
                    edgecolor=_EDGE,
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


def _is_adder(component: Component) -> bool:
    return isinstance(component, AdderCell) or component == HALF_ADDER


def _counts(spots: Mapping[tuple[int, int], tuple[str, ...]]) -> dict[str, int]:
    """Number of drawn adders by name, most frequent first, then of places with gates only."""
    counts: dict[str, int] = {}
    for names in spots.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (item[0] == GATES_ONLY, -item[1], item[0])))


def _styles(counts: Mapping[str, int]) -> dict[str, Style]:
    styles = {name: Style(_NEUTRAL[name]) for name in counts if name in _NEUTRAL}
    for k, name in enumerate(name for name in counts if name not in _NEUTRAL):
        styles[name] = Style(_COLOURS[k % len(_COLOURS)], _HATCHES[k // len(_COLOURS) % len(_HATCHES)])
    return styles


def _legend(counts: Mapping[str, int], styles: Mapping[str, Style], netlist: Netlist) -> list[Patch]:
    handles = [
        Patch(facecolor=styles[n].colour, hatch=styles[n].hatch, edgecolor=_EDGE, linewidth=0.5, label=f"{n}: {c}")
        for n, c in counts.items()
    ]
    outside = sum(_is_adder(i.component) for i in netlist.instances if i.place is None)
    if outside:
        handles.append(
            Patch(facecolor="none", edgecolor="none", label=f"not drawn: {outside} exact adders of tile sums")
        )
    return handles


def _legend_columns(width: float) -> int:
    return max(2, int(width // 2.4))


def _placed(design: Design) -> dict[tuple[int, int], tuple[str, ...]]:
    """`places` of the design; DesignError if there are none."""
    spots = places(design.netlist())
    if not spots:
        reason = f"{design.label} is an imported circuit without; export it and draw it with yosys (show)"
        if not design.architecture.uses_cells:
            reason = f"{design.label} is gates without; export it and draw it with yosys (show)"
        elif design.imported is None:
            reason = f"every cell of {design.label} lies in a truncated column; lower truncate_columns"
        raise DesignError(f"a drawing needs cells with rows and columns, but {reason}.")
    return spots


def _title(design: Design, width: float) -> tuple[str, int]:
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
