"""Structural timing: the longest path through a netlist as a graph, with load-dependent arcs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import INPUT_SLEW, Circuit, arcs, circuit_of, stacked
from circuits.netlists.netlist import Instance, Netlist

EDGES = ("fall", "rise")


@dataclass(frozen=True, slots=True)
class Step:
    """One arc of a path: `instance` from port `pin` to port `port`, whose net makes `edge` at `arrival` ps with `slew`
    ps; the arc took `delay` ps into `load` fF."""

    instance: Instance
    pin: str
    port: str
    edge: str
    arrival: float
    delay: float
    slew: float
    load: float


@dataclass(frozen=True, slots=True)
class Timing:
    """`delay`: the latest arrival at an output, ps; `path`: the arcs of a longest path, from the inputs on."""

    delay: float
    path: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Structure:
    """Of each net and edge [nets, 2]: the latest `arrival` ps, its `slew` ps, the instance that it came from (`source`,
    -1 for none) and through which pin and edge (`cause` [nets, 2, 2]); an edge that never comes has a large negative
    arrival."""

    arrival: NDArray[np.float64]
    slew: NDArray[np.float64]
    source: NDArray[np.int64]
    cause: NDArray[np.int64]


def netlist_timing(netlist: Netlist, technology: Technology) -> Timing:
    """Longest path of the graph; see `circuit_timing`."""
    return circuit_timing(circuit_of(netlist, technology))


def circuit_timing(made: Circuit) -> Timing:
    """The longest path: inputs arrive at 0 with slew INPUT_SLEW, rises and falls apart, loads from the fan-out.

    An arc exists where an output depends on an input in some state that constant inputs allow, and is the slowest of
    those states; slews travel with the latest arrival. Constants never arrive. Paths that no operands take are not
    excluded, so that this is a bound (`viability` finds the longest true path). Wires have no capacitance.
    """
    return path_of(made, structure(made))


def structure(made: Circuit) -> Structure:
    """Arrivals of all nets, as `circuit_timing` defines them."""
    from circuits.cost import event_simulation

    netlist, technology = made.netlist, made.technology
    tables = [arcs(component, pattern, technology) for component, pattern in made.patterns]
    found = event_simulation.longest(
        made.variants,
        made.inputs,
        made.outputs,
        made.loads,
        np.array(netlist.input_nets, dtype=np.int64),
        stacked([delay for delay, _ in tables], technology, 3, 2, 2, 2),
        stacked([slew for _, slew in tables], technology, 3, 2, 2, 2),
        technology.slews,
        technology.loads,
        INPUT_SLEW,
        netlist.nets,
    )
    return Structure(*found)


def path_of(made: Circuit, found: Structure) -> Timing:
    """The path to the latest arrival at an output."""
    arrival, slew, source, cause = found.arrival, found.slew, found.source, found.cause
    ends = np.array(made.netlist.output_nets)
    latest = arrival[ends]
    if latest.max() <= 0:
        return Timing(0.0, ())
    end, edge = divmod(int(latest.argmax()), 2)
    net = int(ends[end])
    causes = np.concatenate([source[..., None], cause], axis=2)
    return Timing(float(latest.max()), traced(made, net, edge, arrival, slew, causes))


def traced(
    made: Circuit,
    net: int,
    edge: int,
    arrival: NDArray[np.float64],
    slew: NDArray[np.float64],
    causes: NDArray[np.int64],
) -> tuple[Step, ...]:
    """The arcs that lead to `edge` (0 falling, 1 rising) of `net`, first to last.

    `arrival`, `slew`: [nets, 2]; `causes`: [nets, 2, 3], the instance, its input pin and that pin's edge behind each
    event; instance -1 where there is none.
    """
    path = []
    while causes[net, edge, 0] >= 0:
        row, pin, before = (int(value) for value in causes[net, edge])
        of = int(made.inputs[row, pin])
        instance = made.instances[row]
        path.append(
            Step(
                instance,
                instance.component.inputs[pin],
                instance.component.outputs[instance.outputs.index(net)],
                EDGES[edge],
                float(arrival[net, edge]),
                float(arrival[net, edge] - arrival[of, before]),
                float(slew[net, edge]),
                float(made.loads[net]),
            )
        )
        net, edge = of, before
    return tuple(path[::-1])
