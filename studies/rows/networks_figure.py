"""Plots numbers that have a published one under every network: the published point, ours with the spread."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies.frame.study import Row
from studies.rows.attack_rows import PUBLISHED_NAMES

_OVER = re.compile(r", over \d+ networks$")


@dataclass(frozen=True)
class NetworkRate:
    """A number over several networks with a published one: its row, and the numbers of each network."""

    row: Row
    each: Mapping[str, float]

    @property
    def kind(self) -> str:
        """What is measured, by whatever attack, with its unit."""
        quantity = _OVER.sub("", self.row.quantity)
        attack, _, kind = quantity.partition(", ")
        return f"{kind if attack in PUBLISHED_NAMES.values() else quantity}, {self.row.unit or 'difference'}"

    @property
    def name(self) -> str:
        """The victim and the quantity."""
        return f"{self.row.subject}: {_OVER.sub('', self.row.quantity)}"


def network_rates(rows: Sequence[Row]) -> list[NetworkRate]:
    """Returns the rows over several networks that have a published number, in their order."""
    numbers = {(row.subject, row.quantity): row.measured for row in rows}
    rates = []
    for row in rows:
        if row.published is not None and _OVER.search(row.quantity):
            begin = f"{_OVER.sub('', row.quantity)}, on "
            each = {
                quantity.removeprefix(begin): number
                for (subject, quantity), number in numbers.items()
                if subject == row.subject and quantity.startswith(begin)
            }
            rates.append(NetworkRate(row, each))
    return rates


def networks_figure(rates: Sequence[NetworkRate]) -> Figure:
    """Draws one panel for each kind of rate; every network has a mark of its own.

    A line has a mark for each network, the mean with its 95 % interval, and the published number.
    """
    by_kind: dict[str, list[NetworkRate]] = {}
    for rate in rates:
        by_kind.setdefault(rate.kind, []).append(rate)
    panels = list(by_kind.items())
    heights = [2.0 + len(of) for _, of in panels]
    figure = Figure(figsize=(9, 0.7 + 0.2 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    networks = list(dict.fromkeys(name for rate in rates for name in rate.each))
    for axes, (title, of) in zip(grid.flat, panels, strict=True):
        _draw(axes, of, networks)
        axes.set_xlabel(title, fontsize=8)
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _draw(axes: Axes, rates: Sequence[NetworkRate], networks: Sequence[str]) -> None:
    palette, grey, marks = seaborn.color_palette("colorblind"), "0.35", "osv^Dph<>"
    for height, rate in enumerate(reversed(rates)):
        if rate.row.interval is not None:
            axes.plot(rate.row.interval, [height, height], color=grey, linewidth=2, label="95 % over networks, images")
        axes.plot([rate.row.measured], [height], "|", color=grey, markersize=12, markeredgewidth=2, label="mean")
        for network, number in rate.each.items():
            place = networks.index(network)
            colour, mark = palette[place % len(palette)], marks[place % len(marks)]
            axes.plot([number], [height], mark, color=colour, markersize=4, alpha=0.8, label=network)
        axes.plot([rate.row.published or 0.0], [height], "X", color="black", markersize=8, label="published")
    axes.set_yticks(range(len(rates)), [rate.name for rate in reversed(rates)], fontsize=8)
    axes.set_ylim(-0.6, len(rates) - 0.4)
    axes.tick_params(axis="x", labelsize=8)
