"""Ripple-carry array multiplier, also known as the Braun array with ripple rows."""

from __future__ import annotations

from circuits.multipliers.frame import Frame
from circuits.netlist import ZERO


def generate(frame: Frame) -> list[int]:
    """Unsigned w x v array, one ripple-carry row per bit of the first operand (DESIGN "Arrays").

    Returns w + v product nets; product bit i < w is s_0 of row i, the last row's s_1..s_v are the upper bits.
    """
    w, v = len(frame.x), len(frame.y)
    sums = [frame.partial_product(0, j) for j in range(v)] + [ZERO]
    product = [sums[0]]
    for i in range(1, w):
        carry = ZERO
        row = []
        for j in range(v):
            total, carry = frame.add(i, j, frame.partial_product(i, j), sums[j + 1], carry)
            row.append(total)
        sums = [*row, carry]
        product.append(sums[0])
    return product + sums[1:]
