"""Dadda tree multiplier (Dadda, Alta Frequenza 34, 1965)."""

from __future__ import annotations

from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import COLUMN_PORTS, Topology


def generate(frame: Frame) -> list[int]:
    """w x v multiplier: column compression with as few cells as possible in every stage, then a ripple adder.

    Each stage lowers every column, carries into it counted, to the next height of 2, 3, 4, 6, 9, 13, ...: by cells of
    three bits, and by a half-adder position where one bit is still too many; p, s and c are the first, second and third
    bit that a cell takes, in the order of `columns`.
    Places of cells: `Frame.add_in_column`, `Frame.add_final`. Signed: the ones of modified Baugh-Wooley are bits of
    their columns, of source row ONES_ROW. Returns w + v product nets; carries beyond are dropped.
    """
    return columns.sum_columns(frame, columns.partial_products(frame), columns.dadda)


TOPOLOGY = Topology(generate, port_names=COLUMN_PORTS, reduces_columns=True, multiplies_exactly=True)
