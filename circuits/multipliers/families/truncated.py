"""Truncated multipliers with compensation: the lowest product columns are left out, and their mean is added back.

- `constant` (Schulte, Swartzlander, VLSI Signal Processing VI, 1993): the mean of what is left out, for uniform operand
  bits, rounded to a multiple of 2^t, as constant ones.
- `variable`, data-dependent (King, Swartzlander, Asilomar 1997): the partial products of column t - 1 are bits of
  column t: twice their weight, which is about what the columns below would carry.
- `none`: nothing.

With t columns left out the sum is over partial products of weight 2^t and more, so that product bits 0 to t - 1 are 0.
"""

from __future__ import annotations

from fractions import Fraction

from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.columns import ONES_ROW, Bit
from circuits.multipliers.topology import COLUMN_PORTS, Topology
from circuits.netlists.block_options import ChoiceOption, IntegerOption, always
from circuits.netlists.netlist import ONE


def generate(frame: Frame) -> list[int]:
    """w x v Dadda tree of the product columns from `columns` on, with the `compensation` of the module's docstring.

    Cells stand as in the Dadda tree. A column takes the bits that compensate it after its partial products of the same
    source row. Returns w + v product nets; carries beyond are dropped.
    """
    lowest = frame.options["columns"]
    bits = columns.partial_products(frame)
    dropped, bits[:lowest] = bits[:lowest], [[] for _ in range(lowest)]
    if frame.options["compensation"] == "constant":
        constant = round(_mean(frame, lowest) / (1 << lowest))
        for k in range(lowest, len(bits)):
            if constant >> k - lowest & 1:
                bits[k].append(Bit(ONE, ONES_ROW))
    elif frame.options["compensation"] == "variable" and lowest:
        bits[lowest] += dropped[-1]
    return columns.sum_columns(frame, bits, columns.dadda)


def _mean(frame: Frame, lowest: int) -> Fraction:
    """The mean of the sum of columns below `lowest` over uniform operands."""
    w, v = frame.width
    total = Fraction(sum(1 << k for k in frame.ones() if k < lowest))
    for i in range(w):
        for j in range(v):
            if i + j < lowest:
                # A partial product is 1 for a quarter of the operands; complemented ones for three.
                complemented = frame.signed and (i == w - 1) != (j == v - 1)
                total += Fraction(3 if complemented else 1, 4) * (1 << i + j)
    return total


TOPOLOGY = Topology(
    generate,
    port_names=COLUMN_PORTS,
    reduces_columns=True,
    options={
        "columns": IntegerOption(
            "product columns left out", always(0), lambda w, v: w + v - 2, lambda w, v: min(w, v) - 1
        ),
        "compensation": ChoiceOption("what is added for them", ("constant", "variable", "none")),
    },
    plain_partial_products=False,
    tileable=False,
    truncatable=False,
    exact_form={"topology": "dadda", "options": {}},
    source="Schulte, Swartzlander, VLSI Signal Processing VI, 1993; King, Swartzlander, Asilomar 1997",
)
