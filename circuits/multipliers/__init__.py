"""Multiplier generators, one a file; a new topology is one more file and one line in TOPOLOGIES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from circuits.multipliers import carry_save_array, ripple_array, tiling
from circuits.multipliers.frame import PORTS, AdderAt, Frame
from circuits.netlist import Netlist, NetlistBuilder

__all__ = ["PORTS", "TOPOLOGIES", "AdderAt", "Frame", "multiplier"]

TOPOLOGIES: Mapping[str, Callable[[Frame], list[int]]] = MappingProxyType(
    {
        "ripple_array": ripple_array.generate,
        "carry_save_array": carry_save_array.generate,
    }
)
"""Generators by name."""


def multiplier(
    topology: str,
    width: tuple[int, int],
    adder_at: AdderAt,
    *,
    ports: str = "psc",
    half_adders: str = "cell",
    final_adder: str = "exact",
    tile: int | None = None,
    truncate_columns: int = 0,
    overflow_bit: bool = False,
    name: str | None = None,
) -> Netlist:
    """The netlist of an unsigned multiplier: inputs `x` (w bits) and `y` (v bits), output `product`.

    The product has w + v bits, one more with `overflow_bit` (tiles that overestimate; see DESIGN "Tiling").
    """
    builder = NetlistBuilder(name or topology)
    x, y = builder.input("x", width[0]), builder.input("y", width[1])
    frame = Frame(builder, x, y, adder_at, ports, half_adders, final_adder, truncate_columns)
    if tile is None:
        product = TOPOLOGIES[topology](frame)
    else:
        product = tiling.generate(frame, TOPOLOGIES[topology], tile, sum(width) + overflow_bit)
    builder.output("product", product)
    return builder.build()
