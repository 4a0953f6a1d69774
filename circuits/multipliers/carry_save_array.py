"""Carry-save array multiplier, also known as the Braun array, with a ripple-carry final adder."""

from __future__ import annotations

from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import Topology
from circuits.netlists.netlist import ONE, ZERO


def generate(frame: Frame) -> list[int]:
    """w x v array; sums and carries move down one row, a final row resolves them (DESIGN "Arrays").

    Signed: a one of weight 2^k (see `array_builder`) enters where the unsigned array has the constant 0. For k <= v
    that is the saved carry c_(k-1) of row 0, into adder (1, k - 1); for higher k it is the running sum s_v into adder
    (k - v + 1, v - 1), so that the one of weight 2^(w+v-1) enters the final adder's last cell.
    Returns w + v product nets; the final adder's carry out is dropped.
    """
    w, v = frame.width
    ones = frame.ones()

    def leftmost(i: int) -> int:
        """s_v of row i - 1: the running sum into adder (i, v - 1)."""
        return ONE if i + v - 1 in ones and i > 1 else ZERO

    # Row 0 has no adders: its partial products are its sums. Invariant after row i, with exact cells: the sum over j
    # of sums[j] 2^(i+j) + carries[j] 2^(i+j+1), and of the product bits below 2^i, is the sum of rows 0..i.
    sums = [frame.partial_product(0, j) for j in range(v)]
    carries = [ONE if j + 1 in ones else ZERO for j in range(v)]
    product = [sums[0]]
    for i in range(1, w):
        # Sum j + 1 of the row above has the weight of column j of this row: i - 1 + (j + 1) = i + j.
        above = [*sums[1:], leftmost(i)]
        for j in range(v):
            sums[j], carries[j] = frame.add(i, j, frame.partial_product(i, j), above[j], carries[j])
        product.append(sums[0])
    above = [*sums[1:], leftmost(w)]
    if frame.adder is not None:
        return frame.add_rows([*product, *above], [*[ZERO] * w, *carries])
    # The final adder: product column w + j takes the last row's sum j + 1 and carry j.
    ripple = ZERO
    for j in range(v):
        total, ripple = frame.add_final(w + j, above[j], carries[j], ripple)
        product.append(total)
    return product


TOPOLOGY = Topology(generate, multiplies_exactly=True)
