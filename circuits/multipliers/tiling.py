"""Tiling: a wide multiplier from small arrays whose products are added exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from circuits.cells import EXACT
from circuits.multipliers.frame import Frame
from circuits.netlist import HALF_ADDER, ZERO, NetlistBuilder

Generate = Callable[[Frame], list[int]]


def generate(frame: Frame, topology: Generate, tile: int, bits: int) -> list[int]:
    """Sends each pair of `tile`-bit slices of the operands through a `topology` array and adds the products exactly.

    The highest slice is narrower where `tile` does not divide the width. Returns `bits` product nets.
    """
    columns: list[list[int]] = [[] for _ in range(bits)]
    for i in range(0, len(frame.x), tile):
        for j in range(0, len(frame.y), tile):
            part = replace(frame, x=frame.x[i : i + tile], y=frame.y[j : j + tile], origin=(i, j))
            for position, net in enumerate(topology(part), i + j):
                if net != ZERO and position < bits:
                    columns[position].append(net)
    return add_exactly(frame.builder, columns)


def add_exactly(builder: NetlistBuilder, columns: list[list[int]]) -> list[int]:
    """The sum of weighted bits, columns[k] holding the nets of weight 2^k, modulo 2^len(columns).

    Dadda's column compression with exact full and half adders, then a ripple-carry adder.
    """
    width = len(columns)
    columns = [list(column) for column in columns]
    for height in _dadda_heights(max(map(len, columns), default=0)):
        for k in range(width):
            while (excess := len(columns[k]) - height) > 0:
                cell, taken = (HALF_ADDER, 2) if excess == 1 else (EXACT, 3)
                total, carry = builder.add(cell, *columns[k][:taken])
                columns[k] = [*columns[k][taken:], total]
                if k + 1 < width:
                    columns[k + 1].append(carry)
    total_nets = []
    ripple = ZERO
    for column in columns:
        nets = [net for net in (*column, ripple) if net != ZERO]
        if len(nets) < 2:
            total_nets.append(nets[0] if nets else ZERO)
            ripple = ZERO
        else:
            total, ripple = builder.add(EXACT if len(nets) == 3 else HALF_ADDER, *nets)
            total_nets.append(total)
    return total_nets


def _dadda_heights(highest: int) -> list[int]:
    """Dadda's sequence 2, 3, 4, 6, 9, 13, ... below `highest`, descending."""
    heights = [2]
    while heights[-1] < highest:
        heights.append(heights[-1] * 3 // 2)
    return heights[-2::-1] if len(heights) > 1 else ([2] if highest > 2 else [])
