"""A scatter plot of measured circuits with the front of those that no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

__all__ = ["front_figure"]

_LABELS = {
    "nmed": "NMED",
    "med": "mean |error|",
    "mred": "MRED",
    "error_rate": "error rate",
    "bias": "|bias|",
    "worst_case": "largest |error|",
    "mae_percent": "MAE [% of 2^(w + v)]",
    "wce_percent": "WCE [% of 2^(w + v)]",
    "energy": "energy [fJ]",
    "delay": "delay [ps]",
    "area": "area [um^2]",
}
_NAMED = 40
"""Most circuits on the front that are named in the plot."""


def front_figure(rows: Sequence[Mapping[str, Any]], x: str, y: str) -> Figure:
    """All `rows` as points, those with a true "front" joined and named ("circuit"); an axis of positive values of which
    the largest is more than 30 times the smallest is logarithmic."""
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.add_subplot()
    best = sorted((row for row in rows if row["front"]), key=lambda row: (row[x], row[y]))
    others = [row for row in rows if not row["front"]]
    axes.scatter([row[x] for row in others], [row[y] for row in others], color="0.65", s=22, label="other circuits")
    axes.plot([row[x] for row in best], [row[y] for row in best], "o-", color="#0173b2", markersize=5, label="front")
    for row in best[:_NAMED]:
        axes.annotate(
            str(row["circuit"]),
            (row[x], row[y]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            parse_math=False,
        )
    for values, scale in (([row[x] for row in rows], axes.set_xscale), ([row[y] for row in rows], axes.set_yscale)):
        positive = [value for value in values if value > 0]
        if positive and max(positive) > 30 * min(positive):
            if len(positive) == len(values):
                scale("log")
            else:
                scale("symlog", linthresh=min(positive))
    axes.set_xlabel(_LABELS.get(x, x))
    axes.set_ylabel(_LABELS.get(y, y))
    axes.legend(frameon=False, fontsize=9)
    axes.grid(alpha=0.3)
    return figure
