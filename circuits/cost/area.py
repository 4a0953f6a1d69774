"""Area of a netlist: the sum over its instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import split
from circuits.netlists.netlist import Netlist
from circuits.netlists.netlist_arrays import NetlistArrays, arrays_of


@dataclass(frozen=True, slots=True)
class Area:
    """`cells`: instances; `transistors`; `area` um^2; `estimated`: names of the components for which some number is
    neither characterised nor given by the user."""

    cells: int
    transistors: int
    area: float
    estimated: tuple[str, ...]


def netlist_area(netlist: Netlist | NetlistArrays, technology: Technology) -> Area:
    """Sums over the instances of `netlist` as drawn; wires take no area."""
    arrays = arrays_of(netlist) if isinstance(netlist, Netlist) else netlist
    counts = np.bincount(arrays.kinds, minlength=len(arrays.components)).tolist()
    costs = [
        (counts[kind], arrays.components[kind], [technology.cost_of(gate) for gate in split(arrays.components[kind])])
        for kind in arrays.used_kinds()
    ]
    return Area(
        len(arrays.kinds),
        # Each of the gates that a component is split into carries the count of the whole component.
        sum(count * gates[0].transistors for count, _, gates in costs),
        sum(count * sum(gate.area for gate in gates) for count, _, gates in costs),
        tuple(sorted(component.name for _, component, gates in costs if any(gate.estimated for gate in gates))),
    )
