"""Column compression, also known as column reduction or bit-heap compression, and the carry-propagate adder after it.

Column k holds bits of weight 2^k. In each stage, cells take three bits of a column (or two: a half-adder position) and
give a sum to the same column and a carry to the next, until no column holds more than two bits; then a ripple adder
resolves them. Carries beyond the last column are dropped.

    The first stage of Wallace's policy on a 4 x 4 multiplier, each "." a bit:

    column   6 5 4 3 2 1 0         6 5 4 3 2 1 0
             . . . . . . .         . . . . . . .      full adders in columns 2, 3 and 4, half adders in 1 and 5;
               . . . . .      ->   . . . . .          exact cells never change the sum of bits times weights
                 . . .                   .
                   .

Approximate cells are not symmetric in their inputs, so the order in which a cell takes its bits is part of the design:

- Within a column, bits of earlier stages come first; within a stage, those of lower source rows; ties stay in order of
  creation. Columns are processed in ascending order, so that a carry precedes a sum of the same row.
- A cell takes the first bits of its column as they are at the start of the stage.
- The source row of its sum and carry is the highest row among its inputs; it decides the cell's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from circuits.multipliers.array_builder import Frame
from circuits.netlists.netlist import ONE, ZERO
from circuits.netlists.reduction_record import Reduction


@dataclass(frozen=True, slots=True)
class Bit:
    """A bit of a column: its net, its source row (bit of the first operand), and the stage it came from (0: none)."""

    net: int
    row: int = 0
    stage: int = 0


Columns = Sequence[Sequence[Bit]]

Plan = Callable[[int, int], list[int]]
"""(bits of a column at the start of a stage, carries into it since then) -> how many bits each of its cells takes."""

NextStage = Callable[[int], Plan | None]
"""Height of the highest column -> the next stage's plan, or None when no column has more than two bits."""

Add = Callable[[int, int, int, int, int], tuple[int, int]]
"""(row, column, first, second, third net or ZERO) -> (sum, carry)."""

AddFinal = Callable[[int, int, int, int], tuple[int, int]]
"""(column, first net, second net or ZERO, ripple carry or ZERO) -> (sum, carry)."""

ONES_ROW = 1
"""The source row of constant ones: they come after the partial products of rows 0 and 1."""


def wallace(height: int) -> Plan | None:
    """As many cells as possible in every stage: one for every three bits, and a half adder for two that remain."""

    def plan(present: int, carried: int) -> list[int]:
        # Carries of this stage are bits of the next one: counting them would merge two stages.
        return [3] * (present // 3) + [2] * (present % 3 == 2)

    return plan if height > 2 else None


def dadda(height: int) -> Plan | None:
    """As few cells as possible: a stage lowers columns, carries into them counted, to the next of 2, 3, 4, 6, 9, ...

    These are Dadda's heights, d_1 = 2 and d_(k+1) = floor(3 d_k / 2): what one stage can lower to d_k. A full adder
    lowers its column by two bits, a half adder by one.
    """
    if height <= 2:
        return None
    target = 2
    # The last of Dadda's heights below `height`.
    while target * 3 // 2 < height:
        target = target * 3 // 2

    def plan(present: int, carried: int) -> list[int]:
        # Carries count here, because the column must fit the target when the stage is over.
        excess = max(present + carried - target, 0)
        return [3] * (excess // 2) + [2] * (excess % 2)

    return plan


def compress(columns: Columns, next_stage: NextStage, add: Add, reduction: Reduction | None = None) -> list[list[Bit]]:
    """The columns after all stages, none with more than two bits. `add` adds a cell; `reduction` records the stages."""
    heap = [ordered(column) for column in columns]
    stage = 0
    while (plan := next_stage(max(map(len, heap), default=0))) is not None:
        stage += 1
        if reduction is not None:
            reduction.begin(nets_and_rows(heap))
        heights = [len(column) for column in heap]
        for k, column in enumerate(heap):
            # `column` now holds the bits of the stage's start, then carries from column k - 1.
            for size in plan(heights[k], len(column) - heights[k]):
                taken = column[:size]
                del column[:size]
                row = max(bit.row for bit in taken)
                first, second, third = (*(bit.net for bit in taken), ZERO)[:3]
                total, carry = add(row, k, first, second, third)
                if reduction is not None:
                    reduction.took(k, size, total)
                column.append(Bit(total, row, stage))
                # A carry out of the last column has weight 2^(w+v): the product is taken modulo that.
                if k + 1 < len(heap):
                    heap[k + 1].append(Bit(carry, row, stage))
        heap = [ordered(column) for column in heap]
    if reduction is not None:
        reduction.begin(nets_and_rows(heap))
    return heap


def resolve(columns: Columns, add: AddFinal) -> list[int]:
    """Adds columns of at most two bits by a ripple adder; returns one net for each column.

    A cell takes the column's bits and the ripple carry of the column below, in this order. Columns with nothing to add
    have no cell.
    """
    nets = []
    ripple = ZERO
    for k, column in enumerate(columns):
        first, second = (*(bit.net for bit in column), ZERO, ZERO)[:2]
        # A single bit is its own sum and gives no carry.
        if (first, second, ripple).count(ZERO) >= 2:
            nets.append(first or ripple)
            ripple = ZERO
        else:
            total, ripple = add(k, first, second, ripple)
            nets.append(total)
    return nets


def partial_products(frame: Frame) -> list[list[Bit]]:
    """pp(i, j) in column i + j, and a signed multiplier's constant ones in theirs; nothing in truncated columns."""
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
    """The sum of the columns by the frame's cells, ports and policies; returns one net for each column."""
    return final_sum(frame, compress(columns, next_stage, frame.add_in_column, frame.reduction))


def final_sum(frame: Frame, columns: Columns) -> list[int]:
    """The sum of columns of at most two bits by the frame's final adder; returns one net for each column."""
    if frame.adder is None:
        return resolve(columns, frame.add_final)
    rows = [(*(bit.net for bit in column), ZERO, ZERO)[:2] for column in columns]
    return frame.add_rows([first for first, _ in rows], [second for _, second in rows])


def ordered(column: Sequence[Bit]) -> list[Bit]:
    """The bits of a column in the order in which cells take them: earlier stages first, then lower source rows."""
    return sorted(column, key=lambda bit: (bit.stage, bit.row))


def nets_and_rows(columns: Columns) -> list[list[tuple[int, int]]]:
    """(net, source row) of the bits of each column, as a `Reduction` records them."""
    return [[(bit.net, bit.row) for bit in column] for column in columns]
