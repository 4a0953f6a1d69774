"""Area of a netlist: the sum over its instances."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import split
from circuits.netlists.netlist import Netlist


@dataclass(frozen=True, slots=True)
class Area:
    """`cells`: instances; `transistors`; `area` um^2; `estimated`: names of the components of which some number is
    neither characterised nor given."""

    cells: int
    transistors: int
    area: float
    estimated: tuple[str, ...]


def netlist_area(netlist: Netlist, technology: Technology) -> Area:
    """Sums over the instances of `netlist` as it stands; wiring is not counted."""
    counts = Counter(instance.component for instance in netlist.instances)
    costs = {part: [technology.cost_of(piece) for piece in split(part)] for part in counts}
    return Area(
        len(netlist.instances),
        # Pieces of a gate of several outputs carry the whole gate's count.
        sum(count * costs[part][0].transistors for part, count in counts.items()),
        sum(count * sum(cost.area for cost in costs[part]) for part, count in counts.items()),
        tuple(sorted(part.name for part, found in costs.items() if any(cost.estimated for cost in found))),
    )
