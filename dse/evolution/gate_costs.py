"""The cost model's numbers of two-input gates as small tables, for the inner loop of the evolution.

The loop's energy is the cost model's (`circuits.cost.energy`, zero delay, TYPICAL_SLEW) over the same random operands,
with two differences: a gate with a constant input costs like one without, and leakage is charged over the delay of the
seed. The loop's delay is the longest path with the slowest arc of each gate at TYPICAL_SLEW. Results are ranked by
`cost_report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from circuits.cost import Technology, technology
from circuits.cost.circuit import OUTPUT_LOAD, TYPICAL_SLEW, arcs, interpolate, transition_energies
from dse.evolution.genome import FUNCTIONS

OBJECTIVES = ("area", "energy", "delay")


class GateCosts(NamedTuple):
    """float64, by function (see `genome.FUNCTIONS`); wires cost nothing.

    `area` um^2; `capacitance` [functions, 2] fF; `leakage` nW. `energy` [functions, 3, 2, 2] fJ a toggle of the first
    input, the second input and the output; `delay` [functions, 2, 2] ps: (offset, slope) over the load in fF, below and
    above `knee`.
    """

    area: NDArray[np.float64]
    capacitance: NDArray[np.float64]
    leakage: NDArray[np.float64]
    knee: float
    energy: NDArray[np.float64]
    delay: NDArray[np.float64]
    output_load: float


def gate_costs(used: Technology | None = None) -> GateCosts:
    """The tables of a technology, by default the typical corner."""
    used = used or technology()
    grid = used.loads
    count = len(FUNCTIONS)
    area, leakage, capacitance = np.zeros(count), np.zeros(count), np.zeros((count, 2))
    energy, delay = np.zeros((count, 3, len(grid))), np.zeros((count, len(grid)))
    for k, gate in enumerate(FUNCTIONS):
        if gate is None:
            continue
        cost = used.cost_of(gate)
        area[k], leakage[k] = cost.area, cost.leakage
        capacitance[k, : len(cost.capacitance)] = cost.capacitance
        free = (2, 2, 2)
        per_toggle = _at_grid(transition_energies(gate, free, used), used)  # [5, L]: three pins, two outputs
        energy[k] = per_toggle[[0, 1, 3]]
        # A toggle also charges or discharges the load: C V^2 for every second one.
        energy[k, 2] += grid * used.voltage**2 / 2
        slowest, _ = arcs(gate, free, used)
        delay[k] = np.nanmax(_at_grid(slowest, used).reshape(-1, len(grid)), axis=0)
    return GateCosts(area, capacitance, leakage, float(grid[1]), _lines(energy, grid), _lines(delay, grid), OUTPUT_LOAD)


def _at_grid(table: NDArray[np.float64], used: Technology) -> NDArray[np.float64]:
    """`table` [..., S, L] at TYPICAL_SLEW: [..., L]."""
    loads = used.loads
    stack: Sequence[NDArray[np.float64]] = [
        interpolate(table[None], used, TYPICAL_SLEW, loads[k : k + 1])[0] for k in range(len(loads))
    ]
    return np.stack(stack, axis=-1)


def _lines(table: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """[..., 2, 2]: (offset, slope) of both pieces of a table [..., 3] over the loads of `grid`, linear in each."""
    assert len(grid) == 3
    slopes = np.diff(table, axis=-1) / np.diff(grid)
    return np.stack([table[..., 1:] - slopes * grid[1:], slopes], axis=-1)
