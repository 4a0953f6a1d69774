"""Estimates for components that are not in the table: the smallest network of characterised gates, and given numbers.

Each output is the network of `gate_networks`; gates that outputs share are built once. The network is then put through
every single-input transition at every slew and load, gate by gate, so that an estimate has the form of a characterised
component:

    capacitance, area, leakage = sums over the gates
    delay, slew                = arrival and ramp at the output, propagated from gate to gate with their loads
    energy                     = internal energies of the gates + C V^2 of each net inside that rises

Numbers that a user's cell gives take the place of the estimate's: `delay_ps` of every arc, `energy_fj` of every output
transition (drawn inside, without its load), `area_um2`, `transistors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import AdderCell
from circuits.cost.cell_table import CellData, Technology
from circuits.cost.characterize.gate_networks import INPUTS, Tree, gates, networks, parse
from circuits.errors import UnknownCostError
from circuits.netlists.behaviour import BEHAVIOUR
from circuits.netlists.netlist import Component
from circuits.netlists.truth_table import project

GateData = Callable[[str], CellData]
"""Gives the data of a characterised gate by its name."""

_Node = tuple[str, tuple[int, ...]]  # name of a gate, and the nodes at its inputs
_FIRST_GATE = 5


class _Network:
    """Nodes 0 to 2 are the inputs, 3 and 4 the constants 0 and 1, then gates (`nodes`) in topological order.

    `outputs`: the node of each output, all different: an output that is an input or equals another one is buffered.
    """

    def __init__(self, tables: tuple[int, ...], inputs: int) -> None:
        self.nodes: list[_Node] = []
        self._known: dict[Tree, int] = {**{name: k for k, name in enumerate(INPUTS)}, "0": 3, "1": 4}
        self.outputs: list[int] = []
        for table in tables:
            node = self._add(parse(networks()[project(table, range(inputs))]))
            # A wire has no arc: without the buffer, a component that passes an input on would cost and delay nothing.
            if node < 3 or node in self.outputs:
                self.nodes.append(("buffer", (node,)))
                node = 4 + len(self.nodes)
            self.outputs.append(node)

    def _add(self, tree: Tree) -> int:
        """The node of `tree`; adds the gates that are missing."""
        if tree not in self._known:
            assert not isinstance(tree, str)
            operands = tuple(self._add(operand) for operand in tree[1:])
            self.nodes.append((tree[0], operands))
            self._known[tree] = 4 + len(self.nodes)
        return self._known[tree]


def estimate(component: Component, technology: Technology, gate: GateData) -> CellData:
    """The data of any component of at most three inputs and two outputs, with the numbers that it gives itself.

    Raises UnknownCostError for a BEHAVIOUR.
    """
    if component == BEHAVIOUR:
        raise UnknownCostError(
            "the cost of a design given as a table is not known, since a table has no circuit; give the circuit."
        )
    network = _compose(component, technology, gate)
    given = component if isinstance(component, AdderCell) else None
    if given is None or (given.delay_ps, given.energy_fj, given.area_um2) == (None, None, None):
        return network
    delay, energy = network.delay, network.energy
    if given.delay_ps is not None:
        delay = np.where(np.isnan(delay), np.nan, given.delay_ps)
    if given.energy_fj is not None:
        # NaN marks arcs that do not exist, so that the count is that of outputs that this transition changes.
        changes = (~np.isnan(network.delay[..., 0, 0])).sum(axis=2)
        energy = np.where(np.isnan(energy), np.nan, given.energy_fj * changes[:, :, None, None])
    return replace(
        network,
        delay=delay,
        energy=energy,
        area=network.area if given.area_um2 is None else float(given.area_um2),
        estimated=None in (given.delay_ps, given.energy_fj, given.area_um2, given.transistors),
    )


def _compose(component: Component, technology: Technology, gate: GateData) -> CellData:
    """The data of the component's network of gates."""
    inputs = len(component.inputs)
    network = _Network(component.tables, inputs)
    data = [gate(name) for name, _ in network.nodes]
    loads = np.zeros(_FIRST_GATE + len(data))  # inside, by node
    for cost, (_, operands) in zip(data, network.nodes, strict=True):
        for pin, node in enumerate(operands):
            loads[node] += cost.capacitance[pin]
    shape = len(technology.slews), len(technology.loads)
    delay = np.full((3, 8, 2, *shape), np.nan)
    slew, energy = delay.copy(), np.full((3, 8, *shape), np.nan)
    for pin in range(inputs):
        # Inputs fill the row's bits from the highest down; the bits of absent ones stay 0.
        for row in range(0, 8, 1 << (3 - inputs)):
            for s, ramp in enumerate(technology.slews):
                for c, load in enumerate(technology.loads):
                    total = loads.copy()
                    total[[node for node in network.outputs if node >= _FIRST_GATE]] += load
                    spent, arrivals, slews = _transition(network, data, total, technology, pin, row, float(ramp))
                    energy[pin, row, s, c] = spent
                    for output, node in enumerate(network.outputs):
                        if node in arrivals:
                            delay[pin, row, output, s, c] = arrivals[node]
                            slew[pin, row, output, s, c] = slews[node]
                            # The load's charge is counted with the net that the component drives.
                            energy[pin, row, s, c] -= load * technology.voltage**2 * _value(network, node, row)
    transistors = sum(gates()[name].transistors for name, _ in network.nodes)
    return CellData(
        name=component.name,
        estimated=True,
        transistors=transistors if component.transistors is None else component.transistors,
        area=sum(cost.area for cost in data),
        capacitance=tuple(float(load) for load in loads[:inputs]),
        leakage=sum(cost.leakage for cost in data),
        delay=delay,
        slew=slew,
        energy=energy,
    )


