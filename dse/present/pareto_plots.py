"""Pareto plots of every pair of objectives: evaluated designs, the front, and the reference designs by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import Bbox

from circuits.drawing.figure_files import KINDS, render
from dse.explore.front import non_dominated
from dse.score.scored_design import ScoredDesign
from dse.score.scorers.cost_scorer import TECHNOLOGY
from dse.score.scorers.scorer import Column

__all__ = ["BLUE", "STYLE", "file_names", "pareto_plots"]

# Those of seaborn, "whitegrid" and "colorblind", which takes longer to import than to draw all plots of a search.
STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": "0.8",
        "axes.grid": True,
        "axes.labelcolor": "0.15",
        "grid.color": "0.8",
        "lines.solid_capstyle": "round",
        "text.color": "0.15",
        "xtick.bottom": False,
        "xtick.color": "0.15",
        "ytick.color": "0.15",
        "ytick.left": False,
    }
)
BLUE, _ORANGE = "#0173b2", "#de8f05"

_OFFSETS = ((8, 6), (8, -12), (-8, 6), (-8, -12), (0, 14), (0, -20), (26, 24), (-26, 24), (26, -30), (-26, -30))
"""Places tried for a label, in points from its mark."""
_SYMLOG_FROM = 4.0
"""An axis of small losses is linear up to 1 and logarithmic above it, if any value exceeds this."""


def file_names(objectives: Sequence[Column]) -> list[str]:
    """The files that `pareto_plots` makes: pareto_X_Y.png and .svg for every pair of objectives."""
    return [f"pareto_{x.name}_{y.name}.{kind}" for x, y in combinations(objectives, 2) for kind in KINDS]


def pareto_plots(
    rows: Sequence[ScoredDesign],
    front: Sequence[ScoredDesign],
    references: Sequence[ScoredDesign],
    objectives: Sequence[Column],
    *,
    title: str,
    ruled_out: Sequence[ScoredDesign] = (),
) -> Iterator[tuple[str, bytes]]:
    """Yields (file name, content) for each of `file_names`, made by `circuits.drawing.figure_files.render`.

    `rows`: all evaluated designs. `front`: those that no other dominates in all objectives; the line joins those that
    none dominates in the two objectives of the plot. `ruled_out`: designs that break constraints, drawn as crosses.
    """
    names = iter(file_names(objectives))
    for x, y in combinations(objectives, 2):
        files = render(
            partial(_figure, rows, ruled_out, front, references, x, y, len(objectives), title),
            salt="dse",
            style=STYLE,
        )
        for content in files.values():
            yield next(names), content


def _figure(
    rows: Sequence[ScoredDesign],
    ruled_out: Sequence[ScoredDesign],
    front: Sequence[ScoredDesign],
    references: Sequence[ScoredDesign],
    x: Column,
    y: Column,
    objectives: int,
    title: str,
) -> Figure:
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.add_subplot()
    everything = _points(rows, x, y)
    best = _points(front, x, y)
    marks = _points(references, x, y)
    axes.scatter(everything[:, 0], everything[:, 1], color="0.72", s=22, linewidth=0, label="evaluated designs")
    outside = _points(ruled_out, x, y)
    if len(outside):
        axes.scatter(
            outside[:, 0], outside[:, 1], color="0.8", s=16, marker="x", linewidth=0.8, label="ruled out by constraints"
        )
    _scale(axes.xaxis, axes.set_xscale, x, np.concatenate([everything, outside, marks])[:, 0])
    _scale(axes.yaxis, axes.set_yscale, y, np.concatenate([everything, outside, marks])[:, 1])
    on_pair = best[non_dominated(best * _signs(x, y))]
    on_pair = on_pair[np.lexsort((on_pair[:, 1], on_pair[:, 0]))]
    axes.plot(on_pair[:, 0], on_pair[:, 1], color=BLUE, linewidth=1.3, drawstyle="steps-post", zorder=2)
    axes.scatter(
        marks[:, 0],
        marks[:, 1],
        color=_ORANGE,
        edgecolor="black",
        linewidth=0.7,
        marker="D",
        s=75,
        label="reference designs",
        zorder=3,
    )
    label = "Pareto front" if objectives == 2 else f"Pareto front in all {objectives} objectives"
    # Drawn above the references, so that a reference on the front shows both marks.
    axes.scatter(best[:, 0], best[:, 1], color=BLUE, edgecolor="white", linewidth=0.5, s=34, label=label, zorder=4)
    estimated = any(row.estimated for row in rows)
    axes.set_xlabel(_axis(x, estimated))
    axes.set_ylabel(_axis(y, estimated))
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    axes.margins(0.08)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    _label(figure, axes, [row.name for row in references], marks, np.concatenate([marks, best, everything]))
    return figure


def _scale(axis: Axis, change: Callable[..., None], column: Column, values: Any) -> None:
    """Makes the axis logarithmic where the column asks for it and the values allow it."""
    if column.scale == "log" and (values > 0).all():
        change("log")
    elif column.scale == "symlog" and values.max(initial=0) > _SYMLOG_FROM:
        change("symlog", linthresh=1, linscale=1.5)
        axis.set_major_locator(FixedLocator([-10, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _label(figure: Figure, axes: Axes, names: Sequence[str], places: Any, avoid: Any) -> None:
    """Writes each name beside its mark, at the first of the offsets where it covers least of other text and marks."""
    figure.draw_without_rendering()
    taken: list[Bbox] = []
    frame = axes.get_window_extent()
    marks = axes.transData.transform(avoid)
    for name, place in zip(names, places, strict=True):
        best = None
        for dx, dy in _OFFSETS:
            text = axes.annotate(
                name,
                place,
                xytext=(dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                fontsize=9,
                zorder=5,
                path_effects=[withStroke(linewidth=3, foreground="white")],
                arrowprops={"arrowstyle": "-", "color": "0.3", "linewidth": 0.6} if abs(dx) > 20 else None,
            )
            box = text.get_window_extent().padded(2)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            penalty = 100 * outside + 10 * sum(box.overlaps(other) for other in taken)
            penalty += int(sum(box.contains(*mark) for mark in marks))
            if best is None or penalty < best[0]:
                if best is not None:
                    best[1].remove()
                best = penalty, text, box
            else:
                text.remove()
        assert best is not None
        taken.append(best[2])


def _points(rows: Sequence[ScoredDesign], x: Column, y: Column) -> Any:
    return np.array([[row.scores[x.name], row.scores[y.name]] for row in rows], dtype=float).reshape(-1, 2)


def _signs(x: Column, y: Column) -> Any:
    return np.array([1 if column.minimise else -1 for column in (x, y)])


def _axis(column: Column, estimated: bool) -> str:
    unit = "" if column.unit == "1" else f" [{column.unit}]"
    conditions = ""
    if column.partly_estimated:
        # "45 nm, 1 V, 25 C, nom"; tables add the tool and the date of the characterisation.
        conditions = f", {', '.join(TECHNOLOGY.note.split(', ')[:4])}" + (", some cells estimated" if estimated else "")
    return f"{column.label}{column.scoped}{unit}{conditions}"
