"""Wallace tree multiplier (Wallace, IEEE Trans. Electronic Computers EC-13(1), 1964), by columns."""

from __future__ import annotations

from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import COLUMN_PORTS, Topology


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: column compression with as many cells as possible in every stage, then a ripple adder.

    In every stage a column has one cell for every three of its bits, and a half-adder position for two that remain; p,
    s and c are the first, second and third bit that a cell takes, in the order of `columns`. Wallace groups whole rows
    by three; grouping by columns, as here, is how the tree is usually built today.
    Places of cells: `Frame.add_in_column`, `Frame.add_final`. Signed: the ones of modified Baugh-Wooley are bits of
    their columns, of source row ONES_ROW. Returns w + v product nets; carries beyond are dropped.
    """
    return columns.sum_columns(frame, columns.partial_products(frame), columns.wallace)


TOPOLOGY = Topology(generate, port_names=COLUMN_PORTS, reduces_columns=True, multiplies_exactly=True)
