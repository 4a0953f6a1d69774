"""Area of a netlist: the sum over its instances."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from circuits.netlist import Netlist
from circuits.technology.table import Technology


@dataclass(frozen=True, slots=True)
class Area:
    """`cells`: instances; `transistors`; `area` in the technology's unit; `estimated`: names of the components whose
    transistor count is an estimate."""

    cells: int
    transistors: int
    area: float
    estimated: tuple[str, ...]


def area(netlist: Netlist, technology: Technology) -> Area:
    """Sums over the instances of `netlist` as it stands; wiring is not counted."""
    counts = Counter(instance.component for instance in netlist.instances)
    costs = {component: technology.cost_of(component) for component in counts}
    return Area(
        len(netlist.instances),
        sum(count * costs[component].transistors for component, count in counts.items()),
        sum(count * costs[component].area for component, count in counts.items()),
        tuple(sorted(component.name for component, cost in costs.items() if cost.estimated)),
    )
