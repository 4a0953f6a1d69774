"""The drawing that suits a design: its array, its reduction by stages, or its gates by levels."""

from __future__ import annotations

from collections.abc import Iterable

from circuits.designs.design_record import Design
from circuits.drawing.array_places import array_drawing_of
from circuits.drawing.drawing_record import Drawing

__all__ = ["drawing_of"]


def drawing_of(design: Design, names: Iterable[str] = ()) -> Drawing:
    """The design as a drawing; `names` as in `cell_styles`."""
    return array_drawing_of(design, names)
