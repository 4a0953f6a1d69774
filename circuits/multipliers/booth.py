"""Radix-4 modified Booth multiplier, also known as Booth-MacSorley (MacSorley, Proc. IRE 49(1), 1961).

Recoding. With x_(-1) = 0 and bits above w - 1 equal to the sign (0 if unsigned), the first operand is

    x = sum over n of d_n 4^n,    d_n = -2 x_(2n+1) + x_2n + x_(2n-1)  in {-2, -1, 0, 1, 2},

because bit 2n+1 counts -2 in digit n and +1 in digit n + 1, of weight 4: together 2 * 4^n. There are ceil(w/2) digits
if signed and floor(w/2) + 1 if unsigned. A digit is selected by three signals:

    one = x_2n XOR x_(2n-1)                     |d_n| = 1
    two = NOT one AND (x_(2n+1) XOR x_2n)       |d_n| = 2
    neg = x_(2n+1)                              d_n < 0, or d_n = 0 from 111

Rows. |d_n| y has bits t_j = (one AND y_j) OR (two AND y_(j-1)) for j = 0..v, with y_(-1) = 0 and y_v the sign of y (0
if unsigned). Where neg, its two's complement -t = NOT t + 1 is added instead, in columns 2n + j:

- Bit j = 1..v is t_j XOR neg, of source row 2n.
- Bit 0 of NOT t + 1 is t_0 again, of source row 2n, and its carry neg AND NOT t_0 is a bit of column 2n + 1, of source
  row 2n + 1 (Yeh, Jen, IEEE Trans. Computers 49(7), 2000): the +1 needs no bit of its own in column 2n.
- The row's sign has the negative weight -2^c: bit v, c = 2n + v, if signed; neg itself, c = 2n + v + 1, if unsigned
  (a row that cannot be negative has none). Since -s 2^c = (NOT s) 2^c - 2^c, the complement takes its place, and the
  sum of all -2^c enters as constant ones: the ones of -(sum of 2^c) modulo 2^(w+v), of source row ONES_ROW. This
  replaces the sign extension of every row.
"""

from __future__ import annotations

from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.columns import ONES_ROW, Bit
from circuits.multipliers.topology import COLUMN_PORTS, Topology
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ONE, ZERO


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: the first operand is recoded, and its rows are summed by Dadda's column compression.

    See the module's docstring for the rows. p, s and c are the first, second and third bit that a cell takes, in the
    order of `columns`; places of cells: `Frame.add_in_column`, `Frame.add_final`. Returns w + v product nets. Carries
    beyond are dropped; where truncated columns bring the sum below zero, the product therefore wraps around.
    """
    w, v = frame.width
    digits = (w + 1) // 2 if frame.signed else w // 2 + 1
    y = [ZERO, *frame.y, frame.y[-1] if frame.signed else ZERO]  # y[j + 1] is y_j
    bits: list[list[Bit]] = [[] for _ in range(w + v)]  # by product column
    negative_weights = 0

    def put(net: int, row: int, column: int) -> None:
        if net != ZERO:
            bits[column].append(Bit(net, row))

    def exists(column: int) -> bool:
        return column < w + v and not frame.truncated(column)

    for n in range(digits):
        row = 2 * n
        logic = Logic(frame.builder, frame.place_in_column(row, row))
        low, middle, high = (operand_bit(frame, row + k) for k in (-1, 0, 1))
        one = logic.xor(middle, low)
        # Where one = 0, low = middle: the triple is 000 or 111 (digit 0), or 100 or 011 (digit -2 or 2); only in the
        # latter two do high and middle differ.
        two = logic.both(logic.invert(one), logic.xor(high, middle))
        for j in range(v + 1):
            # Bit 0 is needed for its carry even where its own column is truncated.
            carries = j == 0 and exists(row + 1)
            if not exists(row + j) and not carries:
                continue
            logic = Logic(frame.builder, frame.place_in_column(row, row + j))
            magnitude = logic.either(logic.both(one, y[j + 1]), logic.both(two, y[j]))
            if j == 0:
                if exists(row):
                    put(magnitude, row, row)
                if carries:
                    put(logic.both(high, logic.invert(magnitude)), row + 1, row + 1)
            elif j == v and frame.signed:
                #   -s 2^c = (NOT s) 2^c - 2^c
                put(logic.invert(logic.xor(magnitude, high)), row, row + j)
                negative_weights += 1 << row + j
            else:
                put(logic.xor(magnitude, high), row, row + j)
        if not frame.signed and high != ZERO and exists(row + v + 1):
            logic = Logic(frame.builder, frame.place_in_column(row, row + v + 1))
            put(logic.invert(high), row, row + v + 1)
            negative_weights += 1 << row + v + 1
    for k in range(w + v):
        # Python shifts negative integers arithmetically: these are the digits of -(sum of 2^c) in two's complement.
        if -negative_weights >> k & 1:
            put(ONE, ONES_ROW, k)
    return columns.sum_columns(frame, bits, columns.dadda)


def digits_of(x: int, width: int, signed: bool) -> list[int]:
    """The radix-4 digits d_n in {-2, ..., 2} of an operand of `width` bits, the least significant first."""
    count = (width + 1) // 2 if signed else width // 2 + 1
    bits = [0, *(x >> k & 1 for k in range(width))]  # bits[k + 1] is bit k; Python's >> extends the sign
    bits += [x >> width - 1 & 1 if signed else 0] * 3
    return [-2 * bits[2 * n + 2] + bits[2 * n + 1] + bits[2 * n] for n in range(count)]


TOPOLOGY = Topology(
    generate,
    port_names=COLUMN_PORTS,
    reduces_columns=True,
    recoding=digits_of,
    plain_partial_products=False,
    truncation_may_wrap=True,
    multiplies_exactly=True,
)


def operand_bit(frame: Frame, k: int) -> int:
    """Bit k of the first operand, extended below by 0 and above by its sign, or by 0 if unsigned."""
    if k < 0 or (k >= len(frame.x) and not frame.signed):
        return ZERO
    return frame.x[min(k, len(frame.x) - 1)]
