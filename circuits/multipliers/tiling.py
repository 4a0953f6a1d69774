"""Tiling: a wide multiplier from small arrays whose products are added exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from circuits.cells.adder_cells import EXACT
from circuits.multipliers import columns
from circuits.multipliers.array_builder import Frame
from circuits.multipliers.topology import Generate
from circuits.netlists.gates import HALF_ADDER
from circuits.netlists.netlist import ZERO, NetlistBuilder


def generate(frame: Frame, array: Generate, tile: int, bits: int) -> list[int]:
    """Multiplies each pair of `tile`-bit slices of the operands by an array of its own, and adds the products exactly.

    With x = sum of x_i 2^i and y = sum of y_j 2^j over slices that begin at bits i and j, xy = sum of x_i y_j 2^(i+j).
    The highest slice is narrower where `tile` does not divide the width. `array` generates the array of a slice pair.
    Returns `bits` product nets.
    """
    weighted: list[list[int]] = [[] for _ in range(bits)]
    for i in range(0, len(frame.x), tile):
        for j in range(0, len(frame.y), tile):
            tile_frame = replace(frame, x=frame.x[i : i + tile], y=frame.y[j : j + tile], origin=(i, j))
            # The slice product of x_i and y_j weighs 2^(i + j).
            for position, net in enumerate(array(tile_frame), i + j):
                if net != ZERO and position < bits:
                    weighted[position].append(net)
    return add_exactly(frame.builder, weighted)


def add_exactly(builder: NetlistBuilder, weighted: Sequence[Sequence[int]]) -> list[int]:
    """The sum, modulo 2^len(weighted), of bits given by weight: weighted[k] holds the nets of weight 2^k.

    Uses Dadda's column compression with exact full and half adders, then a ripple-carry adder.
    """

    def add(*nets: int) -> tuple[int, int]:
        present = [net for net in nets if net != ZERO]
        # No place: the adders between tiles are outside the array's grid, and no policy reaches them.
        total, carry = builder.add(EXACT if len(present) == 3 else HALF_ADDER, *present)
        return total, carry

    compressed = columns.compress(
        [[columns.Bit(net) for net in nets] for nets in weighted],
        columns.dadda,
        lambda row, k, *nets: add(*nets),
    )
    return columns.resolve(compressed, lambda k, *nets: add(*nets))
