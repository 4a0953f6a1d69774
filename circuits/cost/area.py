"""Area of a netlist: the sum over its instances."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import split
from circuits.netlists.netlist import Netlist


@dataclass(frozen=True, slots=True)
class Area:
    """`cells`: instances; `transistors`; `area` um^2; `estimated`: names of the components for which some number is
    neither characterised nor given by the user."""

    cells: int
    transistors: int
    area: float
    estimated: tuple[str, ...]


def netlist_area(netlist: Netlist, technology: Technology) -> Area:
    """Sums over the instances of `netlist` as drawn; wires take no area."""
    counts = Counter(instance.component for instance in netlist.instances)
    costs = {component: [technology.cost_of(gate) for gate in split(component)] for component in counts}
    return Area(
        len(netlist.instances),
        # Each of the gates that a component is split into carries the count of the whole component.
        sum(count * costs[component][0].transistors for component, count in counts.items()),
        sum(count * sum(cost.area for cost in costs[component]) for component, count in counts.items()),
        tuple(sorted(component.name for component, gates in costs.items() if any(cost.estimated for cost in gates))),
    )
