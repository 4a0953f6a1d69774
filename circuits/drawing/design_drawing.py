"""The drawing that suits a design: its array by places, its tree by stages, or its gates by levels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from circuits.designs.design_record import Design
from circuits.designs.partial_rows import has_stages
from circuits.drawing.array_places import array_drawing_of, is_adder
from circuits.drawing.dot_diagram import dot_drawing
from circuits.drawing.drawing_record import Drawing
from circuits.drawing.level_drawing import level_drawing
from circuits.errors import unknown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VIEWS", "drawing_of", "save_drawing", "view_of"]

VIEWS: Mapping[str, Callable[[Design, Iterable[str]], Drawing]] = MappingProxyType(
    {"places": array_drawing_of, "stages": dot_drawing, "levels": level_drawing}
)
"""places: the array, a square a position; stages: dot diagram of a tree; levels: schematic of gates."""


def view_of(design: Design) -> str:
    """The one of VIEWS that shows most of the design."""
    if has_stages(design):
        return "stages"
    placed = any(i.place is not None and is_adder(i.component) for i in design.netlist().instances)
    return "places" if placed and design.architecture.uses_cells else "levels"


def drawing_of(design: Design, names: Iterable[str] = (), view: str = "auto") -> Drawing:
    """The design as a drawing; `names` as in `cell_styles`; `view`: one of VIEWS, "auto" for `view_of`.

    Raises DesignError where the design has nothing of the kind.
    """
    chosen = view_of(design) if view == "auto" else view
    if chosen not in VIEWS:
        raise unknown_name("view", view, VIEWS)
    return VIEWS[chosen](design, names)


def save_drawing(design: Design, path: Path, view: str = "auto") -> None:
    """Writes the drawing as PNG or SVG, by the suffix of `path`; DesignError for another one, and as `drawing_of`."""
    from circuits.drawing.array_drawing import draw_array
    from circuits.drawing.drawing_figure import figure_of
    from circuits.drawing.figure_files import save

    chosen = view_of(design) if view == "auto" else view

    def draw() -> Figure:
        return draw_array(design) if chosen == "places" else figure_of(drawing_of(design, view=chosen), design)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # a name in another script: boxes
        save(draw, path, salt=design.digest, style={"hatch.linewidth": 0.5})
