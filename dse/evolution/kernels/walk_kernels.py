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

Random numbers come from a counter-free generator whose state is part of the walk (xorshift64*), so that a walk that is
stopped after any number of children goes on as if it had not been.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from dse.evolution.genome import INVERT, WIRE
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


def _ones_of(typing_context: Any, word: Any) -> Any:
    """The number of ones in a uint64."""
    del typing_context

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        del context
        return builder.ctpop(values[0])

    return types.uint64(types.uint64), generate


# Any: to compiled callers these are functions without the typing context.
call: Any = intrinsic(_call_of)
_ones: Any = intrinsic(_ones_of)


@numba.njit(cache=True, nogil=True)
def _random(state: Any, below: int) -> Any:
    """A number 0 <= r < below from the top 32 bits of xorshift64* (Vigna, ACM TOMS 42(4), 2016)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    high = (x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(32)
    return np.int64((high * np.uint64(below)) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def mark_active(genes: Any, active: Any) -> None:
    """Sets active[node] for every node that some output depends on."""
    active[:] = 0
    for k in range(len(genes.outputs)):
        active[genes.outputs[k]] = 1
    for node in range(len(active) - 1, genes.fixed - 1, -1):
        if active[node]:
            active[genes.first[node]] = 1
            if genes.functions[node] > INVERT:
                active[genes.second[node]] = 1


@numba.njit(cache=True, nogil=True)
def _mutate(genes: Any, active: Any, undo: Any, state: Any, goal: Any) -> int:
    """Changes genes until some active one has changed, and sometimes a few more; returns how many entries `undo` has.

    undo[k] = (column, position, former value); columns are functions, first, second inputs and outputs.
    """
    nodes = len(active)
    gates = nodes - genes.fixed
    wanted = 1
    while _random(state, 100) < goal.more and wanted < 6:
        wanted += 1
    count = 0
    functions = 8
    if _random(state, 100) < goal.shortcut:
        count = _short_cut(genes, active, undo, state)
        wanted -= 1
    while wanted > 0 and count < len(undo):
        gene = _random(state, 3 * gates + len(genes.outputs))
        if gene >= 3 * gates:
            k = gene - 3 * gates
            new = _random(state, nodes)
            if genes.outputs[k] != new:
                undo[count, 0], undo[count, 1], undo[count, 2] = 3, k, genes.outputs[k]
                genes.outputs[k] = new
                count += 1
                wanted -= 1
            continue
        node = genes.fixed + gene // 3
        column = gene % 3
        if column == 0:
            new = _random(state, functions)
            old = genes.functions[node]
        else:
            new = _random(state, node)
            old = genes.first[node] if column == 1 else genes.second[node]
        if new == old:
            continue
        undo[count, 0], undo[count, 1], undo[count, 2] = column, node, old
        count += 1
        # The second input of a wire or an inverter is not read.
        matters = active[node] and (column != 2 or genes.functions[node] > INVERT)
        if column == 0:
            genes.functions[node] = new
        elif column == 1:
            genes.first[node] = new
        else:
            genes.second[node] = new
        if matters:
            wanted -= 1
    return count


@numba.njit(cache=True, nogil=True)
def _short_cut(genes: Any, active: Any, undo: Any, state: Any) -> int:
    """Makes an active gate a wire from a constant, from its second input or from any earlier node; returns as
    `_mutate`.

    That needs two genes at once, which single mutations rarely hit, and is what approximation most often comes down to.
    """
    node = genes.fixed + _random(state, len(active) - genes.fixed)
    while not active[node]:
        node = genes.fixed + _random(state, len(active) - genes.fixed)
    kind = _random(state, 5)
    source = kind if kind < 2 else genes.second[node] if kind == 2 else _random(state, node)
    undo[0, 0], undo[0, 1], undo[0, 2] = 0, node, genes.functions[node]
    undo[1, 0], undo[1, 1], undo[1, 2] = 1, node, genes.first[node]
    genes.functions[node] = WIRE
    genes.first[node] = source
    return 2


@numba.njit(cache=True, nogil=True)
def _simplify(genes: Any, roots: Any) -> None:
    """Turns gates with a constant input, or with one input twice, into wires and inverters of the same value.

    With c0, c1, c2 as in `plane_kernels`: b = 0 gives c0 ^ c1 a, b = 1 gives (c0 ^ c1) ^ (c1 ^ c2) a, b = a gives c0 ^
    c2 a.
    """
    for node in range(genes.fixed):
        roots[node] = node
    for node in range(genes.fixed, len(roots)):
        function = genes.functions[node]
        if function > INVERT:
            # and nand or nor xor xnor = 2 .. 7: odd ones are inverted.
            c0 = function & 1
            c1 = 1 if function >= 4 else 0
            c2 = 1 if function < 6 else 0
            a, b = roots[genes.first[node]], roots[genes.second[node]]
            if a < 2:
                a, b = b, a
            if b < 2 or a == b:
                offset, slope = c0 ^ (c1 & b), c1 ^ (c2 & b)
                if a == b and b >= 2:
                    offset, slope = c0, c2
                genes.functions[node] = offset if slope else WIRE
                genes.first[node] = a if slope else offset
                function = genes.functions[node]
        a = roots[genes.first[node]]
        if function == INVERT and a < 2:
            genes.functions[node] = WIRE
            genes.first[node] = 1 - a
            function = WIRE
            a = 1 - a
        roots[node] = a if function == WIRE else node


@numba.njit(cache=True, nogil=True)
def _undo(genes: Any, undo: Any, count: int) -> None:
    for k in range(count - 1, -1, -1):
        column, place, value = undo[k]
        if column == 0:
            genes.functions[place] = value
        elif column == 1:
            genes.first[place] = value
        elif column == 2:
            genes.second[place] = value
        else:
            genes.outputs[place] = value


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
def _toggles(planes: Any, slot: int) -> float:
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
        buffers.toggles[node] = _toggles(buffers.planes, node)
    buffers.cost[0] = _cost(genes, buffers, costs, goal)
    if within and buffers.cost[0] < buffers.cost[1]:
        _keep_best(genes, buffers)
    return within


@numba.njit(cache=True, nogil=True)
def _cost(genes: Any, buffers: Any, costs: Any, goal: Any) -> float:
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
        buffers.toggles[slot] = _toggles(planes, slot)


@numba.njit(cache=True, nogil=True)
def walk(genes: Any, buffers: Any, pairs: Any, kernels: Any, costs: Any, goal: Any, children: int) -> None:
    """Tries `children` children of the circuit in `genes`, which `evaluate_parent` has prepared."""
    active, parent_active = buffers.active, buffers.parent_active
    statistics = buffers.statistics
    mark_active(genes, parent_active)
    buffers.touched[:] = 0
    for _ in range(children):
        statistics[0] += 1
        undo_count = _mutate(genes, parent_active, buffers.undo, buffers.random, goal)
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
        keep = _cost(genes, buffers, costs, goal) <= allowed * slack
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
            _simplify(genes, buffers.roots)
            mark_active(genes, active)
            buffers.cost[0] = _cost(genes, buffers, costs, goal)
            parent_active[:] = active
            statistics[2] += 1
            if buffers.cost[0] < buffers.cost[1]:
                statistics[3] += 1
                _keep_best(genes, buffers)
        else:
            _undo(genes, buffers.undo, undo_count)


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
        cost = _cost(genes, buffers, costs, goal)
        if cost > allowed:
            for k in range(count):
                buffers.slots[buffers.program[k, 2] // PLANE_BYTES % nodes] ^= 1
            return False
    else:
        cost = _cost(genes, buffers, costs, goal)
        for k in range(count):
            buffers.slots[buffers.program[k, 2] // PLANE_BYTES % nodes] ^= 1
    buffers.cost[0] = cost
    for node in range(genes.fixed, len(buffers.dirty)):
        if buffers.dirty[node]:
            buffers.valid[node] = buffers.dirty[node] == 2
    return True
