"""The inner loop of evolution: mutate, judge by cost, simulate what changed, judge by errors, keep or undo.

One parent, one child at a time (a (1 + 1) evolution strategy): the child replaces its parent if it meets the limits and
costs no more. Equal cost is accepted, so that the population of one drifts along neutral networks. The stages, cheapest
first:

1. Mutation draws genes until it has changed some that outputs depend on. Genes of other gates change along the way:
   they cost nothing.
2. Cost: a lower bound of what the child can cost decides whether it is worth simulating (area, delay: the cost itself).
3. Only gates whose inputs or genes changed are simulated (the fan-out cone); the planes of all others are the parent's.
   Each node has two slots of planes, the parent's and the child's; accepting a child exchanges them.
4. Blocks of operand pairs one after the other: as soon as the sums so far break a limit, the child is rejected. So it
   is, from the first block on, where the mean so far is above the limit by far more than chance explains.
5. Energy: toggles of the changed gates over the cost model's own operands, in one more block.

Mutation itself is in `mutation_kernels`, cost in `cost_kernels`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from dse.evolution.genome import INVERT
from dse.evolution.kernels.cost_kernels import cost_of, toggles_of
from dse.evolution.kernels.mutation_kernels import mark_active, mutate, restore, simplify
from dse.evolution.kernels.plane_kernels import BLOCK_WORDS, PLANE_BYTES

_OVER = 2  # index in COUNTERS


def _call_of(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Calls a C function without result at `address` with a tuple of 64-bit integers (numbers or pointers)."""
    del typing_context
    signature = types.void(types.intp, arguments)

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        from llvmlite import ir

        pointer, packed = values
        words = cgutils.unpack_tuple(builder, packed)  # type: ignore[no-untyped-call]
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * len(words))
        builder.call(builder.inttoptr(pointer, kind.as_pointer()), words)
        return context.get_dummy_value()

    return signature, generate


# Any: to compiled callers this is a function without the typing context.
call: Any = intrinsic(_call_of)


@numba.njit(cache=True, nogil=True)
def _program(genes: Any, buffers: Any, active: Any, first_changed: int) -> int:
    """Lists the gates to simulate in buffers.program; returns their number.

    buffers.dirty[node]: 1 for nodes whose value may differ from that of the parent's slot, 2 if listed. A listed node
    writes to its other slot; readers of a listed node read that one.
    """
    dirty, slots, valid = buffers.dirty, buffers.slots, buffers.valid
    dirty[:first_changed] = 0
    count = 0
    nodes = len(active)
    for node in range(first_changed, len(active)):
        function = genes.functions[node]
        a, b = genes.first[node], genes.second[node] if function > INVERT else 0
        changed = buffers.touched[node] != 0 or valid[node] == 0 or dirty[a] != 0 or dirty[b] != 0
        dirty[node] = 1 if changed else 0
        if changed and active[node]:
            dirty[node] = 2
            entry = buffers.program[count]
            entry[0] = (a + nodes * (slots[a] ^ (dirty[a] == 2))) * PLANE_BYTES
            entry[1] = (b + nodes * (slots[b] ^ (dirty[b] == 2))) * PLANE_BYTES
            entry[2] = (node + nodes * (slots[node] ^ 1)) * PLANE_BYTES
            entry[3] = 24 * function
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _start_sums(genes: Any, buffers: Any) -> None:
    """Sets the places of the child's product and clears its sums."""
    for k in range(len(genes.outputs)):
        node = genes.outputs[k]
        slot = node + len(buffers.slots) * (buffers.slots[node] ^ (buffers.dirty[node] == 2))
        buffers.outputs[k] = slot * PLANE_BYTES
    buffers.counters[:] = 0
    buffers.sums[:] = 0.0


