"""Estimates for components that are not in the table: the smallest network of characterised gates, and given numbers.

Each output is the network of `networks`; what outputs have in common is built once. The network is then put through
every single-input transition at every slew and load, gate by gate, so that an estimate has the form of a characterised
component. Numbers that a user's cell gives take the place of the estimate's: `delay_ps` of every arc, `energy_fj` of
every output transition (drawn inside, without its load), `area_um2`, `transistors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import AdderCell
from circuits.cost.cell_table import CellData, Technology
from circuits.cost.characterize.gate_networks import INPUTS, Tree, gates, networks, parse
from circuits.netlists.netlist import Component

GateData = Callable[[str], CellData]

_Node = tuple[str, tuple[int, ...]]  # a gate and its operand nodes


class _Network:
    """Nodes 0..2 are the inputs, 3 and 4 the constants, then gates in topological order."""

    def __init__(self, tables: tuple[int, ...], inputs: int) -> None:
        self.nodes: list[_Node] = []
        self._known: dict[Tree, int] = {**{name: k for k, name in enumerate(INPUTS)}, "0": 3, "1": 4}
        # A component of fewer inputs ignores the missing ones: its table does not depend on them.
        self.outputs: list[int] = []
        for table in tables:
            node = self._add(parse(networks()[_widen(table, inputs)]))
            if node < 3 or node in self.outputs:
                self.nodes.append(("buffer", (node,)))
                node = 4 + len(self.nodes)
            self.outputs.append(node)

    def _add(self, tree: Tree) -> int:
        if tree not in self._known:
            assert not isinstance(tree, str)
            operands = tuple(self._add(part) for part in tree[1:])
            self.nodes.append((tree[0], operands))
            self._known[tree] = 4 + len(self.nodes)
        return self._known[tree]


def _widen(table: int, inputs: int) -> int:
    step = 3 - inputs
    return sum((table >> (row >> step << step) & 1) << row for row in range(8))


def estimate(component: Component, technology: Technology, gate: GateData) -> CellData:
    """The data of any component of at most three inputs; `gate` gives that of a characterised gate by name."""
    made = _compose(component, technology, gate)
    given = component if isinstance(component, AdderCell) else None
    if given is None or (given.delay_ps, given.energy_fj, given.area_um2) == (None, None, None):
        return made
    delay, energy = made.delay, made.energy
    if given.delay_ps is not None:
        delay = np.where(np.isnan(delay), np.nan, given.delay_ps)
    if given.energy_fj is not None:
        changes = (~np.isnan(made.delay[..., 0, 0])).sum(axis=2)
        energy = np.where(np.isnan(energy), np.nan, given.energy_fj * changes[:, :, None, None])
    return replace(
        made,
        delay=delay,
        energy=energy,
        area=made.area if given.area_um2 is None else float(given.area_um2),
        estimated=None in (given.delay_ps, given.energy_fj, given.area_um2, given.transistors),
    )


def _compose(component: Component, technology: Technology, gate: GateData) -> CellData:
    inputs = len(component.inputs)
    network = _Network(component.tables, inputs)
    data = [gate(name) for name, _ in network.nodes]
    count = 5 + len(data)
    loads = np.zeros(count)
    for entry, (_, operands) in zip(data, network.nodes, strict=True):
        for pin, node in enumerate(operands):
            loads[node] += entry.capacitance[pin]
    shape = len(technology.slews), len(technology.loads)
    delay = np.full((3, 8, 2, *shape), np.nan)
    slew, energy = delay.copy(), np.full((3, 8, *shape), np.nan)
    for pin in range(inputs):
        for row in range(0, 8, 1 << (3 - inputs)):
            for s, ramp in enumerate(technology.slews):
                for c, load in enumerate(technology.loads):
                    outside = loads.copy()
                    outside[[node for node in network.outputs if node >= 5]] += load
                    spent, arrivals, slews = _transition(network, data, outside, technology, pin, row, float(ramp))
                    energy[pin, row, s, c] = spent
                    for output, node in enumerate(network.outputs):
                        if node in arrivals:
                            delay[pin, row, output, s, c] = arrivals[node]
                            slew[pin, row, output, s, c] = slews[node]
                            # Its load is counted with the net.
                            energy[pin, row, s, c] -= load * technology.voltage**2 * _value(network, node, row)
    transistors = sum(gates()[name].transistors for name, _ in network.nodes)
    return CellData(
        name=component.name,
        estimated=True,
        transistors=transistors if component.transistors is None else component.transistors,
        area=sum(entry.area for entry in data),
        capacitance=tuple(float(load) for load in loads[:inputs]),
        leakage=sum(entry.leakage for entry in data),
        delay=delay,
        slew=slew,
        energy=energy,
    )


def _values(network: _Network, row: int) -> list[int]:
    values = [row >> 2 & 1, row >> 1 & 1, row & 1, 0, 1]
    for name, operands in network.nodes:
        values.append(gates()[name].tables[0] >> _row(values, operands) & 1)
    return values


def _value(network: _Network, node: int, row: int) -> int:
    return _values(network, row)[node]


def _row(values: list[int], operands: tuple[int, ...]) -> int:
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

    Each gate sees its inputs change one after the other, in the order of their arrival; its output changes once, when
    the last change that matters has passed.
    """
    values = _values(network, row ^ 4 >> pin)
    after = _values(network, row)
    arrivals, slews = {pin: 0.0}, {pin: ramp}
    spent = 0.0
    for k, ((_, operands), entry) in enumerate(zip(network.nodes, data, strict=True)):
        node = 5 + k
        changed = sorted((p for p, of in enumerate(operands) if of in arrivals), key=lambda p: arrivals[operands[p]])
        state = _row([values[of] for of in range(len(values))], operands)
        latest = None
        for p in changed:
            state ^= 4 >> p
            of = operands[p]
            spent += _at(entry.energy[p, state], technology, slews[of], loads[node])
            if not np.isnan(entry.delay[p, state, 0, 0, 0]):
                at = arrivals[of] + _at(entry.delay[p, state, 0], technology, slews[of], loads[node])
                latest = at, _at(entry.slew[p, state, 0], technology, slews[of], loads[node])
        if latest is not None and values[node] != after[node]:
            arrivals[node], slews[node] = latest
            spent += loads[node] * technology.voltage**2 * after[node]
    return spent, arrivals, slews


def _at(table: NDArray[np.float64], technology: Technology, slew: float, load: float) -> float:
    slews, grid = technology.slews, technology.loads
    s = int(np.clip(np.searchsorted(slews, slew) - 1, 0, len(slews) - 2))
    c = int(np.clip(np.searchsorted(grid, load) - 1, 0, len(grid) - 2))
    ws, wc = (slew - slews[s]) / (slews[s + 1] - slews[s]), (load - grid[c]) / (grid[c + 1] - grid[c])
    low = table[s, c] * (1 - wc) + table[s, c + 1] * wc
    high = table[s + 1, c] * (1 - wc) + table[s + 1, c + 1] * wc
    return float(low * (1 - ws) + high * ws)
