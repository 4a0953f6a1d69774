"""Column compression, also known as column reduction or bit-heap compression, and the carry-propagate adder after it.

Column k holds bits of weight 2^k. In stages, cells take three bits of a column (or two: a half-adder position) and
give a sum to the same column and a carry to the next, until no column holds more than two bits; then a ripple adder
resolves them. Carries beyond the last column are dropped.

The order in a column, exactly: bits of earlier stages first, within a stage lower source rows first, remaining ties in
order of creation. The columns of a stage are worked on in ascending order, so a carry precedes a sum of equal row. A
cell takes the first bits of its column, as they stood at the start of the stage; the row of its sum and carry is the
highest row among its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from circuits.multipliers.array_builder import Frame
from circuits.netlists.netlist import ONE, ZERO


@dataclass(frozen=True, slots=True)
class Bit:
    """A bit of a column: its net, its source row (bit of the first operand), the stage that made it (0: none)."""

    net: int
    row: int = 0
    stage: int = 0


Columns = Sequence[Sequence[Bit]]

Plan = Callable[[int, int], list[int]]
"""(bits of a column at the start of a stage, carries that came since) -> how many bits each of its cells takes."""

NextStage = Callable[[int], Plan | None]
"""Bits in the highest column -> the next stage's plan, or None when the columns are low enough."""

Add = Callable[[int, int, int, int, int], tuple[int, int]]
"""(row, column, first, second, third net or ZERO) -> (sum, carry)."""

AddFinal = Callable[[int, int, int, int], tuple[int, int]]
"""(column, first net, second net or ZERO, ripple carry or ZERO) -> (sum, carry)."""

ONES_ROW = 1
"""The source row of constant ones: they come after the partial products of rows 0 and 1."""


def wallace(height: int) -> Plan | None:
    """As much as possible in every stage: a cell for every three bits, a half adder for two that remain."""

    def plan(there: int, arrived: int) -> list[int]:
        return [3] * (there // 3) + [2] * (there % 3 == 2)

    return plan if height > 2 else None


def dadda(height: int) -> Plan | None:
    """As little as possible: each stage lowers columns, arriving carries counted, to the next of 2, 3, 4, 6, 9, ..."""
    if height <= 2:
        return None
    target = 2
    while target * 3 // 2 < height:
        target = target * 3 // 2

    def plan(there: int, arrived: int) -> list[int]:
        excess = max(there + arrived - target, 0)
        return [3] * (excess // 2) + [2] * (excess % 2)

    return plan


def compress(columns: Columns, next_stage: NextStage, add: Add) -> list[list[Bit]]:
    """The columns after all stages, in order, none with more than two bits."""
    made = [_ordered(column) for column in columns]
    stage = 0
    while (plan := next_stage(max(map(len, made), default=0))) is not None:
        stage += 1
        heights = [len(column) for column in made]
        for k, column in enumerate(made):
            for size in plan(heights[k], len(column) - heights[k]):
                taken = column[:size]
                del column[:size]
                row = max(bit.row for bit in taken)
                first, second, third = (*(bit.net for bit in taken), ZERO)[:3]
                total, carry = add(row, k, first, second, third)
                column.append(Bit(total, row, stage))
                if k + 1 < len(made):
                    made[k + 1].append(Bit(carry, row, stage))
        made = [_ordered(column) for column in made]
    return made


def resolve(columns: Columns, add: AddFinal) -> list[int]:
    """One net a column from columns of at most two bits: a ripple adder that has no cell where there is nothing to add.

    A cell takes the column's bits and the ripple carry of the column below, in this order.
    """
    nets = []
    ripple = ZERO
    for k, column in enumerate(columns):
        first, second = (*(bit.net for bit in column), ZERO, ZERO)[:2]
        if (first, second, ripple).count(ZERO) >= 2:
            nets.append(first or ripple)
            ripple = ZERO
        else:
            total, ripple = add(k, first, second, ripple)
            nets.append(total)
    return nets


def partial_products(frame: Frame) -> list[list[Bit]]:
    """pp(i, j) in column i + j, and the ones of a signed multiplier in theirs; none in truncated columns."""
    w, v = frame.width
    columns: list[list[Bit]] = [[] for _ in range(w + v)]
    for i in range(w):
        for j in range(v):
            if not frame.truncated(i + j):
                columns[i + j].append(Bit(frame.partial_product(i, j), i))
    for k in frame.ones():
        columns[k].append(Bit(ONE, ONES_ROW))
    return columns


def sum_columns(frame: Frame, columns: Columns, next_stage: NextStage) -> list[int]:
    """The sum of the columns, one net a column, by the frame's cells, ports and policies."""
    return resolve(compress(columns, next_stage, frame.add_in_column), frame.add_final)


def _ordered(column: Sequence[Bit]) -> list[Bit]:
    return sorted(column, key=lambda bit: (bit.stage, bit.row))
