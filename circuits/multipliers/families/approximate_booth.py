"""Approximate radix-4 Booth multipliers R4ABM1 and R4ABM2 (Liu et al., IEEE Trans. Computers 66(8), 2017).

Digits as in `circuits.multipliers.booth`: d = -2 h + m + l for the bits h, m, l = x_(2n+1), x_2n, x_(2n-1). Bit j of
the row of digit n is

    exact            (m XOR l)(h XOR y_j)  OR  NOT (m XOR l) (h XOR m)(h XOR y_(j-1))
    encoder 1        (m XOR l)(h XOR y_j)                       4 of 32 entries are 0 in place of 1: +-2 y reads as 0
    encoder 2        h XOR y_j                                  8 of 32 entries are wrong: every digit reads as +-1

The approximation factor p says how many product columns take the approximate bits; those from column p on are exact, as
are the rows' sign bits, and the carries that complete two's complement, 1 in column 2n where d is negative.
"""

from __future__ import annotations

from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.booth import digits_of, operand_bit
from circuits.multipliers.columns import ONES_ROW, Bit
from circuits.multipliers.topology import COLUMN_PORTS, Topology
from circuits.netlists.block_options import ChoiceOption, IntegerOption, always
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ONE, ZERO


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: rows by the module's formulas (options `encoder` and `p`), summed by Dadda's compression.

    A row has bits j = 0 .. v in columns 2n + j, of source row 2n; its carry is a bit of column 2n, of source row
    2n + 1. Its sign, bit v if signed and v + 1 if not, has the negative weight -2^c, and -s 2^c = NOT s 2^c - 2^c: the
    complement is added, and the sum of all -2^c enters as constant ones of source row ONES_ROW. Returns w + v
    product nets.
    """
    w, v = frame.width
    digits = (w + 1) // 2 if frame.signed else w // 2 + 1
    bits: list[list[Bit]] = [[] for _ in range(w + v)]
    negative_weights = 0
    for row in range(0, 2 * digits, 2):
        negative = _negative(frame, row)
        nets = _row(frame, row) if frame.signed else [*_row(frame, row), negative]
        for j, net in enumerate(nets):
            is_sign = j == v + (not frame.signed)
            if row + j < w + v and net != ZERO:
                bits[row + j].append(Bit(Logic(frame.builder).invert(net) if is_sign else net, row))
                negative_weights += is_sign << row + j
        if row < w + v and negative != ZERO:
            bits[row].append(Bit(negative, row + 1))
    for k in range(w + v):
        # Python shifts negative integers arithmetically: these are the digits of -(sum of 2^c) in two's complement.
        if -negative_weights >> k & 1:
            bits[k].append(Bit(ONE, ONES_ROW))
    return columns.sum_columns(frame, bits, columns.dadda)


def _row(frame: Frame, row: int) -> list[int]:
    """Bits 0 .. v of the row that begins in column `row`."""
    v = frame.width[1]
    low, middle, high = (operand_bit(frame, row + k) for k in (-1, 0, 1))
    logic = Logic(frame.builder, frame.place_in_column(row, row))
    one = logic.xor(middle, low)
    two = logic.both(logic.invert(one), logic.xor(high, middle))
    y = [ZERO, *frame.y, frame.y[-1] if frame.signed else ZERO]  # y[j + 1] is y_j
    nets = []
    for j in range(v + 1):
        logic = Logic(frame.builder, frame.place_in_column(row, row + j))
        left = logic.xor(high, y[j + 1])
        # Bit v is the sign if signed, and the highest bit of 2 y if not.
        if row + j >= frame.options["p"] or j == v:
            nets.append(logic.either(logic.both(one, left), logic.both(two, logic.xor(high, y[j]))))
        else:
            nets.append(left if frame.options["encoder"] == "2" else logic.both(one, left))
    return nets


def _negative(frame: Frame, row: int) -> int:
    """Whether the digit is negative: h AND NOT (m AND l)."""
    low, middle, high = (operand_bit(frame, row + k) for k in (-1, 0, 1))
    logic = Logic(frame.builder, frame.place_in_column(row, row))
    return logic.both(high, logic.invert(logic.both(middle, low)))


TOPOLOGY = Topology(
    generate,
    port_names=COLUMN_PORTS,
    reduces_columns=True,
    recoding=digits_of,
    options={
        "encoder": ChoiceOption("approximate encoder", ("1", "2")),
        "p": IntegerOption(
            "product columns with approximate bits", always(0), lambda w, v: w + v, lambda w, v: min(w, v)
        ),
    },
    plain_partial_products=False,
    tileable=False,
    truncatable=False,
    exact_form={"options": {"p": 0}},
    source="Liu et al., IEEE Trans. Computers 66(8), 2017, R4ABM1 and R4ABM2",
)
