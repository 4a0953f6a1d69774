"""What every multiplier generator shares: partial products, and adders placed and wired by the design's policies.

A topology's generator is a function `generate(frame: Frame) -> list[int]`: it returns the product's nets, least
significant bit first. Adder (i, j) stands in row i (bit i of the first operand), column j (bit j of the second) and so
in product column i + j.

Signed multipliers other than Booth's are modified Baugh-Wooley (Baugh, Wooley, IEEE Trans. Computers C-22(12), 1973):
partial products with exactly one of the sign bits x_(w-1), y_(v-1) are complemented, and constant ones of weight
2^(w-1), 2^(v-1) and 2^(w+v-1) are added modulo 2^(w+v); for w = v the first two are a single one of weight 2^w. Each
topology says where its ones enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from circuits.cells.adder_cells import EXACT, AdderCell
from circuits.netlists.gates import AND2, HALF_ADDER, NAND2, NOT, Gate
from circuits.netlists.netlist import ZERO, NetlistBuilder

AdderAt = Callable[[int, int], AdderCell]
"""(row, column) -> the cell that stands there."""

PORTS = ("psc", "pcs", "spc", "scp", "cps", "csp")
"""Which of partial product (p), running sum (s) and carry (c) drives A, B, Cin, in that order."""


@dataclass
class Frame:
    """A w x v array under construction inside `builder`.

    `x` drives the rows, `y` the columns. `adder_at` is asked with the array's own (row, column) plus `origin`, so that
    a tile of a larger array reads the larger array's grid. Ports, half-adder and final-adder policy: DESIGN "Arrays".
    Product columns below `truncate_columns` are left out: no partial products, no ones, no adders, zeros instead.
    `signed`: both operands and the product are two's complement.
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
    origin: tuple[int, int] = (0, 0)

    @property
    def width(self) -> tuple[int, int]:
        """(w, v)."""
        return len(self.x), len(self.y)

    def partial_product(self, i: int, j: int) -> int:
        """pp(i, j) = x_i AND y_j; complemented where signed and exactly one of the two is a sign bit."""
        complemented = self.signed and (i == len(self.x) - 1) != (j == len(self.y) - 1)
        return self._product(NAND2 if complemented else AND2, i, j)

    def plain_product(self, i: int, j: int) -> int:
        """x_i AND y_j, also where signed."""
        return self._product(AND2, i, j)

    def ones(self) -> list[int]:
        """Product columns of the constant ones of a signed multiplier (see the module's docstring)."""
        w, v = self.width
        if not self.signed:
            return []
        columns = [w, w + v - 1] if w == v else [w - 1, v - 1, w + v - 1]
        return [k for k in columns if not self.truncated(k)]

    def invert(self, net: int, column: int) -> int:
        """NOT of a net of product column `column`, drawn in the lowest row that has that column."""
        if self.truncated(column):
            return ZERO
        return self.builder.add(NOT, net, place=self.place_in_column(0, column))[0]

    def add(self, i: int, j: int, p: int, s: int, c: int) -> tuple[int, int]:
        """(sum, carry) of adder (i, j) over partial product, running sum and carry."""
        values = {"p": p, "s": s, "c": c}
        a, b, cin = (values[port] for port in self.ports)
        return self._adder(i, j, a, b, cin, self.adder_at(*self._place(i, j)))

    def add_in_column(self, row: int, column: int, p: int, s: int, c: int) -> tuple[int, int]:
        """(sum, carry) of a cell that compresses bits of product column `column`, `row` the highest row among them.

        Its place is the one of that row in that column; where the row does not reach so far left, the lowest row that
        does: i = max(row, column - v + 1), j = column - i.
        """
        i, j = self._in_column(row, column)
        return self.add(i, j, p, s, c)

    def add_final(self, column: int, s: int, c: int, ripple: int) -> tuple[int, int]:
        """(sum, carry) of the final adder's cell of product column `column`: s, c, ripple carry on A, B and Cin.

        It stands where an array gives that product bit: (w, column - w), and (column, 0) for column < w.
        """
        i = min(column, len(self.x))
        j = column - i
        cell = EXACT if self.final_adder == "exact" else self.adder_at(*self._place(i, j))
        return self._adder(i, j, s, c, ripple, cell)

    def truncated(self, column: int) -> bool:
        """Whether product column `column` (of this tile) is left out."""
        return self._truncated(column, 0)

    def place_in_column(self, row: int, column: int) -> tuple[int, int]:
        """The place that `add_in_column` takes, in the whole array."""
        return self._place(*self._in_column(row, column))

    def _product(self, gate: Gate, i: int, j: int) -> int:
        if self._truncated(i, j):
            return ZERO
        return self.builder.add(gate, self.x[i], self.y[j], place=self._place(i, j))[0]

    def _in_column(self, row: int, column: int) -> tuple[int, int]:
        i = max(row, column - len(self.y) + 1)
        return i, column - i

    def _adder(self, i: int, j: int, a: int, b: int, cin: int, cell: AdderCell) -> tuple[int, int]:
        if self._truncated(i, j):
            return ZERO, ZERO
        place = self._place(i, j)
        present = [net for net in (a, b, cin) if net != ZERO]
        if self.half_adders == "exact" and len(present) < 3:
            left, right = (*present, ZERO, ZERO)[:2]
            total, carry = self.builder.add(HALF_ADDER, left, right, place=place)
        else:
            total, carry = self.builder.add(cell, a, b, cin, place=place)
        return total, carry

    def _truncated(self, i: int, j: int) -> bool:
        return sum(self._place(i, j)) < self.truncate_columns

    def _place(self, i: int, j: int) -> tuple[int, int]:
        return i + self.origin[0], j + self.origin[1]
