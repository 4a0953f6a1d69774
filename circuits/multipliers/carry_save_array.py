"""Carry-save array multiplier, also known as the Braun array, with a ripple-carry final adder."""

from __future__ import annotations

from circuits.multipliers.frame import Frame
from circuits.netlist import ZERO


def generate(frame: Frame) -> list[int]:
    """Unsigned w x v array; sums and carries move down one row, a final row resolves them (DESIGN "Arrays").

    Returns w + v product nets; the final adder's carry out is dropped.
    """
    w, v = len(frame.x), len(frame.y)
    sums = [frame.partial_product(0, j) for j in range(v)]
    carries = [ZERO] * v
    product = [sums[0]]
    for i in range(1, w):
        above = [*sums[1:], ZERO]
        for j in range(v):
            sums[j], carries[j] = frame.add(i, j, frame.partial_product(i, j), above[j], carries[j])
        product.append(sums[0])
    above = [*sums[1:], ZERO]
    ripple = ZERO
    for j in range(v):
        total, ripple = frame.add_final(j, above[j], carries[j], ripple)
        product.append(total)
    return product
