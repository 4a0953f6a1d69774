"""What all multiplier generators share: partial products, and adders placed and wired by the design's policies.

A topology's generator is a function `generate(frame: Frame) -> list[int]`; it returns the product's nets, the least
significant bit first. Adder (i, j) belongs to row i, bit i of the first operand, and column j, bit j of the second, and
so to product column i + j, of weight 2^(i + j). A 4 x 4 carry-save array, drawn as papers draw it:

    product column     7      6      5      4      3      2      1      0
    row 0                                        pp 03  pp 02  pp 01  pp 00      pp(i, j) = x_i AND y_j
    row 1                                 (1,3)  (1,2)  (1,1)  (1,0)             adder (i, j) takes pp(i, j),
    row 2                          (2,3)  (2,2)  (2,1)  (2,0)                    a sum of its column from above
    row 3                   (3,3)  (3,2)  (3,1)  (3,0)                           and a carry from its right
    final row        (4,3)  (4,2)  (4,1)  (4,0)                                  the final adder

In a ripple array the carry comes from (i, j - 1), in a carry-save array from (i - 1, j), both in product column
i + j - 1. There the final row resolves the last sums and carries; a ripple array has none. Trees place their adders
by the highest row among the bits that they add (`Frame.add_in_column`).

Signed multipliers other than Booth's are modified Baugh-Wooley (Baugh, Wooley, IEEE Trans. Computers C-22(12), 1973).
In two's complement bits w - 1 and v - 1 have negative weights, so that pp(i, j) is subtracted where exactly one of the
two bits is a sign bit. With -b 2^k = (NOT b) 2^k - 2^k such partial products are complemented and added, and what
remains is a constant:

    - sum of 2^(w-1+j) over j < v - 1  =  -2^(w-1) (2^(v-1) - 1)  =  2^(w-1) - 2^(w+v-2)
    - sum of 2^(v-1+i) over i < w - 1  =  2^(v-1) - 2^(w+v-2)

In all 2^(w-1) + 2^(v-1) - 2^(w+v-1), which modulo 2^(w+v) is three ones of weights 2^(w-1), 2^(v-1) and 2^(w+v-1); for
w = v the first two are a single one of weight 2^w. Each topology says where its ones enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from circuits.adders.adder_kinds import ChosenAdder
from circuits.cells.adder_cells import EXACT, AdderCell
from circuits.netlists.block_options import NONE, Options
from circuits.netlists.gates import AND2, HALF_ADDER, NAND2, NOT, Gate
from circuits.netlists.logic import Logic
from circuits.netlists.netlist import ZERO, NetlistBuilder
from circuits.netlists.reduction_record import Reduction

AdderAt = Callable[[int, int], AdderCell]
"""(row, column) -> the cell of the adder at that place."""

PORTS = ("psc", "pcs", "spc", "scp", "cps", "csp")
"""Port assignments: which of partial product (p), running sum (s) and carry (c) drives A, B and Cin, in that order."""


@dataclass
class Frame:
    """A w x v array under construction inside `builder`.

    `x` drives the rows, `y` the columns. `adder_at` is called with the array's own (row, column) plus `origin`, so that
    a tile of a larger array reads the larger array's grid. `ports` is one of PORTS. `half_adders`: "exact" draws
    adders with a constant 0 as exact half adders, "cell" as the cell of their place. `final_adder`: "exact" or "cell"
    (see DESIGN "Arrays"). Product columns below `truncate_columns` are zeros: without partial products, ones and
    adders. `signed`: operands and product are in two's complement. `options`: the topology's own, complete. `adder`:
    what stands in place of a final adder of cells, or None; bit k of it is product column k. `reduction`: where a tree
    writes down its stages.
    """

    builder: NetlistBuilder
    x: Sequence[int]
    y: Sequence[int]
    adder_at: AdderAt
    ports: str
    half_adders: str
    final_adder: str
    truncate_columns: int = 0
    signed: bool = False
    options: Options = NONE
    adder: ChosenAdder | None = None
    origin: tuple[int, int] = (0, 0)
    reduction: Reduction | None = None

    @property
    def width(self) -> tuple[int, int]:
        """(w, v)."""
        return len(self.x), len(self.y)

    def partial_product(self, i: int, j: int) -> int:
        """pp(i, j) = x_i AND y_j; complemented where signed and exactly one of the two is a sign bit."""
        # The product of a sign bit and another bit has a negative weight; that of both sign bits is positive again.
        complemented = self.signed and (i == len(self.x) - 1) != (j == len(self.y) - 1)
        return self._product(NAND2 if complemented else AND2, i, j)

    def plain_product(self, i: int, j: int) -> int:
        """x_i AND y_j, whether signed or not."""
        return self._product(AND2, i, j)

    def ones(self) -> list[int]:
        """Product columns of the constant ones of a signed multiplier (see the module's docstring)."""
        w, v = self.width
        if not self.signed:
            return []
        #   w = v:  2^(w-1) + 2^(v-1) = 2^w.
        columns = [w, w + v - 1] if w == v else [w - 1, v - 1, w + v - 1]
        return [k for k in columns if not self.truncated(k)]

    def invert(self, net: int, column: int) -> int:
        """NOT of a net of product column `column`, placed in the lowest row that has that column."""
        if self.truncated(column):
            return ZERO
        return self.builder.add(NOT, net, place=self.place_in_column(0, column))[0]

    def add(self, i: int, j: int, p: int, s: int, c: int) -> tuple[int, int]:
        """(sum, carry) of adder (i, j) over partial product, running sum and carry."""
        values = {"p": p, "s": s, "c": c}
        a, b, cin = (values[port] for port in self.ports)
        return self._adder(i, j, a, b, cin, self.adder_at(*self._place(i, j)))

    def add_in_column(self, row: int, column: int, p: int, s: int, c: int) -> tuple[int, int]:
        """(sum, carry) of a cell that adds bits of product column `column`; `row` is the highest row among them.

        Its place is that of the row in the column; where the row does not reach so far left, that of the lowest row
        that does: i = max(row, column - v + 1), j = column - i.
        """
        i, j = self._in_column(row, column)
        return self.add(i, j, p, s, c)

    def add_final(self, column: int, s: int, c: int, ripple: int) -> tuple[int, int]:
        """(sum, carry) of the final adder's cell of product column `column`: s, c and the ripple carry on A, B and Cin.

        Its place is where an array has that product bit: (w, column - w), and (column, 0) for column < w.
        """
        i = min(column, len(self.x))
        j = column - i
        # The port policy does not apply: a final adder has no partial products.
        cell = EXACT if self.final_adder == "exact" else self.adder_at(*self._place(i, j))
        return self._adder(i, j, s, c, ripple, cell)

    def add_rows(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """The sum of two rows of w + v bits by `adder`, which must not be None; carries beyond are dropped."""
        assert self.adder is not None
        return self.adder.add(Logic(self.builder), a, b)[: len(a)]

    def truncated(self, column: int) -> bool:
        """Whether product column `column` of this array is left out."""
        return self._truncated(column, 0)

    def place_in_column(self, row: int, column: int) -> tuple[int, int]:
        """The place of `add_in_column` in the whole array."""
        return self._place(*self._in_column(row, column))

    def _product(self, gate: Gate, i: int, j: int) -> int:
        if self._truncated(i, j):
            return ZERO
        return self.builder.add(gate, self.x[i], self.y[j], place=self._place(i, j))[0]

    def _in_column(self, row: int, column: int) -> tuple[int, int]:
        i = max(row, column - len(self.y) + 1)
        return i, column - i

    def _adder(self, i: int, j: int, a: int, b: int, cin: int, cell: AdderCell) -> tuple[int, int]:
        # Row and column each add to a product column: adder (i, j) works in column i + j, as does its partial product.
        if self._truncated(i, j):
            return ZERO, ZERO
        place = self._place(i, j)
        present = [net for net in (a, b, cin) if net != ZERO]
        if self.half_adders == "exact" and len(present) < 3:
            # With fewer than two bits the half adder has a constant input; `simplify` removes it for cost and
            # simulation.
            left, right = (*present, ZERO, ZERO)[:2]
            total, carry = self.builder.add(HALF_ADDER, left, right, place=place)
        else:
            total, carry = self.builder.add(cell, a, b, cin, place=place)
        return total, carry

    def _truncated(self, i: int, j: int) -> bool:
        # Product columns of the whole array: those of a tile begin at its origin.
        return sum(self._place(i, j)) < self.truncate_columns

    def _place(self, i: int, j: int) -> tuple[int, int]:
        return i + self.origin[0], j + self.origin[1]
