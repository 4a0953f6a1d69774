"""A netlist and a technology as arrays: what timing, energy and the event-driven simulation run on.

Rows keep the topological order of the netlist, so that one pass over them computes arrivals and loads. A pin that a
constant drives has no transitions: the arcs of a cell depend on which of its pins are constant, and on their values,
so that each such variant of a component has timing tables of its own (`variants`), computed once for all its instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import AdderCell
from circuits.cost.cell_table import CellData, Technology
from circuits.cost.kernel_records import Grid, Wiring
from circuits.netlists.gates import Gate
from circuits.netlists.netlist import ONE, ZERO, Component, Instance, Netlist
from circuits.netlists.netlist_arrays import NetlistArrays, arrays_of, netlist_of

OUTPUT_LOAD = 1.0
"""fF on every output of a netlist: somewhat more than the 0.7 fF input of the unit inverter (`cells45.json`, "not")."""
INPUT_SLEW = 20.0
"""ps, the ramp of every input of a netlist: the lower slew at which cells are characterised."""
TYPICAL_SLEW = 40.0
"""ps, the slew at which zero-delay energies are read off the table: about what arrays of mirror adders have."""

_FREE = 2  # a pin that is not constant, in a pattern of constants

Pattern = tuple[int, int, int]
"""Value of each pin that is constant, 0 or 1, and 2 for pins that are not."""


@dataclass(frozen=True, eq=False)
class Circuit:
    """Rows are the instances in topological order; an instance with more than two outputs takes one row an output.

    `arrays`: the netlist. `owners` [n]: the instance of each row. `inputs` [n, 3] and `outputs` [n, 2]: nets, -1 for
    none. `kinds` [n]: index into `components` and `costs`. `variants` [n]: index into `patterns` = (component, its
    constant pins). `loads` [nets]: fF, the input capacitances that a net drives, and OUTPUT_LOAD on outputs of the
    netlist.
    """

    arrays: NetlistArrays
    technology: Technology
    owners: NDArray[np.int64]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    kinds: NDArray[np.int64]
    components: tuple[Component, ...]
    costs: tuple[CellData, ...]
    variants: NDArray[np.int64]
    patterns: tuple[tuple[Component, Pattern], ...]
    loads: NDArray[np.float64]

    @cached_property
    def netlist(self) -> Netlist:
        """The netlist as objects."""
        return netlist_of(self.arrays)

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The instance of each row."""
        return tuple(self.netlist.instances[owner] for owner in self.owners)

    @property
    def wiring(self) -> Wiring:
        """The record for the kernels."""
        return Wiring(self.inputs, self.outputs, self.loads, self.arrays.input_nets.astype(np.int64))

    @property
    def grid(self) -> Grid:
        """The axes of the technology's tables, as a record for the kernels."""
        return Grid(self.technology.slews, self.technology.loads)


def split(component: Component) -> tuple[Component, ...]:
    """The component itself, or one gate for each output if it has more than two."""
    if isinstance(component, AdderCell) or len(component.outputs) <= 2:
        return (component,)
    return tuple(
        Gate(f"{component.name}.{port}", component.inputs, (port,), (table,), component.transistors)
        for port, table in zip(component.outputs, component.tables, strict=True)
    )


