"""A netlist and a technology as arrays: what timing, energy and the arc-delay simulation run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuits.cells.adder_cells import AdderCell
from circuits.cost.cell_table import CellData, Technology
from circuits.netlists.gates import Gate
from circuits.netlists.netlist import ONE, ZERO, Component, Instance, Netlist

OUTPUT_LOAD = 1.0
"""fF on every output of a netlist: somewhat more than the unit inverter's 0.7."""
INPUT_SLEW = 20.0
"""ps, the ramp of every input of a netlist."""
TYPICAL_SLEW = 40.0
"""ps, the slew at which zero-delay energies are read off the table: about what arrays of mirror adders have."""

_FREE = 2  # a pin that is no constant, in a pattern of constants


@dataclass(frozen=True, eq=False)
class Circuit:
    """Rows are the instances in order (one with more than two outputs takes several rows).

    `inputs` [n, 3] and `outputs` [n, 2]: nets, -1 for none. `parts` [n]: index into `data`; `variants` [n]: index into
    `patterns` = (component, which pins are constant). `loads` [nets] fF: input capacitances driven, and OUTPUT_LOAD.
    """

    netlist: Netlist
    technology: Technology
    instances: tuple[Instance, ...]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    parts: NDArray[np.int64]
    components: tuple[Component, ...]
    data: tuple[CellData, ...]
    variants: NDArray[np.int64]
    patterns: tuple[tuple[Component, tuple[int, int, int]], ...]
    loads: NDArray[np.float64]


def split(component: Component) -> tuple[Component, ...]:
    """The component itself, or one gate an output where it has more than two."""
    if isinstance(component, AdderCell) or len(component.outputs) <= 2:
        return (component,)
    return tuple(
        Gate(f"{component.name}.{port}", component.inputs, (port,), (table,), component.transistors)
        for port, table in zip(component.outputs, component.tables, strict=True)
    )


def circuit_of(netlist: Netlist, technology: Technology) -> Circuit:
    """The arrays of `netlist` in `technology`."""
    rows: list[tuple[Instance, Component, tuple[int, ...]]] = []
    for instance in netlist.instances:
        if len(instance.outputs) <= 2:
            rows.append((instance, instance.component, instance.outputs))
        else:
            pieces = split(instance.component)
            rows += [(instance, piece, (net,)) for piece, net in zip(pieces, instance.outputs, strict=True)]
    index: dict[Component, int] = {}
    known: dict[tuple[int, tuple[int, int, int]], int] = {}
    inputs, outputs, parts, variants = [], [], [], []
    for instance, component, made in rows:
        part = index.setdefault(component, len(index))
        a, b, c = (*instance.inputs, -1, -1)[:3]
        pattern = (a if 0 <= a <= ONE else _FREE, b if 0 <= b <= ONE else _FREE, c if 0 <= c <= ONE else _FREE)
        inputs.append((a, b, c))
        outputs.append((*made, -1)[:2])
        parts.append(part)
        variants.append(known.setdefault((part, pattern), len(known)))
    components = tuple(index)
    data = tuple(technology.cost_of(component) for component in components)
    capacitance = np.zeros((max(len(data), 1), 3))
    for k, entry in enumerate(data):
        capacitance[k, : len(entry.capacitance)] = entry.capacitance
    wired = np.array(inputs, dtype=np.int64).reshape(-1, 3)
    kinds = np.array(parts, dtype=np.int64)
    loads = np.zeros(netlist.nets + 1)  # the last stands for absent pins
    np.add.at(loads, wired.ravel(), capacitance[kinds].ravel())
    np.add.at(loads, np.array(sorted(set(netlist.output_nets)), dtype=np.int64), OUTPUT_LOAD)
    loads[[ZERO, ONE]] = 0.0
    return Circuit(
        netlist,
        technology,
        tuple(row[0] for row in rows),
        wired,
        np.array(outputs, dtype=np.int64).reshape(-1, 2),
        kinds,
        components,
        data,
        np.array(variants, dtype=np.int64),
        tuple((components[part], pattern) for part, pattern in known),
        loads[:-1],
    )


