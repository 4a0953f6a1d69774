"""What every multiplier generator shares: partial products, and adders placed and wired by the design's policies.

A topology is a function `generate(frame: Frame) -> list[int]`: it returns the product's nets, least significant bit
first. Adder (i, j) stands in row i (bit i of the first operand), column j (bit j of the second) and so in product
column i + j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from circuits.cells import EXACT, AdderCell
from circuits.netlist import AND2, HALF_ADDER, ZERO, NetlistBuilder

AdderAt = Callable[[int, int], AdderCell]
"""(row, column) -> the cell that stands there."""

PORTS = ("psc", "pcs", "spc", "scp", "cps", "csp")
"""Which of partial product (p), running sum (s) and carry (c) drives A, B, Cin, in that order."""


@dataclass
class Frame:
    """A w x v array under construction inside `builder`.

    `x` drives the rows, `y` the columns. `adder_at` is asked with the array's own (row, column) plus `origin`, so that
    a tile of a larger array reads the larger array's grid. Ports, half-adder and final-adder policy: DESIGN "Arrays".
    Product columns below `truncate_columns` are left out: no partial products, no adders, zeros instead.
    """

    builder: NetlistBuilder
    x: Sequence[int]
    y: Sequence[int]
    adder_at: AdderAt
    ports: str
    half_adders: str
    final_adder: str
    truncate_columns: int = 0
    origin: tuple[int, int] = (0, 0)

    def partial_product(self, i: int, j: int) -> int:
        """pp(i, j) = x_i AND y_j."""
        if self._truncated(i, j):
            return ZERO
        return self.builder.add(AND2, self.x[i], self.y[j], place=self._place(i, j))[0]

    def add(self, i: int, j: int, p: int, s: int, c: int) -> tuple[int, int]:
        """(sum, carry) of adder (i, j) over partial product, running sum and carry."""
        values = {"p": p, "s": s, "c": c}
        a, b, cin = (values[port] for port in self.ports)
        return self._adder(i, j, a, b, cin, self.adder_at(*self._place(i, j)))

    def add_final(self, j: int, s: int, c: int, ripple: int) -> tuple[int, int]:
        """(sum, carry) of final adder j (row w), with s, c and the ripple carry on A, B and Cin."""
        row = len(self.x)
        cell = EXACT if self.final_adder == "exact" else self.adder_at(*self._place(row, j))
        return self._adder(row, j, s, c, ripple, cell)

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
