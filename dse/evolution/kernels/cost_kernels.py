"""Area, energy and delay of a circuit in the inner loop of evolution, from the tables of `gate_costs`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from dse.evolution.genome import INVERT, WIRE
from dse.evolution.kernels.plane_kernels import BLOCK_WORDS


def _ones_of(typing_context: Any, word: Any) -> Any:
    """The number of ones in a uint64."""
    del typing_context

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        del context
        return builder.ctpop(values[0])

    return types.uint64(types.uint64), generate


# Any: to compiled callers this is a function without the typing context.
_ones: Any = intrinsic(_ones_of)


@numba.njit(cache=True, nogil=True)
def _at_load(lines: Any, knee: float, load: float) -> Any:
    """A cost that is linear in the load on either side of `knee`: lines [2, 2] are (offset, slope) below and above."""
    if load > knee:
        return lines[1, 0] + lines[1, 1] * load
    return lines[0, 0] + lines[0, 1] * load


@numba.njit(cache=True, nogil=True)
def _net_loads(genes: Any, costs: Any, active: Any, roots: Any, loads: Any) -> None:
    """Sets roots[node], the node that drives it through any wires, and loads[root] in fF."""
    nodes = len(active)
    for node in range(genes.fixed):
        roots[node] = node
    loads[:] = 0.0
    for node in range(genes.fixed, nodes):
        if active[node]:
            function = genes.functions[node]
            if function == WIRE:
                roots[node] = roots[genes.first[node]]
                continue
            roots[node] = node
            loads[roots[genes.first[node]]] += costs.capacitance[function, 0]
            if function > INVERT:
                loads[roots[genes.second[node]]] += costs.capacitance[function, 1]
    for k in range(len(genes.outputs)):
        loads[roots[genes.outputs[k]]] += costs.output_load


@numba.njit(cache=True, nogil=True)
def _area(genes: Any, costs: Any, active: Any) -> float:
    total = 0.0
    for node in range(genes.fixed, len(active)):
        if active[node]:
            total += costs.area[genes.functions[node]]
    return total


@numba.njit(cache=True, nogil=True)
def _energy(
    genes: Any, costs: Any, active: Any, roots: Any, loads: Any, toggles: Any, slots: Any, leakage_time: float
) -> float:
    """fJ an operation, from the toggles of each node's current slot."""
    total = 0.0
    nodes = len(active)
    for node in range(genes.fixed, nodes):
        function = genes.functions[node]
        if not active[node] or function == WIRE:
            continue
        load = loads[node]
        a = roots[genes.first[node]]
        total += toggles[a + nodes * slots[a]] * _at_load(costs.energy[function, 0], costs.knee, load)
        if function > INVERT:
            b = roots[genes.second[node]]
            total += toggles[b + nodes * slots[b]] * _at_load(costs.energy[function, 1], costs.knee, load)
        total += toggles[node + nodes * slots[node]] * _at_load(costs.energy[function, 2], costs.knee, load)
        total += costs.leakage[function] * leakage_time
    return total


@numba.njit(cache=True, nogil=True)
def _delay(genes: Any, costs: Any, active: Any, roots: Any, loads: Any, arrivals: Any) -> float:
    latest = 0.0
    for node in range(genes.fixed):
        arrivals[node] = 0.0
    for node in range(genes.fixed, len(active)):
        function = genes.functions[node]
        if active[node] and function != WIRE:
            arrival = arrivals[roots[genes.first[node]]]
            if function > INVERT:
                arrival = max(arrival, arrivals[roots[genes.second[node]]])
            arrivals[node] = arrival + _at_load(costs.delay[function], costs.knee, loads[node])
    for k in range(len(genes.outputs)):
        latest = max(latest, arrivals[roots[genes.outputs[k]]])
    return latest


@numba.njit(cache=True, nogil=True)
def toggles_of(planes: Any, slot: int) -> float:
    """Toggles an operation of one slot of the last block: changes from each lane to the next."""
    count = np.uint64(0)
    block = len(planes) - 1
    for word in range(BLOCK_WORDS):
        value = planes[block, slot, word]
        following = value >> np.uint64(1)
        if word + 1 < BLOCK_WORDS:
            following |= planes[block, slot, word + 1] << np.uint64(63)
        else:
            following |= value & np.uint64(1 << 63)  # the last lane has no successor
        count += _ones(value ^ following)
    return count / (64.0 * BLOCK_WORDS - 1.0)


@numba.njit(cache=True, nogil=True)
def cost_of(genes: Any, buffers: Any, costs: Any, goal: Any) -> float:
    """Area, energy or delay of the active gates, as `goal.objective` says; loads, arrivals and toggles in `buffers`."""
    area = _area(genes, costs, buffers.active)
    if goal.objective == 0:
        return area
    _net_loads(genes, costs, buffers.active, buffers.roots, buffers.loads)
    if goal.objective == 1:
        return _energy(
            genes,
            costs,
            buffers.active,
            buffers.roots,
            buffers.loads,
            buffers.toggles,
            buffers.slots,
            goal.leakage_time,
        )
    # A little area breaks ties between circuits of one delay, or nothing would ever be removed off the longest path.
    return _delay(genes, costs, buffers.active, buffers.roots, buffers.loads, buffers.arrivals) + 0.02 * area