def possible_rows(component: Component, pattern: tuple[int, int, int]) -> list[int]:
    """The rows that the constant pins allow; missing pins are 0, as in the tables of `CellData`."""
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
    component: Component, pattern: tuple[int, int, int], technology: Technology
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(delay, slew) [pin, input edge, output, output edge, S, L]: the worst over the states that constants allow."""
    data = technology.cost_of(component)
    shape = (3, 2, 2, 2, *data.delay.shape[3:])
    delay, slew = np.full(shape, np.nan), np.full(shape, np.nan)
    rows = set(possible_rows(component, pattern))
    for pin in range(len(component.inputs)):
        for row in rows:
            if pattern[pin] != _FREE or row ^ 4 >> pin not in rows:
                continue
            for output, table in enumerate(component.tables):
                where = pin, row >> (2 - pin) & 1, output, table >> row & 1
                delay[where] = np.fmax(delay[where], data.delay[pin, row, output])
                slew[where] = np.fmax(slew[where], data.slew[pin, row, output])
    return delay, slew


@lru_cache(maxsize=8192)
def transition_energies(
    component: Component, pattern: tuple[int, int, int], technology: Technology
) -> NDArray[np.float64]:
    """fJ of a toggle of each input pin (3) and output (2) [5, S, L]: the least squares fit to all transitions.

    The transitions' energies depend on their state; a count of toggles only sees which nets toggled.
    """
    data = technology.cost_of(component)
    rows = set(possible_rows(component, pattern))
    found, energies = [], []
    for pin in range(len(component.inputs)):
        for row in rows:
            if pattern[pin] == _FREE and row ^ 4 >> pin in rows:
                changed = [table >> row & 1 != table >> (row ^ 4 >> pin) & 1 for table in component.tables]
                found.append([*(float(pin == k) for k in range(3)), *(float(bit) for bit in (*changed, False)[:2])])
                energies.append(data.energy[pin, row].ravel())
    if not found:
        return np.zeros((5, *data.energy.shape[2:]))
    fit = np.linalg.lstsq(np.array(found), np.array(energies), rcond=None)[0]
    found_each: NDArray[np.float64] = fit.reshape(5, *data.energy.shape[2:])
    return found_each


def interpolate(
    table: NDArray[np.float64], technology: Technology, slew: float, loads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[n, ...]: table[k] ([n, ..., S, L]) at `slew` and loads[k], linear, extrapolated beyond the grid."""
    slews, grid = technology.slews, technology.loads
    s = int(np.clip(np.searchsorted(slews, slew) - 1, 0, len(slews) - 2))
    ws = (slew - slews[s]) / (slews[s + 1] - slews[s])
    at = table[..., s, :] * (1 - ws) + table[..., s + 1, :] * ws
    c = np.clip(np.searchsorted(grid, loads) - 1, 0, len(grid) - 2)
    wc = (loads - grid[c]) / (grid[c + 1] - grid[c])
    n = np.arange(len(loads))
    moved = np.moveaxis(at, -1, 1)
    wide = wc.reshape(-1, *[1] * (at.ndim - 2))
    found: NDArray[np.float64] = moved[n, c] * (1 - wide) + moved[n, c + 1] * wide
    return found


def stacked(tables: Sequence[NDArray[np.float64]], technology: Technology, *shape: int) -> NDArray[np.float64]:
    """`tables`, each [*shape, S, L], as one array [n, *shape, S, L], which has its dimensions also where n is 0."""
    size = len(technology.slews), len(technology.loads)
    return np.array(tables, dtype=np.float64).reshape(len(tables), *shape, *size)


def mean_loads(made: Circuit) -> NDArray[np.float64]:
    """fF, the mean over the outputs of each row: what its internal energy is read at."""
    there = made.outputs >= 0
    total = np.where(there, made.loads[np.maximum(made.outputs, 0)], 0).sum(axis=1)
    found: NDArray[np.float64] = total / np.maximum(there.sum(axis=1), 1)
    return found
