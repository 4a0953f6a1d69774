"""A drawing as data: boxes, dots, lines and texts in units of its own, which files and pages draw alike.

The layout of a circuit is worked out once, here in Python; `drawing_figure` draws it into a file by matplotlib, and
`circuits/pages/drawings.js` into a page as SVG. x grows to the right and y downwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from circuits.drawing.cell_styles import Style, cell_styles

__all__ = ["Box", "Dots", "Drawing", "Lines", "Text", "legend_of"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle from (x, y), of the legend entry `style`; `rounded` ones are outlines around dots."""

    x: float
    y: float
    width: float
    height: float
    style: int
    rounded: bool = False


@dataclass(frozen=True, slots=True)
class Dots:
    """`count` dots below each other, one unit apart, the first at (x, y); `open`: rings."""

    x: float
    y: float
    count: int = 1
    open: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """Line segments in one stroke: (x, y) of the ends, two points a segment; `strong`: darker."""

    points: tuple[float, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Text at (x, y), its baseline's `anchor`: "start", "middle" or "end"; `size` in units."""

    x: float
    y: float
    text: str
    size: float = 0.8
    anchor: str = "start"


@dataclass(frozen=True)
class Drawing:
    """`width` x `height` units. `legend`: (name, style, count) of the kinds of boxes, which boxes refer to by position.

    `kind`: what is drawn, in words; `notes`: sentences below it.
    """

    kind: str
    width: float
    height: float
    legend: Sequence[tuple[str, Style, int]]
    shapes: Sequence[Box | Dots | Lines | Text]
    notes: Sequence[str] = field(default=())

    def to_json(self) -> str:
        """The drawing as `circuits/pages/drawings.js` reads it: shapes are lists, first the letter of their kind."""
        data = {
            "kind": self.kind,
            "width": _number(self.width),
            "height": _number(self.height),
            "legend": [[name, style.colour, style.hatch, count] for name, style, count in self.legend],
            "shapes": [_shape(shape) for shape in self.shapes],
            "notes": list(self.notes),
        }
        return json.dumps(data, separators=(",", ":"))


def legend_of(
    counts: Mapping[str, int], names: Iterable[str] = ()
) -> tuple[list[tuple[str, Style, int]], dict[str, int]]:
    """(legend entries of the names in `counts`, the position of each); `names` as in `cell_styles`."""
    styles = cell_styles([*names, *counts])
    return [(name, styles[name], count) for name, count in counts.items()], {name: k for k, name in enumerate(counts)}


def _shape(shape: Box | Dots | Lines | Text) -> list[object]:
    if isinstance(shape, Box):
        size = map(_number, (shape.x, shape.y, shape.width, shape.height))
        return ["b", *size, shape.style, *([1] if shape.rounded else [])]
    if isinstance(shape, Dots):
        return ["d", _number(shape.x), _number(shape.y), shape.count, *([1] if shape.open else [])]
    if isinstance(shape, Lines):
        return ["l", [_number(value) for value in shape.points], *([1] if shape.strong else [])]
    return ["t", _number(shape.x), _number(shape.y), shape.text, _number(shape.size), shape.anchor]


def _number(value: float) -> float:
    """Three decimals are a thousandth of a square; whole numbers without a point."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
