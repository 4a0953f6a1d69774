"""Underdesigned multiplier: 2 x 2 blocks that give 7 for 3 x 3 (Kulkarni, Gupta, Ercegovac, VLSI Design 2011).

    p0 = x0 y0        p1 = x1 y0 + x0 y1        p2 = x1 y1        (+ is OR)

is right but for 3 x 3 = 9 = 1001, where it gives 111: three bits in place of four. Larger multipliers cut both operands
into digits of two bits and add the blocks' products exactly, with their weights. Products are never too large.
"""

from __future__ import annotations

from circuits.errors import DesignError
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.tiling import add_exactly
from circuits.multipliers.topology import gates_only
from circuits.netlists.block_options import Options
from circuits.netlists.logic import Logic


def generate(frame: Frame) -> list[int]:
    """w x v multiplier, w and v even: the sum of (w/2)(v/2) blocks, by exact Dadda compression and a ripple adder."""
    logic = Logic(frame.builder)
    weighted: list[list[int]] = [[] for _ in range(sum(frame.width))]
    for i in range(0, len(frame.x), 2):
        for j in range(0, len(frame.y), 2):
            (x0, x1), (y0, y1) = frame.x[i : i + 2], frame.y[j : j + 2]
            middle = logic.either(logic.both(x1, y0), logic.both(x0, y1))
            for k, net in enumerate((logic.both(x0, y0), middle, logic.both(x1, y1))):
                weighted[i + j + k].append(net)
    return add_exactly(frame.builder, weighted)


def _check(shape: tuple[int, int], options: Options) -> None:
    if shape[0] % 2 or shape[1] % 2:
        raise DesignError(
            f"operand widths must be even, because blocks have 2 x 2 bits, but got {shape[0]} x {shape[1]}; choose an "
            "even width."
        )


TOPOLOGY = gates_only(generate, {}, "Kulkarni, Gupta, Ercegovac, VLSI Design 2011", check=_check)