def _values(network: _Network, row: int) -> list[int]:
    """The settled value of every node in `row`."""
    values = [row >> 2 & 1, row >> 1 & 1, row & 1, 0, 1]
    for name, operands in network.nodes:
        values.append(gates()[name].tables[0] >> _row(values, operands) & 1)
    return values


def _value(network: _Network, node: int, row: int) -> int:
    return _values(network, row)[node]


def _row(values: list[int], operands: tuple[int, ...]) -> int:
    """The row of a gate whose inputs are `operands`."""
    return sum(values[node] << (2 - k) for k, node in enumerate(operands))


def _transition(
    network: _Network,
    data: list[CellData],
    loads: NDArray[np.float64],
    technology: Technology,
    pin: int,
    row: int,
    ramp: float,
) -> tuple[float, dict[int, float], dict[int, float]]:
    """(fJ from the supply with all loads, arrival by changed node, slew by changed node) of one input transition.

    Each gate sees its inputs change one after the other, in the order of their arrival. Its output changes at most
    once, as late as the last of these that changes it in the table; glitches inside the component are not modelled.
    """
    # `row` is the row after the transition, as in the characterised tables.
    values = _values(network, row ^ 4 >> pin)
    after = _values(network, row)
    arrivals, slews = {pin: 0.0}, {pin: ramp}
    spent = 0.0
    for node, ((_, operands), cost) in enumerate(zip(network.nodes, data, strict=True), _FIRST_GATE):
        # Causality: a gate with two changing inputs passes through the row in between, in the order of arrival.
        changed = sorted((p for p, net in enumerate(operands) if net in arrivals), key=lambda p: arrivals[operands[p]])
        state = _row(values, operands)
        latest = None
        for p in changed:
            state ^= 4 >> p
            net = operands[p]
            spent += _at(cost.energy[p, state], technology, slews[net], loads[node])
            if not np.isnan(cost.delay[p, state, 0, 0, 0]):
                arrival = arrivals[net] + _at(cost.delay[p, state, 0], technology, slews[net], loads[node])
                latest = arrival, _at(cost.slew[p, state, 0], technology, slews[net], loads[node])
        # The output may end where it began although single inputs moved it: a glitch, which is left out.
        if latest is not None and values[node] != after[node]:
            arrivals[node], slews[node] = latest
            spent += loads[node] * technology.voltage**2 * after[node]
    return spent, arrivals, slews


def _at(table: NDArray[np.float64], technology: Technology, slew: float, load: float) -> float:
    """`table` [S, L], bilinear and extrapolated, as in `table_lookup`."""
    slews, grid = technology.slews, technology.loads
    s = int(np.clip(np.searchsorted(slews, slew) - 1, 0, len(slews) - 2))
    c = int(np.clip(np.searchsorted(grid, load) - 1, 0, len(grid) - 2))
    ws, wc = (slew - slews[s]) / (slews[s + 1] - slews[s]), (load - grid[c]) / (grid[c + 1] - grid[c])
    low = table[s, c] * (1 - wc) + table[s, c + 1] * wc
    high = table[s + 1, c] * (1 - wc) + table[s + 1, c + 1] * wc
    return float(low * (1 - ws) + high * ws)