def circuit_of(netlist: Netlist | NetlistArrays, technology: Technology) -> Circuit:
    """`netlist` in `technology` as arrays."""
    arrays = arrays_of(netlist) if isinstance(netlist, Netlist) else netlist
    owners, components, kinds, outputs = _rows(arrays)
    inputs = arrays.pins[owners].astype(np.int64)
    costs = tuple(technology.cost_of(component) for component in components)
    # Each pin of a row is 0, 1 or free: with the kind one number in base 3, the rows' variant.
    constants = np.where((inputs >= ZERO) & (inputs <= ONE), inputs, _FREE)
    numbers, variants = np.unique(
        ((kinds * 3 + constants[:, 0]) * 3 + constants[:, 1]) * 3 + constants[:, 2], return_inverse=True
    )
    patterns = tuple(
        (components[number // 27], (number // 9 % 3, number // 3 % 3, number % 3)) for number in numbers.tolist()
    )
    loads = _net_loads(arrays, costs, inputs, kinds)
    return Circuit(arrays, technology, owners, inputs, outputs, kinds, components, costs, variants, patterns, loads)


def _rows(
    arrays: NetlistArrays,
) -> tuple[NDArray[np.int64], tuple[Component, ...], NDArray[np.int64], NDArray[np.int64]]:
    """(owners, components, kinds, outputs) of a `Circuit`."""
    driven = arrays.driven.astype(np.int64)
    if driven.shape[1] == 2:
        return np.arange(len(driven)), arrays.components, arrays.kinds, driven
    gates = [split(component) for component in arrays.components]
    number = {gate: 0 for pieces in gates for gate in pieces}
    number = {gate: kind for kind, gate in enumerate(number)}
    rows = [
        (owner, number[gate], *((nets[piece], -1) if len(gates[kind]) > 1 else nets[:2]))
        for owner, (kind, nets) in enumerate(zip(arrays.kinds.tolist(), driven.tolist(), strict=True))
        for piece, gate in enumerate(gates[kind])
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return table[:, 0], tuple(number), table[:, 1], table[:, 2:]


def _net_loads(
    arrays: NetlistArrays, costs: Sequence[CellData], inputs: NDArray[np.int64], kinds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """fF of each net: input capacitances driven, and OUTPUT_LOAD. Constants drive nothing that switches."""
    capacitance = np.zeros((max(len(costs), 1), 3))
    for kind, cost in enumerate(costs):
        capacitance[kind, : len(cost.capacitance)] = cost.capacitance
    # Net -1, an absent pin, is counted before all others and left out. One addition after the other, in the order of
    # the rows.
    counted = np.bincount(inputs.ravel() + 1, weights=capacitance[kinds].ravel(), minlength=arrays.nets + 1)
    loads = np.asarray(counted[1:], dtype=np.float64)
    loads[np.unique(arrays.output_nets)] += OUTPUT_LOAD
    loads[[ZERO, ONE]] = 0.0
    return loads


def possible_rows(component: Component, pattern: Pattern) -> list[int]:
    """The rows of the truth table that constant pins allow. Missing pins are 0, as in the tables of `CellData`."""
    inputs = len(component.inputs)
    return [
        row
        for row in range(8)
        if all(
            (bit == 0 if k >= inputs else value in (_FREE, bit))
            for k, (bit, value) in enumerate(zip((row >> 2 & 1, row >> 1 & 1, row & 1), pattern, strict=True))
        )
    ]


@lru_cache(maxsize=8192)
def arcs(
    component: Component, pattern: Pattern, technology: Technology
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(delay, slew) [pin, input edge, output, output edge, S, L] for static timing.

    Each entry is the maximum over the rows that constants allow; NaN where no such row changes the output.
    """
    cost = technology.cost_of(component)
    shape = (3, 2, 2, 2, *cost.delay.shape[3:])
    delay, slew = np.full(shape, np.nan), np.full(shape, np.nan)
    rows = set(possible_rows(component, pattern))
    for pin in range(len(component.inputs)):
        for row in rows:
            if pattern[pin] != _FREE or row ^ 4 >> pin not in rows:
                continue
            for output, table in enumerate(component.tables):
                arc = pin, row >> (2 - pin) & 1, output, table >> row & 1
                delay[arc] = np.fmax(delay[arc], cost.delay[pin, row, output])
                slew[arc] = np.fmax(slew[arc], cost.slew[pin, row, output])
    return delay, slew


@lru_cache(maxsize=8192)
def transition_energies(component: Component, pattern: Pattern, technology: Technology) -> NDArray[np.float64]:
    """fJ for each toggle of an input pin (3) and of an output (2) [5, S, L], for zero-delay activity.

    The table has one energy for each transition (pin, row after it); counts of toggles do not tell the row. Therefore
    energies x of toggles are fitted by least squares over all transitions that the constants allow:

        energy(pin, row) ~ x[pin] + sum of x[3 + o] over the outputs o that change
    """
    cost = technology.cost_of(component)
    rows = set(possible_rows(component, pattern))
    toggled, energies = [], []
    for pin in range(len(component.inputs)):
        for row in rows:
            if pattern[pin] == _FREE and row ^ 4 >> pin in rows:
                changes = [table >> row & 1 != table >> (row ^ 4 >> pin) & 1 for table in component.tables]
                toggled.append([*(float(pin == k) for k in range(3)), *(float(bit) for bit in (*changes, False)[:2])])
                energies.append(cost.energy[pin, row].ravel())
    if not toggled:
        return np.zeros((5, *cost.energy.shape[2:]))
    fit = np.linalg.lstsq(np.array(toggled), np.array(energies), rcond=None)[0]
    per_toggle: NDArray[np.float64] = fit.reshape(5, *cost.energy.shape[2:])
    return per_toggle


def interpolate(
    table: NDArray[np.float64], technology: Technology, slew: float, loads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[n, ...]: table[k] ([n, ..., S, L]) at `slew` and loads[k], linear in both, extrapolated beyond the grid."""
    slews, grid = technology.slews, technology.loads
    s = int(np.clip(np.searchsorted(slews, slew) - 1, 0, len(slews) - 2))
    ws = (slew - slews[s]) / (slews[s + 1] - slews[s])
    at_slew = table[..., s, :] * (1 - ws) + table[..., s + 1, :] * ws
    c = np.clip(np.searchsorted(grid, loads) - 1, 0, len(grid) - 2)
    wc = (loads - grid[c]) / (grid[c + 1] - grid[c])
    n = np.arange(len(loads))
    by_load = np.moveaxis(at_slew, -1, 1)
    upper = wc.reshape(-1, *[1] * (at_slew.ndim - 2))
    values: NDArray[np.float64] = by_load[n, c] * (1 - upper) + by_load[n, c + 1] * upper
    return values


def stacked(tables: Sequence[NDArray[np.float64]], technology: Technology, *shape: int) -> NDArray[np.float64]:
    """`tables`, each [*shape, S, L], as one array [n, *shape, S, L] that has all its dimensions even if n is 0."""
    size = len(technology.slews), len(technology.loads)
    return np.array(tables, dtype=np.float64).reshape(len(tables), *shape, *size)


def mean_loads(circuit: Circuit) -> NDArray[np.float64]:
    """fF [n]: the mean over the outputs of each row, the load at which its internal energy is read."""
    exists = circuit.outputs >= 0
    total = np.where(exists, circuit.loads[np.maximum(circuit.outputs, 0)], 0).sum(axis=1)
    means: NDArray[np.float64] = total / np.maximum(exists.sum(axis=1), 1)
    return means
