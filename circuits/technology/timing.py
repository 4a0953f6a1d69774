"""Static timing: the longest path through a netlist."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.netlist import Instance, Netlist
from circuits.technology.table import Technology


@dataclass(frozen=True, slots=True)
class Timing:
    """`delay`: the latest arrival at an output, in the technology's unit; `path`: the instances of a longest path, from
    the inputs on."""

    delay: float
    path: tuple[Instance, ...]


def timing(netlist: Netlist, technology: Technology) -> Timing:
    """Topological longest path: inputs and constants arrive at 0, an output when its latest arc has passed.

    Arcs exist where an output depends on an input; paths that no operands can sensitise are not excluded.
    """
    arrival = [0.0] * netlist.nets
    source = [0] * netlist.nets  # the net whose arc is the latest; 0 for none
    driver: dict[int, Instance] = {}
    arcs = {}
    for component in {instance.component for instance in netlist.instances}:
        delays = technology.cost_of(component).delay
        arcs[component] = [[(k, d) for k, d in enumerate(row) if d is not None] for row in delays]
    for instance in netlist.instances:
        inputs = instance.inputs
        for net, row in zip(instance.outputs, arcs[instance.component], strict=True):
            latest = -1.0
            for k, delay in row:
                if arrival[inputs[k]] + delay > latest:
                    latest = arrival[inputs[k]] + delay
                    source[net] = inputs[k]
            arrival[net] = max(latest, 0.0)
            driver[net] = instance
    last = max(netlist.output_nets, key=lambda net: arrival[net])
    path = []
    net = last
    while net in driver:
        path.append(driver[net])
        net = source[net]
    return Timing(arrival[last], tuple(path[::-1]))
