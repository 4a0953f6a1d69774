"""Structural timing: the longest path through a netlist as a graph, with load-dependent arcs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.cost.cell_table import Technology
from circuits.cost.circuit import INPUT_SLEW, Circuit, arcs, circuit_of, stacked
from circuits.cost.kernel_records import ArcTables
from circuits.netlists.netlist import Instance, Netlist

EDGES = ("fall", "rise")
"""Names of edges 0 and 1."""


@dataclass(frozen=True, slots=True)
class Step:
    """One arc of a path: through `instance` from port `pin` to port `port`.

    The net at `port` makes `edge` at `arrival` ps with `slew` ps; the arc took `delay` ps into `load` fF.
    """

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
    """`delay`: the latest arrival at an output, ps; `path`: the arcs of a longest path, starting at an input."""

    delay: float
    path: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Structure:
    """Latest arrivals by net and edge [nets, 2].

    `arrival` ps, a large negative number for an edge that never comes; `slew` ps; `source`: the instance that drives
    the edge, -1 for none; `cause` [nets, 2, 2]: the pin and the edge of that instance that it came from.
    """

    arrival: NDArray[np.float64]
    slew: NDArray[np.float64]
    source: NDArray[np.int64]
    cause: NDArray[np.int64]


def netlist_timing(netlist: Netlist, technology: Technology) -> Timing:
    """The longest path of the graph; see `circuit_timing`."""
    return circuit_timing(circuit_of(netlist, technology))


def circuit_timing(circuit: Circuit) -> Timing:
    """The longest path: inputs arrive at 0 with slew INPUT_SLEW, rises and falls are kept apart, loads follow fan-out.

    An arc exists where an output depends on an input in some row that constant inputs allow. It takes the slowest of
    those rows, and slews travel with the latest arrival (`longest_path`). Constants never arrive. Paths that no
    operands can take are not excluded, so that the result is an upper bound (`true_paths.viability` finds the longest
    true path). Wires have no capacitance.
    """
    return path_of(circuit, structure(circuit))


def structure(circuit: Circuit) -> Structure:
    """Arrivals of all nets, as `circuit_timing` defines them."""
    from circuits.cost import longest_path

    technology = circuit.technology
    # Constant inputs rule rows out, so that one component has one table for each pattern of constants at its pins.
    tables = [arcs(component, pattern, technology) for component, pattern in circuit.patterns]
    worst = ArcTables(
        circuit.variants,
        stacked([delay for delay, _ in tables], technology, 3, 2, 2, 2),
        stacked([slew for _, slew in tables], technology, 3, 2, 2, 2),
    )
    return Structure(*longest_path.longest(circuit.wiring, worst, circuit.grid, INPUT_SLEW))


def longest_delay(circuit: Circuit) -> float:
    """The delay of `circuit_timing` in ps, without the path; 0 where no output has an edge."""
    return max(0.0, float(structure(circuit).arrival[circuit.arrays.output_nets].max()))


def path_of(circuit: Circuit, latest: Structure) -> Timing:
    """The path to the latest arrival at an output."""
    outputs = circuit.arrays.output_nets
    arrivals = latest.arrival[outputs]
    # Outputs that are constants or inputs: there is no arc to report.
    if arrivals.max() <= 0:
        return Timing(0.0, ())
    # arrivals is [outputs, 2]: the flat index is 2 output + edge.
    end, edge = divmod(int(arrivals.argmax()), 2)
    causes = np.concatenate([latest.source[..., None], latest.cause], axis=2)
    path = traced(circuit, int(outputs[end]), edge, latest.arrival, latest.slew, causes)
    return Timing(float(arrivals.max()), path)


def traced(
    circuit: Circuit,
    net: int,
    edge: int,
    arrival: NDArray[np.float64],
    slew: NDArray[np.float64],
    causes: NDArray[np.int64],
) -> tuple[Step, ...]:
    """The arcs that lead to `edge` (0 falling, 1 rising) of `net`, first to last.

    `arrival`, `slew`: [nets, 2]. `causes` [nets, 2, 3]: the instance behind each edge, its input pin and that pin's
    edge; instance -1 where there is none.
    """
    path = []
    while causes[net, edge, 0] >= 0:
        row, pin, input_edge = (int(value) for value in causes[net, edge])
        input_net = int(circuit.inputs[row, pin])
        instance = circuit.instances[row]
        path.append(
            Step(
                instance,
                instance.component.inputs[pin],
                instance.component.outputs[instance.outputs.index(net)],
                EDGES[edge],
                float(arrival[net, edge]),
                # Arrivals are sums along the path of causes, so that their difference is this arc's delay.
                float(arrival[net, edge] - arrival[input_net, input_edge]),
                float(slew[net, edge]),
                float(circuit.loads[net]),
            )
        )
        net, edge = input_net, input_edge
    return tuple(path[::-1])
