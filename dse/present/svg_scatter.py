"""Scatter plots as small inline SVG with hover text, for report.html."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from dse.explore.front import non_dominated
from dse.score.scorers.scorer import Column

__all__ = ["Mark", "scatter"]

_WIDTH, _HEIGHT = 560, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 14, 52
_TICKS = 6
_SYMLOG_FROM = 4.0
"""An axis of small losses is linear up to 1 and logarithmic above it, if any value exceeds this (as in the plots)."""


@dataclass(frozen=True)
class Mark:
    """A design in a plot: `kind` is "all", "out", "front" or "reference"; `link`: an anchor of the page, or empty."""

    x: float
    y: float
    kind: str
    name: str
    hover: str
    link: str = ""


@dataclass(frozen=True)
class _Axis:
    """`place` maps a value to 0 .. 1 along the axis; `ticks` are the values with a number."""

    place: Callable[[float], float]
    ticks: tuple[float, ...]


def scatter(marks: Sequence[Mark], x: Column, y: Column) -> str:
    """The plot as an SVG element; all text is escaped. Marks with an undefined or infinite score are left out."""
    marks = [mark for mark in marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    across, up = _axis(x, [mark.x for mark in marks]), _axis(y, [mark.y for mark in marks])

    def at(mark: Mark) -> tuple[float, float]:
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * across.place(mark.x),
            _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * up.place(mark.y),
        )

    parts = [*_grid(across, up, x, y), _steps([mark for mark in marks if mark.kind == "front"], x, y, at)]
    for kind in ("out", "all", "reference", "front"):
        parts += [_shape(mark, *at(mark)) for mark in marks if mark.kind == kind]
    parts += _names([(mark.name, *at(mark)) for mark in marks if mark.kind == "reference"])
    title = escape(f"{y.label} against {x.label}")
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _shape(mark: Mark, x: float, y: float) -> str:
    hover = f"<title>{escape(mark.hover)}</title>"
    if mark.kind == "reference":
        return f'<path class="reference" d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z">{hover}</path>'
    if mark.kind == "out":
        return f'<path class="out" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6">{hover}</path>'
    radius = 4.5 if mark.kind == "front" else 3
    circle = f'<circle class="{mark.kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{hover}</circle>'
    return f'<a href="#{escape(mark.link)}">{circle}</a>' if mark.link else circle


def _steps(front: Sequence[Mark], x: Column, y: Column, at: Callable[[Mark], tuple[float, float]]) -> str:
    signs = [1 if column.minimise else -1 for column in (x, y)]
    if not front:
        return ""
    kept = non_dominated([[signs[0] * mark.x, signs[1] * mark.y] for mark in front])
    points = sorted({at(mark) for mark, keep in zip(front, kept, strict=True) if keep})
    if len(points) < 2:
        return ""
    # Between two neighbours the line goes through the corner that both dominate, on the worse side.
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in points[1:])
    if not x.minimise:
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}" + "".join(f"V{b:.1f}H{a:.1f}" for a, b in points[1:])
    return f'<path class="step" d="{path}"/>'


def _grid(across: _Axis, up: _Axis, x: Column, y: Column) -> Iterable[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for tick in across.ticks:
        place = _LEFT + (right - _LEFT) * across.place(tick)
        yield f'<path class="grid" d="M{place:.1f} {_TOP}V{bottom}"/>'
        yield f'<text class="axis" x="{place:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick)}</text>'
    for tick in up.ticks:
        place = bottom - (bottom - _TOP) * up.place(tick)
        yield f'<path class="grid" d="M{_LEFT} {place:.1f}H{right}"/>'
        yield f'<text class="axis" x="{_LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
    middle = (_LEFT + right) / 2
    yield f'<text class="label" x="{middle:.0f}" y="{_HEIGHT - 10}" text-anchor="middle">{_title(x)}</text>'
    middle = (_TOP + bottom) / 2
    turn = f"rotate(-90 14 {middle:.0f})"
    yield f'<text class="label" x="14" y="{middle:.0f}" text-anchor="middle" transform="{turn}">{_title(y)}</text>'


def _title(column: Column) -> str:
    return escape(column.label + column.scoped + ("" if column.unit == "1" else f" [{column.unit}]"))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _names(entries: Sequence[tuple[str, float, float]]) -> list[str]:
    """Names beside their marks, each moved down or up until it covers no other name."""
    taken: list[tuple[float, float, float]] = []
    parts = []
    for name, x, y in sorted(entries, key=lambda entry: entry[2]):
        wide = 6.2 * len(name)
        left = x + wide + 10 < _WIDTH
        low = x + 9 if left else x - 9 - wide
        for step in (4, -8, 16, -20, 28, -32, 40, -44, 52):
            line = y + step
            if _TOP < line < _HEIGHT - _BOTTOM and not any(
                abs(line - other) < 12 and low < end and start < low + wide for other, start, end in taken
            ):
                break
        taken.append((line, low, low + wide))
        anchor = "start" if left else "end"
        place = low if left else x - 9
        parts.append(f'<text class="name" x="{place:.1f}" y="{line:.1f}" text-anchor="{anchor}">{escape(name)}</text>')
    return parts


def _axis(column: Column, values: Sequence[float]) -> _Axis:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if column.scale == "log" and low > 0:
        change: Callable[[float], float] = math.log10
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        every = max(1, round((last - first) / _TICKS))
        ticks = [10.0**k for k in range(first, last + 1, every)]
    elif column.scale == "symlog" and high > _SYMLOG_FROM:
        change = _symlog
        ticks = [-10, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50, 100]
    else:
        change = float
        step = _step((high - low) / _TICKS if high > low else max(abs(high), 1.0) / _TICKS)
        ticks = [step * k for k in range(math.floor(low / step), math.ceil(high / step) + 1)]
    start, end = change(low), change(high)
    pad = 0.05 * (end - start) or 0.5

    def place(value: float) -> float:
        return (change(value) - start + pad) / (end - start + 2 * pad)

    return _Axis(place, tuple(tick for tick in ticks if 0 <= place(tick) <= 1))


def _symlog(value: float) -> float:
    return math.copysign(1 + math.log10(abs(value)), value) if abs(value) > 1 else value


def _step(wanted: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `wanted`."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))