@numba.njit(cache=True, nogil=True)
def _simulate(buffers: Any, pairs: Any, kernels: Any, count: int, base: int, block: int) -> None:
    """Simulates the listed gates on the planes at `base` and adds the errors against the products of `block`."""
    if count > 0:
        call(kernels.gates, (base, buffers.program.ctypes.data, count, kernels.masks.ctypes.data))
    call(
        kernels.errors,
        (
            base,
            buffers.outputs.ctypes.data,
            pairs.exact.ctypes.data + block * pairs.exact.strides[0],
            pairs.limit_bits.ctypes.data,
            pairs.weights.ctypes.data + block * pairs.weights.strides[0],
            buffers.counters.ctypes.data,
            buffers.sums.ctypes.data,
        ),
    )


@numba.njit(cache=True, nogil=True)
def _within_limits(genes: Any, buffers: Any, pairs: Any, kernels: Any, count: int, early: bool) -> bool:
    """Simulates the listed gates block by block; whether all sums stay within their limits.

    The sums are left in buffers.counters and buffers.sums.
    """
    planes = buffers.planes
    _start_sums(genes, buffers)
    blocks = len(pairs.exact)
    for block in range(blocks):
        _simulate(buffers, pairs, kernels, count, planes.ctypes.data + block * planes.strides[0], block)
        buffers.statistics[4] += 1
        if early and limits_broken(buffers, pairs, block + 1, blocks):
            return False
    return not limits_broken(buffers, pairs, blocks, blocks)


@numba.njit(cache=True, nogil=True)
def limits_broken(buffers: Any, pairs: Any, done: int, blocks: int) -> bool:
    """Whether a sum over `done` blocks is beyond its limit, or would be if the other blocks were alike."""
    share = done / blocks
    # Four standard errors of the mean of values with four times their mean as standard deviation.
    tolerance = share * (1.0 + 16.0 / np.sqrt(64.0 * BLOCK_WORDS * done)) if done < blocks else 1.0
    for k in range(4):
        total = np.float64(buffers.counters[k])
        limit = pairs.counter_limits[k]
        if k == 3:
            # Errors of either sign cancel, so that only the whole sum can be judged.
            if done == blocks and abs(total) > limit:
                return True
        elif total > limit or (k != _OVER and total > limit * tolerance + 64.0):
            return True
    for k in range(len(buffers.sums)):
        total = buffers.sums[k]
        limit = pairs.sum_limits[k]
        if pairs.sum_signed[k]:
            if done == blocks and abs(total) > limit:
                return True
        elif total > limit or total > limit * tolerance * 1.25:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def evaluate_parent(genes: Any, buffers: Any, pairs: Any, kernels: Any, costs: Any, goal: Any) -> bool:
    """Simulates all active gates from scratch and sets the parent's cost; whether it is within the limits."""
    mark_active(genes, buffers.active)
    buffers.toggles[:] = 0.0
    buffers.valid[:] = 0
    buffers.valid[: genes.fixed] = 1
    buffers.touched[:] = 0
    count = _program(genes, buffers, buffers.active, genes.fixed)
    within = _within_limits(genes, buffers, pairs, kernels, count, False)
    _accept(genes, buffers, kernels, count)
    for node in range(genes.fixed):
        buffers.toggles[node] = toggles_of(buffers.planes, node)
    buffers.cost[0] = cost_of(genes, buffers, costs, goal)
    if within and buffers.cost[0] < buffers.cost[1]:
        _keep_best(genes, buffers)
    return within


@numba.njit(cache=True, nogil=True)
def _accept(genes: Any, buffers: Any, kernels: Any, count: int) -> None:
    """Makes the listed nodes' other slots the current ones, with their toggles; marks stale planes of unlisted
    nodes."""
    _simulate_toggles(buffers, kernels, count)
    for node in range(genes.fixed, len(buffers.dirty)):
        if buffers.dirty[node] == 2:
            buffers.slots[node] ^= 1
            buffers.valid[node] = 1
        elif buffers.dirty[node]:
            buffers.valid[node] = 0


