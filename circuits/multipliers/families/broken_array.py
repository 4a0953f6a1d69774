"""BAM, the broken-array multiplier (Mahdiani, Ahmadi, Fakhraie, Lucas, IEEE TCAS-I 57(4), 2010).

A carry-save array without the cells above a horizontal break and right of a vertical break; what they would give is 0:

    product column   7 6 5 4 3 2 1 0
    row 0                    x x x x          horizontal = 1: row 0 is left out
    row 1                  o o|x x            vertical = 3: columns 0, 1 and 2 are left out
    row 2                o o o|x
    row 3              o o o o|

The product is the sum of x_i y_j 2^(i+j) over i >= horizontal, i + j >= vertical: never too large.
"""

from __future__ import annotations

from dataclasses import replace

from circuits.multipliers import carry_save_array
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import Topology
from circuits.netlists.block_options import IntegerOption, always
from circuits.netlists.netlist import ZERO


def generate(frame: Frame) -> list[int]:
    """w x v array of the rows from `horizontal` on and the product columns from `vertical` on (options).

    Cells keep their places in the whole array. Signed: the array of the bits from `horizontal` on, which are a number
    in two's complement again.
    """
    rows = frame.options["horizontal"]
    origin = frame.origin[0] + rows, frame.origin[1]
    columns = max(frame.options["vertical"], frame.truncate_columns)
    array = replace(frame, x=frame.x[rows:], origin=origin, truncate_columns=columns)
    return [ZERO] * rows + carry_save_array.generate(array)


TOPOLOGY = Topology(
    generate,
    options={
        "horizontal": IntegerOption("rows left out (HBL)", always(0), lambda w, v: w - 2, always(0)),
        "vertical": IntegerOption(
            "product columns left out (VBL)", always(0), lambda w, v: w + v - 1, lambda w, v: min(w, v) // 2
        ),
    },
    plain_partial_products=False,
    tileable=False,
    exact_form={"topology": "carry_save_array", "options": {}},
    source="Mahdiani, Ahmadi, Fakhraie, Lucas, IEEE TCAS-I 57(4), 2010, BAM",
)
