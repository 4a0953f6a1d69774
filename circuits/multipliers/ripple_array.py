"""Ripple-carry array multiplier, also known as the Braun array with ripple rows."""

from __future__ import annotations

from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import Topology
from circuits.netlists.netlist import ONE, ZERO


def generate(frame: Frame) -> list[int]:
    """w x v array, one ripple-carry row per bit of the first operand (DESIGN "Arrays").

    Signed (see `array_builder`): the one of weight 2^(w-1) is the carry into adder (w-1, 0), so that the last row
    subtracts. The one of weight 2^(v-1) is added to row 0 without a cell: NOT b + 1 = b + 2 NOT b gives s_(v-1) = b =
    x_0 AND y_(v-1) and s_v = NOT b. The one of weight 2^(w+v-1) complements the product's last bit. This holds for
    w = v too.
    Returns w + v product nets; product bit i < w is s_0 of row i, the last row's s_1..s_v are the upper bits.
    """
    w, v = frame.width
    if frame.signed:
        sums = [frame.plain_product(0, j) for j in range(v)]
        sums.append(ZERO if frame.truncated(v - 1) else frame.invert(sums[-1], v))
    else:
        sums = [frame.partial_product(0, j) for j in range(v)] + [ZERO]
    # Invariant after row i, with exact cells: the sum over j of sums[j] 2^(i+j), and of the product bits below 2^i, is
    # the sum of rows 0..i.
    product = [sums[0]]
    for i in range(1, w):
        carry = ONE if frame.signed and i == w - 1 else ZERO
        row = []
        for j in range(v):
            total, carry = frame.add(i, j, frame.partial_product(i, j), sums[j + 1], carry)
            row.append(total)
        sums = [*row, carry]
        product.append(sums[0])
    if frame.signed:
        sums[v] = frame.invert(sums[v], w + v - 1)
    return product + sums[1:]


TOPOLOGY = Topology(generate, has_final_adder=False, multiplies_exactly=True)