@numba.njit(cache=True, nogil=True)
def _simulate_toggles(buffers: Any, kernels: Any, count: int) -> None:
    planes = buffers.planes
    base = planes.ctypes.data + (len(planes) - 1) * planes.strides[0]
    if count > 0:
        call(kernels.gates, (base, buffers.program.ctypes.data, count, kernels.masks.ctypes.data))
    for k in range(count):
        slot = buffers.program[k, 2] // PLANE_BYTES
        buffers.toggles[slot] = toggles_of(planes, slot)


@numba.njit(cache=True, nogil=True)
def walk(genes: Any, buffers: Any, pairs: Any, kernels: Any, costs: Any, goal: Any, children: int) -> None:
    """Tries `children` children of the circuit in `genes`, which `evaluate_parent` has prepared."""
    active, parent_active = buffers.active, buffers.parent_active
    statistics = buffers.statistics
    mark_active(genes, parent_active)
    buffers.touched[:] = 0
    for _ in range(children):
        statistics[0] += 1
        undo_count = mutate(genes, parent_active, buffers.undo, buffers.random, goal)
        first_changed = len(active)
        for k in range(undo_count):
            if buffers.undo[k, 0] < 3:
                node = buffers.undo[k, 1]
                buffers.touched[node] = 1
                first_changed = min(first_changed, node)
        mark_active(genes, active)
        parent_cost = buffers.cost[0]
        allowed = max(parent_cost, buffers.cost[1] * goal.tolerance)
        # Energy: with the parent's toggles this is only an estimate, so a little more is allowed.
        slack = goal.slack if goal.objective == 1 else 1.0
        keep = cost_of(genes, buffers, costs, goal) <= allowed * slack
        count = 0
        if keep:
            # A node that was unused may have become active and hold no planes: anything from the first gate on.
            count = _program(genes, buffers, active, genes.fixed)
            statistics[1] += 1
            keep = _within_limits(genes, buffers, pairs, kernels, count, True)
        for k in range(undo_count):
            if buffers.undo[k, 0] < 3:
                buffers.touched[buffers.undo[k, 1]] = 0
        if keep:
            keep = _replace(genes, buffers, kernels, costs, goal, count, allowed)
        if keep:
            # Values stay what they are, so that all planes remain valid.
            simplify(genes, buffers.roots)
            mark_active(genes, active)
            buffers.cost[0] = cost_of(genes, buffers, costs, goal)
            parent_active[:] = active
            statistics[2] += 1
            if buffers.cost[0] < buffers.cost[1]:
                statistics[3] += 1
                _keep_best(genes, buffers)
        else:
            restore(genes, buffers.undo, undo_count)


@numba.njit(cache=True, nogil=True)
def _keep_best(genes: Any, buffers: Any) -> None:
    buffers.cost[1] = buffers.cost[0]
    buffers.best[0] = genes.functions
    buffers.best[1] = genes.first
    buffers.best[2] = genes.second
    buffers.best_outputs[:] = genes.outputs


@numba.njit(cache=True, nogil=True)
def _replace(genes: Any, buffers: Any, kernels: Any, costs: Any, goal: Any, count: int, allowed: float) -> bool:
    """Makes a child that is within the limits the parent, unless it costs more."""
    nodes = len(buffers.slots)
    if goal.objective == 1:
        _simulate_toggles(buffers, kernels, count)
        for k in range(count):
            buffers.slots[buffers.program[k, 2] // PLANE_BYTES % nodes] ^= 1
        cost = cost_of(genes, buffers, costs, goal)
        if cost > allowed:
            for k in range(count):
                buffers.slots[buffers.program[k, 2] // PLANE_BYTES % nodes] ^= 1
            return False
    else:
        cost = cost_of(genes, buffers, costs, goal)
        for k in range(count):
            buffers.slots[buffers.program[k, 2] // PLANE_BYTES % nodes] ^= 1
    buffers.cost[0] = cost
    for node in range(genes.fixed, len(buffers.dirty)):
        if buffers.dirty[node]:
            buffers.valid[node] = buffers.dirty[node] == 2
    return True
