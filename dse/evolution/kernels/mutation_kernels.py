"""Mutation of circuits in place: genes drawn anew, short cuts, their undoing, and simplification that changes no value.

Random numbers come from a counter-free generator whose state is part of the walk (xorshift64*), so that a walk that is
stopped after any number of children goes on as if it had not been.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from dse.evolution.genome import INVERT, WIRE


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
def mutate(genes: Any, active: Any, undo: Any, state: Any, goal: Any) -> int:
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
def simplify(genes: Any, roots: Any) -> None:
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
def restore(genes: Any, undo: Any, count: int) -> None:
    """Takes back the last `count` changes of genes, latest first: one gene may have been changed twice."""
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
