"""Settled values and toggles of every net of a netlist as drawn, by bit-sliced simulation: bit k of a plane is lane k.

A truth table is evaluated in algebraic normal form, the XOR of products of inputs; its coefficients are the Moebius
transform of the table over GF(2):

    coefficient[S] = XOR of table[r] over all rows r whose ones lie in S
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.engine.bit_planes import Planes
from circuits.netlists.netlist import Netlist
from circuits.netlists.truth_table import normal_form


def evaluate(netlist: Netlist, inputs: Planes) -> Planes:
    """uint64 [nets, words]: the plane of every net, from the planes of the input nets (bus after bus, least significant
    bit first).

    The outputs of a component share products. Nothing is simplified: this is the netlist as drawn.
    """
    values = np.zeros((netlist.nets, inputs.shape[1]), dtype=np.uint64)
    values[1] = ~np.uint64(0)
    values[list(netlist.input_nets)] = inputs
    # Views: what is written to a row is in `values`.
    rows = list(values)
    spare = [np.empty_like(rows[0]) for _ in range(4)]
    for instance in netlist.instances:
        operands = [rows[net] for net in instance.inputs]
        products: dict[int, Planes] = {}
        for table, net in zip(instance.component.tables, instance.outputs, strict=True):
            target = rows[net]
            first = True
            # The constant 0 has no term: its plane stays zero.
            for term in normal_form(table):
                plane = rows[1] if term == 0 else _product(term, operands, products, spare)
                if first:
                    target[:] = plane
                    first = False
                else:
                    np.bitwise_xor(target, plane, out=target)
    return values


def toggles(values: Planes, count: int) -> NDArray[np.int64]:
    """int64 [nets]: how often each net changes between consecutive lanes 0, 1, ..., count - 1."""
    # Bit k of `changed` compares lane k with lane k + 1, which for bit 63 is bit 0 of the next word.
    next_lane = values >> np.uint64(1)
    next_lane[:, :-1] |= values[:, 1:] << np.uint64(63)
    changed = values ^ next_lane
    full_words, lanes = divmod(count - 1, 64)
    total: NDArray[np.int64] = np.bitwise_count(changed[:, :full_words]).sum(axis=1, dtype=np.int64)
    # The last lane has no successor: count - 1 comparisons, not count.
    if lanes:
        total += np.bitwise_count(changed[:, full_words] & np.uint64((1 << lanes) - 1))
    return total


def _product(term: int, operands: list[Planes], products: dict[int, Planes], spare: list[Planes]) -> Planes:
    """The AND of a set of inputs, kept in `products`; `spare`: planes to write it to, one for each of the 4
    products."""
    if term in (4, 2, 1):
        return operands[(4, 2, 1).index(term)]
    if term not in products:
        factors = [operands[k] for k in range(3) if term & 4 >> k]
        plane = spare[len(products)]
        np.bitwise_and(factors[0], factors[1], out=plane)
        if len(factors) == 3:
            np.bitwise_and(plane, factors[2], out=plane)
        products[term] = plane
    return products[term]
