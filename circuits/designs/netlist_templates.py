"""Netlists of designs that differ only in which cell is where, from one template.

A generator draws the same instances between the same nets whatever cells it places: `adder_at` gives it a cell that it
passes on. A template is drawn once with a placeholder in place of every cell; a design's netlist then takes its cells.
What does not depend on other cells (instances, their part of the digest) is made once for each cell, so that a netlist
and its digest cost a look-up an instance.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import AdderCell
from circuits.designs.placement import Placement
from circuits.multipliers import AdderAt
from circuits.netlists.netlist import Instance, Netlist, digested
from circuits.netlists.netlist_arrays import NetlistArrays, arrays_of, keep_arrays

PLACEHOLDER = AdderCell("placeholder", "00000000", "00000000")
"""Stands in templates where a design has cells of its placement."""
_CELLS_KEPT = 64
"""Cells whose instances a template keeps."""


@dataclass(frozen=True)
class _OfCell:
    """What a cell makes of a template: its instance and its digested text at every position."""

    instances: tuple[Instance, ...]
    digested: tuple[bytes, ...]


class NetlistTemplate:
    """The netlists that `generate` draws for placements that differ in their cells alone.

    `generate`: `adder_at` -> netlist. `tile`: the designs' tile size. `positions`: of the instances whose cell a
    placement chooses. `arrays`: of the netlist with placeholders.
    """

    def __init__(self, generate: Callable[[AdderAt], Netlist], tile: int | None) -> None:
        self.netlist = generate(lambda i, j: PLACEHOLDER)
        self._tile = tile
        instances = self.netlist.instances
        self.positions = [n for n, instance in enumerate(instances) if instance.component is PLACEHOLDER]
        self.arrays = arrays_of(self.netlist)
        self._at = np.array(self.positions, dtype=np.int64)
        self._others = [None if instance.component is PLACEHOLDER else instance for instance in instances]
        self._digested = [digested(instance) for instance in instances]
        self._entries: dict[Any, NDArray[np.int64]] = {}
        self._of_cell: dict[AdderCell, _OfCell] = {}

    def entries(self, placement: Placement) -> NDArray[np.int64]:
        """int64 [positions]: which of `placement.all_cells()` stands at each position."""
        shape = placement.kind, len(placement.cells), len(placement.cells[0])
        if shape not in self._entries:
            # It depends on the kind and shape of the placement only: found once, by asking with numbers.
            count = itertools.count()
            numbers: Any = tuple(tuple(next(count) for _ in row) for row in placement.cells)
            numbered: Any = replace(placement, cells=numbers)
            places = [self.netlist.instances[n].place or (0, 0) for n in self.positions]
            entries = [numbered.at(i, j, self._tile) for i, j in places]
            self._entries[shape] = np.array(entries, dtype=np.int64)
        return self._entries[shape]

    def fill(self, placement: Placement) -> Netlist:
        """The netlist with the cells of `placement`; its arrays and its digest are known."""
        number: dict[AdderCell, int] = {}
        of_entry = [number.setdefault(cell, len(number)) for cell in placement.all_cells()]
        chosen = np.array(of_entry, dtype=np.int64)[self.entries(placement)]
        cells = list(number)
        made = [self._made(cell) for cell in cells]
        instances, parts = list(self._others), list(self._digested)
        for k, (position, cell) in enumerate(zip(self.positions, chosen.tolist(), strict=True)):
            instances[position] = made[cell].instances[k]
            parts[position] = made[cell].digested[k]
        template = self.netlist
        whole: Any = tuple(instances)  # every position has a cell: none is None
        netlist = Netlist(template.name, template.inputs, template.outputs, whole, template.nets)
        keep_arrays(netlist, self._filled(cells, chosen))
        netlist.keep_digest(parts)
        return netlist

    def _made(self, cell: AdderCell) -> _OfCell:
        if cell not in self._of_cell:
            if len(self._of_cell) >= _CELLS_KEPT:
                self._of_cell.clear()
            drawn = (self.netlist.instances[n] for n in self.positions)
            instances = tuple(Instance(cell, entry.inputs, entry.outputs, entry.place) for entry in drawn)
            self._of_cell[cell] = _OfCell(instances, tuple(map(digested, instances)))
        return self._of_cell[cell]

    def _filled(self, cells: list[AdderCell], chosen: NDArray[np.int64]) -> NetlistArrays:
        """The arrays of a netlist; components in the order in which they first appear, as `arrays_of` numbers them."""
        kinds = self.arrays.kinds.copy()
        components = [*self.arrays.components, *cells]
        kinds[self._at] = len(self.arrays.components) + chosen
        used, first = np.unique(kinds, return_index=True)
        # A cell may equal a component that the generator draws itself, the exact cell of a final adder: one kind then.
        number: dict[Any, int] = {}
        renumbered = np.zeros(len(components), dtype=np.int64)
        for kind in used[np.argsort(first)].tolist():
            renumbered[kind] = number.setdefault(components[kind], len(number))
        return replace(self.arrays, components=tuple(number), kinds=renumbered[kinds])
