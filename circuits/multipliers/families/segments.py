"""What the segment multipliers share: a small exact multiplier, and shifts that put its product in place."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.multipliers.tiling import add_exactly
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ZERO, NetlistBuilder


def exact_product(builder: NetlistBuilder, x: Sequence[int], y: Sequence[int]) -> list[int]:
    """The exact product of two numbers: ANDs, Dadda's column compression, a ripple adder."""
    logic = Logic(builder)
    weighted: list[list[int]] = [[] for _ in range(len(x) + len(y))]
    for i, left in enumerate(x):
        for j, right in enumerate(y):
            bit = logic.both(left, right)
            if bit != ZERO:
                weighted[i + j].append(bit)
    return add_exactly(builder, weighted)
