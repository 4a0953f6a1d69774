"""Values and toggles of every net of a netlist as drawn, from bit-sliced simulation."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from circuits.engine.bit_planes import Planes
from circuits.netlists.netlist import Netlist


def evaluate(netlist: Netlist, inputs: Planes) -> Planes:
    """uint64 [nets, words]: the plane of every net, from the planes of the input nets (bus after bus).

    Truth tables are evaluated in algebraic normal form (XOR of products), sharing the products among a component's
    outputs. Nothing is simplified: this is the netlist as drawn.
    """
    values = np.zeros((netlist.nets, inputs.shape[1]), dtype=np.uint64)
    values[1] = ~np.uint64(0)
    values[list(netlist.input_nets)] = inputs
    rows = list(values)
    spare = [np.empty_like(rows[0]) for _ in range(4)]
    for instance in netlist.instances:
        operands = [rows[net] for net in instance.inputs]
        made: dict[int, Planes] = {}
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            target = rows[net]
            first = True
            for term in _normal_form(table):
                plane = rows[1] if term == 0 else _product(term, operands, made, spare)
                if first:
                    target[:] = plane
                    first = False
                else:
                    np.bitwise_xor(target, plane, out=target)
    return values


def toggles(values: Planes, count: int) -> NDArray[np.int64]:
    """int64 [nets]: how often each net changes between consecutive lanes 0, 1, ..., count - 1."""
    following = values >> np.uint64(1)
    following[:, :-1] |= values[:, 1:] << np.uint64(63)
    changed = values ^ following
    full, rest = divmod(count - 1, 64)
    total: NDArray[np.int64] = np.bitwise_count(changed[:, :full]).sum(axis=1, dtype=np.int64)
    if rest:
        total += np.bitwise_count(changed[:, full] & np.uint64((1 << rest) - 1))
    return total


@cache
def _normal_form(table: int) -> tuple[int, ...]:
    """The products whose XOR is `table`, each a set of inputs: bit 2 the first, bit 1 the second, bit 0 the third."""
    coefficients = [table >> r & 1 for r in range(8)]
    for bit in (1, 2, 4):
        for r in range(8):
            if r & bit:
                coefficients[r] ^= coefficients[r ^ bit]
    return tuple(r for r in range(8) if coefficients[r])


def _product(term: int, operands: list[Planes], made: dict[int, Planes], spare: list[Planes]) -> Planes:
    if term in (4, 2, 1):
        return operands[(4, 2, 1).index(term)]
    if term not in made:
        parts = [operands[k] for k in range(3) if term & 4 >> k]
        result = spare[len(made)]
        np.bitwise_and(parts[0], parts[1], out=result)
        if len(parts) == 3:
            np.bitwise_and(result, parts[2], out=result)
        made[term] = result
    return made[term]
