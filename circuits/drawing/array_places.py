"""What stands where in a multiplier's array, and its drawing for pages.

A row is a bit of the first operand, a column is a product column, the most significant on the left, so that an array is
a parallelogram.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design
from circuits.drawing.cell_styles import GATES_ONLY
from circuits.drawing.drawing_record import Box, Drawing, Lines, legend_of
from circuits.errors import DesignError
from circuits.netlists.gates import HALF_ADDER
from circuits.netlists.netlist import Component, Netlist

__all__ = ["array_drawing_of", "counts_of", "is_adder", "placed", "places", "undrawn_adders"]

Places = Mapping[tuple[int, int], tuple[str, ...]]
"""(row, product column) -> names of the adders there."""


def places(netlist: Netlist) -> dict[tuple[int, int], tuple[str, ...]]:
    """(row, product column) -> names of the adders there, in drawing order; (GATES_ONLY,) if there are only gates."""
    adders: dict[tuple[int, int], list[str]] = {}
    for instance in netlist.instances:
        if instance.place is None:
            continue
        row, column = instance.place
        here = adders.setdefault((row, row + column), [])
        if is_adder(instance.component):
            here.append(instance.component.name)
    return {spot: tuple(names) or (GATES_ONLY,) for spot, names in adders.items()}


def placed(design: Design) -> dict[tuple[int, int], tuple[str, ...]]:
    """`places` of the design; DesignError if there are none."""
    spots = places(design.netlist())
    if not spots:
        reason = f"{design.label} is an imported circuit without; draw it by levels"
        if not design.architecture.uses_cells:
            reason = f"{design.label} is gates without; draw it by levels"
        elif design.imported is None:
            reason = f"every cell of {design.label} lies in a truncated column; lower truncate_columns"
        raise DesignError(f"a drawing of an array needs cells with rows and columns, but {reason}.")
    return spots


def counts_of(spots: Places) -> dict[str, int]:
    """Number of drawn adders by name, most frequent first, then of places with gates only."""
    counts: dict[str, int] = {}
    for names in spots.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (item[0] == GATES_ONLY, -item[1], item[0])))


def is_adder(component: Component) -> bool:
    """Whether it is an adder cell, or the half adder among the gates."""
    return isinstance(component, AdderCell) or component == HALF_ADDER


def undrawn_adders(netlist: Netlist) -> str:
    """What a drawing of places leaves out, in words; may be empty."""
    outside = sum(is_adder(instance.component) for instance in netlist.instances if instance.place is None)
    return f"not drawn: {outside} exact adders of tile sums" if outside else ""


def array_drawing_of(design: Design, names: Iterable[str] = ()) -> Drawing:
    """The array as a drawing: a unit square a place, divided among its adders; equal neighbours are one box.

    Cells in `names` have the same colours in all drawings with the same `names`. Raises DesignError for a circuit whose
    cells have no places.
    """
    spots = placed(design)
    legend, position = legend_of(counts_of(spots), names)
    rows = max(row for row, _ in spots) + 1
    columns = max(column for _, column in spots) + 1
    shapes: list[Box | Lines] = []
    for row in range(rows):
        # Columns from the most significant on the left.
        for here, left, length in _runs([spots.get((row, columns - 1 - k)) for k in range(columns)]):
            width = length / len(here)
            shapes += [Box(left + k * width, row, width, 1, position[name]) for k, name in enumerate(here)]
    grid = [end for k in range(1, columns) for end in (k, 0.0, k, rows)]
    grid += [end for k in range(1, rows) for end in (0.0, k, columns, k)]
    note = undrawn_adders(design.netlist())
    about = "A row is a bit of x, a column a product column, the most significant on the left."
    return Drawing(
        "array", columns, rows, legend, [*shapes, Lines(tuple(grid))], [about, *([f"{note}."] if note else [])]
    )


def _runs(row: Iterable[tuple[str, ...] | None]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """(names, start, length) of each run of equal places; those with several adders are not joined."""
    # A key that differs from place to place keeps shared places apart.
    keyed = ((names, k if names is not None and len(names) > 1 else -1, k) for k, names in enumerate(row))
    for (names, _), group in groupby(keyed, key=lambda entry: entry[:2]):
        members = list(group)
        if names is not None:
            yield names, members[0][2], len(members)
